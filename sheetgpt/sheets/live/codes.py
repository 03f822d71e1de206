"""Words, merges and tokens of the portable live workbook, without array formulas and without names of constants.

Look-ups ignore case and read `*` and `?` as wildcards, and few programs compare with EXACT along a table. So each piece
has a code of digits, two a character, and pairs and tokens are looked up by their codes: `MATCH` of a text in a column.
A merged piece's code is its halves' codes joined, so only single characters need one. The rows of `words` and the seven
rows of each pass (`merges`) are the same as in every live workbook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from sheetgpt.bpe.tokenizer import merged_at
from sheetgpt.models.step import Role
from sheetgpt.sheets.live import merges, words
from sheetgpt.sheets.live.merges import TABLE_ROW, Slot
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import CONTRACTIONS, PRINTABLE, SEVERAL, UNKNOWN_PIECE, WORDS, WordRow, kind, not_an_id
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Table
from sheetgpt.workbook.grid import Area, cell, text_literal
from sheetgpt.workbook.places import Place
from sheetgpt.workbook.references import Names

CODES, PAIR_CODES, TOKEN_CODES = "codes", "pair_codes", "token_codes"  # tabs
HEADING = "Helper cells: what each word is made of, as codes, since look-ups ignore case"
NUMBERS, KINDS, CODE = 3, 4, 5  # rows of `codes`: a character's number and kind, then the codes before each pass
FIRST = 72  # added to a character's code point, so that two digits remain of three: a space is 04, ~ is 98
KNOWN = ord("~")
UNKNOWN = "none"  # in place of an id where a piece is in no table
ALL_KINDS = "".join(map(kind, PRINTABLE))


def code(piece: str) -> str:
    """A piece's code. Characters that formulas can't follow have longer ones, which are never looked up.

    >>> code(" a"), code("A"), code("\u00e9")
    ('0469', '37', 'x233x')
    """
    return "".join([str(FIRST + ord(one))[-2:] if " " <= one <= "~" else f"x{ord(one)}x" for one in piece])


def key(left: str, right: str) -> str:
    """What a pair is looked up by; a token is, as one without a second half."""
    return f"k{left},{right}"


def names(plan: Plan, places: Mapping[str, Place]) -> Names:
    """The names of live workbooks that stand for plain ranges."""
    of_words = plan.steps.name(Role.WORDS)
    return words.names(plan) | merges.names(plan, places) | {of_words: places[of_words].area.address()}


# ------------------------------------------------------------------------------------------------ words


def kind_of(character: str) -> str:
    """The formula for the kind of a character (`words.kind`); `?` where it isn't printable."""
    return f'IFERROR(MID({text_literal(ALL_KINDS)},FIND({character},{text_literal(PRINTABLE)}),1),"?")'


class PortableWordRow(WordRow):
    """A word and the formula that says what is wrong with it, by the kinds of its characters on the tab `codes`."""

    @property
    def first_column(self) -> int:  # of the word on the tabs `codes` and `Prompt_to_Tokens`
        return 1 + self.number * (self.longest + 1)

    def characters(self, row: int) -> str:
        return Area(CODES, row, self.first_column, 1, self.longest).address()

    def kind_formula(self) -> str:
        shown = kind_of(f"MID({self.word},{self.body},1)")
        return f'=IF({self.word}="","",SUBSTITUTE({shown},"?",""))'

    def _ids_check(self, n_vocab: int) -> str:
        message = text_literal(not_an_id(n_vocab, "a"))
        cells = [cell(self.row, words.IDS + i) for i in range(self.longest)]
        return (
            f'IF(COUNT({self.ids})<>COUNTA({self.ids}),{message},IF({are_ids(cells, self.ids, n_vocab)},"",{message}))'
        )

    def _cut_check(self) -> str:
        joint = self._joint_check()
        mixed = f"IF({self._is_mixed()},{text_literal(SEVERAL)},{joint})"
        return f"IF({self.is_contraction(self.word)},{joint},{mixed})"

    @staticmethod
    def is_contraction(word: str) -> str:
        return f"OR({','.join(f'EXACT({word},{text_literal(one)})' for one in CONTRACTIONS)})"

    def _has_any(self, characters: str) -> str:
        return f"OR({','.join(f'ISNUMBER(FIND({text_literal(one)},{self.word}))' for one in characters)})"

    def _is_foreign(self) -> str:
        return f'SUMPRODUCT(--({self.characters(KINDS)}="?"))>0'

    def _is_mixed(self) -> str:
        kinds = self.characters(KINDS)
        return f'SUMPRODUCT(({self.characters(NUMBERS)}>={self.body})*({kinds}<>"")*({kinds}<>{self.kind}))>0'

    def _first_kind(self) -> str:
        return kind_of(f"MID({self.word},1,1)")


