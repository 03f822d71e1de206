"""A report as a picture: heat maps, and bars where a table has one column of numbers. Needs matplotlib.

matplotlib is imported only where a picture is asked for.
"""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import LensError
from sheetgpt.files.atomic import replacing
from sheetgpt.lens.tables import TOKEN, Look, Report, Table, cell_text, is_number, label_texts, quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
CELL_WIDTH, CELL_HEIGHT = 0.8, 0.34  # inches
BAR_HEIGHT, MOST_BARS, SMALLEST = 0.26, 40, 3.0
MOST_TEXTS = 600  # cells with texts in them: more can't be read
LARGEST = 100.0  # inches of a side
LONGEST_TITLE, LETTERS = 400, 12  # letters of a title in all, and in an inch
COLOURS = {Look.DIVERGING: ["#4FA3A5", "#FFFFFF", "#E0A96D"], Look.SHARES: ["#FFFFFF", "#4FA3A5"]}
RANKED = 1000  # ranks from here on are all white; a workbook, whose scale has three colours, is white from 100 on


def require_plotting(path: Path) -> None:
    """Raises LensError where matplotlib is missing or the file's ending is none that it writes: before the work."""
    if path.suffix.lower() not in ENDINGS:
        raise LensError(f"--plot {path}: a picture ends in {' or '.join(ENDINGS)}")
    try:
        import matplotlib as mpl
    except ImportError:
        raise LensError("--plot needs matplotlib", remedy="pip install 'sheetgpt[plot]'") from None
    mpl.use("agg")


def write_plot(report: Report, path: str | Path) -> Path:
    """Draw the report's tables under each other. Returns the path. Raises LensError where that can't be done."""
    path = Path(path)
    require_plotting(path)
    from matplotlib import pyplot as plt

    drawn = [table for table in report.tables if numbers_of(table).size]
    sizes = [size_of(table) for table in drawn]
    width, heights = max(width for width, _ in sizes), [height for _, height in sizes]
    with warnings.catch_warnings(), plt.rc_context({"font.size": 8}):
        warnings.simplefilter("ignore")  # of characters that the font has not
        figure, axes = plt.subplots(
            len(drawn),
            squeeze=False,
            figsize=(min(LARGEST, width), min(LARGEST, sum(heights) + 0.4)),
            height_ratios=heights,
            layout="constrained",
        )
        figure.suptitle(subtitle(report, width), parse_math=False, fontsize=10)
        for table, (one,) in zip(drawn, axes, strict=True):
            (draw_bars if is_bars(table) else draw_map)(one, table)
        save(figure, path)
        plt.close(figure)
    return path


def subtitle(report: Report, width: float) -> str:
    """The report's title and what it is of, in lines that fit so many inches."""
    about = ", ".join(f"{name}: {quoted(value)}" for name, value in report.facts.items() if isinstance(value, str))
    return textwrap.fill(f"{report.title}; {about}"[:LONGEST_TITLE], int(width * LETTERS))


def save(figure: Figure, path: Path) -> None:
    """As a PNG or an SVG, by the file's ending; the same figure is the same file. Raises LensError."""
    import matplotlib as mpl

    form = path.suffix.lower().removeprefix(".")
    about = {"Date": None} if form == "svg" else {"Software": None}
    try:
        with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "sheetgpt"}):
            figure.savefig(temporary, format=form, dpi=120, metadata=about)
    except OSError as error:
        raise LensError(f"can't write {path}: {error.strerror}", remedy="choose another file") from None


def written(text: str) -> str:
    """A text as a picture shows it: characters that can't be seen as question marks."""
    return "".join(one if one.isprintable() else "?" for one in text)


def numbers_of(table: Table) -> np.ndarray:  # [rows, columns of numbers]
    """The cells as floats."""
    kept = [table.columns[place] for place in drawn_columns(table)]
    return np.array([[cell if is_number(cell) else np.nan for cell in column] for column in kept], float).T


def drawn_columns(table: Table) -> list[int]:
    """The places of the columns of numbers, but for counts."""
    found = enumerate(table.columns)
    return [i for i, column in found if table.look_of(i) is not Look.COUNTS and any(map(is_number, column))]


