"""`sheetgpt batch`: many prompts, computed together and kept in a folder; docs/batch.md says how to read it."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import click

from sheetgpt.commands import many, show
from sheetgpt.commands.progress import Advance, progress

ERRORS_SHOWN = 3
FORMAT, COLUMN = many.source_options(
    "Default: by the ending.", "Of a CSV or Parquet. Default: prompt, token_ids or the only one."
)


@click.command()
@click.argument("prompts", metavar="PROMPTS")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="RUNS", required=True, help="The folder.")
@show.weights_option
@click.option(
    "--stages", metavar="NAMES", required=True, help='What to keep, such as "block_*_step_7,logits", or none.'
)
@show.dtype_option("float32")
@FORMAT
@COLUMN
@show.special_option
@click.option("--strict", is_flag=True, help="Stop at bad prompts; else each is a row with an error.")
@click.option(
    "--shard",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="How many prompts a file holds. Only those of a file are computed side by side: few leave cores idle.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Compute in so many processes of this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="Compute by a Dask scheduler's workers, such as tcp://HOST:8786.")
@show.json_option
def command(prompts, output, weights, stages, dtype, kind, column, special, strict, shard, workers, scheduler, as_json):
    """Run many prompts and keep the stages of each in a folder.

    PROMPTS is a text with one prompt a line, JSON lines with `prompt` or `token_ids`, a CSV or Parquet with such a
    column, or - for standard input. The same command goes on where it was interrupted.

    \b
    Examples:
      sheetgpt batch prompts.txt -o runs --stages "block_*_step_7,logits"
      sheetgpt batch prompts.jsonl -o runs --stages none --workers 2
    """
    if workers and scheduler:
        raise click.UsageError("Give --workers or --scheduler, not both.")
    from sheetgpt.batch.batching import Batch
    from sheetgpt.batch.prompts import read_prompts
    from sheetgpt.model import load_model

    given = read_prompts(prompts, kind, column)
    batch = Batch(load_model(weights, dtype), given, output, stages, shard=shard, strict=strict, special=special)
    show.notice(batch.plan.sentence())
    start, left = time.perf_counter(), batch.left
    with progress("Prompts") as advance:
        batch.write(advancing(advance, left, start), processes=workers, address=scheduler)
    summary = summary_of(batch, output, left, time.perf_counter() - start)
    if as_json:
        show.print_json(summary)
    else:
        show.echo(as_text(summary))


def advancing(advance: Advance, total: int, start: float):
    """What to call with the number of prompts of each shard that is made."""
    made = 0

    def done(count: int) -> None:
        nonlocal made
        made += count
        advance(made, total, f"{made / (time.perf_counter() - start):,.0f} prompts/s")

    return done


def summary_of(batch, output: Path, computed: int, seconds: float) -> dict:
    plan = batch.plan
    return {
        "folder": str(output),
        "prompts": plan.prompts,
        "bad": plan.bad,
        "first_errors": dict(islice(batch.errors.items(), ERRORS_SHOWN)),
        "computed": computed,
        "seconds": round(seconds, 3),
        "prompts_a_second": round(computed / seconds, 1),
        "bytes_a_prompt": round(plan.bytes_a_prompt),
        "stages": list(batch.job.stages),
    }


def as_text(summary: dict) -> str:
    bad = [f"prompt {number}: {error}" for number, error in summary["first_errors"].items()]
    more = [f"... and {summary['bad'] - len(bad):,} more (`error` in the index)"] if summary["bad"] > len(bad) else []
    head = f"{summary['folder']}: {summary['prompts']:,} prompts, {summary['bad']:,} of them bad"
    rate = f"{summary['prompts_a_second']:,.1f} prompts a second"
    computed = (
        f"{summary['computed']:,} computed in {summary['seconds']:.1f} s, {rate}"
        if summary["computed"]
        else "all were there"
    )
    return "\n".join([f"{head}; {computed}", *bad, *more])