def count_formula(plan: Plan) -> str:
    """How many rows hold a word or ids, which begin in their first cell."""
    area = words.words_area(plan)
    ids = Area(WORDS, area.row, words.IDS, area.rows, 1)
    return f'=SUMPRODUCT(--(({area.range()}<>"")+({ids.range()}<>"")>0))'


def are_ids(cells: Sequence[str], area: str, n_vocab: int) -> str:
    """Are these numbers token ids? Their sum is that of their whole parts where all are whole."""
    whole = "+".join(f"INT({one})" for one in cells)
    return f"AND(MIN({area})>=0,MAX({area})<{n_vocab},{whole}=SUM({area}))"


def prompt_message(plan: Plan) -> str:
    """What is wrong with the words, in one line; empty where nothing is."""
    count, last = plan.max_tokens, PortableWordRow(words.words_area(plan), plan.max_tokens - 1, plan.longest_word)
    said = said_cell(plan, last)
    beyond = text_literal(words.more_words(count, "--portable"))
    other = (
        f'"The prompt has "&COUNT(merged_ids)&" tokens and this sheet is laid out for {count}: '
        'dump the new prompt with --portable"'
    )
    counted = f'IF(COUNT(merged_ids)={count},"",IF(COUNT(merged_ids)=0,"",{other}))'
    unknown = f'IF(SUMPRODUCT(--(merged_ids="{UNKNOWN}"))>0,{text_literal(UNKNOWN_PIECE)},{counted})'
    return f'=IF({said}<>"",{said},IF(COUNTA(words_beyond)>0,{beyond},{unknown}))'


def said_cell(plan: Plan, line: PortableWordRow) -> str:
    """The cell that holds the first message of the words up to this one."""
    return Area(CODES, said_row(plan), line.first_column, 1, 1).address()


def said_row(plan: Plan) -> int:
    return CODE + plan.longest_word + 1


def token_message(plan: Plan, ids: Area) -> str:
    """What is wrong with the tokens, in one line; empty where nothing is."""
    cells, n_vocab, count = ids.range(fixed=True), plan.trace.config.n_vocab, plan.max_tokens
    begin, number = text_literal(merges.nothing_typed(plan)), text_literal(not_an_id(n_vocab))
    other = f'"This sheet is laid out for {count} token ids: dump others with --portable"'
    good = are_ids([cell(ids.row, ids.column + i) for i in range(ids.columns)], cells, n_vocab)
    filled = f'SUMPRODUCT(--({cells}<>""))'
    whole = (
        f"IF({filled}=0,{begin},IF(COUNT({cells})<>{filled},{number},IF({filled}<>{count},{other},"
        f'IF({good},"",{number}))))'
    )
    return f'=IF(prompt_message<>"",prompt_message,{whole})' if plan.has_words else f"={whole}"


# ------------------------------------------------------------------------------------------------ merges


class PortableSlot(Slot):
    """The columns of one word in the merge trace, which has the same columns on the tab `codes`."""

    def code_at(self, number: int, i: int, *, elsewhere: bool = True) -> str:
        """The cell of the code of the word's i-th piece before a pass, or after the last one."""
        at = Area(CODES, CODE + number, self.column + i, 1, 1)
        return at.address() if elsewhere else at.range()

    def found(self, wanted: str, tab: str, count: int) -> str:
        return f"MATCH({wanted},{Area(tab, TABLE_ROW, 0, max(1, count), 1).address()},0)"

    def score_formula(self, number: int, i: int) -> str:
        right = self.at(number, "Input", i + 1)
        wanted = f'"k"&{self.code_at(number, i)}&","&{self.code_at(number, i + 1)}'
        row = self.found(wanted, PAIR_CODES, len(self.plan.tokenizer.merges))
        return f'=IF({right}="","",IFERROR(INDEX(vocab_bpe_score,{row}),""))'

    def id_formula(self, i: int) -> str:
        typed = f"{WORDS}!{self.line.at(words.IDS + i)}"
        piece = self.at(self.longest - 1, "Merged", i)
        row = self.found(f'"k"&{self.code_at(self.longest, i)}&","', TOKEN_CODES, self.plan.trace.config.n_vocab)
        found = f'IF({piece}="","",IFERROR({row}-1,"{UNKNOWN}"))'
        return f'=IF(COUNTA({self._ids})>0,IF({typed}="","",{typed}),{found})'

    def code_formula(self, number: int, i: int) -> str:
        """Of a piece before a pass: of a character, then as `merged_formula` merges pieces."""
        if number == 0:
            piece = f"{self.area.tab}!{self.at(0, 'Input', i)}"
            return f'=IF({piece}="","",RIGHT({FIRST}+CODE({piece}),2))'
        here, after = (self.code_at(number - 1, i + k, elsewhere=False) for k in (0, 1))
        best, row = f"{self.area.tab}!{self.at(number - 1, 'Max Score', i)}", self.row_of(number - 1, "Max Score")
        merged = f"COUNT({Area(self.area.tab, row, self.column - 1, 1, i + 1).address()})"
        return f'=IF({merged}>0,{after}&"",IF({best}<>"",{here}&{after},{here}&""))'


