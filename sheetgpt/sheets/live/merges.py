"""Merges and tokens of the live workbook: the passes of every typed word in the reference's seven rows, then the ids.

Here too the two tables that the formulas look pairs and tokens up in, and the names they use. The words are typed, and
checked, on the tab of `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from typing import Any

import numpy as np

from sheetgpt.bpe.tokenizer import merged_at
from sheetgpt.models.step import Role
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORD, WORDS, WordRow, not_an_id, typed_words, words_area
from sheetgpt.sheets.passes import PASS_ROWS, ROWS_A_PASS
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Table
from sheetgpt.workbook.grid import Area, cell, text_literal
from sheetgpt.workbook.places import Place
from sheetgpt.workbook.references import N_WORDS, Names

HEADING = "From words to tokens: in each pass the pair with the best score merges"
MERGE_TABLE = "The merge table: the pair with the highest score merges first"
VOCABULARY = "The token table: a token's row is its id"
VOCAB_BPE, ID_TO_TOKENS = "vocab_bpe", "id_to_tokens"
TABLE_ROW = 3  # the first row of those two tables

Pass = tuple[list[str], int | None]  # the symbols before it, and the place of the pair that it merges
NO_PASS: Pass = ([], None)
FormulaOf = Callable[[int, int], str]  # (pass, place in the word) -> the formula there


def names(plan: Plan, places: Mapping[str, Place]) -> Names:
    """The names that the merges' and tokens' formulas use, and their own."""
    words_name, merges_name = plan.steps.name(Role.WORDS), plan.steps.name(Role.MERGES)
    words, merges = places[words_name].area, places[merges_name].area
    slots = slots_of(merges)
    table, tokens = (area.part(columns=1) for area in table_areas(plan))
    return {
        words_name: f"{words.part(columns=1).address()}:INDEX({words.address()},1,{N_WORDS})",
        merges_name: merges.address(),
        "merged_ids": slots.address(),
        "merged_positions": slots.part(row=1, rows=1).address(),
        "vocab_bpe_left": table.address(),
        "vocab_bpe_right": table.part(column=1, columns=1).address(),
        "vocab_bpe_score": table.part(column=3, columns=1).address(),
        "id_to_tokens": tokens.address(),
    }


def table_areas(plan: Plan) -> list[Area]:
    """Where the merge table and the token table stand."""
    count = max(1, len(plan.tokenizer.merges))
    return [Area(VOCAB_BPE, TABLE_ROW, 0, count, 4), Area(ID_TO_TOKENS, TABLE_ROW, 0, plan.trace.config.n_vocab, 2)]


def slots_of(merges: Area) -> Area:
    """The ids of all words, one word behind the other, of the merges' area."""
    return Area(merges.tab, merges.row + merges.rows - 1, 1, 1, merges.columns - 1)


# ------------------------------------------------------------------------------------------------ merges


def write_word_row(book: Book, plan: Plan, area: Area) -> None:
    """The typed words side by side, as the run's own stage has them."""
    typed, source = typed_words(plan), words_area(plan)
    book.blank_where(area, f'={cell(area.row, area.column)}=""')
    for i in range(area.columns):
        value = typed[i][0] if i < len(typed) else ""
        formula = f'={WORDS}!{cell(source.row + i, WORD)}&""'
        book.formula(area.tab, area.row, area.column + i, formula, value, "live piece")


