"""A side of a comparison, whatever holds it: stages and weights by name, each a matrix, and what it says of itself.

Each kind of side is a module beside this one. What a side doesn't say is inferred in `inferred`; pairing and judging
belongs in `compare`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from sheetgpt.diff.texts import Table, is_blank
from sheetgpt.errors import DamagedError, DumpError
from sheetgpt.files.labelled import number_in
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import Known, known_names, model_steps, weights_of
from sheetgpt.models.sizes import Shape, Sizes, config_of
from sheetgpt.models.step import Role, Step

NEAREST = 3  # names that are shown for one that isn't read
NOTHING_SAID: Mapping[str, Any] = {}
ERROR_VALUE = re.compile(r"#(NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|SPILL!|CALC!|GETTING_DATA|UNKNOWN!)|Err:\d+")
Found = TypeVar("Found")
Weights = Mapping[str, np.ndarray] | str | Path | None  # matrices, a folder, or the folder that a side names


@dataclass(frozen=True)
class Held:
    """A stage or weight as a side holds it."""

    numbers: np.ndarray  #: [rows, columns] float64, NaN where a cell holds no number
    place: Callable[[int, int], str]  #: (row, column) -> the cell's address
    others: Mapping[tuple[int, int], object] = field(default_factory=dict)  #: cells that hold something else
    blanks: bool = True  #: is NaN a blank cell? Arrays have none: their NaN is NaN
    absent: np.ndarray | None = None  #: [rows, columns] the cells that the side does not hold at all
    held_part: str = ""  #: what it holds then, in words

    def content(self, cell: tuple[int, int]) -> object:
        """What stands in a cell: a number, a text, None where nothing does."""
        number = float(self.numbers[cell])
        return self.others.get(cell, None if self.blanks and np.isnan(number) else number)

    @property
    def errors(self) -> Mapping[tuple[int, int], str]:
        """The cells that hold an error value of a spreadsheet."""
        return {cell: str(value) for cell, value in self.others.items() if is_error_value(value)}


@dataclass(frozen=True)
class Options:
    """How sides are opened: weights and numbers of a run on the spot, the map of a workbook that has no names."""

    weights: str | None = None  #: the model's folder, of `run:PROMPT`
    dtype: str = "float64"  #: float64 or float32, of `run:PROMPT`
    map_file: Path | None = None  #: where stages stand in a workbook


def readable(read: Callable[[str], Found], name: str) -> Found | None:
    """What a side's method says of a stage; None where the stage can't be read. Raises DamagedError."""
    try:
        return read(name)
    except DamagedError:
        raise
    except DumpError:
        return None


def is_error_value(value: object) -> bool:
    """Is it what a spreadsheet shows where it can't compute?

    >>> is_error_value("#DIV/0!"), is_error_value("Err:502"), is_error_value("#5")
    (True, True, False)
    """
    return isinstance(value, str) and ERROR_VALUE.fullmatch(value) is not None


class Side:
    """One side. Each kind reads its own stages; `names` are those it holds, in no particular order."""

    def __init__(
        self,
        label: str,
        names: Sequence[str],
        known: Known,
        about: Mapping[str, Any] = NOTHING_SAID,
        unnumbered: Iterable[str] = (),
    ):
        """unnumbered: names that it holds and that may be a block's, without saying which."""
        self.label, self.names, self.known, self.about = label, names, known, about
        self.unnumbered = known.unnumbered(unnumbered)
        self.taken: Mapping[str, str] = {}  # a stage -> the name without a number under which it is held

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Is this, as it is typed, a side of this kind?"""
        raise NotImplementedError

    @classmethod
    def open(cls, text: str, options: Options) -> Self:
        """The side. Raises DumpError where it can't be opened."""
        raise NotImplementedError

    def read(self, name: str) -> Held:
        """A stage that is a matrix. Raises DumpError where it can't be read."""
        raise NotImplementedError

    def table(self, name: str) -> Table:
        """A stage of texts, row by row: texts and numbers (a CSV's are texts too)."""
        raise NotImplementedError

    def shape(self, name: str) -> Shape:
        """(rows, columns) of a stage as the side holds it."""
        rows, columns = self.read(name).numbers.shape
        return rows, columns

    def shows_sizes(self, name: str) -> bool:  # noqa: ARG002 - a file of arrays asks
        """Is it in a shape from which the sizes of the run can be seen? Flat arrays, say, are not."""
        return True

    def dtype_of(self, name: str) -> str:  # noqa: ARG002 - a file of arrays has types
        """The type in which it holds a stage, such as bfloat16; empty where it doesn't say."""
        return ""

    def has(self, name: str) -> bool:
        """Does it hold this stage or weight?"""
        return name in self.names

    def gap(self, name: str) -> str:  # noqa: ARG002 - a live workbook asks
        """What is missing inside a stage that it has, so that it can't be compared; usually nothing."""
        return ""

    def check(self, sizes: Sizes) -> None:
        """Raises DumpError where it can't be of such a run; from then on it is read as one of these sizes."""

    def take_as_last_block(self, n_layer: int) -> bool:
        """Read names without a block's number as the last block's, unless it holds these too; did that add any?

        The page runs all blocks through the same tables: what is copied out of them afterwards is the last one's.
        """
        if self.taken or not self.unnumbered:
            return False
        last = {step.name_in(n_layer - 1): name for name, step in self.unnumbered.items()}
        self.taken = {stage: name for stage, name in last.items() if stage not in self.names}
        self.names = [*self.names, *self.taken]
        self.known = known_to(self.about, self.names)
        return bool(self.taken)

    def held_as(self, stage: str) -> str:
        """The name under which it holds a stage."""
        return self.taken.get(stage, stage)

    @property
    def unread(self) -> Mapping[str, Sequence[str]]:
        """What it holds under names that aren't known, or that another one precedes -> the nearest known names."""
        alike = {name: [other for other in self.names if self._is_in_a_block(other, step)] for name, step in self._left}
        return {name: others[-NEAREST:] for name, others in alike.items()}

    @property
    def _left(self) -> list[tuple[str, Step]]:
        return [(name, step) for name, step in self.unnumbered.items() if name not in self.taken.values()]

    def _is_in_a_block(self, name: str, step: Step) -> bool:
        found = self.known.stages.get(name)
        return found is not None and found.in_any_block == step.in_any_block

    @property
    def remark(self) -> str:
        """What it shows of how it was made that no stage's comparison says; usually nothing."""
        return ""

    # ------------------------------------------------------------------------------------------------ what it says

    def is_text(self, name: str) -> bool:
        """Is it a table of texts?"""
        step = self.known.stages.get(name)
        return step is not None and step.is_text

    def named(self, role: Role) -> str | None:
        """Its stage that has this role; None where it holds none."""
        steps = {name: self.known.stages.get(name) for name in self.names}
        return next((name for name, step in steps.items() if step is not None and step.role is role), None)

    @property
    def config(self) -> Config | None:
        """The model's constants; None where the side doesn't say."""
        return constants_of(self.about)

    @cached_property
    def token_ids(self) -> list[int]:
        """The prompt's token ids; empty where the side doesn't tell."""
        table = self._token_table
        if table:
            ids = [number_in(cell) for cell in table[-1] if not is_blank(cell)]
            if all(np.isfinite(i) and i == int(i) for i in ids):
                return [int(i) for i in ids]
        return [token["id"] for token in self.about.get("tokens", [])]

    @cached_property
    def _token_table(self) -> Table:
        """Empty where it holds none, or one that can't be read: comparing it says so."""
        name = self.named(Role.TOKENS)
        return (readable(self.table, name) if name else None) or []

    @cached_property
    def tokens(self) -> list[str]:
        """The prompt's tokens, as the token table spells them; `#id` where only ids are known."""
        if self.about.get("tokens"):
            return [token["token"] for token in self.about["tokens"]]
        table = self._token_table
        if len(table) == 2 and len(table[0]) >= len(self.token_ids):
            return [str(cell) for cell in table[0][: len(self.token_ids)]]
        return [f"#{i}" for i in self.token_ids]


def constants_of(about: Mapping[str, Any]) -> Config | None:
    """The constants of the model that a side says it ran; None where it doesn't say."""
    return config_of(about.get("constants", {}))


def known_to(about: Mapping[str, Any], names: Collection[str]) -> Known:
    """What these names stand for: in the model that the side says it ran, else in any model of ours."""
    config = constants_of(about)
    if config is None:
        return known_names(names)
    return Known(dict(model_steps(config, untied=True).by_name), weights_of(config, untied=True))
