"""`sheetgpt train`: a text becomes a model in a CSV folder, from a die to a small GPT-2."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from pathlib import Path

import click
from click.core import ParameterSource

from sheetgpt.commands import show
from sheetgpt.models.config import MODELS, POSITIONS

SAMPLE_TOKENS = 40
SMOOTH_OVER = 20  # steps whose time tells the speed


def parse_first(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, float] | None:
    """`a=0.62 i=0.45` as weights by token. Raises TrainingError where it isn't that."""
    from sheetgpt.errors import TrainingError

    if text is None:
        return None
    try:
        pairs = [part.rsplit("=", 1) for part in text.split()]
        first = {token: float(number) for token, number in pairs}
    except ValueError:
        first = {}
    if not first:
        what = f"--first {text!r} is no list of TOKEN=NUMBER"
        raise TrainingError(what, remedy='write "a=0.62 i=0.45 ..."')
    if len(first) < len(pairs):
        raise TrainingError(f"--first {text!r} gives a token two weights", remedy="give each one")
    return first


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="gpt2",
    show_default=True,
    help="A rung of the ladder, the plainest first; microgpt is Andrej Karpathy's smallest GPT.",
)
@click.option(
    "--tokens",
    type=click.Choice(["bpe", "chars"]),
    default="bpe",
    show_default=True,
    help="What a token is; with chars each line is a document of its own, such as a name.",
)
@click.option("--vocab-size", type=click.IntRange(257), default=512, show_default=True, help="Tokens to learn (bpe).")
@click.option(
    "--position",
    type=click.Choice(POSITIONS),
    default="learned",
    show_default=True,
    help="How a model with attention knows where a token stands.",
)
@click.option(
    "--n-layer", type=click.IntRange(1), help="Blocks. Default here and below: what suits the model; for gpt2 2."
)
@click.option("--n-head", type=click.IntRange(1), help="Heads a block. gpt2: 4.")
@click.option("--n-embd", type=click.IntRange(1), help="The dimensions of a token's vector. gpt2: 64.")
@click.option("--n-ctx", type=click.IntRange(1), help="The context in tokens; of the mlp, how many it sees. gpt2: 64.")
@click.option("--steps", type=click.IntRange(0), help="gpt2: 2000. With 0 the model keeps its first weights.")
@click.option(
    "--first",
    callback=parse_first,
    metavar="WEIGHTS",
    help='die and softmax: the first weight of each token, such as "a=0.62 i=0.45 ...".',
)
@click.option("--batch", type=click.IntRange(1), help="Windows of n_ctx tokens (or documents) a step. gpt2: 32.")
@click.option("--optimizer", type=click.Choice(["adamw", "sgd"]), help="die and softmax: sgd; others: adamw.")
@click.option("--learning-rate", type=float, help="How far a step goes. gpt2: 0.003.")
@click.option("--min-learning-rate", type=float, help="Where the schedule ends. gpt2: 0.0001.")
@click.option("--warmup", type=click.IntRange(0), help="Steps of rising learning rate. gpt2: 100.")
@click.option("--weight-decay", type=float, help="Of matrices, not of gains and biases. gpt2: 0.1.")
@show.beta_options
@click.option("--clip", type=click.FloatRange(0), default=1.0, show_default=True, help="Largest gradient norm; 0: any.")
@click.option(
    "--gradient",
    type=click.Choice(["backprop", "numeric", "value"]),
    help="How the gradient is found; the last two for up to a few hundred weights. die: numeric; others: backprop.",
)
@click.option("--nudge", type=float, default=1e-6, show_default=True, help="Of each weight, with --gradient numeric.")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 0.5),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="The share of documents to learn nothing from, whose loss is shown on the way.",
)
@click.option(
    "--evaluate-every",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="STEPS",
    help="How often the loss of --held-out is computed.",
)
@click.option("--sample-every", type=click.IntRange(1), metavar="STEPS", help="Show a text made so far.")
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="Write every step's loss as CSV.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the losses: FILE.png or FILE.svg.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same model.")
@click.option("--resume", is_flag=True, help="Insist on going on from DEST/checkpoint.npz.")
@click.option("--force", is_flag=True, help="Replace the model that DEST holds.")
@show.json_option
def command(corpus, dest, held_out, sample_every, log, plot, resume, force, first, as_json, **options):  # fmt: skip
    """Train a model on CORPUS (UTF-8, one document a line) and write it to DEST as a CSV folder.

    The token table in DEST is used where there is one, else made from the corpus. Stopped half-way (Ctrl-C), the same
    command goes on from DEST/checkpoint.npz, bit for bit. A model that is whole is not trained further.

    \b
    Example:
      sheetgpt corpus corpus.txt
      sheetgpt train corpus.txt my_model --steps 200
      sheetgpt train names.txt names --tokens chars --model bigram
      sheetgpt train names.txt untrained --tokens chars --steps 0
    """
    from sheetgpt.model import TOKEN_FILES
    from sheetgpt.training import checkpoint, train
    from sheetgpt.weights.embedded import typed

    if plot:
        from sheetgpt.lens.plot import require_plotting

        require_plotting(plot)
    new, settings = chosen(options)
    table = dest if (dest / TOKEN_FILES[0]).exists() else None
    trainer = train.prepare(corpus, dest, new, settings, held_out=held_out, resume=resume, force=force, first=first)
    show.notice(other_tokens(trainer.config.n_vocab, new, table))
    if trainer.log:
        show.echo(f"Going on after step {len(trainer.log)} from {dest / checkpoint.FILE}", err=True)
    watch = Watch(trainer, dest, sample_every)
    try:
        whole = train.run(trainer, dest, report=watch.report, notice=show.notice)
    finally:
        files = write_course(trainer, log, plot)
    if not whole:
        show.echo(f"\nStopped after step {len(trainer.log)}; the same command goes on from there.", err=True)
        raise SystemExit(130)
    if as_json:
        show.print_json(as_data(trainer, dest, files))
        return
    show.echo("\n".join([*result(trainer, corpus, dest), *(f"Wrote {file}" for file in files), f"Wrote {dest}"]))
    show.echo(f'Try: sheetgpt run "{first_words(corpus, trainer)}" --weights {typed(dest)}')


