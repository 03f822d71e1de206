"""What a live workbook will hold: how many tokens, which blocks, the shape of every stage, and how large that gets.

Only what a sheet can't hold is refused; a large one is announced with what it takes.

Nothing is written here: that belongs in `writer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sheetgpt.bpe import Tokenizer
from sheetgpt.errors import DumpError
from sheetgpt.models.kinds import has_last_position
from sheetgpt.models.step import Axis, Role, Step, Steps, Weight
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.passes import ROWS_A_PASS
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, width
from sheetgpt.workbook.places import LABEL_COLUMNS, TAB_ROWS, Panel, lay_out

LONGEST_WORD = 12  # characters that there is room for, or the prompt's longest word
SPARE_TOKENS = 4  # room beyond the prompt, where --max-tokens doesn't say how much
FEWEST_TOKENS = 12
CELLS_A_SECOND, BYTES_A_CELL = 2_000_000, 7  # what writing takes, roughly
MANY_CELLS = 20_000_000  # from which formulas go by tokens, and only a row's first weight has an address
UNADDRESSED_BYTES = 6.4  # a cell then
LARGE = 5_000_000  # cells from which opening takes long enough to be told before
OPENED_A_SECOND, OPENED_BYTES_A_CELL = 1_000_000, 32  # what LibreOffice takes then, roughly
GOOGLE_SHEETS = 10_000_000  # cells of a spreadsheet there, empty ones too
MOST_PORTABLE, LONGEST_CODED = 500, 120  # tokens whose ids one formula checks; letters of a key that MATCH looks up
HEADER_ROWS = {Axis.KEYS: 2, Axis.HEADS_BY_KEYS: 3}


@dataclass(frozen=True)
class Size:
    """How large a live workbook will be."""

    weights: int
    formula_cells: int
    max_tokens: int
    portable: bool = False
    grid: int = 0  # cells of all tabs, empty ones too

    @property
    def cells(self) -> int:
        return self.weights + self.formula_cells

    def __str__(self) -> str:
        seconds = max(1, round(self.cells / CELLS_A_SECOND))
        bytes_a_cell = BYTES_A_CELL if self.cells < MANY_CELLS else UNADDRESSED_BYTES
        megabytes = max(1, round(self.cells * bytes_a_cell / 1e6))
        kind = "portable live workbook for" if self.portable else "live workbook for up to"
        about = (
            f"{kind} {self.max_tokens} tokens: {self.weights:,} weights and {self.formula_cells:,} "
            f"cells of formulas, about {megabytes:,} MB, about {seconds:,} s to write"
        )
        about += f"; {self.opening}" if self.cells >= LARGE else ""
        return f"{about}; {self.beyond_google}" if self.portable and self.grid > GOOGLE_SHEETS else about

    @property
    def opening(self) -> str:
        """What it takes to have it open."""
        seconds = round(self.cells / OPENED_A_SECOND)
        gigabytes = self.cells * OPENED_BYTES_A_CELL / 1e9
        return f"LibreOffice takes about {seconds:,} s and {gigabytes:.1f} GB of memory to open it"

    @property
    def beyond_google(self) -> str:
        return f"Google Sheets holds {GOOGLE_SHEETS:,} cells, and this has {self.grid:,} with empty ones"


@dataclass(frozen=True)
class Plan:
    """What a live workbook holds: which steps, which weights, and room for how much."""

    trace: Trace
    steps: Steps
    weights: dict[str, Weight]
    max_tokens: int
    longest_word: int
    typed: Step | None  # the stage that is typed, where only some blocks are there; None: the whole model
    portable: bool = False  # one formula a cell, plain ranges, the prompt's own tokens: `portable`
    by_token: bool = False  # formulas that read their own token and those before it only: `tokenwise`

    @property
    def is_whole(self) -> bool:
        """Is all of the model there, up to the prediction?"""
        return self.typed is None

    @property
    def has_words(self) -> bool:
        return self.steps.has(Role.WORDS)

    @property
    def tokenizer(self) -> Tokenizer:
        """What the words are cut by, where there are any."""
        assert self.trace.tokenizer is not None  # or the plan would have no words
        return self.trace.tokenizer

    def panel(self, step: Step) -> Panel:
        """A stage as it wants to be laid out: its shape with room for `max_tokens`."""
        room, word = self.max_tokens, self.longest_word
        if step.role is Role.WORDS:
            return shared.panel(step, 1, room, header_rows=0)
        if step.role is Role.MERGES:
            return shared.panel(step, ROWS_A_PASS * word, room * (word + 1), header_rows=0)
        if step.role is Role.TOKENS:
            return shared.panel(step, 2, room)
        if step.role is Role.PREDICTION:
            return shared.panel(step, 3, 2, header_rows=0)
        rows, columns = self.trace.array(step.name).shape
        if shared.is_by_key(step):
            columns = columns // len(self.trace.token_ids) * room
        rows = room if step.rows is Axis.TOKENS else rows
        header_rows = HEADER_ROWS.get(step.columns, 1)
        return shared.panel(step, rows, columns, header_rows=header_rows, together=room if step.by_head else 1)

    @cached_property
    def size(self) -> Size:
        cells = sum(panel.rows * panel.columns for panel in map(self.panel, self.steps))
        weights = sum(weight.shape[0] * weight.shape[1] for weight in self.weights.values())
        return Size(weights, cells, self.max_tokens, self.portable, self.grid)

    @property
    def grid(self) -> int:
        """The cells of all tabs up to the last row and column in use, empty ones too."""
        areas = [place.area for place in lay_out(map(self.panel, self.steps)).values()]
        by_tab: dict[str, list[Area]] = {}
        for area in [*areas, *lay_out_weights(self.weights).values()]:
            by_tab.setdefault(area.tab, []).append(area)
        return sum(width(found) * max(one.row + one.rows for one in found) for found in by_tab.values())


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


def plan(
    trace: Trace,
    *,
    max_tokens: int | None = None,
    blocks: range | None = None,
    portable: bool = False,
    by_token: bool | None = None,
) -> Plan:
    """What the live workbook of a run will hold. Raises DumpError for a layout that can't be.

    max_tokens: room for so many tokens; by default some more than the prompt has.
    blocks: only these blocks, the first one's input as values.
    portable: for programs without array formulas, laid out for the prompt's own number of tokens.
    by_token: with formulas that read their own token and those before it only; by default where there is much to
    compute.
    """
    if portable:
        max_tokens = own_tokens(trace, max_tokens)
    if trace.steps.name(Role.PREDICTION) in trace.overridden:
        raise DumpError("a live workbook predicts itself", remedy="set the logits instead")
    if trace.weights is None:
        raise DumpError("a live workbook needs the run's weights", remedy="run the prompt with `load_model(...).run`")
    steps = all_steps(trace) if blocks is None else steps_of_blocks(trace, blocks)
    typed = None if blocks is None else first_of(steps, blocks)
    used = {name for step in steps if step is not typed for name in step.inputs}
    weights = {name: weight for name, weight in trace.sizes.weights.items() if name in used}
    found = Plan(trace, steps, weights, room_for_tokens(trace, max_tokens), longest_word(trace), typed, portable)
    is_large = not portable and found.size.cells >= MANY_CELLS
    found = replace(found, by_token=is_large if by_token is None else by_token)
    require_room(found)
    return found


def require_room(plan: Plan) -> None:
    """Raises DumpError where a sheet can't hold a stage or a weight matrix."""
    for place in lay_out(map(plan.panel, plan.steps)).values():
        _ = place.area
    lay_out_weights(plan.weights)


