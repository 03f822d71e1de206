"""Words, merges and tokens of the live workbook: words are typed one a cell, and formulas merge them as `bpe` does.

A formula can follow printable ASCII only; for other characters a word's token ids are typed instead. Wherever the
sheet can't be sure of a word, or has no room, it says so and shows no prediction: it never makes up an id.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.bpe import merged_at
from sheetgpt.bpe_words import unspell
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Table
from sheetgpt.workbook.layout import EMBEDDINGS, MERGES, WORDS, Area, Place, cell
from sheetgpt.workbook.references import Names

if TYPE_CHECKING:
    from sheetgpt.forward import Trace
    from sheetgpt.workbook.live import Plan

LONGEST_WORD = 12  # characters that there is room for, or the prompt's longest word
WORD, READ_AS, MESSAGE, IDS = 1, 2, 3, 4  # columns of the tab `words`; behind the ids two helpers
MESSAGE_CELL = Area(WORDS, 1, 1, 1, 1)
BEYOND = 40  # rows below the last word in which a word is noticed
PASS_ROWS = ("Pass", "Input", "Pairs", "Scores", "Max Score", "Merged", "")
PRINTABLE = "".join(map(chr, range(32, 127)))
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
VOCAB_BPE, ID_TO_TOKENS = "vocab_bpe", "id_to_tokens"
TABLE_ROW = 3  # the first row of those two tables


def kind(character: str) -> str:
    """What GPT-2's pattern takes a printable character for: letter, digit, space or other.

    >>> "".join(map(kind, "a1 ."))
    'ldso'
    """
    return "s" if character == " " else "l" if character.isalpha() else "d" if character.isdigit() else "o"


def text(value: str) -> str:
    """A text as formulas write it."""
    return '"' + value.replace('"', '""') + '"'


def longest_word(trace: Trace) -> int:
    """The longest word that there will be room for."""
    words = trace.merges.words if trace.merges else []
    return max([LONGEST_WORD, *map(len, words)])


def is_printable(word: str) -> bool:
    return all(" " <= character <= "~" for character in word)


# ------------------------------------------------------------------------------------------------ names


def names(plan: Plan, places: dict[str, Place]) -> Names:
    """The names that these tabs' formulas use, and the words' own."""
    words, merges = places["separated_into_words"].area, places["prompt_to_tokens"].area
    slots = Area(MERGES, merges.row + merges.rows - 1, 1, 1, merges.columns - 1)
    table = (len(plan.model.tokenizer.merges), plan.model.config.n_vocab)
    return {
        "separated_into_words": words.address(),
        "words": words.address(),
        "word_messages": Area(WORDS, words.row, MESSAGE, words.rows, 1).address(),
        "words_beyond": Area(WORDS, words.row + words.rows, WORD, BEYOND, 1).address(),
        "prompt_message": MESSAGE_CELL.address(),
        "prompt_to_tokens": merges.address(),
        "merged_ids": slots.address(),
        "merged_positions": slots.part(row=1, rows=1).address(),
        "vocab_bpe_left": Area(VOCAB_BPE, TABLE_ROW, 0, max(1, table[0]), 1).address(),
        "vocab_bpe_right": Area(VOCAB_BPE, TABLE_ROW, 1, max(1, table[0]), 1).address(),
        "vocab_bpe_score": Area(VOCAB_BPE, TABLE_ROW, 3, max(1, table[0]), 1).address(),
        "id_to_tokens": Area(ID_TO_TOKENS, TABLE_ROW, 0, table[1], 1).address(),
        "printable": text(PRINTABLE),
        "kinds": text("".join(map(kind, PRINTABLE))),
        "contractions": "{" + ",".join(map(text, CONTRACTIONS)) + "}",
        "char_numbers": "{" + ",".join(map(str, range(1, plan.longest_word + 1))) + "}",
    }


# ------------------------------------------------------------------------------------------------ words


class WordRow:
    """The cells of one word on the tab `words`, and the formula that says what is wrong with it."""

    def __init__(self, area: Area, number: int, longest: int):
        self.area, self.number, self.longest = area, number, longest
        self.row = area.row + number

    def at(self, column: int, *, fixed: bool = False) -> str:
        return cell(self.row, column, fixed=fixed)

    @property
    def word(self) -> str:
        return self.at(WORD)

    @property
    def ids(self) -> str:
        return Area(WORDS, self.row, IDS, 1, self.longest).range()

    @property
    def body(self) -> str:  # where the word begins behind its space
        return self.at(IDS + self.longest)

    @property
    def kind(self) -> str:  # of the word behind its space
        return self.at(IDS + self.longest + 1)

    def body_formula(self) -> str:
        return f'=IF(AND(LEFT({self.word},1)=" ",LEN({self.word})>1),2,1)'

    def kind_formula(self) -> str:
        return f'=IF({self.word}="","",IFERROR(MID(kinds,FIND(MID({self.word},{self.body},1),printable),1),""))'

    def message_formula(self, n_vocab: int) -> str:
        rest = Area(WORDS, self.row + 1, WORD, self.area.rows - self.number - 1, 1)
        below = f"COUNTA({rest.range()},{rest.part(0, IDS - WORD, None, 1).range()})" if rest.rows else "0"
        empty = f'IF({below}>0,"this row is empty: move the words below up","")'
        checked = f"IF(COUNTA({self.ids})>0,{self._ids_check(n_vocab)},{self._word_check()})"
        return f'{{=IF(AND({self.word}="",COUNTA({self.ids})=0),{empty},{checked})}}'

    def _ids_check(self, n_vocab: int) -> str:
        good = (
            f"SUM(IF(ISNUMBER({self.ids}),IF({self.ids}=INT({self.ids}),"
            f"IF({self.ids}>=0,IF({self.ids}<{n_vocab},1,0),0),0),0))"
        )
        return f'IF({good}<>COUNTA({self.ids}),"a token id is a whole number from 0 to {n_vocab - 1}","")'

    def _word_check(self) -> str:
        word, letter = self.word, f"MID({self.word},char_numbers,1)"
        too_long = (
            f'"it has "&LEN({word})&" characters and there is room for {self.longest}: dump a prompt that has it"'
        )
        foreign = (
            "\"it holds a character outside printable ASCII, which formulas can't follow in GPT-2's byte alphabet: "
            'type its token ids at the right instead"'
        )
        inside = f"SUM(IF(char_numbers<=LEN({word}),IF(ISERROR(FIND({letter},printable)),1,0),0))>0"
        other = f"IF(MID(kinds,FIND({letter},printable),1)<>{self.kind},1,0)"
        mixed = f"SUM(IF(char_numbers>={self.body},IF(char_numbers<=LEN({word}),{other},0),0))>0"
        whole = f"SUM(--EXACT({word},contractions))=0"
        several = '"GPT-2 reads this as several words: type them one a cell"'
        return (
            f"IF(LEN({word})>{self.longest},{too_long},IF({inside},{foreign},"
            f"IF({whole},IF({mixed},{several},{self._joint_check()}),{self._joint_check()})))"
        )

    def _joint_check(self) -> str:
        """Would GPT-2 cut between this word and the one above?"""
        if self.number == 0:
            return '""'
        above = WordRow(self.area, self.number - 1, self.longest)
        first = f"LEFT({self.word},1)"
        rest = ",".join(
            f"EXACT(LEFT({self.word},{len(short) - 1}),{text(short[1:])})" for short in CONTRACTIONS
        )  # ' and s, typed one a cell
        torn = f"""AND(EXACT({above.word},"'"),OR({rest}))"""
        same = f"MID(kinds,FIND({first},printable),1)={above.kind}"
        after_spaces = f'OR({first}<>" ",{self.kind}="s")'
        after_word = f'IF({first}=" ",FALSE,IF(SUM(--EXACT({above.word},contractions))>0,FALSE,OR({same},{torn})))'
        joined = f'IF({above.kind}="s",{after_spaces},{after_word})'
        message = '"GPT-2 cuts this and the word above elsewhere: a word takes the one space before it along"'
        return f'IF(COUNTA({above.ids})>0,"",IF({joined},{message},""))'


def typed_words(plan: Plan) -> list[tuple[str, list[int]]]:
    """What stands in each row when the workbook is written: (word, its ids where formulas can't find them)."""
    trace = plan.trace
    if trace.merges is None:
        ids = iter(trace.token_ids)
        return [("", row) for row in iter(lambda: list(islice(ids, plan.longest_word)), [])]
    encode = plan.model.tokenizer.encode
    shown = ((word, unspell(word).decode(errors="replace")) for word in trace.merges.words)
    return [(original, [] if is_printable(word) else encode(original)) for word, original in shown]


def write_words(book: Book, plan: Plan, area: Area) -> None:
    """The tab into which words are typed, with what is wrong with them."""
    longest, n_vocab = plan.longest_word, plan.model.config.n_vocab
    sheet = book.sheets[WORDS]
    for column, width in ((0, 10), (WORD, 18), (READ_AS, 18), (MESSAGE, 60)):
        sheet.set_column(column, column, width)
    sheet.set_column(IDS, IDS + longest - 1, 7)
    sheet.freeze_panes(area.row, READ_AS)
    heads = {0: "word", WORD: "type here", READ_AS: "read as", MESSAGE: "message", IDS: "or its token ids, one a cell"}
    for column in range(IDS + longest + 2):
        book.text(WORDS, area.row - 1, column, heads.get(column, ""), "table head")
    book.text(WORDS, area.row - 1, IDS + longest, "begins at", "table head")
    book.text(WORDS, area.row - 1, IDS + longest + 1, "kind", "table head")
    book.text(WORDS, 1, 0, "message", "key")
    book.formula(WORDS, *MESSAGE_CELL_AT, prompt_message(plan.max_tokens), "", "note line")
    typed = typed_words(plan)
    for number in range(area.rows):
        line = WordRow(area, number, longest)
        word, ids = typed[number] if number < len(typed) else ("", [])
        book.number(WORDS, line.row, 0, number + 1, "position")
        if word:
            book.text(WORDS, line.row, WORD, word, "input")
        else:
            sheet.write_blank(line.row, WORD, None, book.format("input"))
        read_as = f'=IF(COUNTA({line.ids})>0,"(token ids)",SUBSTITUTE({line.word}," ","·"))'
        book.formula(WORDS, line.row, READ_AS, read_as, "(token ids)" if ids else word.replace(" ", "·"), "live text")
        book.formula(WORDS, line.row, MESSAGE, line.message_formula(n_vocab), "", "note line")
        for i in range(longest):
            if i < len(ids):
                book.number(WORDS, line.row, IDS + i, ids[i], "input number")
            else:
                sheet.write_blank(line.row, IDS + i, None, book.format("input number"))
        begins = 2 if word[:1] == " " and len(word) > 1 else 1
        book.formula(WORDS, line.row, IDS + longest, line.body_formula(), begins, "key")
        shown = kind(word[begins - 1]) if word and is_printable(word) else ""
        book.formula(WORDS, line.row, IDS + longest + 1, line.kind_formula(), shown, "key")


MESSAGE_CELL_AT = (MESSAGE_CELL.row, MESSAGE_CELL.column)


def prompt_message(max_tokens: int) -> str:
    """What is wrong with the words, in one line; empty where nothing is."""
    first = 'MATCH(1,--(word_messages<>""),0)'
    beyond = f'"This sheet holds {max_tokens} words and there are more: dump the whole prompt with --max-tokens"'
    unknown = '"A piece of a word is not in id_to_tokens"'
    many = (
        f'"The prompt has "&COUNT(merged_ids)&" tokens and this sheet holds {max_tokens}: '
        'dump it again with --max-tokens "&COUNT(merged_ids)'
    )
    return (
        f'{{=IF(SUM(--(word_messages<>""))>0,"Word "&{first}&": "&INDEX(word_messages,{first}),'
        f"IF(COUNTA(words_beyond)>0,{beyond},IF(SUM(--ISERROR(merged_ids))>0,{unknown},"
        f'IF(COUNT(merged_ids)>{max_tokens},{many},""))))}}'
    )


# ------------------------------------------------------------------------------------------------ merges


def write_merges(book: Book, plan: Plan, area: Area, words: Area) -> None:
    """The passes of every word in the reference's seven rows, and under them each token's id and position."""
    longest = plan.longest_word
    for number in range(longest):
        for offset, label in enumerate(PASS_ROWS):
            shown = f"Pass {number}" if offset == 0 else label
            if label or number == longest - 1:
                book.text(MERGES, area.row + 7 * number + offset, 0, shown or "TokenID", "key")
    book.text(MERGES, area.row + 7 * longest, 0, "Position", "key")
    position, typed = 0, typed_words(plan)
    for number in range(plan.max_tokens):
        line = WordRow(words, number, longest)
        slot = Slot(book, plan, area, line, 1 + number * (longest + 1))
        ids = typed[number][1] if number < len(typed) else []
        merged = number < len(typed) and not ids
        found = slot.write(plan.trace.merges.passes(number) if merged else repeat(([], None)), ids)
        for i in range(longest):
            own, first = cell(slot.ids_row, slot.column + i), cell(slot.ids_row, 1, fixed=True)
            formula = f'=IF(ISNUMBER({own}),COUNT({first}:{own})-1,"")'
            value = position + i if i < len(found) else ""
            book.formula(MERGES, slot.ids_row + 1, slot.column + i, formula, value, "live count")
        position += len(found)


class Slot:
    """The columns of one word in the merge trace."""

    def __init__(self, book: Book, plan: Plan, area: Area, line: WordRow, column: int):
        self.book, self.plan, self.area, self.line, self.column = book, plan, area, line, column
        self.longest = plan.longest_word
        self.ids_row = area.row + 7 * self.longest - 1

    def at(self, number: int, label: str, i: int) -> str:
        """The cell of the word's i-th place in a row of a pass; -1 is the column before the word, as fixed."""
        return cell(self.area.row + 7 * number + PASS_ROWS.index(label), self.column + i)

    def write(self, passes: Iterator[tuple[list[str], int | None]], ids: list[int]) -> list[int]:
        """All passes (`MergeTrace.passes`) with their cached values. Returns the word's ids; `ids`: where given."""
        tokenizer, symbols = self.plan.model.tokenizer, []
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
            self.book.formula(MERGES, self.ids_row, self.column + i, self.id_formula(i), value, "live piece")
        return found

    def _row(self, number: int, label: str, values: list, formula, fmt: str) -> None:
        row = self.area.row + 7 * number + PASS_ROWS.index(label)
        for i in range(self.longest):
            value = values[i] if i < len(values) else ""
            self.book.formula(MERGES, row, self.column + i, formula(number, i), value, fmt)

    def input_formula(self, number: int, i: int) -> str:
        if number:
            return f"={self.at(number - 1, 'Merged', i)}"
        message, word = (f"{WORDS}!{self.line.at(column, fixed=True)}" for column in (MESSAGE, WORD))
        return f'=IF(OR({message}<>"",COUNTA({self._ids})>0),"",MID({word},{i + 1},1))'

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
        row = self.area.row + 7 * number + PASS_ROWS.index("Max Score")
        return f"COUNT({cell(row, self.column - 1, fixed=True)}:{cell(row, self.column + i - 1)})"

    def best_formula(self, number: int, i: int) -> str:
        score, row = self.at(number, "Scores", i), self.area.row + 7 * number + PASS_ROWS.index("Scores")
        scores = Area(MERGES, row, self.column, 1, self.longest).range(fixed=True)
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


def write_tokens(book: Book, plan: Plan, area: Area, block_input: Area | None) -> None:
    """Tokens and their ids side by side, how many there are, and what is wrong with them."""
    ids, count = area.part(row=1), len(plan.trace.token_ids)
    for row, label in ((area.row - 1, "Tokens in use"), (area.row, "Tokens"), (area.row + 1, "Token IDs")):
        book.text(EMBEDDINGS, row, 0, label, "key")
    if block_input:
        counted = f"=COUNT({block_input.part(columns=1).address()})"
        book.formula(EMBEDDINGS, area.row - 1, area.column, counted, count, "live count")
        book.formula(EMBEDDINGS, area.row - 1, area.column + 1, '=""', "", "note line")
    else:
        message = token_message(plan, ids)
        book.formula(EMBEDDINGS, area.row - 1, area.column + 1, message, "", "note line")
        counted = f'=IF(message="",COUNT({ids.range(fixed=True)}),0)'
        book.formula(EMBEDDINGS, area.row - 1, area.column, counted, count, "live count")
    for i in range(area.columns):
        column, used = area.column + i, i < count
        token, token_id = (plan.trace.tokens[i], plan.trace.token_ids[i]) if used else ("", "")
        if plan.has_words:
            known = f'AND(prompt_message="",{i}<COUNT(merged_ids))'
            formula = f'=IF({known},INDEX(merged_ids,MATCH({i},merged_positions,0)),"")'
            book.formula(EMBEDDINGS, ids.row, column, formula, token_id, "live piece")
        elif used:
            book.number(EMBEDDINGS, ids.row, column, token_id, "input number")
        else:
            book.sheets[EMBEDDINGS].write_blank(ids.row, column, None, book.format("input number"))
        if block_input:
            book.text(EMBEDDINGS, area.row, column, token, "input")
        else:
            formula = f'=IF({cell(ids.row, column)}="","",{token_text(plan, cell(ids.row, column))})'
            book.formula(EMBEDDINGS, area.row, column, formula, token, "live piece")


def token_text(plan: Plan, token_id: str) -> str:
    """The formula for a token's text."""
    return f'IFERROR(INDEX(id_to_tokens,{token_id}+1),"?")' if plan.has_words else f'"#"&{token_id}'


def token_message(plan: Plan, ids: Area) -> str:
    """What is wrong with the tokens, in one line; empty where nothing is."""
    cells, n_vocab = ids.range(fixed=True), plan.model.config.n_vocab
    filled = f'SUM(--({cells}<>""))'
    good = f"SUM(IF(ISNUMBER({cells}),IF({cells}=INT({cells}),IF({cells}>=0,IF({cells}<{n_vocab},1,0),0),0),0))"
    column = f"COLUMN({cells})-{ids.column + 1}"
    gap = f'SUM(IF({column}<{filled},IF({cells}="",1,0),0))>0'
    begin = '"Type at least one word on the tab words"' if plan.has_words else '"Type at least one token id"'
    whole = (
        f'IF({filled}<>{good},"A token id is a whole number from 0 to {n_vocab - 1}",'
        f'IF({gap},"Leave no gap between token ids",IF({filled}=0,{begin},"")))'
    )
    return f'{{=IF(prompt_message<>"",prompt_message,{whole})}}' if plan.has_words else f"{{={whole}}}"


def write_tables(book: Book, plan: Plan) -> None:
    """The merge table and the token table, as formulas look them up."""
    tokenizer = plan.model.tokenizer
    merges = tokenizer.merges
    book.add_tab(VOCAB_BPE, "The merge table: the pair with the highest score merges first", 4)
    for column, title in enumerate(("left", "right", "rank", "score")):
        book.text(VOCAB_BPE, TABLE_ROW - 1, column, title, "table head")
    if merges:
        scores = np.array([tokenizer.scores[pair] for pair in merges], float)
        left, right = ([pair[side] for pair in merges] for side in (0, 1))
        table = Table(Area(VOCAB_BPE, TABLE_ROW, 0, len(merges), 4), [left, right, range(len(merges)), scores])
        book.put_table(table, ["parameter text", "parameter text", "parameter count", "parameter count"])
    vocabulary = list(plan.trace.labels.vocabulary())
    book.add_tab(ID_TO_TOKENS, "The token table: a token's row is its id", 2)
    for column, title in enumerate(("token", "id")):
        book.text(ID_TO_TOKENS, TABLE_ROW - 1, column, title, "table head")
    table = Table(Area(ID_TO_TOKENS, TABLE_ROW, 0, len(vocabulary), 2), [vocabulary, range(len(vocabulary))])
    book.put_table(table, ["parameter text", "parameter count"])
    for tab in (VOCAB_BPE, ID_TO_TOKENS):
        book.sheets[tab].freeze_panes(TABLE_ROW, 0)
        book.sheets[tab].set_column(0, 1, 18)
