"""`sheetgpt convert-weights`: a published checkpoint becomes a CSV folder, or a CSV folder a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress

if TYPE_CHECKING:
    from sheetgpt.convert.checkpoint import Checkpoint
    from sheetgpt.convert.export import Written


@click.command()
@click.argument("source")
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--to", type=click.Choice(["csv", "safetensors"]), default="csv", show_default=True, help="What to write."
)
@click.option("--force", is_flag=True, help="Replace the model that DEST holds.")
@click.option("--revision", metavar="NAME", help="The branch, tag or commit of a model on the Hugging Face hub.")
@click.option("--n-head", type=click.IntRange(1), help="The number of heads, where the checkpoint does not hold it.")
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path),
    metavar="WEIGHTS.csv",
    help="Where each matrix stands in a workbook.",
)
@click.option("--no-tokenizer", is_flag=True, help="Leave the token table out: the model then runs by --token-ids.")
@show.json_option
def command(
    source: str,
    dest: Path,
    to: str,
    force: bool,
    revision: str | None,
    n_head: int | None,
    map_file: Path | None,
    no_tokenizer: bool,
    as_json: bool,
) -> None:
    """Turn SOURCE into a folder of CSVs, DEST, that `sheetgpt run --weights DEST` runs.

    SOURCE is the id of a GPT-2 on the Hugging Face hub, or a folder or file: Hugging Face's, nanoGPT's or minGPT's,
    OpenAI's own, GGUF, the reference's CSVs (or their zip), an npz by our names, or a workbook with a --map of where
    its matrices stand (columns stage,sheet,range,transposed; head,rows,columns for pieces). Pickles run no code.
    Interrupted, the same command goes on. With --to safetensors SOURCE is a CSV folder, and DEST becomes a folder
    that Hugging Face's transformers loads.

    \b
    Examples:
      sheetgpt convert-weights openai-community/gpt2 gpt2_csv
      sheetgpt convert-weights my_csv my_model --to safetensors
      sheetgpt convert-weights nano.xlsx nano_csv --map WEIGHTS.csv --n-head 3
    """
    from sheetgpt.convert import convert
    from sheetgpt.convert.export import to_safetensors

    with progress("Writing") as advance:
        options: dict[str, Any] = {"tokenizer": not no_tokenizer, "force": force, "progress": advance}
        done: Checkpoint | Written
        if to == "csv":
            done = convert(source, dest, revision=revision, n_head=n_head, map_file=map_file, **options)
        else:
            done = to_safetensors(source, dest, **options)
    about = {
        "folder": str(dest),
        "constants": dict(done.config.rows()),
        "matrices": len(done.shapes),
        "numbers": sum(rows * columns for rows, columns in done.shapes.values()),
        "tokenizer": done.tokenizer,
        "remarks": done.remarks,
    }
    if as_json:
        show.print_json(about)
    else:
        for remark in done.remarks:
            show.notice(f"Note: {remark}")
        show.echo(as_text(about, to))


def as_text(about: dict[str, Any], to: str) -> str:
    from sheetgpt.weights.embedded import typed

    prompt = '"Mike is quick. He moves"' if about["tokenizer"] else "--token-ids 1,2,3"
    tries = {
        "csv": f"sheetgpt run {prompt} --weights {typed(about['folder'])}",
        "safetensors": f'GPT2LMHeadModel.from_pretrained("{about["folder"]}") in Python with transformers',
    }
    return "\n".join(
        [
            f"Wrote {about['folder']}: {about['matrices']} matrices, {about['numbers']:,} numbers",
            f"Try: {tries[to]}",
        ]
    )
