"""The way from the prompt to the prediction, drawn on the first tab: tokens, vectors, what heads look at, best tokens.

Each picture is made of small cells under a colour scale. In the live workbook they are formulas that refer to the real
cells, in the workbook of values numbers; every station's name leads to its stage. What stands above and below the way
belongs in `first_tab`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sheetgpt.models.step import Axis, Part, Role, Step, Steps
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.colours import largest
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell, target
from sheetgpt.workbook.places import INDEX, Place
from sheetgpt.workbook.references import N_TOKENS

NAME, TITLE, PICTURE_LABEL, PICTURES = 1, 2, 4, 5  # columns of the first tab; pictures go on to the right
PICTURE_COLUMNS = 64
NARROW = 2.3  # width of their columns, which makes cells square
NOTE_WIDTH = 58  # characters of a line beside a picture
MOST_TOKENS = 24  # that a picture shows: the last ones
SPARE_TOKENS = 2  # for which a live picture has room
MOST_CELLS = 5_000  # of all attention pictures together, while each head has a map of its own
MOST_HEADS = 16  # in one picture
BOX, BOXES = 4, 12  # columns of a token's box, and boxes in a line
BAR = 40  # cells of a bar that is 1 long
DIMENSIONS = 48  # of the vectors that are shown
MOST_OF_ALL = 95  # per cent of a stage's numbers, within which a strip's colours end
FEWEST_COLUMNS = 12  # beside the maps, which are worth a picture
LIVE_LABEL_HEIGHT, LETTER_HEIGHT, MOST_HEIGHT = 44.0, 5.0, 90.0  # of a row with upright tokens, of their letters
Shown = float | str | None  # a cell's value; None: it is empty


@dataclass(frozen=True)
class Way:
    """What is drawn. room: the tokens that stages have room for; live: are they formulas? top: the tokens' row."""

    book: Book
    trace: Trace
    steps: Steps
    places: Mapping[str, Place]
    room: int
    live: bool
    top: int

    @cached_property
    def count(self) -> int:
        return len(self.trace.token_ids)

    @cached_property
    def looks(self) -> list[Step]:
        """The attention weights of each block."""
        return [step for step in self.steps if step.by_head and step.op.shares]

    @cached_property
    def slots(self) -> int:
        """How many tokens are shown."""
        return min(self.room, self.count + SPARE_TOKENS if self.live else self.count, MOST_TOKENS)

    @cached_property
    def by_head(self) -> bool:
        """Has every head a map of its own? Else a block has one, of what the last token looks at."""
        heads = self.trace.config.n_head
        fits = heads * (self.slots + 1) <= PICTURE_COLUMNS
        return fits and len(self.looks) * heads * self.slots**2 <= MOST_CELLS

    def position(self, slot: int) -> int | None:
        """The position that stands in a slot when the workbook is written: the last ones where not all fit."""
        return slot + max(0, self.count - self.slots) if slot < self.count else None

    # -------------------------------------------------------------------------------------------- cells

    def put(self, row: int, column: int, formula: str, value: Shown, fmt: str) -> None:
        if self.live:
            self.book.leaf(INDEX, row, column, f"={formula}", "" if value is None else value, fmt)
        elif value is None:
            self.book.blank(Area(INDEX, row, column, 1, 1), fmt)
        elif isinstance(value, str):
            self.book.text(INDEX, row, column, value, fmt)
        else:
            self.book.number(INDEX, row, column, value, fmt)

    def picture(
        self, row: int, column: int, formulas: Sequence[Sequence[str]], values: Sequence[Sequence[Shown]]
    ) -> Area:
        """Small cells from a place on."""
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                self.put(row + i, column + j, formulas[i][j] if self.live else "", value, "picture")
        return Area(INDEX, row, column, len(values), len(values[0]))

    def scale(self, area: Area, scale: dict[str, object]) -> None:
        self.book.rule(scale, area)

    def stage(self, name: str) -> str:
        """Where a link to a stage leads."""
        return self.places[name].target

    def note(self, row: int, step: Step, *, low: bool = False) -> int:
        """A stage's name, which leads to it, its title, and why it is there; the row behind. low: in a high row."""
        self.book.link(INDEX, row, NAME, self.stage(step.name), step.name, "stage link low" if low else "stage link")
        self.book.text(INDEX, row, TITLE, step.title, "stage title low" if low else "stage title")
        lines = textwrap.wrap(step.why, NOTE_WIDTH)
        for number, line in enumerate(lines, start=row + 1):
            self.book.text(INDEX, number, TITLE, line, "key")
        return row + 1 + len(lines)

    # -------------------------------------------------------------------------------------------- tokens

    @cached_property
    def position_cells(self) -> list[str]:
        """Where the position of each slot stands."""
        return [cell(*self.box(slot, 1), fixed=True) for slot in range(self.slots)]

    def box(self, slot: int, line: int) -> tuple[int, int]:
        return self.top + 3 * (slot // BOXES) + line, PICTURES + slot % BOXES * BOX

    def token(self, slot: int) -> tuple[str, Shown]:
        """(formula, value) of a token as it is shown, with a dot for a space."""
        position, at = self.position(slot), self.position_cells[slot]
        shown = None if position is None else self.trace.tokens[position].replace(" ", "·")
        return f'IF({at}="","",SUBSTITUTE(INDEX(tokens,1,{at}+1)," ","·"))', shown

    def write_tokens(self) -> int:
        """Each token in a box, with its position and its id; the row behind."""
        for slot in range(self.slots):
            position, at = self.position(slot), self.position_cells[slot]
            self.put(*self.box(slot, 0), *self.token(slot), "box")
            moved = f'IF({slot}<{N_TOKENS},{slot}+MAX(0,{N_TOKENS}-{self.slots}),"")'
            self.put(*self.box(slot, 1), moved, position, "box position")
            shown = None if position is None else f"id {self.trace.token_ids[position]}"
            line, column = self.box(slot, 1)
            self.put(line, column + 1, f'IF({at}="","","id "&INDEX(token_ids,1,{at}+1))', shown, "box id")
            self.draw_box(Area(INDEX, line - 1, column, 2, BOX), at)
        end = self.box(self.slots - 1, 2)[0]
        if left_out := self.left_out():
            self.put(end, PICTURES, *left_out, "words")
            end += 1
        return max(end, self.note(self.top, self.steps.of(Role.TOKENS)))

    def draw_box(self, area: Area, position: str) -> None:
        """A fill, and a line at the left, where there is a token."""
        there = f'={position}<>""'
        line = self.book.conditional({"bg_color": style.HEAD_FILL, "left": 1, "left_color": style.ACCENT})
        fill = self.book.conditional({"bg_color": style.HEAD_FILL})
        for part, look in ((area.part(columns=1), line), (area.part(column=1), fill)):
            self.book.rule({"type": "formula", "criteria": there, "format": look}, part)

    def left_out(self) -> tuple[str, Shown] | None:
        """What is said where not all tokens are shown."""
        if self.room <= self.slots:
            return None
        more = self.count > self.slots
        formula = f'IF({N_TOKENS}>{self.slots},"the last {self.slots} of "&{N_TOKENS}&" tokens","")'
        return formula, f"the last {self.slots} of {self.count} tokens" if more else None

    def row_labels(self, row: int) -> None:
        for slot in range(self.slots):
            self.put(row + slot, PICTURE_LABEL, *self.token(slot), "picture row")

    @cached_property
    def label_height(self) -> float:
        """Of a row with upright tokens; other words may be typed into a live workbook."""
        least = LIVE_LABEL_HEIGHT if self.live else 0
        return max(least, min(MOST_HEIGHT, 8 + LETTER_HEIGHT * max(map(len, self.trace.tokens[-self.slots :]))))

    def column_labels(self, row: int, column: int) -> None:
        self.book.sheets[INDEX].set_row(row, self.label_height)
        for slot in range(self.slots):
            self.put(row, column + slot, *self.token(slot), "picture column")

    # -------------------------------------------------------------------------------------------- vectors

    @cached_property
    def vectors(self) -> Step | None:
        """What the blocks begin with."""
        found = [step for step in self.steps.computed if step.part is Part.EMBEDDINGS and step.rows is Axis.TOKENS]
        return next((step for step in reversed(found) if step.columns is Axis.DIMENSIONS), None)

    def write_vectors(self, row: int) -> int:
        """Each token's vector as a strip of coloured cells."""
        step = self.vectors
        if step is None:
            return row
        self.row_labels(row + 1)
        self.strip(step, row + 1, PICTURES, DIMENSIONS)
        self.book.text(INDEX, row, PICTURES, self.of_all(step, DIMENSIONS), "key")
        return max(row + 1 + self.slots, self.note(row, step))

    def strip(self, step: Step, row: int, column: int, most: int) -> None:
        """A row of coloured cells for each token."""
        matrix = self.trace.array(step.name)
        width = min(most, matrix.shape[1])
        values, formulas = [], []
        for slot, at in enumerate(self.position_cells):
            position = self.position(slot)
            values.append([None] * width if position is None else matrix[position, :width].tolist())
            formulas.append([self.vector_cell(step, at, i) for i in range(width)] if self.live else [])
        self.scale(self.picture(row, column, formulas, values), style.gradient_scale(largest(matrix, MOST_OF_ALL)))

    def of_all(self, step: Step, most: int) -> str:
        there = self.trace.array(step.name).shape[1]
        return f"{f'the first {most} of ' if most < there else ''}{there:,} numbers for each token"

    def vector_cell(self, step: Step, at: str, column: int) -> str:
        there = self.places[step.name].area.part(column=column, columns=1).address()
        return f'IF({at}="","",INDEX({there},{at}+1))'

    # -------------------------------------------------------------------------------------------- attention

    def head(self, step: Step, number: int) -> np.ndarray:  # [T, T]
        """The weights of one head."""
        return self.trace.array(step.name).reshape(self.count, -1, self.count)[:, number]

    def weight_cell(self, step: Step, head: int, query: str, key: str) -> str:
        """The formula of a cell. query, key: formulas of positions."""
        there = self.places[step.name].area.part(column=head * self.room, columns=self.room).address()
        return f"INDEX({there},{query}+1,{key}+1)"

    def head_link(self, step: Step, head: int) -> str:
        """Where a head's columns begin; the stage where they are torn apart or laid out otherwise."""
        place = self.places[step.name]
        width = self.trace.config.n_head * self.room
        if place.shape[1] != width or len(place.areas) > 1:
            return self.stage(step.name)
        return target(place.tab, place.area.row, place.area.column + head * self.room)

    def write_attention(self, row: int) -> int:
        if not self.looks:
            return row
        return self.write_maps(row) if self.by_head else self.write_last(row)

    def write_maps(self, row: int) -> int:
        """A band for each block: a map for each head, a row for each token that looks, what the block made of it."""
        for step in self.looks:
            end = row
            for one in self.in_band(step.block):
                end = self.note(end, one, low=one is step)
            below = row + 1 + self.slots
            for head in range(self.trace.config.n_head):
                column = PICTURES + head * (self.slots + 1)
                self.column_labels(row, column)
                self.scale(self.head_map(step, head, row + 1, column), style.ATTENTION_SCALE)
                self.book.link(INDEX, below, column, self.head_link(step, head), f"head {head}", "picture head")
            self.row_labels(row + 1)
            self.write_made(
                self.in_band(step.block)[-1], row + 1, PICTURES + self.trace.config.n_head * (self.slots + 1)
            )
            row = max(end, below + 1) + 1
        return row

    def write_made(self, step: Step, row: int, column: int) -> None:
        """What a block made of each token, where there is room beside the maps."""
        room = PICTURES + PICTURE_COLUMNS - column - 1
        if room >= FEWEST_COLUMNS and step.columns is Axis.DIMENSIONS:
            self.strip(step, row, column + 1, room)
            caption = f"{step.name}: {self.of_all(step, room)}"
            self.book.link(INDEX, row + self.slots, column + 1, self.stage(step.name), caption, "picture head")

    def in_band(self, block: int | None) -> list[Step]:
        """Of a block's steps, those that its band shows: where tokens look, and what the block makes of each."""
        own = [step for step in self.steps if step.block == block]
        looks = [step for step in own if step in self.looks]
        return [*looks, *[step for step in own if not step.by_head][-1:]]

    def head_map(self, step: Step, head: int, row: int, column: int) -> Area:
        weights, at = self.head(step, head), self.position_cells
        positions = [self.position(slot) for slot in range(self.slots)]
        values = [[None if None in (q, k) else float(weights[q, k]) for k in positions] for q in positions]
        formulas = [
            [f'IF(OR({q}="",{k}=""),"",{self.weight_cell(step, head, q, k)})' for k in at] if self.live else []
            for q in at
        ]
        return self.picture(row, column, formulas, values)

    def write_last(self, row: int) -> int:
        """Bands of blocks: what the last token looks at, a row for each head."""
        heads = min(MOST_HEADS, self.trace.config.n_head)
        end = self.note(row, self.looks[-1], low=True)
        for line in textwrap.wrap(self.what_is_shown(heads), NOTE_WIDTH):
            self.book.text(INDEX, end, TITLE, line, "words")
            end += 1
        a_band = max(1, PICTURE_COLUMNS // (self.slots + 1))
        for start in range(0, len(self.looks), a_band):
            for number, step in enumerate(self.looks[start : start + a_band]):
                column = PICTURES + number * (self.slots + 1)
                self.column_labels(row, column)
                self.scale(self.last_rows(step, heads, row + 1, column), style.ATTENTION_SCALE)
                stage, caption = self.stage(step.name), f"block {step.block}"
                self.book.link(INDEX, row + 1 + heads, column, stage, caption, "picture head")
            for head in range(heads):
                self.book.text(INDEX, row + 1 + head, PICTURE_LABEL, f"head {head}", "picture row")
            row += heads + 3
        return max(row, end + 1)

    def what_is_shown(self, heads: int) -> str:
        all_heads = self.trace.config.n_head
        which = "each head" if heads == all_heads else f"each of the first {heads} of {all_heads} heads"
        return f"The model is large: only what the last token looks at is shown, a row for {which}."

    def last_rows(self, step: Step, heads: int, row: int, column: int) -> Area:
        positions = [self.position(slot) for slot in range(self.slots)]
        values, formulas = [], []
        for head in range(heads):
            weights = self.head(step, head)[-1]
            values.append([None if k is None else float(weights[k]) for k in positions])
            cells = (
                [self.weight_cell(step, head, f"({N_TOKENS}-1)", k) for k in self.position_cells] if self.live else []
            )
            formulas.append([f'IF({k}="","",{one})' for k, one in zip(self.position_cells, cells, strict=False)])
        return self.picture(row, column, formulas, values)

    # -------------------------------------------------------------------------------------------- the answer

    def write_best(self, row: int, best: Area) -> int:
        """The best tokens with bars. best: their table."""
        self.book.link(INDEX, row, NAME, self.stage(self.steps.name(Role.PREDICTION)), "best tokens", "stage link")
        self.book.text(INDEX, row, TITLE, "the best next tokens, and how probable they are", "stage title")
        self.write_colours(row)
        token, share = (shared.BEST_COLUMNS.index(name) for name in ("token", "probability"))
        for number, one in enumerate(self.trace.predictions(best.rows)):
            there, chance = (best.part(number, column, 1, 1).address() for column in (token, share))
            shown = f'IF({there}="","","{one.rank}  "&SUBSTITUTE({there}," ","·"))'
            self.put(row + 1 + number, NAME, shown, f"{one.rank}  {one.token.replace(' ', '·')}", "bar name")
            self.put(row + 1 + number, TITLE, chance, one.probability, "share")
            self.bar(row + 1 + number, one.probability)
        self.scale(Area(INDEX, row + 1, PICTURES, best.rows, BAR), style.SHARE_SCALE)
        return row + 1 + max(best.rows, len(COLOURS) + 1)

    def bar(self, row: int, share: float) -> None:
        """A row of cells, which are filled as far as the share reaches: those beyond 1 look like 1."""
        at = cell(row, TITLE, fixed=True)
        formulas = [f'IF({at}="","",MAX(0,{at}*{BAR}-{i}))' for i in range(BAR)]
        self.picture(row, PICTURES, [formulas], [[max(0.0, share * BAR - i) for i in range(BAR)]])

    def write_colours(self, row: int) -> None:
        """What the colours say, behind the bars."""
        column = PICTURES + BAR + 3
        self.book.text(INDEX, row, column, "What the colours say", "stage title")
        for number, (fmt, sample, meaning) in enumerate(COLOURS, start=row + 1):
            self.book.text(INDEX, number, column, sample, fmt)
            self.book.blank(Area(INDEX, number, column + 1, 1, 1), fmt)
            self.book.text(INDEX, number, column + 3, meaning, "key")


COLOURS = (
    ("below sample", "−", "numbers below 0"),
    ("above sample", "+", "numbers above 0; the palest are near 0"),
    ("share sample", "1", "weights and probabilities: from white, 0, to this, 1"),
    ("mask sample", "0", "masked: the token lies ahead"),
    ("typed sample", "!", "changed by hand; the note says what was there"),
)


def write_way(way: Way, best: Area | None) -> int:
    """Draw it on the first tab; the row behind. best: the table of the best tokens, if there is one."""
    row = way.write_tokens() + 1
    if way.vectors:
        row = way.write_vectors(row) + 1
    row = way.write_attention(row)
    return way.write_best(row, best) + 1 if best else row
