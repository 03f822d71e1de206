"""The course of a training as files: the log of its losses as CSV, the curve as a picture (needs matplotlib)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.errors import TrainingError
from sheetgpt.files.atomic import replacing
from sheetgpt.lens.plot import require_plotting, save

if TYPE_CHECKING:
    from sheetgpt.training.trainer import LogRow

__all__ = ["write_log", "write_plot"]

COLUMNS = ("step", "loss", "held_out", "learning_rate", "gradient_norm", "tokens", "seconds")
SMOOTH_OVER = 50  # steps of the curve's mean line, at most a tenth of all


def write_log(log: Sequence[LogRow], path: Path) -> None:
    """One row a step; `held_out` is empty where the step didn't look at what was held out."""
    with _refusals(path), replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([getattr(row, name) for name in COLUMNS] for row in log)


def write_plot(log: Sequence[LogRow], path: Path, in_short: str = "-ln p") -> None:
    """The loss of every step, its mean over some steps, and the loss of what was held out.

    in_short: the penalty whose mean the loss is, where p is the probability of the token that came.
    """
    require_plotting(path)
    from matplotlib import pyplot as plt

    steps, losses = [row.step for row in log], np.array([row.loss for row in log])
    over = max(1, min(SMOOTH_OVER, len(losses) // 10))
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(steps, losses, color="#b9cfe8", linewidth=0.8, label="loss of each step")
    mean = np.convolve(losses, np.ones(over) / over, "valid")
    axes.plot(steps[over - 1 :], mean, color="#1f5fa8", label=f"mean of {over} steps" if over > 1 else None)
    held_out = [(row.step, row.held_out) for row in log if row.held_out is not None]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "o-", color="#c8502b", markersize=3, label="held out")
    axes.set(xlabel="step", ylabel=f"loss (mean of {in_short})")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(figure, path)
    plt.close(figure)


def write_losses(losses: Sequence[float], path: Path, in_short: str) -> None:
    """The losses of some steps on one text, each marked."""
    require_plotting(path)
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(range(1, len(losses) + 1), losses, "o-", color="#1f5fa8", markersize=3)
    axes.set(xlabel="step", ylabel=f"loss (mean of {in_short})")
    axes.grid(alpha=0.3)
    save(figure, path)
    plt.close(figure)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """As one line."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"can't write {path}: {error.strerror}", remedy="choose another file") from None
