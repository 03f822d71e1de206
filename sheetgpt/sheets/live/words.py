"""The tab of the live workbook into which words are typed, one a cell, and the formulas that check them.

A formula can follow printable ASCII only; for other characters a word's token ids are typed instead. Wherever the
sheet can't be sure of a word, or has no room, it says so and nothing is predicted: it never makes up an id. Merging
the words belongs in `merges`, what stands beside them in `readings`.
"""

from __future__ import annotations

from itertools import islice

from sheetgpt.bpe.words import unspell
from sheetgpt.sheets.live.checks import FAULT
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell, text_literal
from sheetgpt.workbook.references import N_WORDS, Names

WORDS = "words"  # the tab
HEADING = "Type the words here, one a cell: a word takes the space before it along"
FIRST_ROW = 4  # of the words
WORD, READ_AS, MESSAGE, IDS = 1, 2, 3, 4  # columns of the tab `words`
HELPERS = ("begins at", "kind: l, d, o, s", "wrong with it")  # and those behind the ids
MESSAGE_CELL, COUNT_CELL = Area(WORDS, 1, WORD, 1, 1), Area(WORDS, 2, WORD, 1, 1)
FAULT_CELL = Area(WORDS, 2, MESSAGE, 1, 1)  # of a cell elsewhere that holds no number
MESSAGE_WIDTH, MESSAGE_HEIGHT = 48, 27  # two lines, which hold the longest message
BEYOND = 40  # rows below the last word in which a word is noticed
PRINTABLE = "".join(map(chr, range(32, 127)))
ARROW = "\u2190"  # before what may be typed next
AUTOCORRECTED = {  # what programs put in place of what is typed, and what to say of it
    "\u2018\u2019\u201c\u201d": "it holds an autocorrected quote: type the straight one instead, ' or \"",
    "\u2026": "it holds autocorrected dots: type them one by one, ...",
    "\u2013\u2014": "it holds an autocorrected dash: type - instead",
}
FOREIGN = "it holds a character outside ASCII: type its token ids at the right instead"
SEVERAL = "GPT-2 reads this as several words: type them one a cell"
UNKNOWN_PIECE = "A piece of a word is not in id_to_tokens"
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def kind(character: str) -> str:
    """What GPT-2's pattern takes a printable character for: letter, digit, space or other.

    >>> "".join(map(kind, "a1 ."))
    'ldso'
    """
    return "s" if character == " " else "l" if character.isalpha() else "d" if character.isdigit() else "o"


def kind_of(character: str) -> str:
    """The formula for the kind of a character (`kind`); an error where it isn't printable."""
    return f"MID(kinds,FIND({character},printable),1)"


def not_an_id(n_vocab: int, article: str = "A") -> str:
    return f"{article} token id is a whole number from 0 to {n_vocab - 1}"


