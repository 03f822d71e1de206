"""`sheetgpt generate`: a prompt continued token by token, and how each token was picked."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.generate.decode import Generated, LanguageModel
    from sheetgpt.generate.record import Record
    from sheetgpt.model import Model

INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


@click.command()
@click.argument("prompt", required=False)
@show.weights_option
@show.ids_option()
@show.special_option
@click.option("-n", type=int, default=20, show_default=True, metavar="N", help="How many tokens to make.")
@click.option(
    "--temperature", type=float, metavar="T", help="Divides the logits. Default: 1 with --top-k, ...; else 0."
)
@click.option("--top-k", type=int, metavar="K", help="Keep only the K best candidates.")
@click.option("--top-p", type=float, metavar="P", help="Keep only the best candidates that reach probability P.")
@click.option("--seed", type=int, metavar="SEED", help="The same seed makes the same text.")
@click.option("--greedy", is_flag=True, help="Take the best token. The default without a sampling option.")
@click.option("--stop-at-eos/--no-stop-at-eos", default=True, show_default=True, help="Stop at <|endoftext|>.")
@click.option("--slide/--no-slide", default=True, show_default=True, help="What to do when the context is full.")
@click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx: how each token was picked, on its tab.")
@click.option("--dump-csv", is_flag=True, help="Write EXPORTS/NAME/pick_N.csv for each token, and a manifest.")
@show.exports_option
@show.name_option("the prompt, with -picks")
@show.dtype_option("float32")
@show.json_option
def command(
    prompt: str | None, weights: str | None, token_ids: list[int] | None, special: bool, n: int,
    temperature: float | None, top_k: int | None, top_p: float | None, seed: int | None, greedy: bool,
    stop_at_eos: bool, slide: bool, dump_xlsx: bool, dump_csv: bool, exports: Path, name: str | None,
    dtype: str, as_json: bool,
) -> None:  # fmt: skip
    """Continue PROMPT by N tokens; the text streams as it is made.

    Without a sampling option (--temperature, --top-k, --top-p, --seed) the best token is taken each time. A context
    that is full goes on with its newest half, or ends with --no-slide. Ctrl-C ends with what was made so far.

    \b
    Example:
      sheetgpt generate "Mike is quick. He moves" -n 8 --temperature 0.8 --top-k 40 --seed 1
    """
    from sheetgpt.generate.decode import generate
    from sheetgpt.generate.record import Record
    from sheetgpt.generate.sample import Sampling
    from sheetgpt.model import load_model

    sampling = Sampling.of(temperature, top_k, top_p, seed, greedy=greedy)
    model = load_model(weights, dtype)
    show.notice(None if special else model.special_notice(prompt))
    _, ids = model.encode(prompt, token_ids, special=special)
    record = Record(model, prompt, ids, n, sampling, keep_tables=dump_xlsx or dump_csv)
    tokens = record.following(generate(model, ids, n, sampling, stop_at_eos=stop_at_eos, slide=slide))
    try:
        stream(tokens, text_of(model, prompt, ids), quiet=as_json)
    except KeyboardInterrupt:
        record.interrupted = True
    files = dump(record, exports, name, xlsx=dump_xlsx, csv=dump_csv)
    if as_json:
        show.print_json(record.as_data() | {"files": [str(file) for file in files]})
    else:
        notice(model, record, files, seed_given=seed is not None)
    if record.interrupted:
        sys.exit(INTERRUPTED)


def text_of(model: LanguageModel, prompt: str | None, ids: list[int]) -> str:
    from sheetgpt.generate.decode import bytes_of

    return prompt if prompt is not None else b"".join(bytes_of(model, i) for i in ids).decode(errors="replace")


def stream(tokens: Iterator[Generated], prompt: str, *, quiet: bool) -> None:
    """The prompt and the text of each token as soon as it is there."""
    if quiet:
        deque(tokens, maxlen=0)
        return
    show.echo(prompt, nl=False)
    try:
        for token in tokens:
            show.echo(token.text, nl=False)
    finally:
        show.echo()


def dump(record: Record, exports: Path, name: str | None, *, xlsx: bool, csv: bool) -> list[Path]:
    """Write what was asked for; the files written."""
    from sheetgpt.dump import slug

    base = exports / (name or slug(record.prompt or "-".join(map(str, record.prompt_ids))) + "-picks")
    files = []
    if xlsx:
        from sheetgpt.generate.workbook import write_workbook

        files.append(write_workbook(record, base.with_name(f"{base.name}.xlsx")))
    if csv:
        from sheetgpt.generate.record import write_folder

        files.append(write_folder(record, base))
    return files


def notice(model: Model, record: Record, files: list[Path], *, seed_given: bool) -> None:
    """What a person should know besides the text, on stderr."""
    from sheetgpt.generate.decode import kept_after_slide
    from sheetgpt.models.kinds import has_last_position

    n_ctx, count = model.config.n_ctx, len(record.tokens)
    if not has_last_position(model.config):  # else the context slides
        show.notice(model.length_notice(len(record.prompt_ids) + count))
    if record.interrupted:
        show.echo(f"Interrupted after {count} of {record.n} tokens.", err=True)
    if record.end == "end of text":
        show.echo(f"The text ended after {count} tokens. --no-stop-at-eos goes on.", err=True)
    if record.end == "context":
        show.echo(f"Prompt and new tokens fill the context of {n_ctx} tokens. --slide goes on.", err=True)
    if record.slides:
        kept = kept_after_slide(n_ctx)
        times = "" if record.slides == 1 else f" {record.slides} times"
        message = f"The context of {n_ctx} tokens was full{times}: it went on with its newest {kept} alone."
        show.echo(message, err=True)
    if not record.sampling.greedy and not seed_given:
        show.echo(f"Seed {record.sampling.seed} (--seed {record.sampling.seed} makes this text again).", err=True)
    for file in files:
        show.echo(f"Wrote {file}", err=True)
