"""The tab of the live workbook on which the next token is picked: temperature, top-k, top-p, a random number, a wheel.

The candidates stand in the order and with the columns of `generate.sample`, whose picks these formulas repeat: sums run
from the first candidate to the last, the first cumulative sum above the random number wins. Where tokens have no ranks
(`labels.ALL_RANKS`), the candidates are the ten best, as with top-k 10. What is typed next stands beside the words.
Each cell has a formula of its own, of functions that every program has, so portable workbooks have the same tab.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sheetgpt.generate.sample import Candidates, Sampling, candidates, pick_index, yes_no
from sheetgpt.models.step import Role
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.append import Append, Said
from sheetgpt.sheets.live.labels import ALL_RANKS
from sheetgpt.sheets.live.merges import token_text
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.readings import APPEND as APPEND_NAME
from sheetgpt.sheets.live.readings import PICKED as PICKED_NAME
from sheetgpt.sheets.live.wheel import Wheel
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import INDEX
from sheetgpt.workbook.references import N_TOKENS, Names

PICK = "pick"  # the tab
HEADING = "Pick the next token: type into the yellow cells, or let the dice roll"
INPUTS = (  # name of the cell, what stands beside it, what it means
    ("temperature", "1 is as the model says, less is bolder, 0 takes the best"),
    ("top_k", "keep so many of the best; empty keeps all"),
    ("top_p", "keep the best that reach this probability together; empty keeps all"),
    ("random_number", "from 0 up to 1: where the wheel stops"),
    ("roll", "1 makes a new random number with every change (F9), 0 takes the typed one"),
)
INPUT_ROW = 2
FIRST_INPUT = Area(PICK, INPUT_ROW, 1, 1, 1)
RESULTS = 7
STOPS, MESSAGE, KEPT, PICKED, TOKEN, SHARE, APPEND = range(  # rows
    INPUT_ROW + len(INPUTS), INPUT_ROW + len(INPUTS) + RESULTS
)
HEAD_ROW = APPEND + 2
TEMPERATURE, RANDOM = 1.0, 0.5  # that stand there first
HEADS = (
    "rank",
    "token",
    "id",
    "logit",
    "logit / temperature",
    "kept by top-k",
    "weight",
    "sum of weights",
    "kept by top-p",
    "probability",
    "cumulative sum",
    "picked",
)
RANK, TEXT, ID, LOGIT, SCALED, BY_K, WEIGHT, SUM, BY_P, PROBABILITY, CUMULATIVE, IS_PICKED = range(len(HEADS))
WIDTHS = (16, 22, 8, 10, 18, 13, 12, 14, 13, 12, 14, 8)
WHEEL = len(HEADS) + 1  # the first column of the wheel's table
PICKED_ROW = {"bg_color": "#FFD54F", "bold": True}
KEPT_FREE = 7  # columns that the notes beside the inputs reach into; the wheel stands behind them
WARMTH = "IF(temperature=0,1,temperature)"  # what logits are divided by


def at(row: int) -> str:
    """The cell of an input or a result."""
    return cell(row, 1, fixed=True)


def add_tab(book: Book) -> None:
    """The tab, still empty: it stands beside the words, and is written when there are logits."""
    book.add_tab(PICK, colour=style.INPUT_FILL)


class Picks:
    """Writes the tab.

    logits: of all tokens, their ranks stand beside them; best: the table of the ten best; ids: where token ids stand.
    """

    def __init__(self, book: Book, plan: Plan, logits: Area, best: Area, ids: Area):
        self.book, self.plan, self.logits, self.best, self.ids = book, plan, logits, best, ids
        self.n_vocab = plan.trace.config.n_vocab
        self.all_ranked = self.n_vocab <= ALL_RANKS
        self.rows = self.n_vocab if self.all_ranked else min(shared.BEST, self.n_vocab)
        self.table = Area(PICK, HEAD_ROW + 1, 0, self.rows, len(HEADS))
        sampling = Sampling(TEMPERATURE, None if self.all_ranked else self.rows)
        found = candidates(plan.trace.array(logits_name(plan))[:, -1], sampling)
        self.found = Candidates(*(column[: self.rows] for column in vars(found).values()))
        self.index = pick_index(self.found.probabilities, RANDOM)

    @property
    def weights(self) -> np.ndarray:  # [rows]
        return np.asarray(np.exp((self.found.logits - self.found.logits[0]) / TEMPERATURE))

    @property
    def tokens(self) -> list[str]:
        """The candidates, best first."""
        vocabulary = self.plan.trace.labels.vocabulary()
        return [vocabulary[int(token_id)] for token_id in self.found.ids]

    @property
    def token(self) -> str:
        """What is picked when the workbook is written."""
        return self.tokens[self.index]

    def column(self, number: int) -> Area:
        return self.table.part(column=number, columns=1)

    def range(self, number: int) -> str:
        return self.column(number).range(fixed=True)

    def write(self) -> Names:
        """The tab. Returns the names of its inputs and of what was picked."""
        self._look()
        self._inputs()
        self._results()
        self._candidates()
        self._wheel()
        names = {name: Area(PICK, row, 1, 1, 1).address() for row, (name, _) in enumerate(INPUTS, start=INPUT_ROW)}
        told = {PICKED_NAME: TOKEN, APPEND_NAME: APPEND}
        return names | {name: Area(PICK, row, 1, 1, 1).address() for name, row in told.items()}

    def _wheel(self) -> None:
        tokens, shares, sums = (self.column(number) for number in (TEXT, PROBABILITY, CUMULATIVE))
        wheel = Wheel(self.book, tokens, shares, sums, at(STOPS))
        wheel.write(WHEEL, self.tokens, self.found.probabilities, RANDOM)
        wheel.draw(WHEEL, (1, KEPT_FREE))

    def _look(self) -> None:
        sheet = self.book.sheets[PICK]
        for column, width in enumerate(WIDTHS):
            sheet.set_column(column, column, width)
        sheet.set_column(WHEEL - 1, WHEEL - 1, 3)
        sheet.set_column(WHEEL, WHEEL, 18)
        sheet.write_url(0, 0, f"internal:'{INDEX}'!A1", self.book.format("link"), "← index")
        self.book.text(PICK, 0, 1, HEADING, "stage title")
        if not self.all_ranked:
            few = f"of {self.n_vocab:,} tokens, the ten best are the candidates, as with top-k 10"
            self.book.text(PICK, 1, 1, few, "words")
        for column, head in enumerate(HEADS):
            self.book.text(PICK, HEAD_ROW, column, head, "table head")
        sheet.freeze_panes(HEAD_ROW + 1, 2)

    def _inputs(self) -> None:
        shown = (TEMPERATURE, None, None, RANDOM, 0)
        for row, ((name, meaning), value) in enumerate(zip(INPUTS, shown, strict=True), start=INPUT_ROW):
            self.book.text(PICK, row, 0, name.replace("_", "-" if name.startswith("top") else " "), "key")
            self.book.text(PICK, row, 2, meaning, "words")
            if value is None:
                self.book.blank(Area(PICK, row, 1, 1, 1), "exact input")
            else:
                self.book.number(PICK, row, 1, value, "exact input")

    # -------------------------------------------------------------------------------------------- what is picked

    def _results(self) -> None:
        share, rank = float(self.found.probabilities[self.index]), self.index + 1
        row_of = f"INDEX({{}},{at(PICKED)})"
        lines: tuple[tuple[int, str, str, float | str, str], ...] = (
            (STOPS, "the wheel stops at", "=IF(roll=1,RAND(),random_number)", RANDOM, "exact"),
            (MESSAGE, "message", f"={self._message()}", "", "note line"),
            (KEPT, "weights kept", self._kept(), float(np.cumsum(self.weights)[-1]), "number"),
            (PICKED, "picked rank", self._picked_rank(), rank, "exact"),
            (TOKEN, "picked token", self._of_pick(row_of.format(self.range(TEXT))), self.token, "message"),
            (SHARE, "its probability", self._of_pick(row_of.format(self.range(PROBABILITY))), share, "share"),
            (APPEND, "append", self._of_pick(self.append.formula), self.append.value, "message"),
        )
        for row, label, formula, value, fmt in lines:
            self.book.text(PICK, row, 0, label, "key")
            self.book.formula(PICK, row, 1, formula, value, fmt)

    def _message(self) -> str:
        """What is wrong with the inputs; empty where nothing is."""
        whole = "IF(ISNUMBER(top_k),AND(top_k>=1,top_k=INT(top_k)),FALSE)"
        checks = (
            ("IF(ISNUMBER(temperature),temperature>=0,FALSE)", "temperature: type 0 or more, such as 0.8"),
            (f'IF(top_k="",TRUE,{whole})', "top-k: type a whole number from 1 on, or leave it empty"),
            (
                'IF(top_p="",TRUE,IF(ISNUMBER(top_p),AND(top_p>0,top_p<=1),FALSE))',
                "top-p: type more than 0 and at most 1, such as 0.9, or leave it empty",
            ),
            (
                "IF(ISNUMBER(random_number),AND(random_number>=0,random_number<1),FALSE)",
                "random number: type one from 0 up to 1, such as 0.53",
            ),
        )
        text = f'IF({N_TOKENS}=0,"nothing is predicted yet","")'
        for good, told in reversed(checks):
            text = f'IF({good},{text},"{told}")'
        return text

    def _of_pick(self, formula: str) -> str:
        return f'=IF({at(PICKED)}="","",{formula})'

    def _guarded(self, formula: str) -> str:
        return f'IF({at(MESSAGE)}<>"","",{formula})'

    def _kept(self) -> str:
        """The sum of the weights that are kept, as it has grown up to the last of them."""
        kept = f'({self.range(BY_P)}="yes")*{self.range(SUM)}'
        return f"{{={self._guarded(f'MAX({kept})')}}}"

    def _picked_rank(self) -> str:
        """The first cumulative sum above the random number; the last possible where none is."""
        passed = f"SUMPRODUCT(--({self.range(CUMULATIVE)}<={at(STOPS)}))+1"
        possible = f"SUMPRODUCT(--({self.range(PROBABILITY)}>0))"
        return f"={self._guarded(f'IF(temperature=0,1,MIN({passed},{possible}))')}"

    @property
    def append(self) -> Said:
        """What to do for the loop to go on."""
        picked_id = Said(f"INDEX({self.range(ID)},{at(PICKED)})", str(int(self.found.ids[self.index])))
        return Append(self.plan, self.ids, Said(at(TOKEN), self.token), picked_id).said()

    # -------------------------------------------------------------------------------------------- candidates

    def _candidates(self) -> None:
        found = self.found
        yes = ["yes"] * self.rows
        columns: tuple[tuple[int, Callable[[int], str], Sequence[Any], str], ...] = (
            (ID, self._id, found.ids.tolist(), "live count"),
            (LOGIT, self._logit, found.logits.tolist(), "live number"),
            (SCALED, lambda row: f'IFERROR({cell(row, LOGIT)}/{WARMTH},"")', found.scaled.tolist(), "live number"),
            (BY_K, self._by_k, yes, "live piece"),
            (WEIGHT, self._weight, self.weights.tolist(), "live number"),
            (SUM, self._running(SUM), np.cumsum(self.weights).tolist(), "live number"),
            (BY_P, self._by_p, yes, "live piece"),
            (PROBABILITY, self._probability, found.probabilities.tolist(), "live probability"),
            (CUMULATIVE, self._running(CUMULATIVE), found.cumulative.tolist(), "live probability"),
            (IS_PICKED, self._is_picked, [yes_no(row == self.index) for row in range(self.rows)], "live piece"),
        )
        for row, token in enumerate(self.tokens):
            self.book.number(PICK, self.table.row + row, RANK, row + 1, "position")
            token_id = cell(self.table.row + row, ID)
            text = f'=IF({token_id}="","",{token_text(self.plan, token_id)})'
            self.book.formula(PICK, self.table.row + row, TEXT, text, token, "live text")
        for number, formula, values, fmt in columns:
            texts = {(i, 0, 1, 1): self._guarded(formula(self.table.row + i)) for i in range(self.rows)}
            self.book.put(Formulas(self.column(number), [[value] for value in values], texts), fmt)
        self._mark_picked()

    # the columns, each a formula for the cell in a row

    def _id(self, row: int) -> str:
        if self.all_ranked:
            return f"MATCH({cell(row, RANK)},{self.logits.part(column=2, columns=1).address()},0)-1"
        return self._of_best(row, "id")

    def _logit(self, row: int) -> str:
        if self.all_ranked:
            return f"LARGE({self.logits.part(columns=1).address()},{cell(row, RANK)})"
        return self._of_best(row, "logit")

    def _of_best(self, row: int, name: str) -> str:
        return self.best.part(row - self.table.row, shared.BEST_COLUMNS.index(name), 1, 1).address()

    @staticmethod
    def _by_k(row: int) -> str:
        return f'IF(IF(top_k="",TRUE,{cell(row, RANK)}<=top_k),"yes","no")'

    def _weight(self, row: int) -> str:
        first = cell(self.table.row, LOGIT, fixed=True)
        return f'IF({cell(row, BY_K)}="yes",EXP(({cell(row, LOGIT)}-{first})/{WARMTH}),0)'

    def _by_p(self, row: int) -> str:
        before = cell(row - 1, SUM) if row > self.table.row else "0"
        total = cell(self.table.row + self.rows - 1, SUM, fixed=True)
        return f'IF({cell(row, BY_K)}="yes",IF(IF(top_p="",TRUE,{before}<top_p*{total}),"yes","no"),"")'

    @staticmethod
    def _probability(row: int) -> str:
        return f'IF({cell(row, BY_P)}="yes",{cell(row, WEIGHT)}/{at(KEPT)},0)'

    @staticmethod
    def _is_picked(row: int) -> str:
        return f'IF({cell(row, RANK)}={at(PICKED)},"yes","no")'

    def _running(self, number: int) -> Callable[[int], str]:
        """A sum that grows from row to row, over the column before it."""

        def formula(row: int) -> str:
            here = cell(row, number - 1)
            return f"{cell(row - 1, number)}+{here}" if row > self.table.row else here

        return formula

    def _mark_picked(self) -> None:
        table = self.table
        corners = table.row, 0, table.row + table.rows - 1, table.columns - 1
        criteria = f"=${cell(table.row, RANK)}={at(PICKED)}"
        rule = {"type": "formula", "criteria": criteria, "format": self.book.conditional(PICKED_ROW)}
        self.book.sheets[PICK].conditional_format(*corners, rule)
        self.book.blank_where(table.part(column=TEXT), f'=${cell(table.row, ID)}=""')


def logits_name(plan: Plan) -> str:
    return plan.steps.name(Role.LOGITS)