def lay_out_weights(weights: Mapping[str, Weight]) -> dict[str, Area]:
    """The area of each weight matrix, by name: under each other on their tabs, a title and a header row over each."""
    areas: dict[str, Area] = {}
    next_row: dict[str, int] = {}
    for name, weight in weights.items():
        tab, (rows, columns) = shared.weight_tab(name, weight), weight.shape
        row = next_row.get(tab, TAB_ROWS) + 2
        if row + rows > MAX_ROWS or LABEL_COLUMNS + columns > MAX_COLUMNS:
            what, where = "is larger than a sheet", f"{name} ({rows:,} x {columns:,})"
            raise DumpError(what, where=where, remedy="choose blocks with --blocks")
        areas[name] = Area(tab, row, LABEL_COLUMNS, rows, columns)
        next_row[tab] = row + rows + 1
    return areas


def room_for_tokens(trace: Trace, max_tokens: int | None) -> int:
    """How many tokens there is room for. Raises DumpError where that is less than the prompt, or beyond the context."""
    count, n_ctx = len(trace.token_ids), trace.config.n_ctx
    spare = max(FEWEST_TOKENS, count + SPARE_TOKENS)
    limit = n_ctx if has_last_position(trace.config) else max(n_ctx, max_tokens or spare)
    wanted = min(limit, spare) if max_tokens is None else max_tokens
    if not count <= wanted <= limit:
        raise DumpError(
            f"--max-tokens {wanted}",
            remedy=f"choose {count}, the tokens of the prompt, to {limit}, the model's context",
        )
    return wanted


def own_tokens(trace: Trace, max_tokens: int | None) -> int:
    """As many tokens as the prompt has, for which a portable workbook is laid out."""
    count = len(trace.token_ids)
    if max_tokens not in (None, count):
        remedy = "leave --max-tokens out"
        raise DumpError(f"a portable workbook is laid out for the prompt's own {count} tokens", remedy=remedy)
    for what, size, most in (
        ("tokens", count, MOST_PORTABLE),
        ("letters in a word", longest_word(trace), LONGEST_CODED),
    ):
        if size > most:
            raise DumpError(f"a portable workbook holds up to {most} {what}, not {size}", remedy="leave --portable out")
    return count


def longest_word(trace: Trace) -> int:
    """The characters that there is room for in a word, and the ids that can be typed instead."""
    words = trace.merges.words if trace.merges else []
    return max([LONGEST_WORD, *map(len, words)])


# ------------------------------------------------------------------------------------------------ which steps


def all_steps(trace: Trace) -> Steps:
    """All steps; without a tokenizer there are no words, and so no merges."""
    left_out = () if trace.tokenizer else (Role.WORDS, Role.MERGES)
    return Steps(step for step in trace.steps if step.role not in left_out)


def steps_of_blocks(trace: Trace, blocks: range) -> Steps:
    """The steps of some blocks, the tokens, and what else they need but the input of the first one, which is typed."""
    needed = {step.name for step in trace.steps if step.block in blocks}
    if not needed:
        raise DumpError(f"--blocks: a {trace.config.model} has no blocks; leave the option out")
    needed.add(trace.steps.name(Role.TOKENS))
    typed = first_of(trace.steps, blocks)
    for step in reversed(trace.steps):
        if step.name in needed and step is not typed and not step.is_given:
            needed.update(step.inputs)
    return Steps(step for step in trace.steps if step.name in needed)


def first_of(steps: Steps, blocks: range) -> Step:
    return next(step for step in steps if step.block == blocks.start)
