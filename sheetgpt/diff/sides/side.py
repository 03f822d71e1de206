"""The sides of a comparison: a CSV dump, a workbook, an npz, or a run on the spot, each as matrices by stage name.

A side tells what it knows of itself (`about`, as a manifest has it), which stages it holds, and where each cell stands
as a person finds it. Pairing and judging is `diff`'s, opening workbooks `workbook.read`'s business.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from sheetgpt.dump import read_manifest
from sheetgpt.errors import DumpError
from sheetgpt.fixtures.files import DAMAGED, open_npz
from sheetgpt.models.config import Config
from sheetgpt.models.sizes import TEXT_STAGES, Shape, config_of

RUN = "run:"
STAGE_NAME = re.compile(
    r"separated_into_words|prompt_to_tokens|final_tokens|token_embeddings|position_(?:table|embeddings)|triangle_matrix"
    r"|block_\d+_step_(?:[1-4]|5_(?:queries|keys)(?:_rotated)?|5_values|[6-9]|1[0-6])|context|mlp_\w+"
    r"|last_hidden_state|last_layernorm|predicted_embedding|logits|probabilities|predicted_token|model_\w+"
)
SAMPLE = 4096  # numbers that are looked at to tell a side's precision


@dataclass(frozen=True)
class Matrix:
    """A stage as a side holds it."""

    numbers: np.ndarray  # [rows, columns] float64, NaN where a cell holds no number
    place: Callable[[int, int], str]  # (row, column) -> the cell's address
    others: Mapping[tuple[int, int], object] = field(default_factory=dict)  # cells that hold something else


class Source:
    """One side. Children say what stages there are and read them; `names` are in no particular order."""

    label: str
    about: Mapping = {}
    names: list[str]

    def read(self, name: str) -> Matrix:
        """A stage that is a matrix. Raises DumpError where it can't be read."""
        raise NotImplementedError

    def table(self, name: str) -> list[list]:
        """A stage of words, merges or tokens, row by row: texts and numbers (a CSV's are texts too)."""
        raise NotImplementedError

    def shape(self, name: str) -> Shape:
        return self.read(name).numbers.shape

    def has(self, name: str) -> bool:
        return name in self.names

    def lacks_in(self, name: str) -> str:  # noqa: ARG002 - a live workbook asks
        """What a stage that it has lacks, so that it can't be compared; usually nothing."""
        return ""

    @property
    def config(self) -> Config | None:
        return config_of(self.about.get("constants", {}))

    @cached_property
    def token_ids(self) -> list[int]:
        """The prompt's token ids; empty where the side doesn't tell."""
        if "final_tokens" in self.names:
            ids = [number_in(cell) for cell in self.table("final_tokens")[-1] if not is_blank(cell)]
            if all(np.isfinite(i) and i == int(i) for i in ids):
                return [int(i) for i in ids]
        return [token["id"] for token in self.about.get("tokens", [])]

    @cached_property
    def tokens(self) -> list[str]:
        """The prompt's tokens, as the token table spells them; `#id` where only ids are known."""
        if self.about.get("tokens"):
            return [token["token"] for token in self.about["tokens"]]
        table = self.table("final_tokens") if "final_tokens" in self.names else []
        if len(table) == 2 and len(table[0]) >= len(self.token_ids):
            return [str(cell) for cell in table[0][: len(self.token_ids)]]
        return [f"#{i}" for i in self.token_ids]

    @cached_property
    def dtype(self) -> str:
        """float64, float32 or float16: what the side says of itself, or what its numbers look like."""
        return self.about.get("dtype") or told_precision(self)


def is_blank(cell) -> bool:
    """Holds the cell nothing? Lone spaces count as nothing: some programs drop them when they save a workbook."""
    return cell is None or (isinstance(cell, str) and not cell.strip(" ")) or cell != cell  # noqa: PLR0124 - NaN


def told_precision(side: Source) -> str:
    """The coarsest type that holds all numbers of some computed stages (the embeddings may be float32 in any run)."""
    computed = [name for name in side.names if "_step_" in name and not name.endswith(("_step_1", "_step_6"))]
    order = {"float16": 0, "float32": 1, "float64": 2}
    found = [precision(side.read(name).numbers) for name in (computed or [n for n in side.names if n == "logits"])[:4]]
    return max(found, key=order.get, default="float64")


def precision(numbers: np.ndarray) -> str:
    """The coarsest type that holds these numbers: as they are, or written as the shortest decimals of float32.

    >>> precision(np.array([0.1, 1 / 3])), precision(np.array([0.1, -2e-7])), precision(np.array([0.5]))
    ('float64', 'float32', 'float16')
    """
    sample = numbers[np.isfinite(numbers)][:SAMPLE]
    with np.errstate(over="ignore", under="ignore"):
        if np.array_equal(sample.astype(np.float16).astype(np.float64), sample):
            return "float16"
        single = sample.astype(np.float32)
    shortest = np.array([float(str(number)) for number in single], np.float64)
    return "float32" if np.all((single == sample) | (shortest == sample)) else "float64"


# ------------------------------------------------------------------------------------------------ a run on the spot


class RunSource(Source):
    """A run's trace. Its weights are there too, for a side that holds some."""

    def __init__(self, trace, weights: Mapping[str, np.ndarray] | None = None, label: str = "run"):
        from sheetgpt.dump import manifest

        self.trace, self.label, self.about = trace, label, manifest(trace)
        self.names = [name for name in trace if name in TEXT_STAGES or trace.array(name).ndim == 2]
        self._weights = weights if weights is not None else {}

    def has(self, name):
        return name in self.names or name in self._weights

    def read(self, name):
        array = self._weights[name] if name in self._weights else self.trace.array(name)
        return Matrix(array.astype(np.float64), lambda row, column: f"{name}[{row},{column}]")

    def table(self, name):
        return self.trace.text_table(name)


