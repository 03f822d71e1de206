"""`sheetgpt loss`: how well a model predicts a text, token by token, or a file of words, line by line."""

from __future__ import annotations

from pathlib import Path

import click

from sheetgpt.commands import many, show


@click.command()
@click.argument("text", required=False)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The text, as a UTF-8 file; for models of characters, a word a line.",
)
@show.weights_option
@show.ids_option("a text")
@show.special_option
@click.option("--stride", type=int, help="How far one window begins after another. Default: half the context.")
@many.prompts_options("text", "file", "token_ids")
@show.dtype_option()
@click.option("--top", type=click.IntRange(1), default=50, show_default=True, help="How many tokens or lines to show.")
@show.json_option
def command(text, file, weights, token_ids, special, stride, over, dtype, top, as_json):
    """Show each token's probability, -ln of it and its rank, and the text's mean loss and perplexity.

    Of a --file for a model of characters: the same mean for each line, which stands between end tokens, and for all of
    them; so models can be compared that were trained by different losses.

    Over --prompts: the loss of each, its mean and spread, and the perplexity over all of their tokens.

    \b
    Example:
      sheetgpt loss "Mike is quick. He moves quickly."
      sheetgpt loss --file book.txt --stride 32
      sheetgpt loss --file names.txt --weights bigram
      sheetgpt loss --prompts prompts.txt
    """
    from sheetgpt.model import load_model
    from sheetgpt.training.loss import measure
    from sheetgpt.training.loss_of_lines import measure_lines

    model = load_model(weights, dtype)
    if over is not None:
        texts = measure_texts(model, over, stride, special=special)
        show.print_json(texts.as_data()) if as_json else show.echo(texts_as_text(texts, top))
        return
    given = read(text, file)
    if file is not None and given is not None and model.tokenizer is not None and model.tokenizer.has_characters_only:
        require_no_option_of_texts(stride, token_ids, special=special)
        lines = measure_lines(model, given)
        if as_json:
            show.print_json(lines.as_data())
        else:
            show.echo(lines_as_text(lines, top))
        return
    show.notice(None if special else model.special_notice(given))
    ids = model.ids_of(given, token_ids, special=special)
    table = measure(model, ids, stride)
    if as_json:
        show.print_json(table.as_data())
    else:
        show.echo(as_text(table, top))


def measure_texts(model, over, stride, *, special: bool):
    """The loss of each prompt."""
    from sheetgpt.lens.gathered import LeftOut
    from sheetgpt.training.loss import measure
    from sheetgpt.training.loss_of_prompts import TextLoss, gather_losses

    def of(one):
        return measure(model, model.ids_of(one.text, one.token_ids, special=special and one.text is not None), stride)

    return gather_losses(
        one if isinstance(one, LeftOut) else TextLoss.of(one.number, one.prompt, one.found) for one in over.each(of)
    )


def require_no_option_of_texts(stride: int | None, token_ids: list[int] | None, *, special: bool) -> None:
    """Raises PromptError where an option was given that lines of characters have no use for."""
    from sheetgpt.errors import PromptError

    given = {"--token-ids": token_ids is not None, "--stride": stride is not None, "--special": special}
    alone = [option for option, is_given in given.items() if is_given]
    if alone:
        what = f"{alone[0]} doesn't go with a --file for a model of characters, whose lines are read one by one"
        raise PromptError(what, remedy=f"leave {alone[0]} out")


def read(text: str | None, file: Path | None) -> str | None:
    """The text that was given, in one of two ways."""
    from sheetgpt.errors import PromptError
    from sheetgpt.files.text import read_text

    if file is None:
        return text
    if text is not None:
        raise PromptError("give either a text or --file")
    return read_text(file)


def as_text(table, top: int) -> str:
    rows = [
        [t.position, t.id, show.token(t.token), f"{t.probability:.6f}", f"{t.penalty:.4f}", t.rank]
        for t in table.tokens[:top]
    ]
    more = [f"... and {len(table.tokens) - top:,} more (--top)"] if len(table.tokens) > top else []
    windows = f" in {table.n_windows} windows" if table.n_windows > 1 else ""
    means = f"perplexity {table.perplexity:.4f}, {table.bits_per_byte:.4f} bits per byte"
    mean = f"Loss {table.mean:.4f} (mean of {len(table.tokens):,} tokens{windows}), {means}"
    return "\n".join(
        [
            show.table(["position", "id", "token", "probability", "-ln p", "rank"], rows),
            *more,
            "",
            mean,
        ]
    )


def lines_as_text(found, top: int) -> str:
    rows = [
        [one.line, show.token(one.text), one.predictions, f"{one.mean:.4f}", f"{one.floor:.4f}"]
        for one in found.lines[:top]
    ]
    more = [f"... and {len(found.lines) - top:,} more (--top)"] if len(found.lines) > top else []
    count, of = len(found.lines), f"{found.predictions:,} predictions"
    means = f"perplexity {found.perplexity:.4f}, {found.bits_per_byte:.4f} bits per byte"
    floor = f"knows these lines by heart and nothing else, each for as likely as the others (ln {count:,} a line)"
    return "\n".join(
        [
            show.table(["line", "word", "predictions", "mean of -ln p", "floor"], rows),
            *more,
            "",
            f"Loss {found.mean:.4f} (mean of -ln p over {of} in {count:,} lines), {means}",
            f"Floor {found.floor:.4f}: of a model that {floor}",
        ]
    )


def texts_as_text(found, top: int) -> str:
    from sheetgpt.lens.gathered import in_short
    from sheetgpt.training.loss_of_prompts import STATED

    rows = [
        [one.number, show.token(in_short(one.prompt)), one.predictions, f"{one.mean:.4f}", f"{one.perplexity:.4f}"]
        for one in found.texts[:top]
    ]
    more = [f"... and {len(found.texts) - top:,} more (--top)"] if len(found.texts) > top else []
    left_out = [f"{one.number}: {show.token(in_short(one.prompt))}: {one.reason}" for one in found.left_out[:top]]
    if len(found.left_out) > top:
        left_out.append(f"... and {len(found.left_out) - top:,} more (--top)")
    spread = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in found.spread.items())
    of = f"{found.predictions:,} tokens in {len(found.texts):,} prompts"
    means = f"perplexity {found.perplexity:.4f}, {found.bits_per_byte:.4f} bits per byte"
    return "\n".join(
        [
            show.table(["number", "prompt", "predictions", "mean of -ln p", "perplexity"], rows),
            *more,
            *(["", f"Left out, {len(found.left_out):,}:", *left_out] if left_out else []),
            "",
            f"Loss of a prompt: {spread}",
            f"Loss {found.over_tokens:.4f} (mean of {of}), {means}",
            "",
            STATED,
        ]
    )
