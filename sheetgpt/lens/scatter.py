"""A token and its neighbours as a picture (needs matplotlib). What is near what belongs in `neighbours`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.lens.neighbours import Plane
from sheetgpt.lens.plot import require_plotting, save, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_SIZE = (55, 11)  # pixels that a name takes


def write_map(found: Plane, names: Sequence[str], near: int, path: Path) -> None:
    """All points; first the one that was asked for, then the `near` ones. Names stand wherever there is room."""
    require_plotting(path)
    from matplotlib import pyplot as plt

    colours = np.array(["#B4501E", *["#2F7F86"] * near, *["#A9B4C0"] * (len(names) - near - 1)])
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    axes.scatter(found.points[::-1, 0], found.points[::-1, 1], s=10, c=colours[::-1], linewidths=0)
    first, second = (f"{100 * share:.0f} % of how the vectors differ" for share in found.shares)
    axes.set(xlabel=first, ylabel=second)
    axes.set_title(f"{dotted(names[0])} and its neighbours", parse_math=False)
    fix_layout(figure)
    for i in apart(axes.transData.transform(found.points)):
        look: dict[str, Any] = {"fontsize": 8, "color": colours[i] if i <= near else "#7B8794", "parse_math": False}
        axes.annotate(dotted(names[i]), found.points[i], (4, 3), textcoords="offset points", **look)
    save(figure, path)
    plt.close(figure)


def fix_layout(figure: Figure) -> None:
    """From here on points stay where they are.

    subtle: how large the axes are is known only once they are drawn, with their labels and their title.
    """
    figure.canvas.draw()
    figure.set_layout_engine("none")


def apart(points: np.ndarray) -> list[int]:  # [n, 2], in pixels
    """The points whose names don't cover each other's, the first ones before the others."""
    found: list[int] = []
    for i, point in enumerate(points):
        if not found or not np.any(np.all(np.abs(points[found] - point) < NAME_SIZE, axis=1)):
            found.append(i)
    return found


def dotted(token: str) -> str:
    """A token as it is shown among points: its spaces as dots."""
    return written(token).replace(" ", "\N{MIDDLE DOT}")
