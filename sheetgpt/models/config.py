"""The constants of a model: the numbers that fix every shape, and `constants.csv`, which holds them.

Here: the constants, their checks, reading and writing `constants.csv`. Reading weights belongs in `weights`.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sheetgpt.errors import WeightsError
from sheetgpt.files.text import separator_of

__all__ = ["Config"]

REFERENCE_HEAD_SIZE = 64  # the reference workbook fixes it; its weight folder says nothing of heads
MOST_LAYERS = 10_000
TEXTS = ("position", "model")  # constants that are words, and have a default
CONSTANTS_FILE = "constants.csv"
MODELS = {  # from the plainest model; and the module that holds it
    "die": "sheetgpt.models.ladder",
    "softmax": "sheetgpt.models.ladder",
    "bigram": "sheetgpt.models.ladder",
    "mlp": "sheetgpt.models.ladder",
    "attention": "sheetgpt.models.ladder",
    "microgpt": "sheetgpt.models.microgpt",
    "gpt2": "sheetgpt.models.gpt2",
}
POSITIONS = ("learned", "sinusoidal", "rotary")


@dataclass(frozen=True)
class Config:
    """The constants of a GPT-2. Raises WeightsError where they fit no model: below 1, or heads that don't share n_embd.

    >>> Config(n_layer=12, n_head=12, n_embd=768, n_ctx=1024, n_vocab=50257).head_size
    64
    """

    n_layer: int  #: blocks
    n_head: int  #: heads of each block
    n_embd: int  #: dimensions of a token's row
    n_ctx: int  #: tokens that a context holds
    n_vocab: int  #: tokens of the vocabulary
    position: str = "learned"  #: "learned", "sinusoidal" or "rotary"
    #: "gpt2", or the name of a smaller model: "die", "softmax", "bigram", "mlp", "attention", "microgpt"
    model: str = "gpt2"

    def __post_init__(self) -> None:
        for name in ("n_layer", "n_head", "n_embd", "n_ctx", "n_vocab"):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise WeightsError(f"{name} is {value!r}, no whole number", remedy=f"correct {CONSTANTS_FILE}")
            if value < 1:
                raise WeightsError(f"{name} is {value}; it must be at least 1", remedy=f"correct {CONSTANTS_FILE}")
        if self.n_layer > MOST_LAYERS:  # steps are listed before any file is looked at
            what = f"n_layer is {self.n_layer:,}; it must be at most {MOST_LAYERS:,}"
            raise WeightsError(what, remedy="correct the constants")
        if self.n_embd % self.n_head:
            what = f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}"
            raise WeightsError(what, remedy=f"correct n_head in {CONSTANTS_FILE}")
        if self.position not in POSITIONS:
            what = f"position {self.position!r} is none of {', '.join(POSITIONS)}"
            raise WeightsError(what, remedy=f"correct it in {CONSTANTS_FILE}")
        if self.model not in MODELS:
            what = f"model {self.model!r} is none of {', '.join(MODELS)}"
            raise WeightsError(what, remedy=f"correct it in {CONSTANTS_FILE}")
        if self.position == "rotary" and self.head_size % 2:
            what = f"rotary positions turn pairs, and n_embd / n_head is {self.head_size}"
            raise WeightsError(what, remedy="choose an even head size")

    @property
    def head_size(self) -> int:
        """Dimensions of a head, n_embd / n_head."""
        return self.n_embd // self.n_head

    @classmethod
    def read(cls, path: Path) -> Config:
        """The constants in a `constants.csv` (columns name, value). Raises WeightsError naming file and row."""
        known = {field.name: field for field in fields(cls)}
        values: dict[str, Any] = {}
        for number, row in enumerate(_rows(path), start=1):
            cells = [cell.strip() for cell in row if cell.strip()]
            if not cells or cells[:2] == ["name", "value"]:
                continue
            where = f"{path}, row {number}:"
            if len(cells) != 2:
                raise WeightsError(f"expected a name and a value, found {row!r}", where=where)
            name, value = cells
            if name not in known:
                raise WeightsError(f"unknown constant {name!r}; known: {', '.join(known)}", where=where)
            if name in values:
                raise WeightsError(f"{name} is given twice", where=where, remedy="remove one")
            try:
                values[name] = value if name in TEXTS else int(value)
            except ValueError:
                raise WeightsError(f"{name} must be a whole number, not {value!r}", where=where) from None
        missing = [name for name in known if name not in values and name not in TEXTS]
        if missing:
            what = f"has no {', '.join(missing)}"
            raise WeightsError(what, where=path, remedy=f"add a row `{missing[0]},VALUE`")
        return cls(**values)

    def rows(self) -> list[tuple[str, int | str]]:
        """(name, value) of each constant, in order, as files show them; no `model` for GPT-2."""
        return [(name, value) for name, value in asdict(self).items() if (name, value) != ("model", "gpt2")]


def _rows(path: Path) -> list[list[str]]:
    """The cells of each line."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        return list(csv.reader(text.splitlines(), delimiter=separator_of(text.partition("\n")[0]), strict=True))
    except csv.Error as error:
        raise WeightsError(f"is no table of constants ({error})", where=path, remedy="write it again") from None