def is_printable(word: str) -> bool:
    return all(" " <= character <= "~" for character in word)


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

    @property
    def reading(self) -> str:
        return f'IF(COUNTA({self.ids})>0,"(token ids)",SUBSTITUTE({self.word}," ","·"))'

    @property
    def check(self) -> str:  # what is wrong with the word, whatever stands below it
        return self.at(IDS + self.longest + 2)

    def body_formula(self) -> str:
        return f'=IF(AND(LEFT({self.word},1)=" ",LEN({self.word})>1),2,1)'

    def kind_formula(self) -> str:
        return f'=IF({self.word}="","",IFERROR({kind_of(f"MID({self.word},{self.body},1)")},""))'

    def message_formula(self) -> str:
        rest = Area(WORDS, self.row + 1, WORD, self.area.rows - self.number - 1, 1)
        below = f"COUNTA({rest.range()},{rest.part(0, IDS - WORD, None, 1).range()})" if rest.rows else "0"
        empty = f'IF({below}>0,"this row is empty: move the words below up","")'
        return f"=IF({self._is_empty},{empty},{self.check})"

    def check_formula(self, n_vocab: int) -> str:
        checked = f"IF(COUNTA({self.ids})>0,{self._ids_check(n_vocab)},{self._word_check()})"
        return f'{{=IF({self._is_empty},"",{checked})}}'

    @property
    def _is_empty(self) -> str:
        return f'AND({self.word}="",COUNTA({self.ids})=0)'

    def _ids_check(self, n_vocab: int) -> str:
        good = (
            f"SUM(IF(ISNUMBER({self.ids}),IF({self.ids}=INT({self.ids}),"
            f"IF({self.ids}>=0,IF({self.ids}<{n_vocab},1,0),0),0),0))"
        )
        return f'IF({good}<>COUNTA({self.ids}),{text_literal(not_an_id(n_vocab, "a"))},"")'

    def _word_check(self) -> str:
        word, foreign = self.word, text_literal(FOREIGN)
        too_long = (
            f'"it has "&LEN({word})&" characters and there is room for {self.longest}: dump a prompt that has it"'
        )
        for corrected, message in AUTOCORRECTED.items():
            foreign = f"IF({self._has_any(corrected)},{text_literal(message)},{foreign})"
        return f"IF(LEN({word})>{self.longest},{too_long},IF({self._is_foreign()},{foreign},{self._cut_check()}))"

    def _cut_check(self) -> str:
        """Would GPT-2 cut inside the word, or between it and the one above?"""
        joint, whole = self._joint_check(), f"SUM(--EXACT({self.word},contractions))=0"
        return f"IF({whole},IF({self._is_mixed()},{text_literal(SEVERAL)},{joint}),{joint})"

    def _joint_check(self) -> str:
        """Would GPT-2 cut between this word and the one above?"""
        if self.number == 0:
            return '""'
        above = WordRow(self.area, self.number - 1, self.longest)
        first = f"LEFT({self.word},1)"
        rest = ",".join(
            f"EXACT(LEFT({self.word},{len(short) - 1}),{text_literal(short[1:])})" for short in CONTRACTIONS
        )  # ' and s, typed one a cell
        torn = f"""AND(EXACT({above.word},"'"),OR({rest}))"""
        same = f"{self._first_kind()}={above.kind}"
        after_spaces = f'OR({first}<>" ",{self.kind}="s")'
        after_word = f'IF({first}=" ",FALSE,IF({self.is_contraction(above.word)},FALSE,OR({same},{torn})))'
        joined = f'IF({above.kind}="s",{after_spaces},{after_word})'
        spaces = '"GPT-2 cuts this and the word above elsewhere: a word takes one space of those before it"'
        missing = f'"GPT-2 cuts this and the word above as one: put a space before it: \' "&{self.word}&"\'"'
        message = f'IF({above.kind}="s",{spaces},{missing})'
        return f'IF(COUNTA({above.ids})>0,"",IF({joined},{message},""))'

    # what can be asked of characters: by array formulas and names of constants

    @staticmethod
    def is_contraction(word: str) -> str:
        return f"SUM(--EXACT({word},contractions))>0"

    def _has_any(self, characters: str) -> str:
        return f"SUM(IF(ISERROR(FIND({{{','.join(map(text_literal, characters))}}},{self.word})),0,1))>0"

    @property
    def _letter(self) -> str:  # each of the word's characters
        return f"MID({self.word},char_numbers,1)"

    def _is_foreign(self) -> str:
        found = f"FIND({self._letter},printable)"
        return f"SUM(IF(char_numbers<=LEN({self.word}),IF(ISERROR({found}),1,0),0))>0"

    def _is_mixed(self) -> str:
        """Are there several kinds of characters behind the space?"""
        other = f"IF({kind_of(self._letter)}<>{self.kind},1,0)"
        return f"SUM(IF(char_numbers>={self.body},IF(char_numbers<=LEN({self.word}),{other},0),0))>0"

    def _first_kind(self) -> str:
        return kind_of(f"LEFT({self.word},1)")


def typed_words(plan: Plan) -> list[tuple[str, list[int]]]:
    """What stands in each row when the workbook is written: (word, its ids where formulas can't find them)."""
    trace = plan.trace
    if trace.merges is None:
        ids = iter(trace.token_ids)
        return [("", row) for row in iter(lambda: list(islice(ids, plan.longest_word)), [])]
    typed: list[tuple[str, list[int]]] = []
    whole, tokenizer = trace.merges.whole, plan.tokenizer
    for number, word in enumerate(trace.merges.words):
        original = unspell(word).decode(errors="replace")
        if number in whole:
            typed.append((original, list(tokenizer.ids_of([word]))))
        else:  # subtle: a word behind a token that stands as it is would be held against it
            by_formulas = is_printable(word) and number - 1 not in whole
            typed.append((original, [] if by_formulas else tokenizer.encode(original)))
    return typed


def words_area(plan: Plan) -> Area:
    """The cells into which words are typed."""
    return Area(WORDS, FIRST_ROW, WORD, plan.max_tokens, 1)


def word_rows(plan: Plan) -> list[WordRow]:
    area = words_area(plan)
    return [WordRow(area, number, plan.longest_word) for number in range(area.rows)]


def names(plan: Plan) -> Names:
    """The names of the words' cells."""
    words = words_area(plan)
    return {
        "words": words.address(),
        "word_messages": Area(WORDS, words.row, MESSAGE, words.rows, 1).address(),
        "words_beyond": Area(WORDS, words.row + words.rows, WORD, BEYOND, 1).address(),
        "prompt_message": MESSAGE_CELL.address(),
        N_WORDS: COUNT_CELL.address(),
    }


def constants(plan: Plan) -> Names:
    """The names that stand for texts and lists in the words' formulas."""
    return {
        "printable": text_literal(PRINTABLE),
        "kinds": text_literal("".join(map(kind, PRINTABLE))),
        "contractions": "{" + ",".join(map(text_literal, CONTRACTIONS)) + "}",
        "char_numbers": "{" + ",".join(map(str, range(1, plan.longest_word + 1))) + "}",
    }


def count_formula(plan: Plan) -> str:
    """How many rows hold a word or ids."""
    area = words_area(plan)
    ids = Area(WORDS, area.row, IDS, area.rows, plan.longest_word)
    a_row = f'MMULT(--({ids.range()}<>""),TRANSPOSE(COLUMN({ids.part(rows=1).range()})^0))'
    return f'{{=SUM(--(({area.range()}<>"")+{a_row}>0))}}'


