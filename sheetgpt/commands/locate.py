"""`sheetgpt locate`: where each stage of a run stands in a foreign workbook."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress

if TYPE_CHECKING:
    from sheetgpt.diff.locate import Found, Located

NOT_AT_ALL = "not at all"


@click.command()
@click.argument("run")
@click.argument("workbook", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="MAP.csv", help="Write the map for diff --map."
)
@show.weights_option
@click.option("--tab", "tabs", multiple=True, metavar="TAB", help="Look in this tab only. Repeatable.")
@click.option("--first", is_flag=True, help="Of places that fit equally take the first, instead of refusing.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", help="What a `run:` RUN computes in."
)
@show.json_option
def command(run, workbook, output, weights, tabs, first, dtype, as_json):
    """Find each stage of RUN in WORKBOOK by its numbers: any tab, any offset, transposed or not.

    RUN is a CSV dump's folder, an .npz, a workbook of ours or run:PROMPT, of the same prompt that WORKBOOK shows.

    \b
    Example:
      sheetgpt locate "run:Mike is quick. He moves" reference.xlsb -o MAP.csv
      sheetgpt diff "run:Mike is quick. He moves" reference.xlsb --map MAP.csv
    """
    from sheetgpt.diff.locate import locate, map_rows
    from sheetgpt.diff.sides import open_side
    from sheetgpt.workbook.reading.maps import write_map
    from sheetgpt.workbook.reading.open import Workbook

    side, book = open_side(run, weights=weights, dtype=dtype), Workbook(workbook)
    searched = tabs or book.tabs
    with progress("Looking") as advance:
        found = locate(
            side,
            book,
            tabs=tabs,
            first=first,
            weights=weights,
            progress=lambda tab: advance(searched.index(tab), len(searched), tab),
        )
        advance(len(searched), len(searched))
    if output:
        write_map(output, map_rows(found))
    if as_json:
        show.print_json({name: as_data(place) for name, place in found.items()})
    else:
        show.echo(as_text(found, output))


def as_data(found: Found | None) -> dict[str, Any]:
    if found is None:
        return {"fit": NOT_AT_ALL}
    pieces = [
        {"head": one.head, "tab": one.area.tab, "range": one.area.range(), "transposed": one.transposed}
        for one in found.places
    ]
    return {
        "fit": found.fit,
        **{key: pieces[0][key] for key in ("tab", "range", "transposed")},
        "pieces": [] if found.places[0].head is None else pieces,
        "largest_difference": found.largest,
        "cells_off": found.off,
        "assumed": found.assumed,
        "note": found.note,
    }


def as_text(found: Located, output: Path | None) -> str:
    count = Counter(place.fit if place else NOT_AT_ALL for place in found.values())
    told = f"{count['exactly']} stages found exactly, {count['nearly']} nearly, {count[NOT_AT_ALL]} not at all."
    rows = [as_row(name, place) for name, place in found.items()]
    heads = ["stage", "found", "where", "", "largest difference", "cells off", "computed with", ""]
    assumed = ["", *mistakes_assumed(found)] if found.assumed else []
    written = [f"Wrote {output}"] if output else []
    after = [part for part in (found.remarks, written) if part]
    return "\n".join([told, *assumed, "", show.table(heads, rows), *(line for part in after for line in ("", *part))])


def as_row(name: str, found: Found | None) -> list[object]:
    if found is None:
        return [name, NOT_AT_ALL, "", "", "", "", "", ""]
    turned = "transposed" if found.transposed else ""
    largest = f"{found.largest:.1e}"
    return [name, found.fit, where(found), turned, largest, found.off, found.assumed, found.note]


def where(found: Found) -> str:
    """The address; of pieces the first one, and how many there are."""
    from sheetgpt.workbook.grid import with_r1c1

    address, more = with_r1c1(found.places[0].address), len(found.places) - 1
    if found.places[0].head is None:
        return address
    return f"{address}{f' and {more} more' if more else ''}, by head"


def mistakes_assumed(found: Located) -> list[str]:
    """The mistakes with which the workbook goes its own way, each with its stages."""
    from sheetgpt.diff.locate.trail import title

    by_mistake: dict[str, list[str]] = {}
    for stage, mistake in found.assumed.items():
        by_mistake.setdefault(title(mistake), []).append(stage)
    return [f"Computed with {mistake}: {', '.join(stages)}" for mistake, stages in by_mistake.items()]
