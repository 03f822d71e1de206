"""The rows of the merge trace, pass by pass, as the reference lays them out, and a live workbook's trace made as tight.

Writing the trace's formulas belongs in `live.merges`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PASS_ROWS = ("Pass", "Input", "Pairs", "Scores", "Max Score", "Merged", "")
ROWS_A_PASS = len(PASS_ROWS)


def tight_merges(table: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The merge trace of a live workbook, which has room for longer words, as the dump of a run has it.

    A pass has seven rows in both; there are as many as the longest word has letters, and so wide is each word.
    """
    room = len(table) // ROWS_A_PASS
    slots = range(1, len(table[0]), room + 1)
    lengths = [sum(one not in (None, "") for one in table[1][start : start + room]) for start in slots]
    longest, words = max(lengths), sum(map(bool, lengths))
    rows = [*table[: ROWS_A_PASS * longest - 1], table[-1]]
    tight = [[row[0], *(one for start in slots for one in row[start : start + longest + 1])] for row in rows]
    ids = [str(int(one)) if isinstance(one, float) else one for one in tight[-1]]
    return [row[: words * (longest + 1)] for row in [*tight[:-1], ids]]
