"""`sheetgpt diff`: two runs side by side, the first stage that diverges, and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from sheetgpt.commands import show

FIGURES = ["stage", "shape", "verdict", "own error", "largest", "relative", "rms", "cosine", "cells out", "of"]
ERRORS = ["stage", "title", "cause"]
CELLS = ["stage", "left at", "right at", "row", "column", "left", "right"]

map_option = click.option(
    "--map", "right_map", type=click.Path(path_type=Path), metavar="MAP.csv", help="Where RIGHT's stages stand."
)
left_map_option = click.option(
    "--left-map", type=click.Path(path_type=Path), metavar="MAP.csv", help="Where LEFT's stages stand."
)
atol_option = click.option(
    "--atol", type=click.FloatRange(0), help="Absolute tolerance. Default: by precision, see docs/numbers.md."
)
rtol_option = click.option("--rtol", type=click.FloatRange(0), help="Relative tolerance. Default: by precision.")
stages_option = click.option(
    "--stages", metavar="PATTERN", help='Compare only these, such as "block_0_*"; may be a list with commas.'
)


@click.command()
@click.argument("left")
@click.argument("right")
@show.weights_option
@map_option
@left_map_option
@atol_option
@rtol_option
@click.option("--strict", is_flag=True, help="A stage that is missing on one side counts as a difference.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", help="What `run:` sides compute in."
)
@stages_option
@click.option("--all", "every_stage", is_flag=True, help="List the stages that are equal too.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Of many prompts: how many of the worst to list.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="REPORT.xlsx", help="Write the cells side by side.")
@show.json_option
def command(
    left, right, weights, right_map, left_map, atol, rtol, strict, dtype, stages, every_stage, top, report, as_json
):
    """Compare LEFT and RIGHT stage by stage; say which diverges first, which have errors of their own, and why.

    Each side is a CSV dump's folder, a workbook (.xlsx, .xlsb, .ods), run:PROMPT, run-ids:1,2,3, or arrays (.npz,
    .safetensors, .json, .jsonl, .npy, .bin, or a folder of these) called as the stages are, or as another program calls
    them (see `sheetgpt stages`); or what Hugging Face's model debugger or llama.cpp wrote. Two dumps of `train-step`,
    train-step:TEXT and llm.c's debug state are compared matrix by matrix (train-step: alone is a step on the batch that
    llm.c's file holds); what was generated, ids and logits of each step, step by step with LEFT's model.
    Two folders of many prompts' runs, kept by `sheetgpt batch` or files such as 17.npz by prompt number, are compared
    prompt by prompt: which diverge, the first stage of each and why.
    Exit code 0: equal; 1: different; 2: trouble.

    \b
    Example:
      sheetgpt diff "run:Mike is quick. He moves" port.npz
      sheetgpt diff runs port_npz --json
    """
    from sheetgpt.diff import diff
    from sheetgpt.diff import training as training_diff
    from sheetgpt.diff.generation.dumps import is_generation
    from sheetgpt.diff.sides import open_side

    if are_many(left, right):
        from sheetgpt.commands import diff_many

        alone = {"--map": right_map, "--left-map": left_map, "--report": report}
        how = {"atol": atol, "rtol": rtol, "strict": strict, "weights": weights, "only": stages}
        raise SystemExit(diff_many.command(left, right, alone, top, every_prompt=every_stage, as_json=as_json, **how))
    if training_diff.is_training(left) or training_diff.is_training(right):
        raise SystemExit(show_training(training_diff.compare(left, right, atol, rtol, weights), as_json=as_json))
    if is_generation(right) or is_generation(left):
        raise SystemExit(
            show_generation(left, right, weights, dtype, atol, rtol, every_step=every_stage, as_json=as_json)
        )
    sides = (
        open_side(left, weights=weights, dtype=dtype, map_file=left_map),
        open_side(right, weights=weights, dtype=dtype, map_file=right_map),
    )
    found = diff(*sides, atol=atol, rtol=rtol, strict=strict, weights=weights, only=stages)
    if report:
        from sheetgpt.diff.report import write_report

        write_report(found, *sides, report, headline(found))
    show.print_json(found.as_data()) if as_json else show.echo(as_text(found, report, every_stage=every_stage))
    raise SystemExit(0 if found.equal else 1)


def are_many(*sides: str) -> bool:
    """Is one of the sides a folder of many prompts' runs?"""
    from sheetgpt.files.paths import existing

    folders = [side for side in sides if (path := existing(side)) is not None and path.is_dir()]
    if not folders:
        return False
    from sheetgpt.diff.many.folders import is_many  # only now: most sides are no folders, and starting takes time

    return any(map(is_many, folders))


