"""A run as a workbook of values: an index, then every stage, labelled, under its defined name.

Where a stage stands is `layout`'s, how it looks `style`'s and `book`'s, how numbers get into a file `cells`'.
The workbook whose stages are formulas is `live`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.dump import stage_matrix
from sheetgpt.models.gpt2 import Step
from sheetgpt.run import frames
from sheetgpt.sheets.marks import Mark, mark
from sheetgpt.weights.folder import folder_name
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book, require_short
from sheetgpt.workbook.cells import Numbers, Table
from sheetgpt.workbook.places import (
    HEAD,
    INDEX,
    LABEL_COLUMNS,
    LOGITS,
    MAX_ROWS,
    MAX_TEXT,
    Area,
    Place,
    Stage,
    lay_out,
    tabs,
    widths,
)

if TYPE_CHECKING:
    from sheetgpt.run.trace import Trace

NO_MARKS: Mapping[str, Sequence[Mark]] = {}
BEST = 10  # tokens in the table under the predicted one and in the chart
HEADINGS = {
    "Prompt_to_Tokens": "From the prompt to tokens: words, then merges, pass by pass",
    "embeddings": "Tokens become vectors",
    "head": "The language head: the last row becomes a prediction",
    "logits": "How well each token would continue the prompt",
}
MAX_MERGE_CELLS = 2_000_000  # of the merge trace: beyond, it is a table that nobody reads and takes minutes to write
SEE_TRACE = "`sheetgpt tokenize --trace` prints it."


def write_workbook(
    trace: Trace, path: Path, *, head_layout: str = "heads", marks: Mapping[str, Sequence[Mark]] = NO_MARKS
) -> Path:
    """Write the run's workbook. Returns its path. Raises DumpError where it can't be written or doesn't fit a sheet.

    marks: cells to mark, by stage, as a person changed them.
    """
    texts = {name: text_table(trace, name) for name in trace if trace.step(name).rows == "text"}
    places = lay_out(stage_shape(trace, name, texts, head_layout) for name in trace)
    book = Book("GPT-2, stage by stage")
    book.add_tab(INDEX)
    for tab, found in tabs(places).items():
        book.add_tab(tab, HEADINGS.get(tab) or block_heading(tab), widths([a for place in found for a in place.areas]))
        for place in found:
            book.stage_head(place)
            book.define(place.step.name, place.refers_to())
            if place.step.rows == "text":
                write_text_stage(book, place, texts[place.step.name])
            elif tab == LOGITS:
                write_logits(book, place, trace)
            else:
                write_matrix_stage(book, place, *stage_matrix(trace, place.step.name, head_layout))
    for name, found in marks.items():
        if name in places:
            mark(book, places[name], found)
    write_best_tokens(book, places["predicted_token"].last_row + 2, trace)
    write_index(book, trace, places)
    book.save(path)
    return path


def block_heading(tab: str) -> str:
    return f"Block {tab.removeprefix('block_')}: attention (steps 1 to 10), then the MLP (steps 11 to 16)"


def stage_shape(trace: Trace, name: str, texts: dict[str, list[list]], head_layout: str) -> Stage:
    """What the layout has to know of a stage."""
    step = trace.step(name)
    if step.rows == "text":
        table = texts[name]
        return Stage(step, len(table), max(map(len, table)), header_rows=0)
    matrix, _, columns = stage_matrix(trace, name, head_layout)
    by_head = len(columns.levels) == 3
    together = matrix.shape[1] // trace.config.n_head if by_head else 1
    return Stage(step, *matrix.shape, header_rows=len(columns.levels), together=together)


def text_table(trace: Trace, name: str) -> list[list]:
    """A stage of texts; a merge trace that no sheet can show usefully is replaced by a sentence that says so."""
    if name == "prompt_to_tokens":
        rows, columns = trace.merges.shape
        if rows * columns > MAX_MERGE_CELLS or rows > MAX_ROWS // 2:
            return [[f"The merge trace has {rows:,} rows of {columns:,} cells and is left out here: {SEE_TRACE}"]]
    return trace.text_table(name)


# ------------------------------------------------------------------------------------------------ stages


def write_text_stage(book: Book, place: Place, table: list[list]) -> None:
    """Words, merges, tokens and the predicted token, cell by cell."""
    row_labels = ("Tokens", "Token IDs") if place.step.name == "final_tokens" else ()
    labelled = place.step.name in ("prompt_to_tokens", "predicted_token")
    start = 0
    for area in place.areas:
        for number, row in enumerate(table):
            at = area.part(number, rows=1, columns=1)
            if number < len(row_labels):
                book.text(area.tab, at.row, 0, row_labels[number], "key")
            kind = style.MERGE_ROWS.get(row[0], "piece") if labelled and row else "piece"
            for column, value in enumerate(row[start : start + area.columns]):
                label = labelled and start + column == 0
                write_value(book, at.part(column=column, rows=1, columns=1), value, "key" if label else kind)
        start += area.columns


def write_value(book: Book, at: Area, value, kind: str) -> None:
    if isinstance(value, str):
        if value:
            book.text(at.tab, at.row, at.column, value, kind)
    elif isinstance(value, float):
        book.put(Numbers(at, np.array([[value]])), "number")
    elif value is not None:
        book.number(at.tab, at.row, at.column, value, kind)


def write_matrix_stage(book: Book, place: Place, matrix: np.ndarray, rows: frames.Axis, columns: frames.Axis) -> None:
    """A matrix with its labels: rows by position and token, columns by dimension, or by head, key and token."""
    start = 0
    for area in place.areas:
        write_row_labels(book, area, rows)
        write_column_labels(book, area, columns, start)
        book.put(Numbers(area, matrix[:, start : start + area.columns]), "number")
        start += area.columns
        highlight(book, place.step, area, len(columns) // max(1, columns_per_head(columns)))


def columns_per_head(columns: frames.Axis) -> int:
    """How many heads the columns are divided into; 1 where they aren't."""
    return max(columns.levels[0]) + 1 if len(columns.levels) == 3 else 1


