"""Where things stand in a training workbook: its tabs, the rows of the tab `training`, and which names are matrices.

Those who write it ask here, and those who read it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import LABEL_COLUMNS

TRAINING, VOCABULARY, POSITIONS = "training", "vocabulary", "positions"  # of a small model's step, with its formulas
LOSS, CHECK, GRAPH = "loss", "gradient_check", "value_graph"
SETTINGS_ROW, GIVEN_ROW, BANDS_ROW = 4, 12, 20  # of the tab `training`: constants, what is learned from, the steps
BAND_HEAD = 5  # rows over a band's matrices: the step and its loss, name, title, shape, column labels


def matrix_names(areas: Mapping[str, Sequence[Area]]) -> list[str]:
    """The names in a workbook that are matrices of its steps, in the order in which they stand there.

    >>> word, loss, wte, positions = (Area(*at, 1, 1) for at in (
    ...     ("training", 2, 2), ("training", 21, 1), ("training", 25, 2), ("positions", 2, 0)))
    >>> matrix_names({"word": [word], "loss": [loss], "model_wte": [wte], "positions": [positions]})
    ['model_wte']
    """
    names = [name for name, parts in areas.items() if holds_matrix(parts[0])]
    return sorted(names, key=lambda name: order(areas[name]))


def holds_matrix(area: Area) -> bool:
    if area.tab in (POSITIONS, VOCABULARY):
        return False
    return area.tab != TRAINING or (area.row >= BANDS_ROW + BAND_HEAD and area.column >= LABEL_COLUMNS)


def order(areas: Sequence[Area]) -> tuple[int, str, int]:
    """Band after band, each from left to right; on other tabs as the workbook has them."""
    first = areas[0]
    return first.row if first.tab == TRAINING else 0, first.tab, first.column
