"""The live workbook: weights as values, every stage a formula: a change anywhere runs through to the prediction.

`write_live_workbook` lays the sheet out for more tokens than the prompt has; rows that are not in use are empty. The
formulas are `ops`' and `references`', words and merges `live_words`', the first tab `live_index`' business. Every
formula cell carries the run's own value, so that readers that don't calculate show it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.models.gpt2 import Step, matrix_steps
from sheetgpt.ops import Piece
from sheetgpt.sheets.live import index as live_index
from sheetgpt.sheets.live import merges as live_merges
from sheetgpt.sheets.live import words as live_words
from sheetgpt.sheets.live.plan import Plan, plan
from sheetgpt.sheets.values import HEADINGS, block_heading, highlight
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.places import (
    EMBEDDINGS,
    HEAD,
    INDEX,
    LABEL_COLUMNS,
    LOGITS,
    WORDS,
    Area,
    Place,
    cell,
    lay_out,
    lay_out_weights,
    tabs,
    widths,
)
from sheetgpt.workbook.references import N_TOKENS, Input, Names, Source, formulas

if TYPE_CHECKING:
    from sheetgpt.model import Model
    from sheetgpt.run.trace import Trace

COUNTED_RANKS = 2_000  # tokens up to which equal logits get ranks of their own: that takes time with the square


def write_live_workbook(
    model: Model, trace: Trace, path: Path, *, max_tokens: int | None = None, blocks: range | None = None
) -> Path:
    """Write the live workbook of a run. Returns its path. Raises DumpError where it can't be or can't be written."""
    return Writer(plan(model, trace, max_tokens=max_tokens, blocks=blocks)).write(Path(path))


class Writer:
    """One live workbook being written: the places, the sources that formulas name, and the names in use."""

    def __init__(self, plan: Plan):
        self.plan, self.trace = plan, plan.trace
        self.places = lay_out(map(plan.stage, plan.steps))
        self.weights = lay_out_weights(plan.weights)
        self.book = Book("GPT-2, live")
        self.names: Names = {}
        self.first = next((step for step in plan.steps if step.rows == "tokens"), None)  # its labels are everybody's
        self.sources = {name: Source(name, area) for name, area in self.weights.items()}
        for step in matrix_steps(plan.steps):
            if step.rows != "text":
                area, heads = self.places[step.name].area, plan.model.config.n_head
                self.sources[step.name] = Source(step.name, area, live_axes(step), heads=heads)
        self.sources["final_tokens"] = Source("token_ids", self.places["final_tokens"].area.part(row=1), vector=True)
        if self.first:
            area = self.places[self.first.name].area
            positions = Area(area.tab, area.row, 0, area.rows, 1)
            self.sources["positions"] = Source("positions", positions, "rows", vector=True)

    @property
    def count(self) -> int:
        """Tokens in use."""
        return len(self.trace.token_ids)

    @property
    def input_area(self) -> Area | None:
        """The matrix that is typed instead of computed: the first block's input, where only some blocks are there."""
        return self.places[f"block_{self.plan.blocks.start}_step_1"].area if self.plan.blocks is not None else None

    def write(self, path: Path) -> Path:
        self.book.add_tab(INDEX)
        if self.plan.has_words:
            live_words.write_words(self.book, self.plan, live_index.HEADINGS[WORDS])
        for tab, found in tabs(self.places).items():
            self.add_tab(tab, widths([place.area for place in found]))
            for place in found:
                self.book.stage_head(place)
                self.write_stage(place)
        if HEAD in self.book.sheets:
            live_index.write_best_tokens(self.book, self.plan, self.places)
        if self.plan.has_words:
            live_merges.write_tables(self.book, self.plan)
        self.write_weights()
        self.define_names()
        live_index.write_index(self.book, self.plan, self.places, self.weights)
        self.book.save(path)
        return path

    def add_tab(self, tab: str, columns: int) -> None:
        heading = live_index.HEADINGS.get(tab) or HEADINGS.get(tab)
        if tab.startswith("weights_"):
            heading = heading or f"Parameters of block {tab.removeprefix('weights_')}"
        self.book.add_tab(tab, heading or block_heading(tab), columns)

    def define_names(self) -> None:
        """Every stage, every weight, what their formulas use, the tokens, and how many there are."""
        tokens = self.places["final_tokens"].area
        for step in matrix_steps(self.plan.steps):
            if step.rows != "text":
                self.names[step.name] = self.sources[step.name].refers_to()
        for name in self.weights:
            self.names[name] = self.sources[name].refers_to()
        self.names["final_tokens"] = Source("", tokens, "columns").refers_to()
        self.names["tokens"] = Source("", tokens.part(rows=1), "columns").refers_to()
        self.names["token_ids"] = Source("", tokens.part(row=1), "columns").refers_to()
        if self.first:
            self.names["positions"] = self.sources["positions"].refers_to()
            self.names["used"] = f'{self.sources["positions"].area.address()}<>""'
        self.names[N_TOKENS] = Area(EMBEDDINGS, tokens.row - 1, tokens.column, 1, 1).address()
        self.names["message"] = Area(EMBEDDINGS, tokens.row - 1, tokens.column + 1, 1, 1).address()
        if self.plan.has_words:
            self.names |= live_words.names(self.plan) | live_merges.names(self.plan, self.places)
        for name, refers_to in sorted(self.names.items()):
            self.book.define(name, refers_to)

    # -------------------------------------------------------------------------------------------- stages

    def write_stage(self, place: Place) -> None:
        step = place.step
        if step.name == "separated_into_words":
            live_merges.write_word_row(self.book, self.plan, place.area)
        elif step.name == "prompt_to_tokens":
            live_merges.write_merges(self.book, self.plan, place.area)
        elif step.name == "final_tokens":
            live_merges.write_tokens(self.book, self.plan, place.area, self.input_area)
        elif step.name == "predicted_token":
            live_index.write_predicted_token(self.book, self.plan, place, self.formulas_of(place))
            self.names[step.name] = place.refers_to()
        else:
            self.write_matrix(place)

    def formulas_of(self, place: Place) -> list:
        """(slot, formula, inputs) of a stage."""
        step, out = place.step, place.area
        if step.name == "predicted_token":
            out = out.part(rows=2, column=1)
        return list(formulas(step.op, out, [self.sources[name] for name in step.inputs], self.names))

    def write_matrix(self, place: Place) -> None:
        """A matrix stage with its labels: formulas, or values where it is the input of the first block."""
        step, area = place.step, place.area
        if area == self.input_area:
            matrix = self.trace.array(step.name)
            self.book.put(Numbers(area.part(rows=self.count), matrix), "input matrix")
            self.blank(area.part(row=self.count), "input matrix")
        else:
            found = self.formulas_of(place)
            texts = {slot.box: guarded(step, formula, inputs, place) for slot, formula, inputs in found}
            self.book.put(Formulas(area, self.cached(step, area), texts), "live number")
        if step.name == "logits":
            self.label_logits(area)
        else:
            self.label_rows(place)
            self.label_columns(place)
            keys = self.plan.max_tokens
            highlight(self.book, step, area, keys)

    def blank(self, area: Area, fmt: str) -> None:
        sheet, form = self.book.sheets[area.tab], self.book.format(fmt)
        for row in range(area.row, area.row + area.rows):
            for column in range(area.column, area.column + area.columns):
                sheet.write_blank(row, column, None, form)

    def cached(self, step: Step, area: Area) -> list[list]:
        """The run's values, with empty cells for tokens that are not there."""
        matrix = self.trace.array(step.name)
        if step.columns in ("keys", "heads x keys"):
            spare = [None] * (self.plan.max_tokens - self.count)
            heads = matrix.reshape(len(matrix), -1, self.count).tolist()
            rows = [[one for head in row for one in [*head, *spare]] for row in heads]
        else:
            rows = matrix.tolist()
        return rows + [[None] * area.columns for _ in range(area.rows - len(rows))]

    # -------------------------------------------------------------------------------------------- labels

    def label_rows(self, place: Place) -> None:
        area, tab = place.area, place.tab
        by_token = place.step.rows == "vocabulary"
        for column, name in enumerate(("id" if by_token else "position", "token")):
            self.book.text(tab, area.row - 1, column, name, "head name")
        if by_token:
            self.label_vocabulary(area)
            return
        if place.step.rows == "last token":
            last = f'=IF({N_TOKENS}=0,"",{N_TOKENS}-1)'
            self.book.formula(tab, area.row, 0, last, self.count - 1, "position")
            token = f'=IF({N_TOKENS}=0,"",INDEX(tokens,1,{N_TOKENS}))'
            self.book.formula(tab, area.row, 1, token, self.trace.tokens[-1], "token")
            return
        master = self.places[self.first.name].area
        for i in range(area.rows):
            row = area.row + i
            here, there = cell(row, 0), f"{master.tab}!{cell(master.row + i, 0)}"
            position = f'=IF({i}<{N_TOKENS},{i},"")' if area == master else f"={there}"
            token = f'=IF({here}="","",INDEX(tokens,1,{here}+1))'
            self.book.formula(tab, row, 0, position, i if i < self.count else "", "position")
            self.book.formula(tab, row, 1, token, self.trace.tokens[i] if i < self.count else "", "token")

    def label_columns(self, place: Place) -> None:
        step, area, tab = place.step, place.area, place.tab
        if step.columns == "dimensions":
            self.book.dimension_head(area, 0)
            self.book.text(tab, area.row - 1, 1, "token  \\  dimension", "head name")
            return
        if step.columns == "logit":
            self.book.text(tab, area.row - 1, area.column, step.name, "head token")
            return
        keys, by_head = self.plan.max_tokens, step.columns == "heads x keys"
        for level, name in enumerate(("head", "key") if by_head else ("key",)):
            row = area.row - place.header_rows + level
            self.book.text(tab, row, 0, "", "head name")
            self.book.text(tab, row, 1, name, "head name")
        for column in range(area.columns):
            head, key = divmod(column, keys)
            at, used = area.column + column, key < self.count
            label = cell(area.row - 2, at)
            if by_head:
                self.book.formula(tab, area.row - 3, at, f'=IF({label}="","",{head})', head if used else "", "head")
            self.book.formula(tab, area.row - 2, at, f'=IF({key}<{N_TOKENS},{key},"")', key if used else "", "head")
            token = f'=IF({label}="","",INDEX(tokens,1,{label}+1))'
            self.book.formula(tab, area.row - 1, at, token, self.trace.tokens[key] if used else "", "head token")

    def label_vocabulary(self, area: Area) -> None:
        for i, token in enumerate(self.trace.labels.vocabulary()):
            self.book.number(area.tab, area.row + i, 0, i, "position")
            self.book.text(area.tab, area.row + i, 1, token, "token")

    def label_logits(self, area: Area) -> None:
        """Beside each logit its token, probability and rank."""
        book = self.book
        for column, title in enumerate(("id", "token", "logit", "probability", "rank")):
            book.text(LOGITS, area.row - 1, column, title, "head left" if title == "token" else "head token")
        self.label_vocabulary(area)
        best = sorted(self.trace.predictions(area.rows), key=lambda one: one.id)
        share = Area(LOGITS, area.row, area.column + 1, area.rows, 1)
        softmax = f'IF({N_TOKENS}=0,"",EXP(logits-MAX(logits))/SUM(EXP(logits-MAX(logits))))'
        book.put(
            Formulas(share, [[one.probability] for one in best], {(0, 0, area.rows, 1): softmax}), "live probability"
        )
        ranks = {(i, 0, 1, 1): rank_formula(area, i) for i in range(area.rows)}
        rank = Area(LOGITS, area.row, area.column + 2, area.rows, 1)
        book.put(Formulas(rank, [[one.rank] for one in best], ranks), "live count")
        self.names["logit_ids"] = Area(LOGITS, area.row, 0, area.rows, 1).address()
        self.names["token_probabilities"] = share.address()
        sheet = book.sheets[LOGITS]
        sheet.set_column(area.column, area.column + 2, 11)
        sheet.freeze_panes(area.row, LABEL_COLUMNS)
        last = area.row + area.rows - 1
        sheet.conditional_format(area.row, share.column, last, share.column, style.SHARE_SCALE)

    # -------------------------------------------------------------------------------------------- weights

    def write_weights(self) -> None:
        """Each weight matrix as values, under its name."""
        by_tab: dict[str, list[str]] = {}
        for name, area in self.weights.items():
            by_tab.setdefault(area.tab, []).append(name)
        for tab, found in by_tab.items():
            self.add_tab(tab, widths([self.weights[name] for name in found]))
            for name in found:
                self.write_weight(name, self.weights[name])

    def write_weight(self, name: str, area: Area) -> None:
        book, tab = self.book, area.tab
        book.text(tab, area.row - 2, 0, name, "stage")
        book.text(tab, area.row - 2, LABEL_COLUMNS, f"{area.rows:,} x {area.columns:,}", "shape")
        book.dimension_head(area, 0)
        tokens = self.trace.labels.vocabulary() if name in ("model_wte", "model_lm_head") else None
        for row in range(area.rows if area.rows > 1 else 0):
            book.number(tab, area.row + row, 0 if tokens else 1, row, "position")
            if tokens:
                book.text(tab, area.row + row, 1, tokens[row], "token")
        book.put(Numbers(area, np.asarray(self.plan.model.weights[name])), "parameter")


