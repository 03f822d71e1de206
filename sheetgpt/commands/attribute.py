"""`sheetgpt attribute`: direct logit attribution."""

from __future__ import annotations

import click

from sheetgpt.commands import many, show
from sheetgpt.commands.runs import prompt_options, run_with, token_option
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@prompt_options
@token_option
@click.option("--against", metavar="TOKEN", help="Attribute the difference to this token's logit.")
@click.option("--by-token", is_flag=True, help="Split each head by the token that its values come from.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many parts to list.")
@many.prompts_options("prompt", "token_ids", "by_token")
@show.dtype_option()
@output_options
def command(prompt, weights, token_ids, special, assignments, token, against, by_token, top, over, dtype, **outputs):
    """Show what each embedding, head, MLP and bias adds to a token's logit.

    Over --prompts: the mean and the spread of each.

    \b
    Example:
      sheetgpt attribute "Mike is quick. He moves"
      sheetgpt attribute "Mike is quick. He moves" --against " slowly" --by-token
      sheetgpt attribute --prompts prompts.txt --plot parts.png
    """
    wanted = Outputs(**outputs)
    from sheetgpt.lens.attribution import attribute
    from sheetgpt.model import load_model

    def look(trace):
        return attribute(trace, token, against)

    model, changed = load_model(weights, dtype), {"special": special, "assignments": assignments}
    if over is not None:
        found = over.report(model, look, top=top, **changed)
        wanted.show(found, f"attribute {over.name}")
        return
    found = look(run_with(model, prompt, token_ids, **changed)).report(by_token=by_token, top=top)
    wanted.show(found, f"attribute {prompt or 'ids'}")