def show_generation(left, right, weights, dtype, atol, rtol, *, every_step: bool, as_json: bool) -> int:
    """Print a comparison of what was generated; the exit code."""
    from sheetgpt.commands.diff_generation import as_text as in_steps
    from sheetgpt.diff.generation.steps import compare

    found = compare(left, right, weights=weights, dtype=dtype, atol=atol, rtol=rtol)
    show.print_json(found.as_data()) if as_json else click.echo(in_steps(found, every_step=every_step))
    return 0 if found.equal else 1


def show_training(found, *, as_json: bool) -> int:
    """Print a comparison of training steps; the exit code."""
    from dataclasses import asdict

    from sheetgpt.diff.result import plain

    first = found.first
    if as_json:
        show.print_json(
            {
                "equal": first is None,
                "first": first.name if first else None,
                "matrices": plain([asdict(one) for one in found.matrices]),
                "missing": found.missing,
            }
        )
        return 0 if first is None else 1
    rows = [
        [one.name, both_shapes(one), "equal" if one.equal else "DIFFERENT", number(one.largest), f"{one.cells_out:,}"]
        for one in found.matrices
    ]
    why = f"; {first.note}" if first and first.note else ""
    show.echo(f"{first.name} diverges first{why}." if first else f"No matrix diverges: {len(rows)} are equal.")
    show.echo("\n" + show.table(["matrix", "shape", "verdict", "largest", "cells out"], rows))
    for one in found.matrices:
        if one.note:
            show.echo(f"{one.name}: {one.note}")
    if found.missing:
        show.echo(f"\nNot compared, on one side only: {', '.join(found.missing)}")
    return 0 if first is None else 1


def both_shapes(matrix) -> str:
    """Both sides' shapes, once where they are the same."""
    return " and ".join(dict.fromkeys("{} x {}".format(*shape) for shape in matrix.shapes))


def in_short(names: Iterable[tuple[str, str]]) -> str:
    """Names in a row; those that differ in the block's number only, as one with their count.

    names: each with its form in any block.

    >>> in_short([("logits", "logits"), ("block_0_step_2", "block_*_step_2"), ("block_1_step_2", "block_*_step_2")])
    'logits, block_*_step_2 (2)'
    """
    groups: dict[str, list[str]] = {}
    for name, in_any_block in names:
        groups.setdefault(in_any_block, []).append(name)
    return ", ".join(
        group[0] if len(group) == 1 else f"{in_any_block} ({len(group)})" for in_any_block, group in groups.items()
    )


def as_text(found, report: Path | None = None, *, every_stage: bool = False) -> str:
    """The report for people: the first divergence, the errors, figures of the stages, worst cells, what is missing."""
    compared = found.compared
    lines = [headline(found)]
    lines += remarks(found)
    if found.own_errors:
        rows = [[stage.stage, stage.title, stage.cause] for stage in found.own_errors]
        lines += ["", "Errors of their own, in the order of the data:", show.table(ERRORS, rows)]
    shown = compared if every_stage else [stage for stage in compared if stage.verdict == "different"]
    if shown:
        lines += ["", show.table(FIGURES, [figures(stage) for stage in shown])]
    equal = [(stage.stage, stage.in_any_block) for stage in compared if stage not in shown]
    if equal:
        lines += ["", f"Equal: {in_short(equal)}"]
    cells = [worst_cell(stage) for stage in compared if stage.worst]
    if cells:
        lines += ["", "The worst cell of each stage that differs:", show.table(CELLS, cells)]
    lines += [f"{stage.stage}: {stage.note}" for stage in compared if stage.note]
    lines += [f"\nNot compared: {stage.note}" for stage in found.unreadable]
    for note in dict.fromkeys(stage.note for stage in found.missing if not stage.is_unreadable):
        names = [(stage.stage, stage.in_any_block) for stage in found.missing if stage.note == note]
        lines += ["", f"Not compared, {note}: {in_short(names)}"]
    lines += unread(found)
    if report:
        lines += ["", f"Wrote {report}"]
    return "\n".join(lines)


