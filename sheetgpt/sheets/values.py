"""A run as a workbook of values: an index, then every stage, labelled, under its defined name.

Which tab a stage stands on is in `shared`, how numbers get into a file in `workbook`. The workbook whose stages are
formulas is in `live`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.dump import stage_matrix
from sheetgpt.models import heads
from sheetgpt.models.step import Role, Step
from sheetgpt.run.frames import AxisLabels
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import first_tab, neighbours, positions, shared, weight_tabs
from sheetgpt.sheets.colours import highlight
from sheetgpt.sheets.live.plan import lay_out_weights
from sheetgpt.sheets.marks import SetCells, mark, set_in_run
from sheetgpt.sheets.way import Way, write_way
from sheetgpt.workbook.book import Book, require_short
from sheetgpt.workbook.cells import Numbers, Table
from sheetgpt.workbook.grid import MAX_ROWS, MAX_TEXT, Area, width
from sheetgpt.workbook.places import INDEX, Panel, Place, lay_out, tabs

__all__ = ["write_workbook"]

TITLE = "GPT-2, stage by stage"
SUBTITLE = "Every matrix between the prompt and the predicted token, under its name."
PROMPT_ROW = 3  # of the index
NO_MARKS: Mapping[str, SetCells] = {}
ROW_KINDS = {  # how the rows of the merge trace look, by their labels
    "Pairs": "pairs",
    "Scores": "pairs",
    "Max Score": "best score",
    "Merged": "merged",
    "TokenID": "merged",
}
TOKEN_ROWS = ("Tokens", "Token IDs")
MAX_MERGE_CELLS = 2_000_000  # of the merge trace: beyond, it is a table that nobody reads and takes minutes to write
SEE_TRACE = "`sheetgpt tokenize --trace` prints it."

Texts = list[list[Any]]  # a stage of texts, row by row


def write_workbook(
    trace: Trace,
    path: Path,
    *,
    head_layout: str = heads.HEADS,
    marks: Mapping[str, SetCells] = NO_MARKS,
    with_weights: bool = False,
) -> Path:
    """Write the run's workbook. Returns its path. Raises DumpError where it can't be written or doesn't fit a sheet.

    marks: the cells that a person changed, by stage; by default those that don't follow from the run's inputs.
    with_weights: the weights on tabs of their own.
    """
    marks = {**set_in_run(trace), **marks}
    texts = {name: text_table(trace, name) for name in trace if trace.step(name).is_text}
    places = lay_out(stage_panel(trace, name, texts, head_layout) for name in trace)
    book = Book(TITLE)
    book.add_tab(INDEX)
    for tab, found in tabs(places).items():
        step = trace.step(found[0].panel.name)
        columns = width([area for place in found for area in place.areas])
        book.add_tab(tab, shared.heading(step), columns, **shared.tab_look(step))
        for place in found:
            book.panel_head(place)
            book.define(place.panel.name, place.refers_to())
            write_stage(book, place, trace, texts, head_layout, marks.get(place.panel.name))
    best = write_best_tokens(book, places[trace.steps.name(Role.PREDICTION)], trace)
    shared.navigate(book, trace.steps, places)
    weights = lay_out_weights(trace.sizes.weights) if with_weights else {}
    weight_tabs.write_weights(book, trace, weights)
    for name, area in weights.items():
        book.define(name, area.address())
    neighbours.add_tab(book, trace)
    write_index(book, trace, places, best, weights)
    book.save(path)
    return path


def stage_panel(trace: Trace, name: str, texts: Mapping[str, Texts], head_layout: str) -> Panel:
    """A stage as it wants to be laid out."""
    step = trace.step(name)
    if step.is_text:
        return shared.panel(step, len(texts[name]), max(map(len, texts[name])), header_rows=0)
    matrix, _, columns = stage_matrix(trace, name, head_layout)
    rows, count = matrix.shape
    together = keys_a_head(columns, trace) if is_divided(columns) else 1
    return shared.panel(step, rows, count, header_rows=len(columns.levels), together=together)


def text_table(trace: Trace, name: str) -> Texts:
    """A stage of texts; a merge trace that no sheet can show usefully is replaced by a sentence that says so."""
    if trace.step(name).role is Role.MERGES and trace.merges is not None:
        rows, columns = trace.merges.shape
        if rows * columns > MAX_MERGE_CELLS or rows > MAX_ROWS // 2:
            return [[f"The merge trace has {rows:,} rows of {columns:,} cells and is left out here: {SEE_TRACE}"]]
    return trace.text_table(name)


# ------------------------------------------------------------------------------------------------ stages


def write_stage(
    book: Book, place: Place, trace: Trace, texts: Mapping[str, Texts], head_layout: str, marks: SetCells | None
) -> None:
    step = trace.step(place.panel.name)
    if marks and step.by_head and head_layout == heads.REFERENCE:
        marks = marks.turned(partial(heads.padded, n_head=trace.config.n_head, head_size=trace.config.head_size))
    if marks:
        mark(book, place.areas, marks)
    if step.is_text:
        write_text_stage(book, place, step, texts[step.name])
    elif step.role is Role.LOGITS:
        write_logits(book, place.area, trace)
    else:
        changed = marks.cells if marks else None
        write_matrix_stage(book, place, step, trace, *stage_matrix(trace, step.name, head_layout), changed)
        positions.write_values(book, step, place, trace)


def write_text_stage(book: Book, place: Place, step: Step, table: Texts) -> None:
    """Words, merges, tokens and the predicted token, cell by cell."""
    labels = TOKEN_ROWS if step.role is Role.TOKENS else ()
    labelled = step.role in (Role.MERGES, Role.PREDICTION)  # by their own first cells
    start = 0
    for area in place.areas:
        for number, row in enumerate(table):
            if number < len(labels):
                book.text(area.tab, area.row + number, 0, labels[number], "key")
            kind = ROW_KINDS.get(row[0], "piece") if labelled and row else "piece"
            for column, value in enumerate(row[start : start + area.columns]):
                is_label = labelled and start + column == 0
                write_value(book, area.part(number, column, 1, 1), value, "key" if is_label else kind)
        start += area.columns


def write_value(book: Book, at: Area, value: Any, kind: str) -> None:
    if isinstance(value, str):
        if value:
            book.text(at.tab, at.row, at.column, value, kind)
    elif isinstance(value, float):
        book.put(Numbers(at, np.array([[value]])), "number")
    elif value is not None:
        book.number(at.tab, at.row, at.column, value, kind)


def write_matrix_stage(
    book: Book,
    place: Place,
    step: Step,
    trace: Trace,
    matrix: np.ndarray,
    rows: AxisLabels,
    columns: AxisLabels,
    changed: np.ndarray | None,
) -> None:
    """A matrix with its labels: rows by position and token, columns by dimension, or by head, key and token."""
    start = 0
    for area in place.areas:
        write_row_labels(book, area, rows)
        write_column_labels(book, area, columns, start)
        book.put(Numbers(area, matrix[:, start : start + area.columns]), "number")
        here = None if changed is None else changed[:, start : start + area.columns]
        keys = keys_a_head(columns, trace) if is_divided(columns) else None
        highlight(book, step, area, keys, matrix, start=start, changed=here)
        start += area.columns


def is_divided(columns: AxisLabels) -> bool:
    """Are they labelled by head, key and token?"""
    return len(columns.levels) == 3


def keys_a_head(columns: AxisLabels, trace: Trace) -> int:
    """The columns of one head; all of them where they aren't divided."""
    return len(columns) // (trace.config.n_head if is_divided(columns) else 1)


