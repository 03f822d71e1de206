"""A run as a folder of CSVs: one file a stage, labelled, and `manifest.json`. Workbooks are `workbook`'s business.

`EXPORTS/NAME/STAGE.csv` has a header row of column labels and a first column of row labels. The folder is written
under a temporary name and renamed, so a run that is interrupted leaves what stood there before.
"""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt import frames
from sheetgpt.errors import DumpError
from sheetgpt.files import atomic, decimals
from sheetgpt.weights import folder_name

if TYPE_CHECKING:
    from sheetgpt.forward import Trace

MANIFEST = "manifest.json"
SLUG_LENGTH = 40


def slug(text: str) -> str:
    """A file name made of a prompt.

    >>> slug("Mike is quick. He moves")
    'mike-is-quick-he-moves'
    """
    words = re.sub(r"[^0-9a-z]+", "-", text.lower()).strip("-")
    return words[:SLUG_LENGTH].strip("-") or "run"


def stage_matrix(trace: Trace, name: str, head_layout: str = "heads") -> tuple[np.ndarray, frames.Axis, frames.Axis]:
    """A matrix stage as dumps show it: (matrix, row labels, column labels), heads as `head_layout` says.

    Raises StageError where the reference's head layout can't hold the run.
    """
    rows, columns = trace.axes(name)
    matrix = trace.array(name)
    if head_layout == "reference" and trace.step(name).columns == "heads x keys":
        matrix = frames.to_reference_heads(matrix, trace.config.n_head, trace.config.head_size)
        columns = frames.Axis(("dimension",), (range(matrix.shape[1]),))
    return matrix, rows, columns


def read_manifest(folder: Path) -> dict:
    """What a dump says of itself; {} where it says nothing. Raises DumpError where that is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DumpError(f"{path} is damaged ({error}): dump the run again, or delete the file") from None
    if not isinstance(about, dict):
        raise DumpError(f"{path} is no manifest: dump the run again, or delete the file")
    return about


def manifest(trace: Trace, head_layout: str = "heads") -> dict:
    """What a dump says of itself: prompt, tokens, constants, dtype, version, stages in order with shapes and titles."""
    return {
        "sheetgpt": version("sheetgpt"),
        "prompt": trace.prompt,
        "tokens": [
            {"position": position, "id": i, "token": token}
            for position, (i, token) in enumerate(zip(trace.token_ids, trace.tokens, strict=True))
        ],
        "predicted_token": dict(
            zip(("logit", "id", "token"), (row[1] for row in trace.text_table("predicted_token")), strict=True)
        ),
        "constants": dict(trace.config.rows()),
        "dtype": str(trace.dtype),
        "head_layout": head_layout,
        "weights": folder_name(trace.weights_folder) if trace.weights_folder else None,
        "overridden": list(trace.overridden),
        "stages": [
            {"name": name, "title": trace.step(name).title, "shape": list(stage_shape(trace, name, head_layout))}
            for name in trace
        ],
    }


def stage_shape(trace: Trace, name: str, head_layout: str = "heads") -> tuple[int, int]:
    if trace.step(name).rows == "text":
        table = trace.text_table(name)
        return len(table), max(map(len, table))
    return stage_matrix(trace, name, head_layout)[0].shape


class LabelTexts:
    """The labels of one run's axes as they stand in its files, each made once: most stages share them."""

    def __init__(self):
        self._made: dict[tuple, bytes | list[bytes]] = {}

    def header(self, columns: frames.Axis) -> bytes:
        return self._once("header", columns, lambda: csv_bytes([["", *columns.flat()]]))

    def rows(self, rows: frames.Axis) -> list[bytes]:
        return self._once("rows", rows, lambda: csv_bytes([label] for label in rows.flat()).splitlines())

    def _once(self, what: str, axis: frames.Axis, make):
        key = (what, axis.names, len(axis), axis.levels[0][0])  # subtle: enough within one run, where tokens are fixed
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def stage_csv(trace: Trace, name: str, head_layout: str, labels: LabelTexts) -> bytes:
    """One stage as the content of its file."""
    if trace.step(name).rows == "text":
        table = trace.text_table(name)
        header = ["", *range(max(map(len, table)))]
        return csv_bytes(
            [header, *([i, *row] for i, row in zip(trace.text_labels(name, len(table)), table, strict=True))]
        )
    matrix, rows, columns = stage_matrix(trace, name, head_layout)
    numbers = decimals.to_lines(matrix, allow_nonfinite=True)
    return labels.header(columns) + b"".join(b"%s,%s\n" % pair for pair in zip(labels.rows(rows), numbers, strict=True))


def csv_bytes(rows) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def write_folder(trace: Trace, folder: Path, *, head_layout: str = "heads") -> Path:
    """Write every stage and the manifest, all or nothing; a dump that stood there is replaced."""
    about = json.dumps(manifest(trace, head_layout), ensure_ascii=False, indent=1) + "\n"
    with replacing_folder(folder) as temporary:
        labels = LabelTexts()
        for name in trace:
            (temporary / f"{name}.csv").write_bytes(stage_csv(trace, name, head_layout, labels))
        (temporary / MANIFEST).write_text(about, encoding="utf-8")
    return folder


@contextmanager
def replacing_folder(folder: Path):
    """A temporary folder that takes the place of `folder` when the block ends well.

    Raises DumpError where `folder` holds something that is not a dump, or can't be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DumpError(f"{folder} exists and is not a dump: choose another --name, or move it away")
    try:
        with atomic.replacing_folder(folder) as temporary:
            yield temporary
    except OSError as error:
        raise DumpError(f"can't write {folder} ({error.strerror or error}): choose another --exports folder") from None
