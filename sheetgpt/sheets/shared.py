"""What the workbook of values and the live one share: which tab a stage stands on, headings, ways from tab to tab,
the best tokens.

What a stage is, its step says; where it comes to lie and how cells look belongs in `workbook`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sheetgpt.models.step import Axis, Part, Role, Step, Steps, Use, Weight
from sheetgpt.run.trace import Prediction, Trace
from sheetgpt.weights.folder import folder_name
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, target
from sheetgpt.workbook.places import LABEL_COLUMNS, TAB_ROWS, Panel, Place, tabs

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
TOKEN_FORMATS = {"id": "rank", "token": "token", "logit": "number", "probability": "probability", "rank": "rank"}
PROMPT, NUMBERS, FOLDER, CHANGED = "Prompt", "Numbers", "Weights folder", "Changed by hand"  # keys on the index
SPECIAL = "Special tokens"  # the same, where the prompt was read with them
DIGITS = "[>=0.1]0.0%;[>=0.001]0.00%;0.0000%"  # as many as a probability needs
FROM_IDS, NO_FOLDER = "(token ids)", "(in memory)"  # what stands there where there is none

RIBBON_HEIGHT = 34
WEIGHT_COLUMNS = (LABEL_COLUMNS + 6, LABEL_COLUMNS + 9, LABEL_COLUMNS + 12)

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
    if step.role is Role.LOGITS:
        header_rows += winners(rows) + 2  # on top, and a line between
    return Panel(step.name, title, step.words, tab_of(step), rows, columns, header_rows, first, together, step.why)


def winners(n_vocab: int) -> int:
    """How many of the best tokens are shown."""
    return min(BEST, n_vocab)


# ------------------------------------------------------------------------------------------------ from tab to tab


def navigate(book: Book, steps: Steps, places: Mapping[str, Place]) -> None:
    """In the rows that stay in view: the tabs before and behind, and a link to each stage of the tab."""
    found = tabs(places)
    for before, tab, behind in zip([None, *found], found, [*found, None][1:], strict=False):
        sheet = book.sheets[tab]
        sheet.set_row(1, RIBBON_HEIGHT, book.format("ribbon line"))
        for column, (text, other) in enumerate((("◀ {}", before), ("{} ▶", behind))):
            if other is not None:
                book.link(tab, 1, column, target(other), text.format(other), "way")
        for column, place in enumerate(found[tab], start=LABEL_COLUMNS):
            step = steps[place.panel.name]
            number = f"{step.number} · " if step.number else ""
            title = step.title.rpartition(": ")[2]
            book.link(tab, 1, column, place.target, f"{number}{title}", "ribbon", f"{step.name}: {step.title}")
        last = found[tab][-1].last_row + BEST + 3  # and the table of the best tokens
        book.show_spaces(Area(tab, TAB_ROWS, 1, last - TAB_ROWS + 1, 1))  # one rule: each costs XlsxWriter a while
        if tab != LOGITS:
            sheet.freeze_panes(TAB_ROWS, LABEL_COLUMNS)


def link_weights(book: Book, steps: Steps, places: Mapping[str, Place], targets: Mapping[str, str]) -> None:
    """Behind the words of a stage the weights that it takes, which lead to their places. targets: by weight."""
    for place in places.values():
        taken = [name for name in steps[place.panel.name].inputs if name in targets]
        for column, name in zip(WEIGHT_COLUMNS, taken, strict=False):
            book.link(place.tab, place.title_row + 1, column, targets[name], name, "link")


def is_by_key(step: Step) -> bool:
    """Has it a column for each token that may be looked at?"""
    return step.columns in (Axis.KEYS, Axis.HEADS_BY_KEYS)


# ------------------------------------------------------------------------------------------------ labels


def label_names(book: Book, area: Area, names: Iterable[str]) -> None:
    """Over the labels of an area's rows, what they are."""
    for column, name in enumerate(names):
        book.text(area.tab, area.row - 1, column, name, "head name")


def label_vocabulary(book: Book, area: Area, tokens: Iterable[str]) -> None:
    """A row for each token of the vocabulary: its id and the token."""
    for row, token in enumerate(tokens, start=area.row):
        book.number(area.tab, row, 0, row - area.row, "position")
        book.text(area.tab, row, 1, token, "token")


