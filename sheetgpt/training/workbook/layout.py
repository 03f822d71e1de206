"""Where things stand in a training workbook: its tabs, the rows of the tab `training`, and which names are matrices.

Those who write it ask here, and those who read it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import LABEL_COLUMNS

TRAINING, VOCABULARY, POSITIONS = "training", "vocabulary", "positions"  # of a small model's step, with its formulas
LOSS, CHECK, GRAPH = "loss", "gradient_check", "value_graph"
WORD_ROW, SETTINGS_ROW, GIVEN_ROW, BANDS_ROW = 2, 4, 12, 20  # of the tab `training`: word, constants, positions, steps
BAND_HEAD = 5  # rows over a band's matrices: the step and its loss, name, title, shape, column labels
FIRST_MATRIX = LABEL_COLUMNS + 1  # its labels scroll with it: the frozen columns say only which step it is


def matrix_names(areas: Mapping[str, Sequence[Area]]) -> list[str]:
    """The names in a workbook that are matrices of its steps, in the order in which they stand there.

    >>> word, loss, scores, head, positions = (Area(*at) for at in (
    ...     ("training", 2, 2, 1, 1), ("training", 21, 1, 1, 1), ("training", 25, 2, 4, 8), ("training", 25, 6, 4, 4),
    ...     ("positions", 2, 0, 4, 1)))
    >>> named = {"word": word, "loss": loss, "scores": scores, "scores_head_1": head, "positions": positions}
    >>> matrix_names({name: [area] for name, area in named.items()})
    ['scores']
    """
    found: list[str] = []
    ends: dict[tuple[str, int], int] = {}  # of the rows in which matrices begin: the column after the last one
    for name in sorted((name for name in areas if holds_matrix(areas[name][0])), key=lambda name: order(areas[name])):
        area = areas[name][0]
        if area.column >= ends.get((area.tab, area.row), 0):  # else a part of a matrix, such as a head's columns
            ends[area.tab, area.row] = area.column + area.columns
            found.append(name)
    return found


def holds_matrix(area: Area) -> bool:
    if area.tab in (POSITIONS, VOCABULARY):
        return False
    return area.tab != TRAINING or (area.row >= BANDS_ROW + BAND_HEAD and area.column >= LABEL_COLUMNS)


def order(areas: Sequence[Area]) -> tuple[int, str, int, int]:
    """Band after band, each from left to right, the whole before its parts; on other tabs as the workbook has them."""
    first = areas[0]
    if first.tab != TRAINING:
        return 0, first.tab, first.column, 0
    return first.row, first.tab, first.column, -first.columns
