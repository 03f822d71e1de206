"""Folders of many prompts' runs: one that `sheetgpt batch` keeps, or a port's files of arrays by prompt number.

Each gives a single prompt's side by its number. Comparing belongs in `compare`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.batch.store import Runs, is_runs, open_runs
from sheetgpt.diff.sides import Held, Side
from sheetgpt.diff.sides.arrays import ArraysSide
from sheetgpt.diff.texts import Table
from sheetgpt.errors import DumpError
from sheetgpt.files.paths import existing
from sheetgpt.fixtures.files import holds_arrays
from sheetgpt.models.kinds import Known, weights_of

SUFFIXES = (".npz", ".safetensors")
LAST_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class Fingerprint:
    """Of a model's weights in a type."""

    digest: str
    dtype: str


class Folder:
    """The runs of many prompts by their numbers."""

    def __init__(self, label: str, numbers: Sequence[int]):
        self.label, self.numbers = label, numbers

    def side(self, number: int) -> Side:
        """One prompt's run. Raises SheetGPTError where it can't be read."""
        raise NotImplementedError

    def why_not(self, number: int) -> str:  # noqa: ARG002 - a folder of runs knows
        """Why it holds no run of a prompt, where it knows."""
        return ""

    @property
    def model(self) -> Fingerprint | None:
        """What its model is known by; None where it doesn't say."""
        return None

    @property
    def unread(self) -> Sequence[str]:
        """The names of files that it passes over."""
        return ()


class Stored(Folder):
    """What `sheetgpt batch` keeps."""

    def __init__(self, path: Path):
        self.runs = open_runs(path)
        errors = {number: self.runs.entry(number).error for number in range(len(self.runs))}
        self._errors = {number: error for number, error in errors.items() if error is not None}
        super().__init__(str(path), [number for number, error in errors.items() if error is None])

    def side(self, number: int) -> Side:
        return StoredSide(self.runs, number)

    def why_not(self, number: int) -> str:
        return self._errors.get(number, "")

    @property
    def model(self) -> Fingerprint:
        return Fingerprint(self.runs.fingerprint, self.runs.dtype)


class StoredSide(Side):
    """One prompt's run of those that are kept together: its stages, read from disk when they are asked for."""

    def __init__(self, runs: Runs, number: int):
        self.trace = runs[number]
        ids, tokens = self.trace.token_ids, self.trace.tokens
        about = {
            "prompt": self.trace.prompt,
            "tokens": [{"id": i, "token": token} for i, token in zip(ids, tokens, strict=True)],
            **{name: runs.manifest.get(name) for name in ("constants", "dtype", "weights")},
        }
        known = Known(dict(self.trace.steps.by_name), weights_of(self.trace.config, untied=True))
        super().__init__(f"{runs.folder}, prompt {number}", list(self.trace), known, about)

    def read(self, name: str) -> Held:
        numbers = self.trace.array(name).astype(np.float64, copy=False)
        return Held(numbers, lambda row, column: f"{name}[{row},{column}]", blanks=False)

    def table(self, name: str) -> Table:
        return self.trace.text_table(name)

    def dtype_of(self, name: str) -> str:  # noqa: ARG002 - all have one type
        return str(self.about["dtype"])


class Files(Folder):
    """Files of arrays whose names hold the prompt's number, such as `17.npz` or `prompt_017.npz`."""

    def __init__(self, folder: Path):
        self._files = by_number(folder)
        read = set(self._files.values())
        self._unread = sorted(path.name for path in folder.iterdir() if path not in read)
        super().__init__(str(folder), sorted(self._files))

    def side(self, number: int) -> Side:
        return ArraysSide(self._files[number])

    @property
    def unread(self) -> Sequence[str]:
        return self._unread


def by_number(folder: Path) -> Mapping[int, Path]:
    """The files by the last number in their names. Raises DumpError where two have the same."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        number = LAST_NUMBER.search(path.stem)
        if path.suffix.lower() not in SUFFIXES or number is None or not path.is_file():
            continue
        other = found.setdefault(int(number[1]), path)
        if other != path:
            what = f"holds {other.name} and {path.name}, both of prompt {int(number[1])}"
            raise DumpError(what, where=folder, remedy="keep one file a prompt")
    return found


def is_many(text: str) -> bool:
    """Is this, as it is typed, a folder of many prompts' runs?"""
    path = existing(text)
    if path is None or not path.is_dir():
        return False
    is_one_run = holds_arrays(path) or any(path.glob("*.csv"))
    return is_runs(path) or (not is_one_run and bool(by_number(path)))


def open_folder(text: str) -> Folder:
    """Raises DumpError where it is none."""
    path = existing(text)
    if path is None or not is_many(text):
        what = "is no folder of many prompts' runs, as the other side is"
        raise DumpError(what, where=text, remedy="give a folder of `sheetgpt batch`, or of files such as 0.npz, 1.npz")
    return Stored(path) if is_runs(path) else Files(path)