def write_merges(book: Book, plan: Plan, area: Area, slot_of: type[Slot] | None = None) -> None:
    """The passes of every word in the reference's seven rows, and under them each token's id and position.

    slot_of: whose formulas merge a word.
    """
    longest = plan.longest_word
    for number in range(longest):
        for offset, label in enumerate(PASS_ROWS):
            shown = f"Pass {number}" if offset == 0 else label
            if label or number == longest - 1:
                book.text(area.tab, area.row + ROWS_A_PASS * number + offset, 0, shown or "TokenID", "key")
    book.text(area.tab, area.row + ROWS_A_PASS * longest, 0, "Position", "key")
    book.blank_where(area.part(column=1), f'={cell(area.row, area.column + 1)}=""')
    hide_repetitions(book, area, longest)
    position, typed = 0, typed_words(plan)
    for number in range(plan.max_tokens):
        line = WordRow(words_area(plan), number, longest)
        slot = (slot_of or Slot)(book, plan, area, line, 1 + number * (longest + 1))
        ids = typed[number][1] if number < len(typed) else []
        found = slot.write(passes_of(plan, number) if number < len(typed) and not ids else repeat(NO_PASS), ids)
        for i in range(longest):
            own, first = cell(slot.ids_row, slot.column + i), cell(slot.ids_row, 1, fixed=True)
            formula = f'=IF(ISNUMBER({own}),COUNT({first}:{own})-1,"")'
            value = position + i if i < len(found) else ""
            book.formula(area.tab, slot.ids_row + 1, slot.column + i, formula, value, "live count")
        position += len(found)


def hide_repetitions(book: Book, area: Area, longest: int) -> None:
    """Leave white what a word's pass only repeats: the pass before merged nothing, so neither does this one."""
    hidden = book.conditional({"bg_color": style.BLANK_FILL, "font_color": style.BLANK_FILL})
    last = ROWS_A_PASS * (longest - 1) + PASS_ROWS.index("Merged")  # it stands above the ids, and stays
    for left in range(area.column + 1, area.column + area.columns, longest + 1):
        slot = Area(area.tab, area.row, left, area.rows, longest)
        to_score = ROWS_A_PASS - PASS_ROWS.index("Max Score") - 1  # from a pass up to the scores of the one before
        before = f"{ROWS_A_PASS}*INT((ROW()-{area.row + 1})/{ROWS_A_PASS})-{to_score}"
        merged = f"COUNT(INDEX({slot.range(fixed=True)},{before},0))"
        repeated = slot.part(ROWS_A_PASS, rows=last - ROWS_A_PASS)
        corners = (repeated.row, left, repeated.row + repeated.rows - 1, left + longest - 1)
        rule = {"type": "formula", "criteria": f"={merged}=0", "format": hidden}
        book.sheets[area.tab].conditional_format(*corners, rule)


def passes_of(plan: Plan, word: int) -> Iterator[Pass]:
    assert plan.trace.merges is not None  # or no word would be typed
    return plan.trace.merges.passes(word)