def write_row_labels(book: Book, area: Area, rows: AxisLabels) -> None:
    shared.label_names(book, area, rows.names)
    for number, (position, token) in enumerate(zip(*rows.levels, strict=True), start=area.row):
        book.number(area.tab, number, 0, position, "position")
        book.text(area.tab, number, 1, token, "token")


def write_column_labels(book: Book, area: Area, columns: AxisLabels, start: int) -> None:
    if columns.names == ("dimension",):
        shared.label_dimensions(book, area, start)
        return
    first_row = area.row - len(columns.levels)
    for row, (name, labels) in enumerate(zip(columns.names, columns.levels, strict=True), start=first_row):
        if row < area.row - 1:
            book.text(area.tab, row, 0, "", "head name")
            book.text(area.tab, row, 1, name, "head name")
        for column, label in enumerate(labels[start : start + area.columns], start=area.column):
            if isinstance(label, str):
                book.text(area.tab, row, column, label, "head token")
            else:
                book.number(area.tab, row, column, label, "head")
        if isinstance(labels[0], str):
            book.show_spaces(Area(area.tab, row, area.column, 1, area.columns))


# ------------------------------------------------------------------------------------------------ logits and index


def write_logits(book: Book, area: Area, trace: Trace) -> None:
    """A line a token: id, token, logit, probability, rank."""
    (probability, _), tokens = trace.ranking(), trace.labels.vocabulary()
    lengths = [*map(len, tokens)]
    longest = lengths.index(max(lengths))
    require_short(tokens[longest], area.tab, area.row + longest, 1)
    best_rows = shared.logits_look(book, area)
    shared.write_tokens(book, best_rows, shared.TOKEN_COLUMNS, trace.predictions(best_rows.rows))
    rows = Area(area.tab, area.row, 0, area.rows, len(shared.TOKEN_COLUMNS))
    table = Table(rows, [range(area.rows), tokens, trace.role(Role.LOGITS)[:, 0], probability, trace.ranks.tolist()])
    book.put_table(table, ["position", *(shared.TOKEN_FORMATS[name] for name in shared.TOKEN_COLUMNS[1:])])


