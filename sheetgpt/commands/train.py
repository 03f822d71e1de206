"""`sheetgpt train`: a text becomes a small GPT-2 in a CSV folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--vocab-size", type=click.IntRange(257), default=512, show_default=True, help="Tokens to learn.")
@click.option("--n-layer", type=click.IntRange(1), default=2, show_default=True)
@click.option("--n-head", type=click.IntRange(1), default=4, show_default=True)
@click.option("--n-embd", type=click.IntRange(1), default=64, show_default=True)
@click.option("--n-ctx", type=click.IntRange(1), default=64, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Windows of n_ctx tokens a step.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True)
@click.option("--weight-decay", type=float, default=0.1, show_default=True)
@click.option("--warmup", type=click.IntRange(0), default=100, show_default=True, help="Steps of rising learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--force", is_flag=True, help="Replace the model that DEST holds.")
def command(corpus, dest, vocab_size, n_layer, n_head, n_embd, n_ctx, force, **settings):
    """Train a GPT-2 on CORPUS (UTF-8, one document a line) and write it to DEST as a CSV folder.

    The token table in DEST is used where there is one, else learned from the corpus. Stopped half-way, the same
    command goes on from DEST/checkpoint.npz.

    \b
    Example:
      python -m sheetgpt.corpus corpus.txt
      sheetgpt train corpus.txt my_model --steps 200
    """
    from sheetgpt import train

    trainer = train.prepare(
        corpus, dest, train.Shape(n_layer, n_head, n_embd, n_ctx, vocab_size), train.Settings(**settings), force=force
    )
    if trainer.records:
        click.echo(f"Going on after step {len(trainer.records)} from {dest / train.CHECKPOINT}", err=True)
    if not train.run(trainer, dest, report=report):
        click.echo(f"\nStopped after step {len(trainer.records)}; the same command goes on from there.", err=True)
        raise SystemExit(130)
    click.echo(f'Wrote {dest}. Try: sheetgpt run "Mike is quick. He moves" --weights {dest}')


def report(record, settings) -> None:
    """One line of progress: in place on a terminal, every hundredth step elsewhere."""
    on_terminal = sys.stderr.isatty()
    last = record.step == settings.steps
    if not (on_terminal or last or record.step % 100 == 0):
        return
    left = (settings.steps - record.step) * record.seconds
    line = (
        f"step {record.step:>{len(str(settings.steps))}}/{settings.steps}  loss {record.loss:.4f}  "
        f"{record.tokens_per_second:,.0f} tokens/s  {left // 60:.0f}:{left % 60:02.0f} left"
    )
    click.echo(f"\r{line}" if on_terminal else line, err=True, nl=last or not on_terminal)
