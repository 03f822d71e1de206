"""`sheetgpt attribute`: direct logit attribution."""

from __future__ import annotations

import click

from sheetgpt.commands import show
from sheetgpt.commands.runs import prompt_options, run_of, token_option
from sheetgpt.commands.tables import Outputs, output_options


@click.command()
@prompt_options
@token_option
@click.option("--against", metavar="TOKEN", help="Attribute the difference to this token's logit.")
@click.option("--by-token", is_flag=True, help="Split each head by the token that its values come from.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many parts to list.")
@show.dtype_option()
@output_options
def command(prompt, weights, token_ids, special, assignments, token, against, by_token, top, dtype, **outputs):
    """Show what each embedding, head, MLP and bias adds to a token's logit.

    \b
    Example:
      sheetgpt attribute "Mike is quick. He moves"
      sheetgpt attribute "Mike is quick. He moves" --token " quickly" --against " slowly" --by-token
    """
    wanted = Outputs(**outputs)
    from sheetgpt.lens.attribution import attribute

    trace = run_of(prompt, weights, token_ids, special=special, dtype=dtype, assignments=assignments)
    report = attribute(trace, token, against).report(by_token=by_token, top=top)
    wanted.show(report, f"attribute {prompt or 'ids'}")
