"""`sheetgpt resume`: run on from a workbook whose cells were edited."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from sheetgpt.commands import show


@click.command()
@click.argument("edited", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT.xlsx", help="Default: EDITED-resumed.xlsx."
)
@show.weights_option
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many predictions to show.")
@show.json_option
def command(edited, output, weights, top, as_json):
    """Find the cells edited in EDITED, a workbook dumped by `run --dump-xlsx`, and run on from them.

    Values that went stale behind an edit are computed anew; a new workbook shows the run with the edited cells marked.

    \b
    Example:
      sheetgpt run "Mike is quick. He moves" --dump-xlsx
      sheetgpt resume exports/mike-is-quick-he-moves.xlsx
    """
    from sheetgpt.resume import resume

    found = resume(edited, weights)
    if found.changes:
        output = write(found, output or edited.with_name(f"{edited.stem}-resumed.xlsx"))
    show.print_json(as_data(found, output, top)) if as_json else show.echo(as_text(found, edited, output, top))


def write(found, output: Path) -> Path:
    """The workbook of the resumed run, with the edited cells marked."""
    from sheetgpt.run.edit import Edit, current, edited
    from sheetgpt.sheets.marks import SetCells
    from sheetgpt.sheets.values import write_workbook

    undone: dict[str, list[Edit]] = {}
    for change in found.changes:
        undone.setdefault(change.stage, []).append(Edit(change.stage, change.at, change.before))
    now = {name: current(name, found.after) for name in undone}
    marks = {name: SetCells(now[name], edited(now[name], edits), "edited") for name, edits in undone.items()}
    return write_workbook(found.after, output, marks=marks)


def as_data(found, output: Path | None, top: int) -> dict:
    changes = show.Changes(found.before, found.after).as_data(top) if found.changes else {}
    return {
        "edits": [asdict(change) for change in found.changes],
        "predictions": [asdict(prediction) for prediction in found.after.predictions(top)],
        **{key: value for key, value in changes.items() if key != "set"},
        "files": [str(output)] if found.changes else [],
    }


def as_text(found, edited: Path, output: Path | None, top: int) -> str:
    if not found.changes:
        return f"No cell of {edited} was edited: it shows the run as it was. Nothing to resume, nothing written."
    from sheetgpt.workbook.grid import with_r1c1

    rows = [[with_r1c1(c.place), c.stage, c.row, c.column, f"{c.before:.6g}", f"{c.after:.6g}"] for c in found.changes]
    return "\n".join(
        [
            f"{len(rows)} edited cell{'s' if len(rows) > 1 else ''}:",
            show.table(["cell", "stage", "row", "column", "computed", "edited"], rows),
            "",
            show.Changes(found.before, found.after).as_text(top),
            "",
            f"Predicted token: {show.token(found.after.predicted_token)}",
            f"Wrote {output}",
        ]
    )