class Slot:
    """The columns of one word in the merge trace."""

    def __init__(self, book: Book, plan: Plan, area: Area, line: WordRow, column: int):
        self.book, self.plan, self.area, self.line, self.column = book, plan, area, line, column
        self.longest = plan.longest_word
        self.ids_row = area.row + ROWS_A_PASS * self.longest - 1

    def at(self, number: int, label: str, i: int) -> str:
        """The cell of the word's i-th place in a row of a pass; -1 is the column before the word, as fixed."""
        return cell(self.row_of(number, label), self.column + i)

    def row_of(self, number: int, label: str) -> int:
        return self.area.row + ROWS_A_PASS * number + PASS_ROWS.index(label)

    def write(self, passes: Iterator[Pass], ids: list[int]) -> list[int]:
        """All passes (`MergeTrace.passes`) with their cached values. Returns the word's ids; `ids`: where given."""
        tokenizer, symbols = self.plan.tokenizer, []
        for number in range(self.longest):
            before, place = next(passes)
            symbols = merged_at(before, place)
            pairs = list(pairwise(before))
            scores = [tokenizer.scores.get(pair, "") for pair in pairs]
            best = [score if i == place else "" for i, score in enumerate(scores)]
            self._row(number, "Input", before, self.input_formula, "live piece")
            self._row(number, "Pairs", [",".join(pair) for pair in pairs], self.pair_formula, "live pairs")
            self._row(number, "Scores", scores, self.score_formula, "live pairs")
            self._row(number, "Max Score", best, self.best_formula, "live best score")
            self._row(number, "Merged", symbols, self.merged_formula, "live piece")
        found = ids or list(tokenizer.ids_of(symbols))
        for i in range(self.longest):
            value = found[i] if i < len(found) else ""
            self.book.formula(self.area.tab, self.ids_row, self.column + i, self.id_formula(i), value, "live piece")
        return found

    def _row(self, number: int, label: str, values: Sequence[Any], formula: FormulaOf, fmt: str) -> None:
        row = self.row_of(number, label)
        for i in range(self.longest):
            value = values[i] if i < len(values) else ""
            self.book.formula(self.area.tab, row, self.column + i, formula(number, i), value, fmt)

    def input_formula(self, number: int, i: int) -> str:
        if number:
            return f"={self.at(number - 1, 'Merged', i)}"
        word = f"{WORDS}!{self.line.at(WORD, fixed=True)}"
        return f'=IF(OR({WORDS}!{self.line.check}<>"",COUNTA({self._ids})>0),"",MID({word},{i + 1},1))'

    @property
    def _ids(self) -> str:
        return Area(WORDS, self.line.row, IDS, 1, self.longest).address()

    def pair_formula(self, number: int, i: int) -> str:
        left, right = self.at(number, "Input", i), self.at(number, "Input", i + 1)
        return f'=IF({right}="","",{left}&","&{right})'

    def score_formula(self, number: int, i: int) -> str:
        left, right = self.at(number, "Input", i), self.at(number, "Input", i + 1)
        match = f"MATCH(1,EXACT(vocab_bpe_left,{left})*EXACT(vocab_bpe_right,{right}),0)"
        return f'{{=IF({right}="","",IFERROR(INDEX(vocab_bpe_score,{match}),""))}}'

    def _merged_before(self, number: int, i: int) -> str:
        """How many merges of this pass stand to the left: 0 or 1."""
        row = self.row_of(number, "Max Score")
        return f"COUNT({cell(row, self.column - 1, fixed=True)}:{cell(row, self.column + i - 1)})"

    def best_formula(self, number: int, i: int) -> str:
        score, row = self.at(number, "Scores", i), self.row_of(number, "Scores")
        scores = Area(self.area.tab, row, self.column, 1, self.longest).range(fixed=True)
        first = f"AND({score}=MAX({scores}),{self._merged_before(number, i)}=0)"
        return f'=IF({score}="","",IF({first},{score},""))'

    def merged_formula(self, number: int, i: int) -> str:
        here, after = self.at(number, "Input", i), self.at(number, "Input", i + 1)
        best = self.at(number, "Max Score", i)
        kept = f'IF({best}<>"",{here}&{after},{here})'
        return f'=IF({self._merged_before(number, i)}>0,{after}&"",{kept})'

    def id_formula(self, i: int) -> str:
        typed = f"{WORDS}!{self.line.at(IDS + i)}"
        piece = self.at(self.longest - 1, "Merged", i)
        found = f"MATCH(1,EXACT(id_to_tokens,{piece})*1,0)-1"
        return f'{{=IF(COUNTA({self._ids})>0,IF({typed}="","",{typed}),IF({piece}="","",{found}))}}'


# ------------------------------------------------------------------------------------------------ tokens


def write_tokens(
    book: Book,
    plan: Plan,
    area: Area,
    typed: Area | None,
    *,
    message_of: Callable[[Plan, Area], str] | None = None,
    id_of: Callable[[int], str] | None = None,
) -> None:
    """Tokens and their ids side by side, how many there are, and what is wrong with them.

    typed: the matrix that is typed instead of computed, where only some blocks are there: its rows are counted.
    message_of, id_of: what makes the formulas that check the ids, and for the id at a position, instead of
    `token_message` and `merged_id`.
    """
    ids, count, tab = area.part(row=1), len(plan.trace.token_ids), area.tab
    for row, label in ((area.row - 1, "Tokens in use"), (area.row, "Tokens"), (area.row + 1, "Token IDs")):
        book.text(tab, row, 0, label, "key")
    message = '=""' if typed else (message_of or token_message)(plan, ids)
    counted = f"COUNT({typed.part(columns=1).address() if typed else ids.range(fixed=True)})"
    counts = f"={counted}" if typed else f'=IF(message="",{counted},0)'
    book.formula(tab, area.row - 1, area.column, counts, count, "live count")
    book.formula(tab, area.row - 1, area.column + 1, message, "", "note line")
    for i in range(area.columns):
        token, token_id = (plan.trace.tokens[i], plan.trace.token_ids[i]) if i < count else ("", None)
        found = (id_of or merged_id)(i) if plan.has_words else ""
        write_token_id(book, ids.part(column=i, columns=1), found, token_id)
        here = cell(ids.row, area.column + i)
        if typed:
            book.text(tab, area.row, area.column + i, token, "input")
        else:
            formula = f'=IF({here}="","",{token_text(plan, here)})'
            book.formula(tab, area.row, area.column + i, formula, token, "live piece")


