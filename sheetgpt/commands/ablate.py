"""`sheetgpt ablate`: each head, MLP and block out in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sheetgpt.commands import many, show
from sheetgpt.commands.progress import progress
from sheetgpt.commands.runs import prompt_options, run_with, token_option
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@prompt_options
@token_option
@click.option("--zero", is_flag=True, help="A head or MLP that is out gives 0. The default.")
@click.option(
    "--mean",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="It gives its mean over the positions of a text instead, one document a line.",
)
@click.option("--documents", type=click.IntRange(1), metavar="N", help="With --mean: only the first N documents.")
@click.option("--what", metavar="PIECE", help='One piece alone: "block_1 head 0", "block_1 MLP", "block_1".')
@many.prompts_options("prompt", "token_ids")
@show.dtype_option()
@output_options
def command(
    prompt, weights, token_ids, special, assignments, token, zero, mean, documents, what, over, dtype, **outputs
):
    """Take out each head, each MLP and each block in turn, and show what becomes of the prediction.

    Over --prompts: the mean and the spread of each change.

    \b
    Example:
      sheetgpt ablate "Mike is quick. He moves"
      sheetgpt ablate "Mike is quick. He moves" --what "block_1 head 0" --mean corpus.txt
      sheetgpt ablate --prompts prompts.txt --dump-xlsx
    """
    wanted = Outputs(**outputs)
    require_one_way(zero, mean, documents)
    from sheetgpt.lens.ablation import ablate
    from sheetgpt.model import load_model

    model, changed = load_model(weights, dtype), {"special": special, "assignments": assignments}
    means: list[Any] = []  # the same for all prompts

    def look(trace):
        if mean is not None and not means:
            means.append(means_over(mean, documents, model, trace))
        return ablate(trace, token, means=means[0] if means else None, what=what)

    if over is not None:
        found = over.report(model, look, **changed)
        wanted.show(found, f"ablate {over.name}")
        return
    wanted.show(look(run_with(model, prompt, token_ids, **changed)).report(), f"ablate {prompt or 'ids'}")


def require_one_way(zero, mean, documents) -> None:
    from sheetgpt.errors import LensError

    if zero and mean is not None:
        raise LensError("give either --zero or --mean")
    if documents is not None and mean is None:
        raise LensError("--documents goes with --mean", remedy="add --mean CORPUS")


def means_over(path, documents, model, trace):
    """The means over the documents of a text."""
    from sheetgpt.files.text import read_text
    from sheetgpt.lens.means import corpus_means
    from sheetgpt.training.documents import documents_of

    found = documents_of(read_text(path))[:documents]
    with progress("means") as advance:
        return corpus_means(trace, [model.ids_of(text, None) for text in found], advance)
