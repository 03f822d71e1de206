"""`sheetgpt lens`: the logit lens."""

from __future__ import annotations

import click

from sheetgpt.commands import many, show
from sheetgpt.commands.runs import prompt_options, run_with
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@prompt_options
@click.option("--sublayers", is_flag=True, help="After attention and after the MLP of each block.")
@click.option("--token", metavar="TOKEN", help="Whose rank and probability to show. Default: each final prediction.")
@many.prompts_options("prompt", "token_ids")
@show.dtype_option()
@output_options
def command(prompt, weights, token_ids, special, assignments, sublayers, token, over, dtype, **outputs):
    """Show what would be predicted after every block: the best token of every row, and the final one's rank.

    Over --prompts: what becomes of the token in the last row of each, mean and spread.

    \b
    Example:
      sheetgpt lens "Mike is quick. He moves"
      sheetgpt lens "Mike is quick. He moves" --sublayers --token " quickly" --plot lens.png
      sheetgpt lens --prompts prompts.txt --token " quickly"
    """
    wanted = Outputs(**outputs)
    from sheetgpt.lens.logits import logit_lens
    from sheetgpt.model import load_model

    def look(trace):
        return logit_lens(trace, token, sublayers=sublayers)

    model, changed = load_model(weights, dtype), {"special": special, "assignments": assignments}
    if over is not None:
        found = over.report(model, look, **changed)
        wanted.show(found, f"lens {over.name}")
        return
    wanted.show(look(run_with(model, prompt, token_ids, **changed)).report(), f"lens {prompt or 'ids'}")
