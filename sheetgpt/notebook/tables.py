"""A frame, or a part of its columns, as a table with the frame's labels; of a large one its first and last cells."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from sheetgpt.notebook.cells import Cell, caption, hint, token

if TYPE_CHECKING:
    import pandas as pd

MOST = 12  # rows, and columns, that are shown
GAP = None  # stands for what is left out
Places = Sequence[int | None]


def picked(numbers: range, most: int = MOST) -> Places:
    """The first and the last of many, with a gap between.

    >>> picked(range(10, 20), 4)
    [10, 11, None, 18, 19]
    """
    half = most // 2
    return numbers if len(numbers) <= most else [*numbers[:half], GAP, *numbers[-half:]]


def shown_of(numbers: range, what: str) -> str:
    """How many of them are shown, where that isn't all.

    >>> shown_of(range(64), "columns"), shown_of(range(6), "rows")
    ('12 of 64 columns', '')
    """
    return f"{MOST} of {len(numbers)} {what}" if len(numbers) > MOST else ""


def table(frame: pd.DataFrame, columns: range, cell: Cell, name: str, left_out: Sequence[str] = ()) -> str:
    """These columns of a frame. left_out: levels of their labels that stand elsewhere."""
    rows = range(len(frame))
    if not rows or not columns:
        return f"<p><small>no {'columns' if rows else 'rows'}</small></p>"
    across, down = picked(columns), picked(rows)
    levels = [level for level, title in enumerate(frame.columns.names) if title not in left_out]
    heads = [label(frame.columns, column, levels, "col") for column in across]
    corner = names([frame.columns.names[level] for level in levels], frame.index.names)
    values = frame.to_numpy()
    cells = (["<td>…</td>" if GAP in (i, j) else cell(values[i, j]) for j in across] for i in down)
    sides = (label(frame.index, number, range(frame.index.nlevels), "row") for number in down)
    body = "".join(f"<tr>{side}{''.join(row)}</tr>" for side, row in zip(sides, cells, strict=True))
    note = ", ".join(filter(None, (shown_of(columns, "columns"), shown_of(rows, "rows"))))
    return (
        f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0"><table><thead><tr>{corner}'
        f"{''.join(heads)}</tr></thead><tbody>{body}</tbody></table></div>{note and f'<small>{note}</small>'}"
    )


def label(index: pd.Index, number: int | None, levels: Sequence[int], scope: str) -> str:
    """A row's or a column's label: its place in small, and what stands there."""
    if number is GAP:
        return "<th>…</th>"
    found: Any = index[number]
    texts = [found[level] for level in levels] if isinstance(found, tuple) else [found]
    small = "".join(f"<i>{escape(caption(text))}</i> " for text in texts[:-1])
    last = escape(token(texts[-1]) if small else caption(texts[-1]))
    last = f"<i>{last}</i>" if isinstance(texts[-1], int) else last
    return f'<th scope="{scope}"{hint(texts[-1])}>{small}{last}</th>'


def names(columns: Sequence[Any], rows: Sequence[Any]) -> str:
    """The corner: what the labels are."""
    across, down = (" ".join(str(name) for name in several if name) for several in (columns, rows))
    return f"<th>{across and f'<i>{escape(across)}</i>'}{across and down and ' '}{escape(down)}</th>"
