"""`sheetgpt convert-weights`: a published checkpoint becomes a CSV folder."""

from __future__ import annotations

from pathlib import Path

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress


@click.command()
@click.argument("source")
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the model that DEST holds.")
@click.option("--revision", metavar="NAME", help="The branch, tag or commit of a model on the Hugging Face hub.")
@click.option("--n-head", type=click.IntRange(1), help="The number of heads, where the checkpoint does not tell it.")
@click.option("--no-tokenizer", is_flag=True, help="Leave the token table out: the model then runs by --token-ids.")
@show.json_option
def command(source, dest, force, revision, n_head, no_tokenizer, as_json):
    """Turn SOURCE into a folder of CSVs, DEST, that `sheetgpt run --weights DEST` runs.

    SOURCE is the id of a GPT-2 on the Hugging Face hub, or a folder or file: Hugging Face's, nanoGPT's or minGPT's,
    OpenAI's own, GGUF, the reference's CSVs (or their zip), or an npz by our names. Pickled files run no code.
    Interrupted, the same command goes on.

    \b
    Examples:
      sheetgpt convert-weights openai-community/gpt2 gpt2_csv
      sheetgpt convert-weights ./my_model ./my_model_csv
    """
    from sheetgpt.convert import convert

    with progress("Writing") as advance:
        done = convert(
            source, dest, revision=revision, n_head=n_head, tokenizer=not no_tokenizer, force=force, progress=advance
        )
    numbers = sum(rows * columns for rows, columns in done.shapes.values())
    about = {
        "folder": str(dest),
        "constants": dict(done.config.rows()),
        "matrices": len(done.shapes),
        "numbers": numbers,
        "tokenizer": done.write_tables is not None,
        "remarks": done.remarks,
    }
    if as_json:
        show.print_json(about)
    else:
        click.echo(as_text(about))


def as_text(about: dict) -> str:
    prompt = '"Mike is quick. He moves"' if about["tokenizer"] else "--token-ids 1,2,3"
    return "\n".join(
        [
            *(f"Note: {remark}" for remark in about["remarks"]),
            f"Wrote {about['folder']}: {about['matrices']} matrices, {about['numbers']:,} numbers",
            f"Try: sheetgpt run {prompt} --weights {about['folder']}",
        ]
    )
