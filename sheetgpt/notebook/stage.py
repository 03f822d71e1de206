"""A stage as Jupyter shows it: what it is in a line, and its table in colours, with a tab for each head."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from sheetgpt.models.step import Step
from sheetgpt.notebook import looks
from sheetgpt.notebook.cells import Cell, cell_of
from sheetgpt.notebook.tables import picked, table

if TYPE_CHECKING:
    import pandas as pd

MOST_HEADS = 16  # tabs
HEAD = "head"  # the level of the columns' labels that the tabs stand for


def html(frame: pd.DataFrame, step: Step, n_head: int, *, is_set: bool = False) -> str:
    """The whole of it. n_head: how many tabs; 1 where the columns aren't divided by heads. is_set: by hand."""
    cell = cell_of(step, frame.to_numpy())
    return looks.whole(headline(step, frame.shape, is_set=is_set), *sheets(frame, step, n_head, cell))


def headline(step: Step, shape: tuple[int, ...], *, is_set: bool) -> str:
    set_by_hand = " · set by hand" if is_set else ""
    what = f"<small>{' × '.join(map(str, shape))}{set_by_hand}</small>"
    return f"<p><b>{escape(step.name)}</b> {escape(step.title)} {what} <em>{escape(step.words)}</em></p>"


def sheets(frame: pd.DataFrame, step: Step, n_head: int, cell: Cell) -> Iterator[str]:
    count = frame.shape[1]
    if n_head == 1 or not count:
        yield table(frame, range(count), cell, step.name)
        return
    group, width = f"sheetgpt-{secrets.token_hex(4)}", count // n_head
    yield '<div class="tabs">'
    for head in picked(range(n_head), MOST_HEADS):
        if head is not None:
            name = f"{step.name}, head {head}"
            yield tab(group, head, table(frame, range(head * width, (head + 1) * width), cell, name, [HEAD]))
    yield "</div>"
    if n_head > MOST_HEADS:
        yield f"<small>{MOST_HEADS} of {n_head} heads</small>"


def tab(group: str, head: int, sheet: str) -> str:
    """A choice, its label, and what is seen while it is chosen; one after another where there are no styles."""
    checked = "" if head else " checked"
    choice = f'<input type="radio" name="{group}" id="{group}-{head}"{checked}>'
    return f'{choice}<label for="{group}-{head}">head {head}</label><div class="tab">{sheet}</div>'
