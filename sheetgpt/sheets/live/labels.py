"""Labels of the live workbook: they say which token a row or column belongs to, and are empty where there is none."""

from __future__ import annotations

from collections.abc import Iterable

from sheetgpt.models.step import Axis, Step
from sheetgpt.ops import Box
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import Place
from sheetgpt.workbook.references import N_TOKENS, Names

ALL_RANKS = 2_000  # tokens up to which each has its rank: that takes time with the square; beyond, the best ones have
BEST_IDS = "best_ids"  # the name of the ids in the table of the best tokens


class Labels:
    """Writes the labels of one workbook's stages. master: the stage whose positions all others repeat."""

    def __init__(self, book: Book, plan: Plan, master: Area | None):
        self.book, self.plan, self.trace, self.master = book, plan, plan.trace, master
        self.count = len(plan.trace.token_ids)  # tokens in use

    def token(self, position: int) -> str:
        return self.trace.tokens[position] if position < self.count else ""

    def position(self, position: int) -> int | str:
        return position if position < self.count else ""

    def position_formula(self, position: int) -> str:
        """Whether a token is there, as a formula: its position, or nothing."""
        return f'=IF({position}<{N_TOKENS},{position},"")'

    def key_formula(self, position: int) -> str:
        """The same for a column."""
        return self.position_formula(position)

    # -------------------------------------------------------------------------------------------- rows

    def label_rows(self, step: Step, area: Area) -> None:
        by_vocabulary = step.rows is Axis.VOCABULARY
        shared.label_names(self.book, area, ("id" if by_vocabulary else "position", "token"))
        if by_vocabulary:
            self.label_vocabulary(area)
        elif step.rows is Axis.LAST_TOKEN:
            self.label_last(area)
        else:
            self.label_positions(area)

    def label_last(self, area: Area) -> None:
        last = f'=IF({N_TOKENS}=0,"",{N_TOKENS}-1)'
        self.book.formula(area.tab, area.row, 0, last, self.count - 1, "position")
        token = f'=IF({N_TOKENS}=0,"",INDEX(tokens,1,{N_TOKENS}))'
        self.book.formula(area.tab, area.row, 1, token, self.trace.tokens[-1], "token")

    def label_positions(self, area: Area) -> None:
        master = self.master or area
        for i in range(area.rows):
            row = area.row + i
            here, there = cell(row, 0), f"{master.tab}!{cell(master.row + i, 0)}"
            position = self.position_formula(i) if area == master else f"={there}"
            token = f'=IF({here}="","",INDEX(tokens,1,{here}+1))'
            self.book.formula(area.tab, row, 0, position, self.position(i), "position")
            self.book.formula(area.tab, row, 1, token, self.token(i), "token")

    def label_vocabulary(self, area: Area) -> None:
        shared.label_vocabulary(self.book, area, self.trace.labels.vocabulary())

    # -------------------------------------------------------------------------------------------- columns

    def label_columns(self, step: Step, place: Place) -> None:
        area = place.area
        if shared.is_by_key(step):
            self.label_keys(area, area.row - place.panel.header_rows, by_head=step.by_head)
        elif step.columns is Axis.LOGIT:
            self.book.text(area.tab, area.row - 1, area.column, step.name, "head token")
        else:
            shared.label_dimensions(self.book, area)

    def label_keys(self, area: Area, first_row: int, *, by_head: bool) -> None:
        book, tab = self.book, area.tab
        for row, name in enumerate(("head", "key") if by_head else ("key",), start=first_row):
            book.text(tab, row, 0, "", "head name")
            book.text(tab, row, 1, name, "head name")
        for number in range(area.columns):
            head, key = divmod(number, self.plan.max_tokens)
            column, label = area.column + number, cell(area.row - 2, area.column + number)
            if by_head:
                shown = head if key < self.count else ""
                book.formula(tab, area.row - 3, column, f'=IF({label}="","",{head})', shown, "head")
            book.formula(tab, area.row - 2, column, self.key_formula(key), self.position(key), "head")
            token = f'=IF({label}="","",INDEX(tokens,1,{label}+1))'
            book.formula(tab, area.row - 1, column, token, self.token(key), "head token")
        book.show_spaces(Area(tab, area.row - 1, area.column, 1, area.columns))

    # -------------------------------------------------------------------------------------------- logits

    def label_logits(self, step: Step, area: Area) -> Names:
        """Beside each logit its token, probability and rank. Returns the names of those columns."""
        shared.logits_look(self.book, area)
        self.label_vocabulary(area)
        best = sorted(self.trace.predictions(area.rows), key=lambda one: one.id)
        ids = Area(area.tab, area.row, 0, area.rows, 1)
        share, rank = (area.part(column=column, columns=1) for column in (1, 2))
        shares, ranks = self.share_formulas(step, area), self.rank_formulas(step, area)
        self.put_column(share, [one.probability for one in best], shares, "live probability")
        few = area.rows <= ALL_RANKS
        ranked = [one.rank if few or one.rank <= shared.BEST else None for one in best]
        self.put_column(rank, ranked, ranks, "live count")
        return {"logit_ids": ids.address(), "token_probabilities": share.address()}

    def share_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        powers = f"EXP({step.name}-MAX({step.name}))"
        return {(0, 0, area.rows, 1): f'IF({N_TOKENS}=0,"",{powers}/SUM({powers}))'}

    def rank_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        if area.rows <= ALL_RANKS:
            return {(i, 0, 1, 1): rank_formula(step.name, area, i) for i in range(area.rows)}
        return {(0, 0, area.rows, 1): f'IFERROR(MATCH(logit_ids,{BEST_IDS},0),"")'}

    def put_column(self, area: Area, values: Iterable[float | None], formulas: dict[Box, str], fmt: str) -> None:
        self.book.put(Formulas(area, [[value] for value in values], formulas), fmt)


def rank_formula(name: str, logits: Area, row: int) -> str:
    """The rank of one logit; of equals, the smaller id comes first."""
    here = cell(logits.row + row, logits.column)
    rank = f"RANK({here},{name})"
    if row:
        above = f"{cell(logits.row, logits.column)}:{cell(logits.row + row - 1, logits.column)}"
        rank += f"+SUMPRODUCT(--({above}={here}))"
    return f'IF({N_TOKENS}=0,"",{rank})'