def is_bars(table: Table) -> bool:
    return len(numbers_of(table).T) == 1


def size_of(table: Table) -> tuple[float, float]:
    """(width, height) in inches."""
    rows, columns = numbers_of(table).shape
    if is_bars(table):
        return 7.0, max(SMALLEST / 2, BAR_HEIGHT * min(rows, MOST_BARS) + 0.9)
    return max(SMALLEST + 2, CELL_WIDTH * columns + 2.2), CELL_HEIGHT * rows + 1.2


def row_texts(table: Table) -> list[str]:
    """The rows' labels; numbers after what they count, but for positions, which have their tokens."""
    names = table.row_names
    counted = len(names) > 1 and TOKEN not in names
    labels = [
        tuple(f"{name} {one}" if counted and is_number(one) else one for one, name in zip(label, names, strict=True))
        for label in table.row_labels()
    ]
    return [label_texts(label, names) for label in labels]


def draw_bars(axes: Axes, table: Table) -> None:
    """The first rows of a table of one column of numbers, the first on top."""
    values, names = numbers_of(table)[:MOST_BARS, 0], row_texts(table)[:MOST_BARS]
    places = np.arange(len(values))
    axes.barh(places, values, color=np.where(values < 0, "#4FA3A5", "#E0A96D"))
    axes.set_yticks(places)
    axes.set_yticklabels(names, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="#7B8794", linewidth=0.8)
    axes.margins(x=0.15)
    for place, value in zip(places, np.nan_to_num(values), strict=True):
        text = cell_text(float(value), table.look)
        axes.annotate(
            text, (value, place), (3 if value >= 0 else -3, 0), textcoords="offset points", va="center",
            ha="left" if value >= 0 else "right", fontsize=7,
        )  # fmt: skip
    axes.set_title(table.title, fontsize=9, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw_map(axes: Axes, table: Table) -> None:
    """Rows by columns as colours, with the numbers or texts in the cells where there is room."""
    numbers = numbers_of(table)
    shown, scale = scaled(numbers, table.look, table.largest())
    axes.imshow(shown, aspect="auto", **scale)
    axes.set_xticks(np.arange(numbers.shape[1]))
    axes.set_xticklabels(column_texts(table), rotation=30, ha="right", parse_math=False)
    axes.set_yticks(np.arange(numbers.shape[0]))
    axes.set_yticklabels(row_texts(table), parse_math=False)
    axes.set_xlabel(table.column_name)
    axes.set_ylabel(" ".join(filter(None, table.row_names)))
    axes.set_title(table.title, fontsize=9, loc="left", parse_math=False)
    if numbers.size <= MOST_TEXTS:
        write_texts(axes, table, numbers)


def column_texts(table: Table) -> list[str]:
    names = table.column_labels()
    return [written(names[place]) for place in drawn_columns(table)]


def write_texts(axes: Axes, table: Table, numbers: np.ndarray) -> None:
    for (row, column), number in np.ndenumerate(numbers):
        if not np.isnan(number):
            own = None if table.texts is None else str(table.texts.iloc[row, column])
            text = cell_text(float(number), table.look) if own is None else cell_text(own, Look.TOKENS)
            axes.text(column, row, text[:12], ha="center", va="center", fontsize=7, parse_math=False)


def scaled(numbers: np.ndarray, look: Look, largest: float) -> tuple[np.ndarray, dict[str, Any]]:
    """What colours are made of, and the colours."""
    from matplotlib.colors import LinearSegmentedColormap

    def colours(look: Look) -> Any:
        return LinearSegmentedColormap.from_list(look.value, COLOURS[look])

    if look is Look.RANKS:  # 1 is the darkest; ranks are seen by their sizes
        return 1 - np.log(numbers) / np.log(RANKED), {"cmap": colours(Look.SHARES), "vmin": 0, "vmax": 1}
    if look is Look.SHARES:
        return numbers, {"cmap": colours(look), "vmin": 0, "vmax": 1}
    largest = largest or 1.0
    return numbers, {"cmap": colours(Look.DIVERGING), "vmin": -largest, "vmax": largest}