def other_tokens(count: int, new, table: Path | None) -> str | None:
    """What is said where there are not as many tokens as were asked for. table: the folder that held them already."""
    asked = click.get_current_context().get_parameter_source("vocab_size") is not ParameterSource.DEFAULT
    if not asked or new.has_characters or count == new.vocab_size:
        return None
    why = f"those of the token table in {table}" if table else "the text holds no more merges"
    return f"{count} tokens, not {new.vocab_size}: {why}."


def chosen(options: dict):
    """The model to train and the training's settings: what was given, else what suits the model."""
    from sheetgpt.models.kinds import kind
    from sheetgpt.training.optimizers import Settings
    from sheetgpt.training.train import NewModel

    given = {name: value for name, value in options.items() if value is not None}
    found = asdict(kind(options["model"]).defaults) | given

    def made(of: type):
        return of(**{one.name: found[one.name] for one in fields(of) if one.name in found})

    return made(NewModel), made(Settings)


def first_words(corpus: Path, trainer) -> str:
    """The beginning of the corpus as a prompt; documents of characters begin after an end token."""
    from sheetgpt.training.documents import END, Documents, documents_of

    with corpus.open(encoding="utf-8-sig") as file:
        line = next(part.strip() for line in file for part in documents_of(line) if part.strip())
    return f"{END}{line[:2]}" if isinstance(trainer.corpus, Documents) else " ".join(line.split()[:3])


def result(trainer, corpus: Path, dest: Path) -> list[str]:
    """The last loss, and what it is the mean of: not every model's is -ln p."""
    from sheetgpt.weights.embedded import typed

    if not trainer.log:
        return ["No step was done: these are the first weights."]
    last, in_short = trainer.log[-1], trainer.in_short
    told = f", held out {last.held_out:.4f}" if last.held_out is not None else ""
    line = f"Loss {last.loss:.4f}{told} (mean of {in_short}; p: the probability of the token that came)"
    other = f"Other models' losses are means of -ln p: compare by sheetgpt loss --file {corpus} --weights {typed(dest)}"
    return [line] if in_short == "-ln p" else [line, other]


def write_course(trainer, log: Path | None, plot: Path | None) -> list[Path]:
    """The log and the curve, where they were asked for and a step was done."""
    from sheetgpt.training import curve

    rows = trainer.log
    if rows and log:
        curve.write_log(rows, log)
    if rows and plot:
        curve.write_plot(rows, plot, trainer.in_short)
    return [file for file in (log, plot) if rows and file]


def as_data(trainer, dest: Path, files: list[Path]) -> dict:
    first, last = (trainer.log[0], trainer.log[-1]) if trainer.log else (None, None)
    return {
        "model": dict(trainer.config.rows()) | {"model": trainer.config.model},
        "steps": len(trainer.log),
        "loss": last and last.loss,
        "loss_is": f"mean of {trainer.in_short}",
        "held_out": last and last.held_out,
        "first_loss": first and first.loss,
        "seconds": sum(record.seconds for record in trainer.log),
        "files": [str(file) for file in [dest, *files]],
    }


class Watch:
    """What is said while a training runs: a line of progress, the loss of what was held out, samples."""

    def __init__(self, trainer, dest: Path, sample_every: int | None):
        self.trainer, self.dest, self.sample_every = trainer, dest, sample_every
        self.on_terminal = sys.stderr.isatty()

    def report(self, record, settings) -> None:
        """After each step: in place on a terminal, every hundredth step elsewhere."""
        samples = self.sample_every and record.step % self.sample_every == 0
        last = record.step == settings.steps or record.held_out is not None or samples
        if self.on_terminal or last or record.step % 100 == 0:
            line = self.line(record, settings)
            show.echo(f"\r{line}" if self.on_terminal else line, err=True, nl=bool(last) or not self.on_terminal)
        if samples:
            show.echo(f"    {self.sample()}", err=True)

    def line(self, record, settings) -> str:
        recent = self.trainer.log[-SMOOTH_OVER:]
        seconds = sum(one.seconds for one in recent)
        left = (settings.steps - record.step) * seconds / len(recent)
        held_out = f"  held out {record.held_out:.4f}" if record.held_out is not None else ""
        return (
            f"step {record.step:>{len(str(settings.steps))}}/{settings.steps}  loss {record.loss:.4f}{held_out}  "
            f"{sum(one.tokens for one in recent) / seconds:,.0f} tokens/s  {left // 60:.0f}:{left % 60:02.0f} left"
        )

    def sample(self) -> str:
        """A text that the model makes as it stands, in one line."""
        from sheetgpt.bpe import Tokenizer

        model = self.trainer.model(Tokenizer.read(self.dest), self.dest)
        room = min(SAMPLE_TOKENS, model.config.n_ctx - 1) or 1
        start, seed = [model.tokenizer.end_of_text], len(self.trainer.log)
        tokens = model.generate(token_ids=start, n=room, temperature=1.0, seed=seed)
        return "".join(token.text for token in tokens).replace("\n", " ")
