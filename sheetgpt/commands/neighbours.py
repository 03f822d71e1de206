"""`sheetgpt neighbours`: the tokens whose vectors point most nearly the same way as a token's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sheetgpt.commands import show
from sheetgpt.errors import PromptError

if TYPE_CHECKING:
    from sheetgpt.model import Model


@click.command()
@click.argument("token")
@click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="How many.")
@show.weights_option
@click.option("--by-id", is_flag=True, help="TOKEN is a token id.")
@click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx: the table, and a map of the tokens.")
@show.exports_option
@show.name_option("the token")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the map: FILE.png or FILE.svg.")
@show.json_option
def command(
    token: str,
    count: int,
    weights: str | None,
    by_id: bool,
    dump_xlsx: bool,
    exports: Path,
    name: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show the tokens nearest to TOKEN: the cosine of their rows in the token table.

    Cosine 1 is the same direction, 0 across, -1 opposite. Most tokens begin with a space: " quick".

    \b
    Example:
      sheetgpt neighbours Mike
      sheetgpt neighbours " quick" -n 5 --plot map.png
    """
    from sheetgpt.lens.neighbours import neighbours, token_table
    from sheetgpt.model import load_model

    if plot:
        from sheetgpt.lens.plot import require_plotting

        require_plotting(plot)
    model = load_model(weights)
    table, i, vocabulary = token_table(model), id_of(model, token, by_id=by_id), model.vocabulary()
    found = neighbours(table, vocabulary, i, count)
    files = []
    if dump_xlsx:
        from sheetgpt.dump import slug
        from sheetgpt.sheets.neighbours import write_workbook

        path = exports / f"{name or slug(f'neighbours of {vocabulary[i]}')}.xlsx"
        show.notice(show.replaced_notice(path, name))
        files.append(write_workbook(table, vocabulary, i, count, path))
    if plot:
        from sheetgpt.lens.neighbours import on_map, plane
        from sheetgpt.lens.scatter import write_map

        shown = on_map(len(table), {i: [one.id for one in found]})
        write_map(plane(table[shown]), [vocabulary[one] for one in shown], len(found), plot)
        files.append(plot)
    if as_json:
        about = {"id": i, "token": vocabulary[i], "neighbours": [asdict(one) for one in found]}
        show.print_json(about | {"files": [str(file) for file in files]})
    else:
        rows = [[one.rank, one.id, show.token(one.token), f"{one.cosine:.4f}"] for one in found]
        show.echo(f"Nearest to {show.token(vocabulary[i])}, token {i}:\n")
        show.echo(show.table(["rank", "id", "token", "cosine"], rows))
        if files:
            show.echo("\n" + "\n".join(f"Wrote {file}" for file in files))


def id_of(model: Model, token: str, *, by_id: bool) -> int:
    """The id of the token that was typed. Raises PromptError where there is none."""
    from sheetgpt.lens.neighbours import find_token

    if by_id:
        if not token.strip().isdecimal() or int(token) >= model.config.n_vocab:
            what = f"{token!r} is no token id of this model"
            raise PromptError(what, remedy=f"ids are 0 to {model.config.n_vocab - 1}")
        return int(token)
    if model.tokenizer is None:
        raise PromptError("this model has no token table", remedy="give a token id and --by-id")
    return find_token(model.tokenizer, token)