def label_dimensions(book: Book, area: Area, start: int = 0) -> None:
    """Over the columns the numbers of their dimensions. start: of the first one."""
    book.dimension_head(area, start)
    book.text(area.tab, area.row - 1, 1, "token  \\  dimension", "head name")


# ------------------------------------------------------------------------------------------------ logits, best tokens


def logits_look(book: Book, area: Area) -> Area:
    """The names over the columns beside the logits, their widths and colours. area: of the logits.

    Returns where the best tokens stand, on top: their names stay in view, those over the logits don't.
    """
    tab, best = area.tab, winners_area(area)
    for row in (best.row - 1, area.row - 1):
        for column, title in enumerate(TOKEN_COLUMNS):
            book.text(tab, row, column, title, "head left" if title == "token" else "head token")
    book.text(tab, area.row - 2, 0, "Every token, in the order of the ids:", "words")
    sheet = book.sheets[tab]
    sheet.set_column(area.column, area.column + 2, 11)
    sheet.freeze_panes(best.row, LABEL_COLUMNS)
    for cells in (best.part(column=TOKEN_COLUMNS.index("probability"), columns=1), area.part(column=1, columns=1)):
        book.rule(style.SHARE_SCALE, cells)
    return best


def winners_area(logits: Area) -> Area:
    """Where the best tokens stand, on top of the logits."""
    count = winners(logits.rows)
    return Area(logits.tab, logits.row - count - 2, 0, count, len(TOKEN_COLUMNS))


def best_tokens_head(book: Book, prediction: Place, n_vocab: int) -> Area:
    """The title and header of the table of the best tokens, under the predicted one. Returns where its rows stand."""
    tab, row = prediction.tab, prediction.last_row + 2
    book.text(tab, row, 0, "best_tokens", "stage")
    title = "the ten best tokens" if n_vocab >= BEST else f"all {n_vocab} tokens, the best first"
    book.text(tab, row, LABEL_COLUMNS, title, "stage title")
    for column, title in enumerate(BEST_COLUMNS):
        book.text(tab, row + 1, column, title, "head left" if title == "token" else "head token")
    area, share = Area(tab, row + 2, 0, winners(n_vocab), len(BEST_COLUMNS)), BEST_COLUMNS.index("probability")
    book.sheets[tab].set_column(share, share, 11)
    book.rule(style.SHARE_SCALE, area.part(column=share, columns=1))
    return area


def write_tokens(book: Book, area: Area, columns: Sequence[str], found: Iterable[Prediction]) -> None:
    """A row a token, each column what its name says of it."""
    for row, one in enumerate(found, start=area.row):
        for column, name in enumerate(columns, start=area.column):
            value, fmt = getattr(one, name), TOKEN_FORMATS[name]
            if isinstance(value, str):
                book.text(area.tab, row, column, value, fmt)
            else:
                book.number(area.tab, row, column, value, "position" if column == area.column else fmt)


def place_chart(book: Book, best: Area) -> None:
    """The chart of the best tokens, beside their table."""
    chart = best_tokens_chart(book, best)
    chart.set_size({"width": 560, "height": 256})
    alt = f"Bars: the probabilities of the {best.rows} tokens that would most likely come next, the best on top."
    book.sheets[best.tab].insert_chart(
        best.row - 2, best.columns + 1, chart, {"object_position": 3, "description": alt}
    )


def best_tokens_chart(book: Book, best: Area) -> Any:
    """A bar chart of the best tokens: bars from the best downwards."""

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
            "data_labels": {"value": True, "num_format": DIGITS, "font": {"color": style.MUTED, "size": 9}},
        }
    )
    title = "The ten best next tokens" if best.rows == BEST else f"All {best.rows} next tokens"
    chart.set_title({"name": title, "name_font": style.CHART_TITLE})
    chart.set_legend({"none": True})
    line = {"color": style.LINE}
    chart.set_y_axis({"reverse": True, "num_font": {"size": 9}, "line": line, "major_tick_mark": "none"})
    hidden = {"visible": False, "major_gridlines": {"visible": False}, "label_position": "none"}
    chart.set_x_axis({"min": 0, "num_format": "0%", **hidden})
    chart.set_chartarea({"border": line})
    return chart


def model_facts(trace: Trace) -> list[tuple[str, str]]:
    """Where the weights came from, and the numeric mode."""
    folder = trace.weights_folder
    return [(FOLDER, folder_name(folder) if folder else NO_FOLDER), (NUMBERS, str(trace.dtype))]
