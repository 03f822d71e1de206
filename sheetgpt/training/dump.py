"""Steps of training as a folder of CSVs: one file a matrix and step, the loss table, the losses, the gradient check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sheetgpt.dump import MANIFEST, csv_bytes, replacing_folder
from sheetgpt.files import decimals
from sheetgpt.training.step import OneStep, Training

__all__ = ["write_folder"]


def write_folder(training: Training, folder: Path) -> Path:
    """Write `step_N/NAME.csv` for every matrix, without header and index as weights have it, and the tables."""
    with replacing_folder(folder) as temporary:
        for step in training.steps:
            write_step(training, step, temporary / f"step_{step.number}")
        losses: list[list[object]] = [[step.number, step.loss] for step in training.steps]
        (temporary / "losses.csv").write_bytes(csv_bytes([["step", "loss"], *losses]))
        for name, rows in (("gradient_check", training.gradient_check), ("value_graph", training.value_graph)):
            if rows:
                (temporary / f"{name}.csv").write_bytes(table(rows))
        about = json.dumps(manifest(training), ensure_ascii=False, indent=1)
        (temporary / MANIFEST).write_text(about + "\n", encoding="utf-8")
    return folder


def write_step(training: Training, step: OneStep, folder: Path) -> None:
    folder.mkdir()
    for name, matrix in step.matrices.items():
        (folder / f"{name}.csv").write_bytes(b"".join(line + b"\n" for line in decimals.to_lines(matrix)))
    (folder / "loss_table.csv").write_bytes(table(training.loss_table(step)))


def manifest(training: Training) -> dict[str, Any]:
    """What the dump says of itself."""
    return {
        "sheetgpt": version("sheetgpt"),
        "text": training.text,
        "constants": dict(training.model.config.rows()) | {"model": training.model.config.model},
        "ids": training.example.ids.tolist(),
        "targets": training.example.targets.tolist(),
        "settings": asdict(training.settings),
        "loss_is": f"mean of {training.loss.penalty.in_short}",
        "losses": [step.loss for step in training.steps],
        "matrices": {name: list(matrix.shape) for name, matrix in training.steps[0].matrices.items()},
    }


def table(rows: Sequence[Any]) -> bytes:
    """Rows of one dataclass under the names of its fields; lists as numbers with spaces between."""
    first = asdict(rows[0])
    return csv_bytes([list(first), *([flat(value) for value in asdict(row).values()] for row in rows)])


def flat(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value
