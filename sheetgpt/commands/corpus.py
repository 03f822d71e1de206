"""`sheetgpt corpus`: the sentences of the embedded models, shown and written; prints docs/corpus.md too."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import click

from sheetgpt.commands import show

WIDTH = 110
EXAMPLES = 8


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Replace FILE where it holds another text.")
@click.option("--markdown", is_flag=True, help="Print docs/corpus.md.")
@show.json_option
def command(file: Path | None, force: bool, markdown: bool, as_json: bool) -> None:
    """Show what the embedded models learned from: names, adjectives, verbs, some documents; with FILE write it all.

    It is the same text each time, one document a line.

    \b
    Examples:
      sheetgpt corpus
      sheetgpt corpus corpus.txt
      sheetgpt train corpus.txt my_model --vocab-size 592 --steps 50
    """
    from sheetgpt import corpus

    lines = corpus.documents()
    if file:
        write(file, lines, force=force)
    about = as_data(lines)
    if markdown:
        show.echo(as_markdown(about), nl=False)
    elif as_json:
        show.print_json(about | {"file": str(file) if file else None})
    else:
        show.echo(as_text(about))
        if file:
            show.echo(f"\nWrote {len(lines):,} documents to {file}")


def write(file: Path, lines: list[str], *, force: bool) -> None:
    """The corpus as a file. Raises TextError where it holds another text, unless `force`."""
    from sheetgpt import corpus

    show.require_no_other(file, corpus.as_bytes(lines), force=force)
    corpus.write(file, lines)


def as_data(lines: list[str]) -> dict[str, Any]:
    from sheetgpt import corpus

    return {
        "names": {"He": [*corpus.HE], "She": [*corpus.SHE]},
        "rare_names": {"He": [*corpus.RARE_HE], "She": [*corpus.RARE_SHE]},
        "own_names": {"He": [*corpus.OWN_HE], "She": [*corpus.OWN_SHE]},
        "adjectives": list(corpus.ADVERBS),
        "verbs": list(corpus.VERBS),
        "asides": list(corpus.ASIDES),
        "documents": len(lines),
        "held_out_pairs": len(corpus.held_out()),
        "examples": lines[:EXAMPLES],
    }


def titled(about: dict[str, Any]) -> list[tuple[str, str]]:
    """(what a group of words is, the words)."""
    rows = []
    for pronoun in ("He", "She"):
        rows.append((f"Names, {pronoun}", words(about["names"][pronoun])))
        rows.append((f"Rare names, {pronoun}", words(about["rare_names"][pronoun])))
        rows.append(
            (
                f"Own names, {pronoun} (in no document: what a reader's own name is like)",
                words(about["own_names"][pronoun]),
            )
        )
    rows.append(("Adjectives", words(about["adjectives"])))
    rows.append(("Verbs", words(about["verbs"])))
    rows.append(("Sentences of nobody", " ".join(about["asides"])))
    return rows


def words(many: list[str]) -> str:
    return f"{len(many)}: {', '.join(many)}"


def counted(about: dict[str, Any]) -> str:
    return (
        f"{about['documents']:,} documents; {about['held_out_pairs']:,} pairs of a name and an adjective, "
        "a tenth of all, stand in none of them."
    )


def as_text(about: dict[str, Any]) -> str:
    groups = [fill(f"{title}: {text}", WIDTH, subsequent_indent="  ") for title, text in titled(about)]
    return "\n".join([*groups, "", counted(about), "The first:", *(f"  {line}" for line in about["examples"])])


INTRODUCTION = """\
# The corpus of the embedded models

<!-- Generated: `sheetgpt corpus --markdown > docs/corpus.md`. Change sheetgpt/corpus.py. -->

The models that ship with sheetgpt learned from sentences that it makes, and from nothing else: what somebody is, they
do. `sheetgpt corpus` shows what this page says, `sheetgpt corpus corpus.txt` writes all documents, one a line. Words
that don't stand here are cut into letters, and mean nothing to these models.
"""


def as_markdown(about: dict[str, Any]) -> str:
    groups = [f"\n## {title}\n\n{fill(text, WIDTH)}\n" for title, text in titled(about)]
    examples = "\n".join(about["examples"])
    return "".join(
        [INTRODUCTION, *groups, f"\n## Documents\n\n{counted(about)} The first:\n\n```text\n{examples}\n```\n"]
    )
