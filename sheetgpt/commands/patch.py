"""`sheetgpt patch`: pieces of one prompt's run in another's."""

from __future__ import annotations

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress
from sheetgpt.commands.runs import run_with
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@click.argument("clean")
@click.argument("corrupt")
@show.weights_option
@show.special_option
@click.option("--ids", is_flag=True, help='CLEAN and CORRUPT are token ids, such as "3,1,2".')
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="STAGE",
    help='A stage, or several by a pattern, such as "block_*_step_16". Repeatable. Default: what blocks leave behind, '
    "what attention and MLPs add.",
)
@click.option(
    "--metric",
    metavar="METRIC",
    help='"logit difference A B", "logit A" or "probability A". Default: the logit difference of the two predictions.',
)
@show.dtype_option()
@output_options
def command(clean, corrupt, weights, special, ids, stages, metric, dtype, **outputs):
    """Run CORRUPT with each piece of CLEAN's run in turn: how much of the metric comes back, from 0 to 1.

    \b
    Example:
      sheetgpt patch "Mike is quick. He moves" "Mike is slow. He moves"
      sheetgpt patch "Mike is quick. He moves" "Mike is slow. He moves" --plot patch.svg
    """
    wanted = Outputs(**outputs)
    from sheetgpt.lens.patching import patch
    from sheetgpt.model import load_model

    model = load_model(weights, dtype)
    given = [(None, show.ids_in(text, "with --ids a prompt is")) if ids else (text, None) for text in (clean, corrupt)]
    left, right = (run_with(model, prompt, token_ids, special=special) for prompt, token_ids in given)
    with progress("patches") as advance:
        found = patch(left, right, stages or None, metric, advance)
    wanted.show(found.report(), f"patch {clean}")
