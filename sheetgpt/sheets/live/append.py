"""What the tab of picks says behind the picked token: what to type, and where, or to dump, for the loop to go on.

Each sentence is written once, as the formula that makes it and as what the formula makes when the workbook is written.
Which token is picked belongs in `picks`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORD, WORDS, is_printable, kind, kind_of, typed_words, words_area
from sheetgpt.workbook.grid import Area, cell, text_literal
from sheetgpt.workbook.references import N_TOKENS, N_WORDS


@dataclass(frozen=True)
class Said:
    """A formula without its `=`, and what it makes of the prompt that the workbook is written with."""

    formula: str
    value: str

    def dotted(self) -> Said:
        """With its spaces shown."""
        return Said(f'SUBSTITUTE({self.formula}," ","·")', self.value.replace(" ", "·"))


@dataclass(frozen=True)
class Condition:
    formula: str
    holds: bool

    def choose(self, then: Said, otherwise: Said) -> Said:
        formula = f"IF({self.formula},{then.formula},{otherwise.formula})"
        return Said(formula, (then if self.holds else otherwise).value)


def sentence(*parts: str | Said) -> Said:
    """Texts and what formulas make, joined.

    >>> sentence("type ", Said("B4", "7"), " into ", "words!A1")
    Said(formula='"type "&B4&" into words!A1"', value='type 7 into words!A1')
    """
    pieces: list[str | Said] = []
    for part in parts:
        if isinstance(part, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += part
        else:
            pieces.append(part)
    formulas = [text_literal(piece) if isinstance(piece, str) else piece.formula for piece in pieces]
    return Said("&".join(formulas), "".join(piece if isinstance(piece, str) else piece.value for piece in pieces))


@dataclass(frozen=True)
class Append:
    """What to do with a picked token. ids: where token ids stand."""

    plan: Plan
    ids: Area
    token: Said
    token_id: Said

    def said(self) -> Said:
        end = self.plan.trace.tokenizer.end_of_text if self.plan.trace.tokenizer else None
        step = self._dumped() if self.plan.portable else self._typed()
        if end is None:
            return step
        ends = Condition(f"{self.token_id.formula}={end}", self.token_id.value == str(end))
        return ends.choose(sentence("the text ends here"), step)

    def _dumped(self) -> Said:
        """A portable workbook is laid out for as many tokens as it has."""
        room = f"this sheet is laid out for {self.plan.max_tokens} tokens"
        return sentence(f"{room}: dump the text with ", self.token.dotted(), " behind it")

    def _typed(self) -> Said:
        room, count = self.plan.max_tokens, len(self.plan.trace.token_ids)
        full = f"no room for more than {room} tokens: dump the text again with --max-tokens"
        step = self._typed_word() if self.plan.has_words else self._typed_id()
        return Condition(f"{N_TOKENS}>={room}", count >= room).choose(sentence(full), step)

    def _typed_word(self) -> Said:
        """A token that begins a word can be typed as one; ids follow any word."""
        as_id: tuple[str | Said, ...] = ("its id ", self.token_id, f" into {WORDS}!", self._in_next_row(IDS))
        as_word = ("type ", self.token.dotted(), f" into {WORDS}!", self._in_next_row(WORD))
        return self._begins_a_word().choose(sentence(*as_word, ", or ", *as_id), sentence("type ", *as_id))

    def _in_next_row(self, column: int) -> Said:
        """The address of a cell of the first row without a word."""
        first, count = words_area(self.plan).row, len(typed_words(self.plan))
        return Said(f"ADDRESS({first + 1}+{N_WORDS},{column + 1},4)", cell(first + count, column))

    def _begins_a_word(self) -> Condition:
        token, first = self.token.value, f"LEFT({self.token.formula},1)"
        formula = f'IF({first}=" ",LEN({self.token.formula})>1,IFERROR({kind_of(first)}="o",FALSE))'
        begins = len(token) > 1 if token[:1] == " " else is_printable(token[:1]) and kind(token[:1]) == "o"
        return Condition(formula, begins)

    def _typed_id(self) -> Said:
        row, column, count = self.ids.row, self.ids.column, len(self.plan.trace.token_ids)
        place = Said(f"ADDRESS({row + 1},{column + 1}+{N_TOKENS},4)", cell(row, column + count))
        return sentence("type ", self.token_id, f" into {self.ids.tab}!", place)
