"""`sheetgpt page-recorder`: a script that records a run of the reference's page, for `diff`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write it instead of printing it."
)
def command(file: Path | None) -> None:
    """Print a script to paste into the console of the reference's page (F12), before its Run is pressed.

    It keeps every stage of the run, each block's under the block's number, and saves them as page.json when the
    predicted token is there; `sheetgptSave()` in the console saves what there is at any time. `sheetgpt diff` reads
    the file. Nothing leaves the browser.

    \b
    Example:
      sheetgpt page-recorder -o recorder.js
      sheetgpt diff "run:Mike is quick. He moves" page.json --weights gpt2_csv
    """
    from sheetgpt.fixtures.page import recorder, write

    if file is None:
        click.echo(recorder(), nl=False)
    else:
        click.echo(f"Wrote {write(file)}: paste it into the page's console, then press Run.")