def merged_id(position: int) -> str:
    """The formula for the id at a position: empty where no token is, and where a word is wrong."""
    known = f'AND(prompt_message="",{position}<COUNT(merged_ids))'
    return f'=IF({known},INDEX(merged_ids,1,MATCH({position},merged_positions,0)),"")'


def write_token_id(book: Book, at: Area, formula: str, token_id: int | None) -> None:
    """One token's id: found for the words by a formula, or typed; None: no token is there yet."""
    if formula:
        book.formula(at.tab, at.row, at.column, formula, "" if token_id is None else token_id, "live piece")
    elif token_id is None:
        book.blank(at, "input number")
    else:
        book.number(at.tab, at.row, at.column, token_id, "input number")


def token_text(plan: Plan, token_id: str) -> str:
    """The formula for a token's text."""
    return f'IFERROR(INDEX(id_to_tokens,{token_id}+1),"?")' if plan.has_words else f'"#"&{token_id}'


def nothing_typed(plan: Plan) -> str:
    return "Type at least one word on the tab words" if plan.has_words else "Type at least one token id"


def token_message(plan: Plan, ids: Area) -> str:
    """What is wrong with the tokens, in one line; empty where nothing is."""
    cells, n_vocab = ids.range(fixed=True), plan.trace.config.n_vocab
    filled = f'SUM(--({cells}<>""))'
    good = f"SUM(IF(ISNUMBER({cells}),IF({cells}=INT({cells}),IF({cells}>=0,IF({cells}<{n_vocab},1,0),0),0),0))"
    column = f"COLUMN({cells})-{ids.column + 1}"
    gap = f'SUM(IF({column}<{filled},IF({cells}="",1,0),0))>0'
    begin, number = text_literal(nothing_typed(plan)), text_literal(not_an_id(n_vocab))
    whole = f'IF({filled}<>{good},{number},IF({gap},"Leave no gap between token ids",IF({filled}=0,{begin},"")))'
    return f'{{=IF(prompt_message<>"",prompt_message,{whole})}}' if plan.has_words else f"{{={whole}}}"


def write_tables(book: Book, plan: Plan) -> None:
    """The merge table and the token table, as formulas look them up."""
    tokenizer = plan.tokenizer
    merges = tokenizer.merges
    book.add_tab(VOCAB_BPE, MERGE_TABLE, 4, colour=style.PARAMETER_FILL)
    for column, title in enumerate(("left", "right", "rank", "score")):
        book.text(VOCAB_BPE, TABLE_ROW - 1, column, title, "table head")
    if merges:
        scores = np.array([tokenizer.scores[pair] for pair in merges], float)
        left, right = ([pair[side] for pair in merges] for side in (0, 1))
        table = Table(Area(VOCAB_BPE, TABLE_ROW, 0, len(merges), 4), [left, right, range(len(merges)), scores])
        book.put_table(table, ["parameter text", "parameter text", "parameter count", "parameter count"])
    vocabulary = list(plan.trace.labels.vocabulary())
    book.add_tab(ID_TO_TOKENS, VOCABULARY, 2, colour=style.PARAMETER_FILL)
    for column, title in enumerate(("token", "id")):
        book.text(ID_TO_TOKENS, TABLE_ROW - 1, column, title, "table head")
    table = Table(Area(ID_TO_TOKENS, TABLE_ROW, 0, len(vocabulary), 2), [vocabulary, range(len(vocabulary))])
    book.put_table(table, ["parameter text", "parameter count"])
    for tab in (VOCAB_BPE, ID_TO_TOKENS):
        book.sheets[tab].freeze_panes(TABLE_ROW, 0)
        book.sheets[tab].set_column(0, 1, 18)