def write_best_tokens(book: Book, prediction: Place, trace: Trace) -> Area:
    """Under the predicted token, the best ones. Returns where they stand."""
    best = shared.best_tokens_head(book, prediction, trace.config.n_vocab)
    shared.write_tokens(book, best, shared.BEST_COLUMNS, trace.predictions(best.rows))
    shared.place_chart(book, best)
    return best


def write_index(book: Book, trace: Trace, places: Mapping[str, Place], best: Area, weights: weight_tabs.Areas) -> None:
    """The way from the prompt to the prediction, what was run with what, every stage and weight as a link."""
    first_tab.first_tab(book, TITLE, SUBTITLE)
    prompt = chunks(trace.prompt if trace.prompt is not None else shared.FROM_IDS)
    for row, text in enumerate(prompt, start=PROMPT_ROW):
        book.text(INDEX, row, 1, shared.PROMPT if row == PROMPT_ROW else "", "key")
        book.text(INDEX, row, 2, text, "prompt")
    row = PROMPT_ROW + len(prompt)
    first_tab.high_rows(book, PROMPT_ROW, row + 2)
    found = trace.predictions(1)[0]
    book.text(INDEX, row, 1, "Predicted token", "key")
    book.text(INDEX, row, 2, found.token, "answer")
    book.show_spaces(Area(INDEX, row, 2, 1, 1))
    book.text(INDEX, row + 1, 1, "Its probability", "key")
    book.number(INDEX, row + 1, 2, found.probability, "answer share")
    way = Way(book, trace, trace.steps, places, len(trace.token_ids), live=False, top=row + 3)
    row = first_tab.write_facts(book, facts(trace), write_way(way, best)) + 1
    sizes = trace.sizes.weights
    row = first_tab.write_parameters(book, sizes, row) + 1
    listed = {*tabs(places), *(area.tab for area in weights.values())}
    row = first_tab.write_tab_list(book, listed, {}, row)
    row = first_tab.write_stage_list(book, trace.steps, places, row) + 1
    targets = {name: weight_tabs.title_of(area) for name, area in weights.items()}
    lines = first_tab.write_weight_list(book, sizes, targets, row)
    shared.link_weights(book, trace.steps, places, lines | targets)


def chunks(text: str) -> list[str]:
    """A text in pieces that a cell can hold, at least one."""
    return [text[start : start + MAX_TEXT] for start in range(0, max(1, len(text)), MAX_TEXT)]


def facts(trace: Trace) -> list[tuple[str, str | int]]:
    """What the index says of the run."""
    found: list[tuple[str, str | int]] = [
        ("Tokens in the prompt", len(trace.token_ids)),
        *shared.model_facts(trace),
    ]
    if trace.reads_special:
        found.append((shared.SPECIAL, "read as one token each"))
    if trace.overridden:
        found.append((shared.CHANGED, ", ".join(trace.overridden)))
    return found + trace.config.rows()
