"""The table of conventions filled in for one model: every stage's names, and whose names a file's arrays have.

The table itself is `conventions`', files are `fixture_files`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sheetgpt.conventions import CONVENTIONS, HOOKED_TRANSFORMER, TABLE, Row


@dataclass(frozen=True)
class Entry:
    """One stage of one model in one convention; no names where the convention has none."""

    stage: str
    row: Row
    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    axes: str = ""

    @property
    def of(self) -> str:
        """The stage (or weight) that it is made of: itself, where it is a stage of ours."""
        if not self.row.made:
            return self.stage
        block = re.search(r"block_(\d+)", self.stage)
        return self.row.made.rpartition(" ")[2].replace("{i}", block[1] if block else "")


@dataclass(frozen=True)
class Known:
    """Whose names an array has, and how many blocks there are."""

    convention: str
    n_layer: int
    hooked: bool = False  # TransformerLens up to 2


def entries(known: Known) -> list[Entry]:
    """Every stage of a model in causal order."""
    before = [row for row in TABLE[: _first_in_block()] if not row.in_block]
    inside = [row for row in TABLE if row.in_block]
    after = [row for row in TABLE[_first_in_block() :] if not row.in_block]
    blocks = [(row, i) for i in range(known.n_layer) for row in inside]
    return [_entry(row, i, known) for row, i in ([(r, 0) for r in before] + blocks + [(r, 0) for r in after])]


def _first_in_block() -> int:
    return next(at for at, row in enumerate(TABLE) if row.in_block)


def _entry(row: Row, block: int, known: Known) -> Entry:
    cell = row.cell(known.convention)
    if known.hooked and row.stage in HOOKED_TRANSFORMER:
        cell = HOOKED_TRANSFORMER[row.stage]
    stage = _filled(row.stage, block, known.n_layer)
    if cell is None:
        return Entry(stage, row)
    names, aliases = (
        tuple(dict.fromkeys(_filled(name, block, known.n_layer) for name in group))
        for group in (cell.names, cell.aliases)
    )
    return Entry(stage, row, names, aliases, cell.axes)


def _filled(template: str, block: int, n_layer: int) -> str:
    values = {"i": block, "last": n_layer - 1, "n": n_layer, "block.": f"block{block}." if block else ""}
    return re.sub(r"\{([a-z.]+)\}", lambda found: str(values[found[1]]), template)


@cache
def _patterns(convention: str) -> tuple[tuple[re.Pattern, Row], ...]:
    """What a convention's names look like; a block's number is the first group."""
    holes = {"{i}": r"(\d+)", "{block.}": r"(?:block(\d+)\.)?", "{n}": r"\d+", "{last}": r"\d+"}
    found = []
    for row in TABLE:
        cell = row.cell(convention)
        for name in (*cell.names, *cell.aliases) if cell else ():
            parts = re.split(r"(\{[a-z.]+\})", name)
            found.append((re.compile("".join(holes.get(part, re.escape(part)) for part in parts)), row))
    return tuple(found)


def recognise(names: Iterable[str]) -> Known | None:
    """Whose names these are: of the convention that knows most of them; None where none knows any.

    >>> recognise(["hook_embed", "blocks.11.attn.hook_pattern", "blocks.11.ln1.hook_out"])
    Known(convention='transformerlens', n_layer=12, hooked=False)
    """
    names = list(names)
    known = {convention: [name for name in names if _row_of(name, convention)] for convention in CONVENTIONS}
    best = max(known, key=lambda convention: len(known[convention]))
    if not known[best]:
        return None
    hooked = best == "transformerlens" and not any(re.search(r"\bln\w+\.hook_out$", name) for name in names)
    return Known(best, max(_count_blocks(known[best], best), 1), hooked)


def _row_of(name: str, convention: str) -> tuple[Row, int] | None:
    """The row that holds a name, and the block's number (0 where it has none)."""
    for pattern, row in _patterns(convention):
        if match := pattern.fullmatch(name):
            return row, int(next(filter(None, match.groups()), 0))
    return None


def _count_blocks(names: Iterable[str], convention: str) -> int:
    found = [_row_of(name, convention) for name in names]
    inside = [block + 1 for row, block in found if row.in_block and not row.stage.endswith("_step_1")]
    inputs = [block + 1 for row, block in found if row.stage.endswith("_step_1")]
    if not inside and convention == "huggingface":
        return max(inputs, default=1) - 1  # the tuple of hidden states holds one more than there are blocks
    return max(inside or inputs, default=1)
