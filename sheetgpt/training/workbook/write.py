"""The training workbook in the form that suits the model: a small model's steps in bands, a larger model's on tabs."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.training.step import Training
from sheetgpt.training.workbook.bands import Bands
from sheetgpt.training.workbook.tabs import OnTabs

__all__ = ["write_training"]

WIDEST_BAND = 6000  # columns; a model whose step is wider stands on tabs
ROOM = 8  # positions that a live workbook has room for, at least


def is_small(training: Training) -> bool:
    """Does a step fit into one band?"""
    width: int = sum(matrix.shape[1] + 2 for matrix in training.steps[0].matrices.values())
    return width <= WIDEST_BAND


def write_training(training: Training, path: Path, *, live: bool = False) -> Path:
    """Write the workbook. Returns its path. Raises DumpError where it would be too large, or formulas can't be."""
    if live and not is_small(training):
        raise DumpError("this model is too large for gradients as formulas", remedy="dump it without --formulas")
    if live and training.settings.gradient != "backprop":
        raise DumpError("formulas are those of backprop", remedy="leave --gradient out")
    if is_small(training):
        return Bands(training, live=live).write(path)
    return OnTabs(training).write(path)
