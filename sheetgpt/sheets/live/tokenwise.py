"""The live workbook of a large model: each formula reads its own token and those before it only.

The steps, their order, places and formulas are those of `write`; here they are written token by token
(`workbook.tokenwise`). So a changed word leaves all before it as it is, and the products with weights, which are nearly
all of the work, are sums of two columns: the stages that they take stand a second time, rows as columns, on tabs of
their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from sheetgpt.models.step import Axis, Role, Step
from sheetgpt.ops import Box, Piece
from sheetgpt.sheets import shared
from sheetgpt.sheets.live import merges, sets
from sheetgpt.sheets.live.labels import Labels
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORDS, WordRow, words_area
from sheetgpt.sheets.live.write import Writer
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import CellFormulas, Formulas
from sheetgpt.workbook.grid import Area, cell, column_letters, quoted
from sheetgpt.workbook.places import LABEL_COLUMNS, TAB_ROWS
from sheetgpt.workbook.references import N_TOKENS, names_used
from sheetgpt.workbook.tokenwise import Products, block_formulas, key_formulas, row_formulas

COLUMNS = "columns"  # a tab of copies is called so, behind the name of the tab that it copies
HEADING = "Rows as columns: the products with weights read these copies"
TOP = TAB_ROWS + 2  # the first row of the copies


class TokenwiseWriter(Writer):
    """One live workbook of a large model being written."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.labels = TokenwiseLabels(self.book, plan, self.master, self.tokens.part(row=1))
        self.copies = lay_out_copies(plan)

    def write_tokens(self, area: Area) -> None:
        merges.write_tokens(self.book, self.plan, area, self.typed, id_of=self.token_id)

    def token_id(self, position: int) -> str:
        """The formula for the id at a position. A token's word stands no further down than the token itself."""
        plan, count = self.plan, position + 1
        merged = self.places[plan.steps.name(Role.MERGES)].area
        ids = merges.slots_of(merged).part(columns=min(merged.columns - 1, count * (plan.longest_word + 1)))
        first, last = (WordRow(words_area(plan), number, plan.longest_word).check for number in (0, position))
        found = f"INDEX({ids.address()},1,MATCH({position},{ids.part(row=1, rows=1).address()},0))"
        return f'=IF(SUM(--({WORDS}!{first}:{last}<>""))>0,"",IFERROR({found},""))'

    # -------------------------------------------------------------------------------------------- stages

    def guarded_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        return dict(self.token_formulas(step, area))

    def token_formulas(self, step: Step, area: Area) -> Iterator[tuple[Box, str]]:
        """Each piece of a stage and its formula, which leaves cells empty where there is no token."""
        sources = [self.sources[name] for name in step.inputs]
        if step.rows is not Axis.TOKENS and step.op.own_row is not None:
            for slot, formula, inputs in block_formulas(step.op, area, sources):
                self.names |= names_used(formula, inputs)
                yield slot.box, f'IF({N_TOKENS}=0,"",{formula})'
        elif step.rows is not Axis.TOKENS or step.op.piece in (Piece.ROW, Piece.COLUMN):
            yield from super().guarded_formulas(step, area).items()
        elif shared.is_by_key(step):
            for box, formula in key_formulas(step.op, area, sources):
                row, key = cell(area.row + box[0], 0), cell(area.row - 2, area.column + box[1])
                yield box, f'IF(OR({row}="",{key}=""),"",{formula})'
        elif step.op.of_weights:
            products = self.products(step, area)
            for row in range(area.rows):
                yield from (((row, i, 1, 1), text) for i, text in enumerate(guarded_row(products, area, row)))
        elif step.op.piece in (Piece.MATRIX, Piece.HEAD):
            for slot, formula, inputs in row_formulas(step.op, area, sources):
                self.names |= names_used(formula, inputs)
                yield slot.box, f'IF({cell(area.row + slot.box[0], 0)}="","",{formula})'
        else:
            yield from super().guarded_formulas(step, area).items()

    def products(self, step: Step, area: Area) -> Products:
        sources = [self.sources[name] for name in step.inputs]
        return Products(step.op, area, sources, self.copies[step.inputs[0]])

    def put_formulas(self, step: Step, area: Area, values: sets.Rows) -> None:
        if step.op.of_weights and step.rows is Axis.TOKENS:
            products = self.products(step, area)
            filled = CellFormulas(area, values, lambda row: guarded_row(products, area, row))
            self.book.put(filled, "live number")
        else:
            super().put_formulas(step, area, values)

    # -------------------------------------------------------------------------------------------- copies

    def write_copies(self) -> None:
        tabs: dict[str, list[str]] = {}
        for name, area in self.copies.items():
            tabs.setdefault(area.tab, []).append(name)
        for tab, names in tabs.items():
            last = self.copies[names[-1]]
            self.book.add_tab(tab, HEADING, last.column + last.columns, colour=style.STAGE_FILL)
            longest = max(self.copies[name].rows for name in names)
            for row in range(longest):
                self.book.number(tab, TOP + row, 1, row, "position")
            for name in names:
                self.write_copy(name, self.copies[name])

    def write_copy(self, name: str, area: Area) -> None:
        """A stage's rows as columns, each under its position."""
        source, matrix = self.places[name].area, self.trace.array(name)
        texts = {}
        self.book.text(area.tab, area.row - 2, area.column, name, "stage")
        for i in range(area.columns):
            row, head = source.part(i, rows=1), cell(area.row - 1, area.column + i)
            there = f"={quoted(source.tab)}!{cell(row.row, 0)}"
            self.book.formula(area.tab, area.row - 1, area.column + i, there, self.labels.position(i), "head")
            texts[0, i, area.rows, 1] = f'IF({head}="","",TRANSPOSE({row.address()}))'
        spare = [None] * (area.columns - len(matrix))
        values = [[*column, *spare] for column in matrix.T.tolist()]
        self.book.put(Formulas(area, values, texts), "live number")
        self.book.blank_where(area, f'={column_letters(area.column)}${area.row}=""')


def guarded_row(products: Products, area: Area, row: int) -> list[str]:
    """The formulas of a row, which leave its cells empty where there is no token."""
    label = cell(area.row + row, 0)
    return [f'IF({label}="","",{text})' for text in products.row(row)]


def lay_out_copies(plan: Plan) -> dict[str, Area]:
    """Where each copied stage stands as columns: beside each other, a tab of them for each tab of stages."""
    areas: dict[str, Area] = {}
    next_column: dict[str, int] = {}
    for step in plan.copied:
        panel = plan.panel(step)
        tab = f"{panel.tab}_{COLUMNS}"
        column = next_column.get(tab, LABEL_COLUMNS)
        areas[step.name] = Area(tab, TOP, column, panel.columns, panel.rows)
        next_column[tab] = column + panel.rows + 1
    return areas


class TokenwiseLabels(Labels):
    """Labels that say whether a token is there by that token alone. ids: of the tokens."""

    def __init__(self, book: Book, plan: Plan, master: Area | None, ids: Area):
        super().__init__(book, plan, master)
        self.ids = ids

    def position_formula(self, position: int) -> str:
        if not self.plan.has_words:
            return super().position_formula(position)
        return f'=IF({self.ids.part(0, position, 1, 1).address()}="","",{position})'

    def key_formula(self, position: int) -> str:
        if self.master is None:
            return super().key_formula(position)
        return f"={quoted(self.master.tab)}!{cell(self.master.row + position, 0)}"
