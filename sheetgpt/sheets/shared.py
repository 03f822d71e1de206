"""What the workbook of values and the live one share: which tab a stage stands on, headings, colours, the index.

What a stage is, its step says; where it comes to lie and how cells look belongs in `workbook`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sheetgpt import ops
from sheetgpt.models.step import Axis, Part, Role, Step, Steps, Use, Weight
from sheetgpt.run.trace import Trace
from sheetgpt.weights.folder import folder_name
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS, Panel, Place

MERGES, EMBEDDINGS, HEAD, LOGITS = "Prompt_to_Tokens", "embeddings", "head", "logits"  # tabs
TABS = {
    Part.WORDS: MERGES,
    Part.EMBEDDINGS: EMBEDDINGS,
    Part.HEAD: HEAD,
    Part.LOGITS: LOGITS,
    Part.LOSS: HEAD,
}
HEADINGS = {
    MERGES: "From the prompt to tokens: words, then merges, pass by pass",
    EMBEDDINGS: "Tokens become vectors",
    HEAD: "The language head: the last row becomes a prediction",
    LOGITS: "How well each token would continue the prompt",
}
LABEL_WIDTHS = {MERGES: (18, style.NUMBER_WIDTH), HEAD: (style.POSITION_WIDTH, 22)}
FIRST_COLUMNS: Mapping[Role | None, int] = {Role.MERGES: 0, Role.WORDS: 1, Role.PREDICTION: 1}  # they hold their labels

BEST = 10  # tokens in the table under the predicted one and in the chart
TOKEN_COLUMNS = ("id", "token", "logit", "probability", "rank")  # beside the logits
BEST_COLUMNS = ("rank", "token", "id", "logit", "probability")
PROMPT, NUMBERS, FOLDER, CHANGED = "Prompt", "Numbers", "Weights folder", "Changed by hand"  # keys on the index
SPECIAL = "Special tokens"  # the same, where the prompt was read with them
FROM_IDS, NO_FOLDER = "(token ids)", "(in memory)"  # what stands there where there is none

HEAD_BORDER = {"left": 1, "left_color": style.PALE}
MASKED_FORMAT = {"font_color": style.PALE, "num_format": "0E+0"}


# ------------------------------------------------------------------------------------------------ tabs and panels


def tab_of(step: Step) -> str:
    """The tab of a stage."""
    return TABS[step.part] if step.block is None else f"block_{step.block}"


def weight_tab(name: str, weight: Weight) -> str:
    """The tab of a weight matrix in the live workbook.

    >>> weight_tab("model_wte", Weight((9, 2), Use.TABLE)), weight_tab("model_ln_f_g", Weight((1, 2), Use.GAIN))
    ('weights_wte', 'weights_head')
    """
    if weight.block is not None:
        return f"weights_{weight.block}"
    return f"weights_{name.removeprefix('model_')}" if weight.use is Use.TABLE else "weights_head"


def heading(step: Step) -> str:
    """The heading of a stage's tab."""
    if step.block is None:
        return HEADINGS[tab_of(step)]
    return f"Block {step.block}: attention (steps 1 to 10), then the MLP (steps 11 to 16)"


def tab_look(step: Step) -> dict[str, Any]:
    """How a stage's tab looks, for `Book.add_tab`."""
    return {"colour": tab_colour(step), "label_widths": LABEL_WIDTHS.get(tab_of(step), style.LABEL_WIDTHS)}


def tab_colour(step: Step | None) -> str:
    """Of the tab of a stage, or of something else (None)."""
    return style.PALE if step is None or step.block is None else style.ACCENT


def panel(step: Step, rows: int, columns: int, *, header_rows: int = 1, together: int = 1) -> Panel:
    """A stage as it wants to be laid out."""
    title = step.title if step.number is None else f"step {step.number} · {step.title}"
    first = FIRST_COLUMNS.get(step.role, LABEL_COLUMNS)
    return Panel(step.name, title, step.words, tab_of(step), rows, columns, header_rows, first, together)


def is_by_key(step: Step) -> bool:
    """Has it a column for each token that may be looked at?"""
    return step.columns in (Axis.KEYS, Axis.HEADS_BY_KEYS)


# ------------------------------------------------------------------------------------------------ colours


def highlight(book: Book, step: Step, area: Area, keys: int) -> None:
    """What helps the eye: masked cells in grey, a colour scale on attention weights, a line between heads."""
    sheet = book.sheets[area.tab]
    corners = (area.row, area.column, area.row + area.rows - 1, area.column + area.columns - 1)
    if step.by_head:
        first_of_head = f"=MOD(COLUMN()-{area.column + 1},{keys})=0"
        border = {"type": "formula", "criteria": first_of_head, "format": book.conditional(HEAD_BORDER)}
        sheet.conditional_format(*corners, border)
    if step.by_head and step.op.shares:
        sheet.conditional_format(*corners, style.SHARE_SCALE)
    elif step.op.masked:
        grey = book.conditional(MASKED_FORMAT)
        rule = {"type": "cell", "criteria": "<", "value": ops.MASKED_BELOW, "format": grey}
        sheet.conditional_format(*corners, rule)


# ------------------------------------------------------------------------------------------------ logits, best tokens


