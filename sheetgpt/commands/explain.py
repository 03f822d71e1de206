"""`sheetgpt explain`: a number of a run from its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import runs, show, tables
from sheetgpt.errors import StageError

if TYPE_CHECKING:
    from sheetgpt.lens.explained import Explanation, Term
    from sheetgpt.run.trace import Trace

INDENT = "  "


@click.command()
@click.argument("prompt", required=False)
@click.argument("cell", required=False)
@show.weights_option
@show.ids_option()
@show.special_option
@show.dtype_option()
@click.option("--depth", type=click.IntRange(0), default=0, help="Go on with the largest term, N times.", metavar="N")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many terms to show.")
@runs.set_option
@tables.output_options
def command(
    prompt: str | None,
    cell: str | None,
    weights: str | None,
    token_ids: list[int] | None,
    special: bool,
    dtype: str,
    depth: int,
    top: int,
    assignments: tuple[str, ...],
    **outputs: Any,
) -> None:
    """Show what makes a number: CELL of PROMPT's run, or the difference of two.

    CELL is STAGE[ROW,COLUMN] or STAGE[HEAD,QUERY,KEY], counted from 0, from the end where negative; a weight's, too;
    where there is one column, it may be left out. A token may be named by its text.

    \b
    Example:
      sheetgpt explain "Mike is quick. He moves" "block_1_step_4[2,3]"
      sheetgpt explain "Mike is quick. He moves" "block_1_step_7[2,-1,2]" --depth 3
      sheetgpt explain "Mike is quick. He moves" "logits[' quickly']-logits[' slowly']"
    """
    from sheetgpt.lens import explain
    from sheetgpt.model import load_model

    if token_ids is not None and cell is None:
        prompt, cell = None, prompt
    if cell is None:
        raise StageError("explain takes a prompt and a cell", remedy='sheetgpt explain PROMPT "block_0_step_4[2,3]"')
    wanted = tables.Outputs(**outputs)
    model = load_model(weights, dtype)
    trace = runs.run_with(model, prompt, token_ids, special=special, assignments=assignments)
    found = explain(trace, cell, depth=depth, top=top)
    facts = facts_of(trace, assignments)
    files = write(found, facts, wanted, f"explain {found.address} {prompt or ''}")
    if wanted.as_json:
        show.print_json({**facts, **found.as_data(), "files": [str(file) for file in files]})
    else:
        show.echo("\n".join([*as_lines(found), *(f"Wrote {file}" for file in files)]))


def facts_of(trace: Trace, assignments: tuple[str, ...]) -> dict[str, Any]:
    asked = {"prompt": trace.prompt} if trace.prompt is not None else {"token_ids": trace.token_ids}
    return asked | ({"set": ", ".join(assignments)} if assignments else {})


def write(found: Explanation, facts: dict[str, Any], wanted: tables.Outputs, name: str) -> list[Path]:
    """The workbook and the picture, where they are asked for."""
    files = replace(wanted, plot=None).write(found.report(facts), name) if wanted.dump_xlsx else []
    if wanted.plot is not None:
        from sheetgpt.lens import write_plot

        files.append(write_plot(found.picture(facts), wanted.plot))
    return files


# ------------------------------------------------------------------------------------------------ on the terminal


def as_lines(found: Explanation) -> Iterator[str]:
    """Each level under the one that it explains, further to the right."""
    for depth, level in enumerate(found.levels):
        lines = [""] if depth else []
        lines += [f"{level.heading}  ({level.title}; {level.label})", *level.lines(), *table_lines(level)]
        yield from (f"{INDENT * depth}{line}".rstrip() for line in lines)


def table_lines(level: Explanation) -> list[str]:
    """The numbers of the formula, and what is added up, as a table each."""
    return [*one_table(level.numbers, ("", "", "value")), *one_table(level.added, level.heads)]


def one_table(terms: Sequence[Term], heads: tuple[str, str, str]) -> list[str]:
    """A table without columns that are empty, below a line that is."""
    if not terms:
        return []
    rows = [["", *heads, "share", "cells"], *(cells_of(term) for term in terms)]
    kept = [column for column in zip(*rows, strict=True) if any(column[1:])]
    first, *others = zip(*kept, strict=True)
    return ["", *show.table(first, others).split("\n")]


def cells_of(term: Term) -> list[str]:
    """A row as texts. Where the columns' heads say which cells, those aren't named again."""
    from sheetgpt.lens.explained import short

    sides = ["" if side is None else short(side) for side in (term.left, term.right)]
    share = "" if term.share is None else f"{term.share:.1%}"
    return [term.label, *sides, short(term.value), share, term.in_cells if not any(sides) else ""]