def remarks(found) -> list[str]:
    """What is said of both sides before their stages."""
    is_assumed = found.assumed and (found.first or found.diagnosis)
    assumed = [f"RIGHT's numbers are taken for {found.assumed}."] if is_assumed else []
    return [*assumed, *(taken.sentence for taken in found.taken), *found.remarks]


def unread(found) -> list[str]:
    """What the sides hold that is no stage."""
    names = ((name, f", like {', '.join(like)}" if like else "") for name, like in found.unread)
    return [f"Not read, no stage is called so: {name}{nearest}" for name, nearest in names]


def headline(found) -> str:
    """The first line: which stage diverges first, and why."""
    tolerance = f"|left - right| <= {found.tolerance.atol:g} + {found.tolerance.rtol:g} |right|"
    precision = " against ".join(dict.fromkeys(found.precision))
    compared = "{} of {} stages compared".format(*found.extent)
    if found.first is None:
        end = ", but some are missing" if found.strict and found.missing else ""
        end = f", but {how_many(found.unreadable)} can't be read" if found.unreadable else end
        line = f"No stage diverges: {compared}, equal within {tolerance} ({precision}){end}"
        hidden = found.diagnosis
        return f"{line}; but within that {hidden.stage} is wrong: {hidden.sentence}." if hidden else f"{line}."
    why, first = found.diagnosis, found.first
    line = f"{compared}; {first.stage} ({first.title}) diverges first"
    if why is None:
        return f"{line}, beyond {tolerance} ({precision})."
    if why.stage != first.stage:
        line = f"{line}, but the difference begins within the tolerance at {why.stage}: {why.sentence}"
    else:
        line = f"{line}; {why.sentence}"
    return f"{line}{behind(found)}."


def how_many(stages) -> str:
    return stages[0].stage if len(stages) == 1 else f"{len(stages)} stages"


def behind(found) -> str:
    """What the first line says of the errors behind the first."""
    others = [stage for stage in found.own_errors if stage.stage != found.diagnosis.stage]
    if not others:
        return ""
    if found.diagnosis.cause in ("rounding", "tokens", "inputs"):
        return f"; the first error behind it is {others[0].stage} ({others[0].title}): {others[0].cause}"
    return f"; {len(found.own_errors)} stages have errors of their own"


def figures(stage) -> list[str]:
    shape = "{} x {}".format(*stage.shape) if stage.shape else ""
    numbers = [number(x) for x in (stage.largest_difference, stage.largest_relative, stage.rms)]
    cosine = "" if stage.cosine is None else f"{stage.cosine:.9f}"
    verdict = stage.verdict.upper() if stage.verdict == "different" else stage.verdict
    own_error = {True: "yes", False: "", None: "?"}[stage.own_error] if stage.verdict == "different" else ""
    return [stage.stage, shape, verdict, own_error, *numbers, cosine, f"{stage.cells_out:,}", f"{stage.cells:,}"]


def number(x: float | None) -> str:
    return "" if x is None else "0" if x == 0 else f"{x:.1e}"


def worst_cell(stage) -> list[str]:
    from sheetgpt.workbook.grid import with_r1c1

    worst = stage.worst
    return [
        stage.stage,
        with_r1c1(worst.left_place),
        with_r1c1(worst.right_place),
        worst.row,
        worst.column,
        *map(shown, (worst.left, worst.right)),
    ]


def shown(value) -> str:
    """A cell's content: a number to 12 digits, a text in quotes."""
    if value is None:
        return "blank"
    from sheetgpt.diff.sides.side import is_error_value

    return f"{value:.12g}" if isinstance(value, float) else str(value) if is_error_value(value) else repr(value)