def write_row_labels(book: Book, area: Area, rows: frames.Axis) -> None:
    for column, name in enumerate(rows.names):
        book.text(area.tab, area.row - 1, column, name, "head name")
    for number, (position, token) in enumerate(zip(*rows.levels, strict=True)):
        book.number(area.tab, area.row + number, 0, position, "position")
        book.text(area.tab, area.row + number, 1, token, "token")


def write_column_labels(book: Book, area: Area, columns: frames.Axis, start: int) -> None:
    if columns.names == ("dimension",):
        book.dimension_head(area, start)
        book.text(area.tab, area.row - 1, 1, "token  \\  dimension", "head name")
        return
    first_row = area.row - len(columns.levels)
    for level, (name, labels) in enumerate(zip(columns.names, columns.levels, strict=True)):
        row = first_row + level
        if level < len(columns.levels) - 1:
            book.text(area.tab, row, 0, "", "head name")
            book.text(area.tab, row, 1, name, "head name")
        for column, label in enumerate(labels[start : start + area.columns], start=area.column):
            if isinstance(label, str):
                book.text(area.tab, row, column, label, "head token")
            else:
                book.number(area.tab, row, column, label, "head")


def highlight(book: Book, step: Step, area: Area, keys: int) -> None:
    """What helps the eye: masked cells in grey, a colour scale on attention weights, a line between heads."""
    sheet = book.sheets[area.tab]
    corners = (area.row, area.column, area.row + area.rows - 1, area.column + area.columns - 1)
    if step.columns == "heads x keys":
        border = book.conditional(style.HEAD_BORDER)
        first_of_head = f"=MOD(COLUMN()-{area.column + 1},{keys})=0"
        sheet.conditional_format(*corners, {"type": "formula", "criteria": first_of_head, "format": border})
    if step.name.endswith("_step_7"):
        sheet.conditional_format(*corners, style.SHARE_SCALE)
    elif step.columns in ("keys", "heads x keys"):
        sheet.conditional_format(*corners, style.masked(book.conditional(style.MASKED_FORMAT)))


# ------------------------------------------------------------------------------------------------ logits and index


def write_logits(book: Book, place: Place, trace: Trace) -> None:
    """A line a token: id, token, logit, probability, rank."""
    area = place.area
    best = trace.predictions(area.rows)
    probability, rank = np.empty(area.rows), np.empty(area.rows, int)
    for one in best:
        probability[one.id], rank[one.id] = one.probability, one.rank
    tokens = trace.labels.vocabulary()
    longest = max(range(len(tokens)), key=lambda i: len(tokens[i]))
    require_short(tokens[longest], LOGITS, area.row + longest, 1)
    for column, title in enumerate(("id", "token", "logit", "probability", "rank")):
        book.text(LOGITS, area.row - 1, column, title, "head left" if title == "token" else "head token")
    rows = Area(LOGITS, area.row, 0, area.rows, 5)
    table = Table(rows, [range(area.rows), tokens, trace.array("logits")[:, 0], probability, rank.tolist()])
    book.put_table(table, ["position", "token", "number", "probability", "rank"])
    sheet = book.sheets[LOGITS]
    sheet.set_column(area.column, area.column + 2, 11)
    sheet.freeze_panes(area.row, LABEL_COLUMNS)
    sheet.conditional_format(area.row, area.column + 1, place.last_row, area.column + 1, style.SHARE_SCALE)