# ------------------------------------------------------------------------------------------------ npz


class NpzSource(Source):
    """A file of arrays by stage name, as numpy.savez writes it."""

    def __init__(self, path: Path):
        self.label = str(path)
        try:
            self._arrays = open_npz(path)
        except DAMAGED as error:
            raise DumpError(f"{path} can't be read as an npz ({error}): write it with numpy.savez") from None
        self.names = [name for name in self._arrays.files if STAGE_NAME.fullmatch(name)]
        if not self.names:
            raise DumpError(f"{path} holds no array that is called like a stage, such as block_0_step_7")

    @cached_property
    def _read(self) -> dict[str, np.ndarray]:
        return {}

    def _array(self, name: str) -> np.ndarray:
        """[rows, columns]: axes of length 1 in front are dropped, heads [H, T, T] are put side by side."""
        if name not in self._read:
            try:
                array = self._arrays[name]
            except DAMAGED as error:
                raise DumpError(f"{self.label}, {name} is damaged ({error}): write it again") from None
            if array.dtype.kind not in "fiub":
                raise DumpError(f"{self.label}, {name} holds {array.dtype}, not numbers: write float32 or float64")
            while array.ndim > 2 and array.shape[0] == 1:
                array = array[0]
            if array.ndim == 3 and name.endswith(("_step_6", "_step_7")):
                array = array.swapaxes(0, 1).reshape(array.shape[1], -1)
            if array.ndim > 2:
                raise DumpError(f"{self.label}, {name} has {array.ndim} axes {array.shape}: write rows and columns")
            self._read[name] = np.atleast_2d(array)
        return self._read[name]

    def read(self, name):
        array = self._array(name)
        return Matrix(array.astype(np.float64), lambda row, column: f"{name}[{row},{column}]")

    def table(self, name):
        return self._array(name).tolist()


# ------------------------------------------------------------------------------------------------ CSV dumps


class FolderSource(Source):
    """A folder of `STAGE.csv`: with our labels (then the first cell is blank), or numbers alone."""

    def __init__(self, folder: Path):
        self.label, self.folder = str(folder), folder
        self.names = [path.stem for path in sorted(folder.glob("*.csv")) if STAGE_NAME.fullmatch(path.stem)]
        if not self.names:
            raise DumpError(
                f"{folder} holds no STAGE.csv, such as block_0_step_7.csv: `sheetgpt run --dump-csv` makes them"
            )
        self.about = read_manifest(folder)

    def read(self, name):
        numbers, others, labels = read_csv(self.folder / f"{name}.csv")
        if self.about.get("dtype") == "float32":
            numbers = numbers.astype(np.float32).astype(np.float64)

        def place(row: int, column: int) -> str:
            from sheetgpt.workbook.places import cell

            return f"{name}.csv!{cell(row + labels, column + labels)}"

        return Matrix(numbers, place, others)

    def shape(self, name):
        stages = {stage["name"]: tuple(stage["shape"]) for stage in self.about.get("stages", [])}
        if name not in stages:
            rows, _ = read_cells(self.folder / f"{name}.csv")
            return len(rows), max(map(len, rows), default=0)
        return stages[name]

    def table(self, name):
        return read_cells(self.folder / f"{name}.csv")[0]


def read_cells(path: Path) -> tuple[list[list[str]], int]:
    """(the rows of cells without labels, how many label rows and columns there were: 0 or 1)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DumpError(f"{path} can't be read ({error}): give a CSV of numbers, such as a dump's") from None
    labels = 1 if len(rows) > 1 and rows[0][0] == "" else 0
    return [row[labels:] for row in rows[labels:]], labels


def read_csv(path: Path) -> tuple[np.ndarray, dict[tuple[int, int], str], int]:
    """A matrix with our labels or without any: (numbers [rows, columns], cells that hold none, label rows)."""
    rows, labels = read_cells(path)
    if len({len(row) for row in rows}) != 1:
        raise DumpError(f"{path} has rows of different lengths, or none: it is torn; write it again")
    numbers, others = np.empty((len(rows), len(rows[0]))), {}
    for number, row in enumerate(rows):
        try:
            numbers[number] = row
        except ValueError:
            for column, text in enumerate(row):
                numbers[number, column] = value = number_in(text)
                if np.isnan(value) and text.strip().lower() not in ("", "nan"):
                    others[number, column] = text
    return numbers, others, labels


def number_in(cell) -> float:
    """A cell's number; NaN where it holds none."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


# ------------------------------------------------------------------------------------------------ opening


def open_source(
    text: str, *, weights: str | None = None, dtype: str = "float64", map_file: Path | None = None
) -> Source:
    """A side as it is typed: `run:PROMPT`, a CSV folder, a file of arrays, or a workbook (`map_file`: its places)."""
    if text.startswith(RUN):
        from sheetgpt.model import load_model

        model = load_model(weights, dtype)
        return RunSource(model.run(text.removeprefix(RUN)), model.weights, text)
    path = Path(text)
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise DumpError(f"{text} does not exist: give a CSV dump's folder, a workbook, an .npz, or run:PROMPT")
    if path.suffix.lower() in (".npz", ".safetensors", ".json"):
        from sheetgpt.fixtures.arrays import source

        return source(path)
    from sheetgpt.diff.sides.workbook import SUFFIXES, WorkbookSource

    if path.suffix.lower() in SUFFIXES:
        return WorkbookSource(path, map_file)
    raise DumpError(
        f"{text} is no CSV dump's folder, no workbook ({', '.join(SUFFIXES)}) and no .npz, .safetensors or .json"
    )
