"""A run as a folder of CSVs: one file a stage, labelled, and `manifest.json`. Workbooks belong in `sheets`.

`EXPORTS/NAME/STAGE.csv` has a header row of column labels and a first column of row labels. The folder is written
under a temporary name and renamed, so a run that is interrupted leaves what stood there before.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.files import atomic, decimals
from sheetgpt.models import heads
from sheetgpt.run.frames import AxisLabels
from sheetgpt.run.trace import Trace
from sheetgpt.weights.folder import folder_name

__all__ = ["manifest", "read_manifest", "slug", "stage_matrix", "write_folder"]

MANIFEST = "manifest.json"
SLUG_LENGTH = 40
DUMP_AGAIN = "dump the run again, or delete the file"


def slug(text: str) -> str:
    """A file name made of a prompt.

    >>> slug("Mike is quick. He moves")
    'mike-is-quick-he-moves'
    """
    words = re.sub(r"[^0-9a-z]+", "-", text.lower()).strip("-")
    return words[:SLUG_LENGTH].strip("-") or "run"


def stage_matrix(trace: Trace, name: str, head_layout: str = heads.HEADS) -> tuple[np.ndarray, AxisLabels, AxisLabels]:
    """A matrix stage as dumps show it: (matrix [rows, columns], row labels, column labels), heads as `head_layout`
    says.

    Raises StageError where the reference's head layout can't hold the run.
    """
    rows, columns = trace.axes(name)
    matrix = trace.array(name)
    if head_layout == heads.REFERENCE and trace.step(name).by_head:
        matrix = heads.padded(matrix, trace.config.n_head, trace.config.head_size)
        columns = AxisLabels(("dimension",), (range(matrix.shape[1]),))
    return matrix, rows, columns


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a dump says of itself; {} where it says nothing. Raises DumpError where that is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DumpError(f"is damaged ({error})", where=path, remedy=DUMP_AGAIN) from None
    return checked_manifest(about, path)


def checked_manifest(about: object, where: object) -> dict[str, Any]:
    """A manifest, or the like in another file, of which every part that is read is as we write it; else DumpError."""
    from sheetgpt.models import manifests  # only here: most runs read none

    if not isinstance(about, dict):
        raise DumpError("is no manifest", where=where, remedy=DUMP_AGAIN)
    fault = manifests.fault(about)
    if fault:
        raise DumpError(f"is damaged ({fault})", where=where, remedy=DUMP_AGAIN)
    return about


def manifest(trace: Trace, head_layout: str = heads.HEADS) -> dict[str, Any]:
    """What a dump says of itself: prompt, tokens, constants, dtype, version, stages in order with shapes and titles."""
    from importlib.metadata import version  # only here: it is slow to import, and most runs dump nothing

    return {
        "sheetgpt": version("sheetgpt"),
        "prompt": trace.prompt,
        **({"special": True} if trace.reads_special else {}),
        "tokens": [
            {"position": position, "id": i, "token": token}
            for position, (i, token) in enumerate(zip(trace.token_ids, trace.tokens, strict=True))
        ],
        "predicted_token": dict(
            zip(("logit", "id", "token"), (row[1] for row in trace.prediction_table()), strict=True)
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


def stage_shape(trace: Trace, name: str, head_layout: str = heads.HEADS) -> tuple[int, int]:
    if trace.step(name).is_text:
        table = trace.text_table(name)
        return len(table), max(map(len, table))
    return stage_matrix(trace, name, head_layout)[0].shape


Key = tuple[tuple[str, ...], int, object]


class LabelTexts:
    """The labels of one run's axes as they stand in its files, each made once: most stages share them."""

    def __init__(self) -> None:
        self._headers: dict[Key, bytes] = {}
        self._rows: dict[Key, list[bytes]] = {}

    def header(self, columns: AxisLabels) -> bytes:
        key = key_of(columns)
        if key not in self._headers:
            self._headers[key] = csv_bytes([["", *columns.flat()]])
        return self._headers[key]

    def rows(self, rows: AxisLabels) -> list[bytes]:
        key = key_of(rows)
        if key not in self._rows:
            self._rows[key] = csv_bytes([label] for label in rows.flat()).splitlines()
        return self._rows[key]


def key_of(axis: AxisLabels) -> Key:
    return axis.names, len(axis), axis.levels[0][0]  # subtle: enough within one run, where tokens are fixed


def stage_csv(trace: Trace, name: str, head_layout: str, labels: LabelTexts) -> bytes:
    """One stage as the content of its file."""
    if trace.step(name).is_text:
        table = trace.text_table(name)
        header = ["", *range(max(map(len, table)))]
        return csv_bytes(
            [header, *([i, *row] for i, row in zip(trace.text_labels(name, len(table)), table, strict=True))]
        )
    matrix, rows, columns = stage_matrix(trace, name, head_layout)
    numbers = decimals.to_lines(matrix, allow_nonfinite=True)
    return labels.header(columns) + b"".join(b"%s,%s\n" % pair for pair in zip(labels.rows(rows), numbers, strict=True))


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def write_folder(trace: Trace, folder: Path, *, head_layout: str = heads.HEADS) -> Path:
    """Write every stage and the manifest, all or nothing; a dump that stood there is replaced. Returns the folder.

    Raises DumpError where the folder holds something that is not a dump, or can't be written.
    """
    about = json.dumps(manifest(trace, head_layout), ensure_ascii=False, indent=1) + "\n"
    with replacing_folder(folder) as temporary:
        labels = LabelTexts()
        for name in trace:
            (temporary / f"{name}.csv").write_bytes(stage_csv(trace, name, head_layout, labels))
        (temporary / MANIFEST).write_text(about, encoding="utf-8")
    return folder


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` when the block ends well.

    Raises DumpError where `folder` holds something that is not a dump, or can't be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DumpError("exists and is not a dump", where=folder, remedy="choose another --name, or move it away")
    try:
        with atomic.replacing_folder(folder) as temporary:
            yield temporary
    except OSError as error:
        what = f"can't write {folder} ({error.strerror or error})"
        raise DumpError(what, remedy="choose another --exports folder") from None
