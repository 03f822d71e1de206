"""`sheetgpt lens`: the logit lens."""

from __future__ import annotations

import click

from sheetgpt.commands import show
from sheetgpt.commands.runs import prompt_options, run_of
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@prompt_options
@click.option("--sublayers", is_flag=True, help="After attention and after the MLP of each block.")
@click.option("--token", metavar="TOKEN", help="Whose rank and probability to show. Default: each final prediction.")
@show.dtype_option()
@output_options
def command(prompt, weights, token_ids, special, assignments, sublayers, token, dtype, **outputs):
    """Show what would be predicted after every block: the best token of every row, and the final one's rank.

    \b
    Example:
      sheetgpt lens "Mike is quick. He moves"
      sheetgpt lens "Mike is quick. He moves" --sublayers --token " quickly" --plot lens.png
    """
    wanted = Outputs(**outputs)
    from sheetgpt.lens.logits import logit_lens

    trace = run_of(prompt, weights, token_ids, special=special, dtype=dtype, assignments=assignments)
    wanted.show(logit_lens(trace, token, sublayers=sublayers).report(), f"lens {prompt or 'ids'}")
