"""`sheetgpt locate`: where each stage of a run stands in a foreign workbook."""

from __future__ import annotations

from pathlib import Path

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress


@click.command()
@click.argument("run")
@click.argument("workbook", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="MAP.csv", help="Write the map for diff --map."
)
@show.weights_option
@click.option("--tab", "tabs", multiple=True, metavar="TAB", help="Look in this tab only. Repeatable.")
@click.option("--first", is_flag=True, help="Of places that fit equally take the first, instead of refusing.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", help="Of a `run:` RUN.")
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
            progress=lambda tab: advance(searched.index(tab), len(searched), tab),
        )
        advance(len(searched), len(searched))
    if output:
        write_map(output, map_rows(found))
    if as_json:
        show.print_json({name: as_data(place) for name, place in found.items()})
    else:
        show.echo(as_text(found, output))


def as_data(place) -> dict:
    if place is None:
        return {"fit": "not at all"}
    return {
        "fit": place.fit,
        "tab": place.area.tab,
        "range": place.area.range(),
        "transposed": place.transposed,
        "largest_difference": place.largest,
        "cells_off": place.off,
    }


def as_text(found, output: Path | None) -> str:
    counts = {"exactly": 0, "nearly": 0, "not at all": 0}
    rows = []
    for name, place in found.items():
        counts[place.fit if place else "not at all"] += 1
        if place is None:
            rows.append([name, "not at all", "", "", "", "", ""])
        else:
            turned = "transposed" if place.transposed else ""
            rows.append([name, place.fit, place.address, turned, f"{place.largest:.1e}", place.off, place.note])
    head = f"{counts['exactly']} stages found exactly, {counts['nearly']} nearly, {counts['not at all']} not at all."
    lines = [head, "", show.table(["stage", "found", "where", "", "largest difference", "cells off", ""], rows)]
    return "\n".join([*lines, *(["", f"Wrote {output}"] if output else [])])