def logits_look(book: Book, area: Area) -> None:
    """The names over the columns beside the logits, their widths and colours. area: of the logits."""
    tab = area.tab
    for column, title in enumerate(TOKEN_COLUMNS):
        book.text(tab, area.row - 1, column, title, "head left" if title == "token" else "head token")
    sheet, share, last = book.sheets[tab], area.column + 1, area.row + area.rows - 1
    sheet.set_column(area.column, area.column + 2, 11)
    sheet.freeze_panes(area.row, LABEL_COLUMNS)
    sheet.conditional_format(area.row, share, last, share, style.SHARE_SCALE)


def best_tokens_head(book: Book, prediction: Place) -> Area:
    """The title and header of the table of the best tokens, under the predicted one. Returns where its rows begin."""
    tab, row = prediction.tab, prediction.last_row + 2
    book.text(tab, row, 0, "best_tokens", "stage")
    book.text(tab, row, LABEL_COLUMNS, "the ten best tokens", "stage title")
    for column, title in enumerate(BEST_COLUMNS):
        book.text(tab, row + 1, column, title, "head left" if title == "token" else "head token")
    area, share = Area(tab, row + 2, 0, BEST, len(BEST_COLUMNS)), BEST_COLUMNS.index("probability")
    sheet = book.sheets[tab]
    sheet.set_column(share, share, 11)
    sheet.conditional_format(area.row, share, area.row + BEST - 1, share, style.SHARE_SCALE)
    return area


def place_chart(book: Book, best: Area, count: int, row: int) -> None:
    """The chart of the ten best tokens, on the index. best: their table."""
    chart = best_tokens_chart(book, best.part(rows=count))
    chart.set_size({"width": 560, "height": 256})
    book.sheets[INDEX].insert_chart(row, 4, chart, {"object_position": 3})


def best_tokens_chart(book: Book, best: Area) -> Any:
    """A bar chart of the ten best tokens: bars from the best downwards."""

    def column(name: str) -> list[object]:
        number = BEST_COLUMNS.index(name)
        return [best.tab, best.row, number, best.row + best.rows - 1, number]

    chart: Any = book.workbook.add_chart({"type": "bar"})
    chart.add_series(
        {
            "name": "probability",
            "categories": column("token"),
            "values": column("probability"),
            "fill": {"color": style.SHARE},
            "gap": 40,
            "data_labels": {"value": True, "num_format": "0.0%", "font": {"color": style.MUTED, "size": 9}},
        }
    )
    font = {"size": 11, "color": style.INK, "bold": True}
    chart.set_title({"name": "The ten best next tokens", "name_font": font})
    chart.set_legend({"none": True})
    line = {"color": style.LINE}
    chart.set_y_axis({"reverse": True, "num_font": {"size": 9}, "line": line, "major_tick_mark": "none"})
    hidden = {"visible": False, "major_gridlines": {"visible": False}, "label_position": "none"}
    chart.set_x_axis({"min": 0, "num_format": "0%", **hidden})
    chart.set_chartarea({"border": line})
    return chart


# ------------------------------------------------------------------------------------------------ the index


def index_head(book: Book, title: str, subtitle: str) -> None:
    sheet = book.sheets[INDEX]
    for column, width in enumerate((3, 25, 32, 14, 66, 26)):
        sheet.set_column(column, column, width)
    book.text(INDEX, 0, 1, title, "title")
    sheet.set_row(0, 30)
    book.text(INDEX, 1, 1, subtitle, "subtitle")


def model_facts(trace: Trace) -> list[tuple[str, str]]:
    """Where the weights came from, and the numeric mode."""
    folder = trace.weights_folder
    return [(FOLDER, folder_name(folder) if folder else NO_FOLDER), (NUMBERS, str(trace.dtype))]


def write_stage_list(book: Book, steps: Steps, places: Mapping[str, Place], row: int) -> None:
    """One line a stage: name, title, shape, formula in words, and the link to its first cell."""
    for column, title in enumerate(("Stage (its defined name)", "Title", "Shape", "In words", "Place"), start=1):
        book.text(INDEX, row, column, title, "table head")
    previous = None
    for number, (name, place) in enumerate(places.items(), start=row + 1):
        line = "" if previous == place.tab else "first "  # a line between tabs
        previous = place.tab
        shape = "{} x {}".format(*place.shape)
        list_line(book, number, line, name, steps[name].title, shape, steps[name].words)
        link_to(book, number, line, place.areas[0], place.title_row)


def list_line(book: Book, row: int, line: str, name: str, title: str, shape: str, words: str) -> None:
    """A line in a list of the index. line: `first ` under a line between tabs."""
    cells = ((name, "plain"), (title, "plain"), (shape, "shape"), (words, "words" if words else "plain"))
    for column, (text, kind) in enumerate(cells, start=1):
        book.text(INDEX, row, column, text, f"{line}{kind}")


def link_to(book: Book, row: int, line: str, area: Area, title_row: int) -> None:
    """The link from a list of the index to a stage or weight."""
    target, link = f"internal:'{area.tab}'!A{title_row + 1}", book.format(f"{line}link")
    book.sheets[INDEX].write_url(row, 5, target, link, f"{area.tab}!{area.range()}")
