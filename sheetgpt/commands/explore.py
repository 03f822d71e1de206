"""`sheetgpt explore`: the run in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import explore_sides, runs, show
from sheetgpt.errors import SheetGPTError

if TYPE_CHECKING:
    from sheetgpt.explore.runs import Asked
    from sheetgpt.model import Model

FIRST_PROMPT = "Mike is quick. He moves"


@click.command()
@click.argument("prompt", required=False)
@show.weights_option
@show.ids_option()
@show.special_option
@show.dtype_option()
@runs.set_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The server's port. Default: any that is free.",
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--export",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE.html",
    help="Write the page as one file that works without a server, instead of serving it.",
)
@explore_sides.options
def command(
    prompt: str | None,
    weights: str | None,
    token_ids: list[int] | None,
    special: bool,
    dtype: str,
    assignments: tuple[str, ...],
    port: int,
    no_browser: bool,
    page: Path | None,
    compare: tuple[str, str] | None,
    **how: Any,
) -> None:
    """Open a run in the browser: every number a cell, every cell editable. Ctrl-C ends it.

    \b
    Example:
      sheetgpt explore "Mike is quick. He moves"
      sheetgpt explore "Mike is quick. He moves" --export page.html
      sheetgpt explore ann --weights die
      sheetgpt explore --compare "run:Mike is quick. He moves" port.npz
    """
    of_run = {"PROMPT": prompt, "--token-ids": token_ids, "--set": assignments, "--special": special, "--export": page}
    explore_sides.require_fitting(
        compare, {name: value is not None and value not in ((), False) for name, value in of_run.items()}, how
    )
    if compare is not None:
        from sheetgpt.explore.server import serve

        serve(explore_sides.open_sides(compare, weights, dtype, how), port, browser=not no_browser, announce=announce)
        return
    from sheetgpt.explore.runs import Asked
    from sheetgpt.model import load_model

    model = load_model(weights, dtype)
    asked = Asked(prompt, None if token_ids is None else tuple(token_ids), assignments, special)
    if prompt is None and token_ids is None:
        asked = replace(asked, **first_of(model))
    if page is not None:
        write(model, asked, page)
        return
    from sheetgpt.explore.server import Explorer, serve
    from sheetgpt.explore.typed import by_cell_if_few

    explorer = Explorer(model, asked)
    explorer.runs.whole(by_cell_if_few(explorer.runs, asked))  # what is wrong is said here, not in the browser
    serve(explorer, port, browser=not no_browser, announce=announce)


def write(model: Model, asked: Asked, page: Path) -> None:
    """The page as a file; a model too large for it is said to be, and what the page computes in if it is another."""
    from sheetgpt.explore.export import COMPUTES_IN, computes_by_itself, export, require_takes

    require_takes(model, asked)
    if not computes_by_itself(model):
        show.notice(
            "The model is too large for a page that computes: the page holds this run, its cells can't be changed."
        )
    elif model.weights.dtype != COMPUTES_IN:
        show.notice(f"The page computes in {COMPUTES_IN}, so its last digits are others than in {model.weights.dtype}.")
    export(model, asked, page)
    show.echo(f"Wrote {page} ({page.stat().st_size / 1e6:.1f} MB).")


def first_of(model: Model) -> dict[str, Any]:
    """What to begin with where nothing is asked for: the reference's prompt, the ladder's first name, or a token."""
    from sheetgpt.training.words import NAMES

    for prompt in (FIRST_PROMPT, NAMES[0]):
        try:
            model.encode(prompt, None)
        except SheetGPTError:
            continue
        return {"prompt": prompt}
    return {"ids": (0,)}


def announce(address: str) -> None:
    show.echo(f"{address}\nCtrl-C ends it.")