def write_words(
    book: Book, plan: Plan, word_row: type[WordRow] = WordRow, message: str | None = None, count: str | None = None
) -> None:
    """The tab into which words are typed, with what is wrong with them.

    word_row, message, count: whose formulas check each word, and the prompt, and count the words.
    """
    longest, area = plan.longest_word, words_area(plan)
    write_head(book, longest, area)
    book.text(WORDS, 1, 0, "message", "key")
    book.formula(WORDS, MESSAGE_CELL.row, WORD, message or prompt_message(plan.max_tokens), "", "note line")
    fault = f'=IF(prompt_message="",{FAULT},"")'
    book.leaf(WORDS, FAULT_CELL.row, FAULT_CELL.column, fault, "", "note line")
    typed = typed_words(plan)
    book.text(WORDS, COUNT_CELL.row, 0, "words", "key")
    readings = Area(WORDS, area.row, READ_AS, area.rows, 1)
    show_hint(book, readings)
    book.blank_where(readings, f'={cell(area.row, READ_AS)}=""')
    book.formula(WORDS, COUNT_CELL.row, WORD, count or count_formula(plan), len(typed), "value")
    for number in range(area.rows):
        word, ids = typed[number] if number < len(typed) else ("", [])
        write_word(book, word_row(area, number, longest), word, ids, plan.trace.config.n_vocab)


def show_hint(book: Book, readings: Area) -> None:
    """What may be typed next looks like no reading."""
    look = book.conditional({"bg_color": style.BLANK_FILL, "font_color": style.MUTED, "italic": True})
    first = cell(readings.row, readings.column)
    rule = {"type": "formula", "criteria": f'=LEFT({first},1)="{ARROW}"', "format": look, "stop_if_true": True}
    corners = (readings.row, readings.column, readings.row + readings.rows - 1, readings.column)
    book.sheets[WORDS].conditional_format(*corners, rule)


def write_head(book: Book, longest: int, area: Area) -> None:
    """The tab with its columns and their names."""
    sheet = book.add_tab(WORDS, HEADING, colour=style.INPUT_FILL)
    for column, width in ((0, 8), (WORD, 18), (READ_AS, 20), (MESSAGE, MESSAGE_WIDTH)):
        sheet.set_column(column, column, width)
    sheet.set_column(IDS, IDS + longest - 1, 6)
    sheet.freeze_panes(area.row, READ_AS)
    heads = {0: "word", WORD: "type here", READ_AS: "read as", MESSAGE: "message", IDS: "or its token ids, one a cell"}
    heads |= dict(enumerate(HELPERS, start=IDS + longest))
    for column in range(IDS + longest + len(HELPERS)):
        book.text(WORDS, area.row - 1, column, heads.get(column, ""), "table head")


def write_word(book: Book, line: WordRow, word: str, ids: list[int], n_vocab: int) -> None:
    """A row for a word, or for its token ids, typed or still empty, and what its formulas make of it."""
    row, longest = line.row, line.longest
    book.sheets[WORDS].set_row(row, MESSAGE_HEIGHT)
    book.number(WORDS, row, 0, line.number + 1, "position")
    if word:
        book.text(WORDS, row, WORD, word, "input")
    else:
        book.blank(Area(WORDS, row, WORD, 1, 1), "input")
    book.formula(WORDS, row, MESSAGE, line.message_formula(), "", "note lines")
    for column, token_id in enumerate(ids, start=IDS):
        book.number(WORDS, row, column, token_id, "input number")
    book.blank(Area(WORDS, row, IDS + len(ids), 1, longest - len(ids)), "input number")
    begins = 2 if word[:1] == " " and len(word) > 1 else 1
    book.formula(WORDS, row, IDS + longest, line.body_formula(), begins, "key")
    shown = kind(word[begins - 1]) if word and is_printable(word) else ""
    book.formula(WORDS, row, IDS + longest + 1, line.kind_formula(), shown, "key")
    book.formula(WORDS, row, IDS + longest + 2, line.check_formula(n_vocab), "", "key")


def more_words(room: int, option: str) -> str:
    return f"This sheet holds {room} words and there are more: dump the whole prompt with {option}"


def prompt_message(max_tokens: int) -> str:
    """What is wrong with the words, in one line; empty where nothing is."""
    first = 'MATCH(1,--(word_messages<>""),0)'
    beyond = text_literal(more_words(max_tokens, "--max-tokens"))
    many = (
        f'"The prompt has "&COUNT(merged_ids)&" tokens and this sheet holds {max_tokens}: '
        'dump it again with --max-tokens "&COUNT(merged_ids)'
    )
    return (
        f'{{=IF(SUM(--(word_messages<>""))>0,"Word "&{first}&": "&INDEX(word_messages,{first}),'
        f"IF(COUNTA(words_beyond)>0,{beyond},IF(SUM(--ISERROR(merged_ids))>0,{text_literal(UNKNOWN_PIECE)},"
        f'IF(COUNT(merged_ids)>{max_tokens},{many},""))))}}'
    )