def write_codes(book: Book, plan: Plan, merged: Area) -> None:
    """The tab of helper cells, and the tables of codes. merged: the stage of the merge passes."""
    longest = plan.longest_word
    book.add_tab(CODES, HEADING, merged.columns, colour=style.STAGE_FILL, label_widths=(18, style.NUMBER_WIDTH))
    labels = {NUMBERS: "character", KINDS: "kind", CODE: "before pass 0", said_row(plan): "message so far"}
    labels |= {CODE + number: f"pass {number}" for number in range(1, longest)} | {CODE + longest: "tokens"}
    for row, label in labels.items():
        book.text(CODES, row, 0, label, "key")
    typed = words.typed_words(plan)
    for number in range(plan.max_tokens):
        line = PortableWordRow(words.words_area(plan), number, longest)
        slot = PortableSlot(book, plan, merged, line, line.first_column)
        by_formulas = number < len(typed) and not typed[number][1]
        write_characters(book, line, typed[number][0] if number < len(typed) else "")
        write_pass_codes(slot, number if by_formulas else None)
        write_said(book, plan, line)
    write_code_tables(book, plan)


def write_characters(book: Book, line: PortableWordRow, word: str) -> None:
    source = f"{WORDS}!{line.word}"
    for i in range(line.longest):
        column = line.first_column + i
        shown = (kind(word[i]) if word[i] in PRINTABLE else "?") if i < len(word) else ""
        formula = f'=IF({i + 1}>LEN({source}),"",{kind_of(f"MID({source},{i + 1},1)")})'
        book.number(CODES, NUMBERS, column, i + 1, "position")
        book.formula(CODES, KINDS, column, formula, shown, "live piece")


def write_pass_codes(slot: PortableSlot, word: int | None) -> None:
    """The codes of a word's pieces before each pass and after the last. word: its number, if formulas follow it."""
    before: list[list[str]] = [[] for _ in range(slot.longest + 1)]
    if word is not None:
        passes = list(islice(merges.passes_of(slot.plan, word), slot.longest))
        before = [*(pieces for pieces, _ in passes), merged_at(*passes[-1])]
    for number, pieces in enumerate(before):
        for i in range(slot.longest):
            value = code(pieces[i]) if i < len(pieces) else ""
            formula = slot.code_formula(number, i)
            slot.book.formula(CODES, CODE + number, slot.column + i, formula, value, "live piece")


def write_said(book: Book, plan: Plan, line: PortableWordRow) -> None:
    """The first message of the words up to this one."""
    message = f"{WORDS}!{line.at(words.MESSAGE)}"
    own = f'IF({message}="","","Word {line.number + 1}: "&{message})'
    if line.number:
        before = said_cell(plan, PortableWordRow(line.area, line.number - 1, line.longest))
        own = f'IF({before}<>"",{before},{own})'
    book.formula(CODES, said_row(plan), line.first_column, f"={own}", "", "note line")


def write_code_tables(book: Book, plan: Plan) -> None:
    """The keys of the pairs and of the tokens, in the order of their tables."""
    pairs = [key(code(left), code(right)) for left, right in plan.tokenizer.merges]
    tokens = [key(code(token), "") for token in plan.trace.labels.vocabulary()]
    for tab, heading, keys in (
        (PAIR_CODES, "The codes of the pairs in vocab_bpe, row by row", pairs),
        (TOKEN_CODES, "The codes of the tokens in id_to_tokens, row by row", tokens),
    ):
        book.add_tab(tab, heading, 1, colour=style.PARAMETER_FILL)
        book.text(tab, TABLE_ROW - 1, 0, "code", "table head")
        if keys:
            book.put_table(Table(Area(tab, TABLE_ROW, 0, len(keys), 1), [keys]), ["parameter text"])
