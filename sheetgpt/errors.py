"""What can be wrong with the input: where, what, and the way out. The sentence that a person reads is made from these.

The command line prints the sentence and exits with 2; nothing here knows of click.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = [
    "CellError",
    "ConvertError",
    "DamagedError",
    "DumpError",
    "LensError",
    "PromptError",
    "SheetGPTError",
    "StageError",
    "TextError",
    "TokenizerError",
    "TrainingError",
    "UnknownStageError",
    "WeightsError",
]


class SheetGPTError(Exception):
    """Something is wrong with what the user gave; the message is one line and says what to do.

    It is made of three fields: `where` (a file, a row), `what` is wrong there, and the `remedy`.

    >>> str(SheetGPTError("is torn", where="wte.csv, row 3", remedy="get it again"))
    'wte.csv, row 3 is torn: get it again'
    """

    def __init__(self, what: str, *, where: object = "", remedy: str = ""):
        super().__init__(what)
        self.where, self.what, self.remedy = str(where), what, remedy

    def __str__(self) -> str:
        sentence = f"{self.where} {self.what}" if self.where else self.what
        return f"{sentence}: {self.remedy}" if self.remedy else sentence


class WeightsError(SheetGPTError):
    """A weight folder, or a file in it, is missing, torn, misshapen or not a number."""


class CellError(WeightsError):
    """A cell of a weight file holds no number, but what its field `cell` holds."""

    def __init__(self, what: str, *, cell: str, where: object = "", remedy: str = ""):
        super().__init__(what, where=where, remedy=remedy)
        self.cell = cell


class TextError(SheetGPTError):
    """A text file is missing, empty or not UTF-8."""


class TokenizerError(SheetGPTError):
    """A token table is damaged, or a text or id cannot be told in tokens."""


class PromptError(SheetGPTError):
    """A prompt is empty, too long, or holds ids that the model does not have."""


class StageError(SheetGPTError):
    """A stage's name, shape or cell address does not exist in this model or run."""


class UnknownStageError(StageError, KeyError):
    """No such stage: a StageError for the command line, a KeyError for whoever treats a trace as a mapping."""

    __str__ = StageError.__str__

    def __init__(self, name: object, known: Collection[str]):
        from difflib import get_close_matches

        like = get_close_matches(str(name), list(known), n=3) or list(known)[:3]
        super().__init__(f"no stage is called {name!r}; did you mean {', '.join(like)}?")


class LensError(SheetGPTError):
    """A lens can't be held over this model, these prompts or this token, or what it shows can't be drawn."""


class ConvertError(SheetGPTError):
    """A checkpoint is not GPT-2, is damaged, or is not safe to read."""


class TrainingError(SheetGPTError):
    """Training can't begin or go on: an empty corpus, a checkpoint of another model, a loss that is not a number."""


class DumpError(SheetGPTError):
    """A workbook or dump folder cannot be written or read."""


class DamagedError(DumpError):
    """A file is torn or damaged: nothing in it is to be believed, so no comparison goes on without it."""
