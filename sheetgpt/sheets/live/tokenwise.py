"""The live workbook of a large model: each formula reads its own token and those before it only.

The steps, their order, places and formulas are those of `writer`; here they are written token by token
(`workbook.tokenwise`). So a changed word leaves all before it as it is. And what the first tab and the tab of words
show of the model are plain formulas, whose values a program takes from the file: opening it computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sheetgpt.models.step import Axis, Role, Step
from sheetgpt.ops import Box, Piece
from sheetgpt.sheets import shared
from sheetgpt.sheets.live import checks, merges, picks
from sheetgpt.sheets.live.labels import ALL_RANKS, Labels
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORDS, WordRow, words_area
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell, quoted, width
from sheetgpt.workbook.references import N_TOKENS, Names, names_used
from sheetgpt.workbook.tokenwise import block_formulas, key_formulas, row_formulas

WATCH = "watch"  # the name of the cell that follows every cell that can be changed
WATCH_CELL = Area(checks.CHECKS, checks.FAULT_CELL.row + 1, checks.FAULT_CELL.column, 1, 1)


class TokenwiseWriter(Writer):
    """One live workbook of a large model being written."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.labels = TokenwiseLabels(self.book, plan, self.master, self.tokens.part(row=1))
        self.book.watch = WATCH

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

    # -------------------------------------------------------------------------------------------- what is watched

    def write_checks(self) -> Names:
        names = super().write_checks()
        at, sheet = WATCH_CELL, self.book.sheets[WATCH_CELL.tab]
        counted = ",".join(area.address() for area in self.watched())
        self.book.text(at.tab, at.row, 0, "watches every cell", "key")
        sheet.write_formula(at.row, at.column, f"=IF(TRUE,0,COUNT({counted}))", self.book.format("value"), 0)
        return names | {WATCH: at.address()}

    def watched(self) -> Iterator[Area]:
        """The cells that can be changed: of each tab from its first stage, weight or table to the last.

        None shows what others find (`Book.leaf`), or it would depend on itself.
        """
        areas = [place.area for place in (*self.places.values(), *self.unset.values())] + [*self.weights.values()]
        if self.plan.is_whole:
            areas.append(Area(picks.PICK, 0, 0, picks.HEAD_ROW + ALL_RANKS, picks.WHEEL))
        if self.plan.has_words:
            typed, tables = words_area(self.plan), merges.table_areas(self.plan)
            areas += tables
            yield from (typed, Area(WORDS, typed.row, IDS, typed.rows, self.plan.longest_word))
        by_tab: dict[str, list[Area]] = {}
        for area in areas:
            by_tab.setdefault(area.tab, []).append(area)
        for tab, found in by_tab.items():
            yield Area(tab, 0, 0, max(area.row + area.rows for area in found), width(found))

    # -------------------------------------------------------------------------------------------- stages

    def guarded_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        return dict(self.token_formulas(step, area))

    def token_formulas(self, step: Step, area: Area) -> Iterator[tuple[Box, str]]:
        """Each piece of a stage and its formula, which leaves cells empty where there is no token."""
        sources = [self.sources[name] for name in step.inputs]
        by_token = step.rows is Axis.TOKENS
        if by_token and shared.is_by_key(step):
            for box, formula in key_formulas(step.op, area, sources):
                row, key = cell(area.row + box[0], 0), cell(area.row - 2, area.column + box[1])
                yield box, f'IF(OR({row}="",{key}=""),"",{formula})'
        elif by_token and step.op.piece in (Piece.MATRIX, Piece.HEAD):
            for slot, formula, inputs in row_formulas(step.op, area, sources):
                self.names |= names_used(formula, inputs)
                yield slot.box, f'IF({cell(area.row + slot.box[0], 0)}="","",{formula})'
        elif not by_token and step.op.own_row is not None:
            for slot, formula, inputs in block_formulas(step.op, area, sources):
                self.names |= names_used(formula, inputs)
                yield slot.box, f'IF({N_TOKENS}=0,"",{formula})'
        else:  # a row or a cell each, as everywhere, or of no single token
            yield from super().guarded_formulas(step, area).items()


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