def live_axes(step: Step) -> str:
    """Which axes of a stage grow with the prompt: see `references.Source`."""
    if step.rows != "tokens":
        return ""
    return {"keys": "both", "heads x keys": "heads"}.get(step.columns, "rows")


def guarded(step: Step, formula: str, inputs: Sequence[Input], place: Place) -> str:
    """A formula that leaves cells empty where there is no token."""
    if step.rows != "tokens":
        return f'IF({N_TOKENS}=0,"",{formula})'
    slot, by_key = inputs[0].slot, step.columns in ("keys", "heads x keys")
    label = cell(place.area.row + slot.box[0], 0)  # the row's position
    if slot.piece == Piece.ROW:
        return f'IF({label}="","",{formula})'
    if slot.piece == Piece.CELL:
        return f'IF({inputs[0].cell if by_key else label}="","",{formula})'
    used = "used*TRANSPOSE(used)" if by_key else "used"
    return f'IF({used},{formula},"")'


def rank_formula(logits: Area, row: int) -> str:
    """The rank of one logit; of equals, the smaller id comes first."""
    here = cell(logits.row + row, logits.column)
    rank = f"RANK({here},logits)"
    if row and logits.rows <= COUNTED_RANKS:
        above = f"{cell(logits.row, logits.column)}:{cell(logits.row + row - 1, logits.column)}"
        rank += f"+SUMPRODUCT(--({above}={here}))"
    return f'IF({N_TOKENS}=0,"",{rank})'
