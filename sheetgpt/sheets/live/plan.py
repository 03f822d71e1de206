"""What a live workbook will hold: how many tokens, which blocks, the shape of every stage, and how large that gets.

Nothing is written here: that is `live`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sheetgpt.errors import DumpError
from sheetgpt.models.gpt2 import Step
from sheetgpt.workbook.places import Stage

if TYPE_CHECKING:
    from sheetgpt.model import Model
    from sheetgpt.run.trace import Trace

LONGEST_WORD = 12  # characters that there is room for, or the prompt's longest word
SPARE_TOKENS = 4  # room beyond the prompt, where --max-tokens doesn't say how much
FEWEST_TOKENS = 12
MOST_CELLS = 40_000_000  # weights and formula cells beyond which no spreadsheet program is of use
CELLS_A_SECOND, BYTES_A_CELL = 1_500_000, 12  # what writing takes, roughly


@dataclass(frozen=True)
class Size:
    """How large a live workbook will be."""

    weights: int
    formula_cells: int
    max_tokens: int

    @property
    def cells(self) -> int:
        return self.weights + self.formula_cells

    def __str__(self):
        seconds = max(1, round(self.cells / CELLS_A_SECOND))
        megabytes = max(1, round(self.cells * BYTES_A_CELL / 1e6))
        return (
            f"live workbook for up to {self.max_tokens} tokens: {self.weights:,} weights and {self.formula_cells:,} "
            f"cells of formulas, about {megabytes:,} MB, about {seconds:,} s to write"
        )


@dataclass(frozen=True)
class Plan:
    """What a live workbook holds: which steps, which weights, and where everything stands."""

    model: Model
    trace: Trace
    steps: list[Step]
    weights: dict[str, tuple[int, int]]  # shapes
    max_tokens: int
    longest_word: int
    blocks: range | None  # None: the whole model

    @property
    def has_words(self) -> bool:
        return self.blocks is None and self.model.tokenizer is not None

    def columns(self, step: Step) -> int:
        if step.columns == "keys":
            return self.max_tokens
        if step.columns == "heads x keys":
            return self.model.config.n_head * self.max_tokens
        return self.trace.array(step.name).shape[1]

    def stage(self, step: Step) -> Stage:
        """What the layout has to know of a stage: its shape with room for `max_tokens`."""
        if step.name == "separated_into_words":
            return Stage(step, 1, self.max_tokens, header_rows=0)
        if step.name == "prompt_to_tokens":
            return Stage(step, 7 * self.longest_word, self.max_tokens * (self.longest_word + 1), header_rows=0)
        if step.name == "final_tokens":
            return Stage(step, 2, self.max_tokens)
        if step.name == "predicted_token":
            return Stage(step, 3, 2, header_rows=0)
        rows = self.max_tokens if step.rows == "tokens" else self.trace.array(step.name).shape[0]
        header_rows = {"keys": 2, "heads x keys": 3}.get(step.columns, 1)
        return Stage(step, rows, self.columns(step), header_rows, together=self.max_tokens if header_rows == 3 else 1)

    @property
    def size(self) -> Size:
        cells = sum(stage.rows * stage.columns for stage in map(self.stage, self.steps))
        return Size(sum(rows * columns for rows, columns in self.weights.values()), cells, self.max_tokens)


def parse_blocks(text: str, n_layer: int) -> range:
    """`3` or `0-1` as a range of blocks. Raises DumpError where it is none, or the model has no such block.

    >>> parse_blocks("3", 12), parse_blocks("0-1", 12)
    (range(3, 4), range(0, 2))
    """
    first, mark, last = text.partition("-")
    try:
        found = range(int(first), int(last if mark else first) + 1)
    except ValueError:
        raise DumpError(f"--blocks takes a block or a range of blocks such as 3 or 0-1, not {text!r}") from None
    if not found or found.start < 0 or found.stop > n_layer:
        raise DumpError(f"--blocks {text}: the model has the blocks 0 to {n_layer - 1}")
    return found


def plan(model: Model, trace: Trace, *, max_tokens: int | None = None, blocks: range | None = None) -> Plan:
    """What the live workbook of a run will hold. Raises DumpError for a layout that can't be.

    max_tokens: room for so many tokens; by default some more than the prompt has.
    blocks: only these blocks, the first one's input as values.
    """
    if trace.overridden:
        raise DumpError("a live workbook computes every stage itself: dump it without --set and change the cells there")
    count = len(trace.token_ids)
    spare = max(FEWEST_TOKENS, count + SPARE_TOKENS)
    limit = model.room(spare if max_tokens is None else max_tokens)
    wanted = min(limit, spare) if max_tokens is None else max_tokens
    if not count <= wanted <= limit:
        raise DumpError(
            f"--max-tokens {wanted}: choose {count}, the tokens of the prompt, to {limit}, the model's context"
        )
    named = [step for step in model.steps if blocks is None or in_blocks(step, blocks)]
    if not any(blocks is None or step.block is not None for step in named):
        raise DumpError(f"--blocks: a {model.config.model} has no blocks; leave the option out")
    if blocks is None and model.tokenizer is None:
        named = [step for step in named if step.name not in ("separated_into_words", "prompt_to_tokens")]
    used = {name for step in named for name in step.inputs}
    if blocks is not None:
        used.discard(f"block_{blocks.start - 1}_step_16")
    shapes = {name: matrix.shape for name, matrix in model.weights.items() if name in used}
    longest = longest_word(trace)
    found = Plan(model, trace, named, shapes, wanted, longest, blocks)
    if found.size.cells > MOST_CELLS:
        raise DumpError(
            f"a live workbook of {found.size.cells:,} cells is more than spreadsheet programs can recalculate: "
            "choose some blocks, such as --blocks 0"
        )
    return found


def longest_word(trace: Trace) -> int:
    """The characters that there is room for in a word, and the ids that can be typed instead."""
    words = trace.merges.words if trace.merges else []
    return max([LONGEST_WORD, *map(len, words)])


def in_blocks(step: Step, blocks: range) -> bool:
    return step.block in blocks or step.name in ("final_tokens", "triangle_matrix")
