"""`sheetgpt words`: the small lists of words that the ladder learns from, as files."""

from __future__ import annotations

from pathlib import Path

import click

from sheetgpt.commands import show


@click.command()
@click.argument("which", type=click.Choice(["names", "echoes"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--held-out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="echoes: write 100 others as well, from which nothing is learned.",
)
@click.option("--force", is_flag=True, help="Replace a file that holds another text.")
def command(which, file, held_out, force):
    """Write a list of words to FILE, one a line: the ladder's thirteen names, or a thousand echoes.

    An echo ends with the letter that it begins with, four letters later: what a model of the last three letters can't
    know.

    \b
    Example:
      sheetgpt words names names.txt
      sheetgpt words echoes echoes.txt --held-out new.txt
    """
    from sheetgpt.errors import TrainingError
    from sheetgpt.training.words import LISTS

    found = LISTS[which]()
    if held_out and not found.held_out:
        raise TrainingError(f"of the {which} nothing is held out", remedy="leave --held-out out")
    files = [(path, words) for path, words in ((file, found.words), (held_out, found.held_out)) if path]
    for path, words in files:
        show.require_no_other(path, as_bytes(words), force=force)
    for path, words in files:
        write(path, words)
        show.echo(f"Wrote {path}: {len(words):,} words, such as {', '.join(words[:3])}")
    if found.floor:
        show.echo(f"Floor {found.floor:.4f}: of a model that knows the rule. {found.why}")


def as_bytes(words: list[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def write(path: Path, words: list[str]) -> None:
    from sheetgpt.errors import TrainingError
    from sheetgpt.files.atomic import write_file

    try:
        write_file(path, [as_bytes(words)])
    except OSError as error:
        raise TrainingError(f"can't write {path}: {error.strerror}", remedy="choose another file") from None