def write_best_tokens(book: Book, row: int, trace: Trace) -> None:
    """Under the predicted token, the ten best."""
    best_tokens_head(book, row)
    for number, one in enumerate(trace.predictions(BEST), start=row + 2):
        book.number(HEAD, number, 0, one.rank, "position")
        book.text(HEAD, number, 1, one.token, "token")
        book.number(HEAD, number, 2, one.id, "rank")
        book.number(HEAD, number, 3, one.logit, "number")
        book.number(HEAD, number, 4, one.probability, "probability")


def best_tokens_head(book: Book, row: int) -> None:
    """The title and header of the table of the best tokens."""
    book.text(HEAD, row, 0, "best_tokens", "stage")
    book.text(HEAD, row, LABEL_COLUMNS, "the ten best tokens", "stage title")
    for column, title in enumerate(("rank", "token", "id", "logit", "probability")):
        book.text(HEAD, row + 1, column, title, "head left" if title == "token" else "head token")
    sheet = book.sheets[HEAD]
    sheet.set_column(4, 4, 11)
    sheet.conditional_format(row + 2, 4, row + 1 + BEST, 4, style.SHARE_SCALE)


def write_index(book: Book, trace: Trace, places: dict[str, Place]) -> None:
    """What was run, with what, and every stage with a link to its place."""
    sheet = book.sheets[INDEX]
    sheet.hide_gridlines(2)
    for column, width in enumerate((3, 25, 32, 14, 66, 26)):
        sheet.set_column(column, column, width)
    book.text(INDEX, 0, 1, "GPT-2, stage by stage", "title")
    sheet.set_row(0, 30)
    book.text(INDEX, 1, 1, "Every matrix between the prompt and the predicted token, under its name.", "subtitle")
    row = 3
    for key, value in facts(trace):
        texts = chunks(value) if isinstance(value, str) else [value]
        for number, text in enumerate(texts):
            book.text(INDEX, row, 1, key if number == 0 else "", "key")
            if isinstance(text, str):
                book.text(INDEX, row, 2, text, "strong" if key == "Predicted token" else "text")
            else:
                book.number(INDEX, row, 2, text, "value")
            row += 1
    chart_row = 4 + len(chunks(trace.prompt or ""))
    place_chart(book, places["predicted_token"].last_row + 4, min(BEST, trace.config.n_vocab), chart_row)
    write_stage_list(book, places, max(row, chart_row + 13) + 1)


def chunks(text: str) -> list[str]:
    """A text in pieces that a cell can hold, at least one."""
    return [text[start : start + MAX_TEXT] for start in range(0, max(1, len(text)), MAX_TEXT)]


def facts(trace: Trace) -> list[tuple[str, object]]:
    """What the index says of the run."""
    best = trace.predictions(1)[0]
    found = [
        ("Prompt", trace.prompt if trace.prompt is not None else "(token ids)"),
        ("Predicted token", best.token),
        ("Its probability", f"{best.probability:.2%}"),
        ("Tokens in the prompt", len(trace.token_ids)),
        *model_facts(trace),
    ]
    if trace.overridden:
        found.append(("Changed by hand", ", ".join(trace.overridden)))
    return found + trace.config.rows()


def model_facts(trace: Trace) -> list[tuple[str, str]]:
    """Where the weights came from, and the numeric mode."""
    folder = trace.weights_folder
    return [
        ("Weights folder", folder_name(folder) if folder else "(in memory)"),
        ("Numbers", str(trace.dtype)),
    ]


def place_chart(book: Book, first_row: int, count: int, row: int) -> None:
    """The chart of the ten best tokens, on the index; first_row: of their table on the head's tab."""
    chart = style.best_tokens_chart(book.workbook, HEAD, first_row, 1, 4, count)
    chart.set_size({"width": 560, "height": 256})
    book.sheets[INDEX].insert_chart(row, 4, chart, {"object_position": 3})


def write_stage_list(book: Book, places: dict[str, Place], row: int) -> None:
    """One line a stage: name, title, shape, formula in words, and the link to its first cell."""
    sheet = book.sheets[INDEX]
    for column, title in enumerate(("Stage (its defined name)", "Title", "Shape", "In words", "Place"), start=1):
        book.text(INDEX, row, column, title, "table head")
    previous = None
    for number, place in enumerate(places.values(), start=row + 1):
        step, area = place.step, place.areas[0]
        line = "" if previous == place.tab else "first "  # a line between tabs
        previous = place.tab
        book.text(INDEX, number, 1, step.name, f"{line}plain")
        book.text(INDEX, number, 2, step.title, f"{line}plain")
        book.text(INDEX, number, 3, "{} x {}".format(*place.shape), f"{line}shape")
        book.text(INDEX, number, 4, step.words, f"{line}words")
        target = f"internal:'{area.tab}'!A{place.title_row + 1}"
        sheet.write_url(number, 5, target, book.format(f"{line}link"), f"{area.tab}!{area.range()}")
