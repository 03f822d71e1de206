"""`sheetgpt train-step`: one step of training, or a few, with every number kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from sheetgpt.commands import show


@click.command()
@click.argument("text", required=False)
@show.weights_option
@show.ids_option("a text")
@click.option("--optimizer", type=click.Choice(["sgd", "adamw"]), help="die and softmax: sgd; others: adamw.")
@click.option("--learning-rate", type=float, default=0.1, show_default=True, help="How far a step goes.")
@click.option(
    "--weight-decay",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Of matrices, not of gains and biases.",
)
@show.beta_options
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="Steps, each on the same text.")
@click.option(
    "--gradient",
    type=click.Choice(["backprop", "numeric", "value"]),
    default="backprop",
    show_default=True,
    help="How the gradient is found; `value` also dumps its graph.",
)
@click.option("--nudge", type=float, default=1e-6, show_default=True, help="Of each weight, with --gradient numeric.")
@click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx.")
@click.option("--formulas", is_flag=True, help="With --dump-xlsx: everything as formulas; up to microgpt.")
@click.option("--dump-csv", is_flag=True, help="Write EXPORTS/NAME/step_N/MATRIX.csv, and the tables.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the steps' losses: FILE.png or FILE.svg."
)
@show.exports_option
@show.name_option("text and model")
@show.json_option
def command(text, weights, token_ids, steps, dump_xlsx, formulas, dump_csv, plot, exports, name, as_json, **options):
    """Show a step of training on TEXT: each prediction's penalty, each weight's gradient, the update.

    The rate stays the same, nothing is clipped, and the weights in DIR stay as they are. Of many weights those with the
    largest gradients are shown. TEXT is learned as a document: what comes behind its last token is the end token.

    \b
    Example:
      sheetgpt words names names.txt
      sheetgpt train names.txt names --tokens chars --model bigram
      sheetgpt train-step ann --weights names --steps 20 --dump-xlsx --formulas
    """
    from sheetgpt.model import load_model
    from sheetgpt.models.kinds import kind_of
    from sheetgpt.training.example import example
    from sheetgpt.training.optimizers import Settings
    from sheetgpt.training.step import train_steps
    from sheetgpt.training.workbook.write import is_small

    if plot:
        from sheetgpt.lens.plot import require_plotting

        require_plotting(plot)
    model = load_model(weights)
    options["optimizer"] = options["optimizer"] or kind_of(model.config).defaults.optimizer
    settings = Settings(steps=steps, **options)
    training = train_steps(model, example(model, text, token_ids, room=live_room(formulas)), settings, text)
    if formulas and not is_small(training):
        show.notice("This model is too large for gradients as formulas: they are dumped as values.")
        formulas, dump_xlsx = False, True
        training = train_steps(model, example(model, text, token_ids), settings, text)
    show.notice(risen(training))
    name = name or default_name(training, weights)
    files = dump(training, exports, name, xlsx=dump_xlsx or formulas, csv=dump_csv, live=formulas)
    if plot:
        files.append(write_curve(training, plot))
    if as_json:
        show.print_json(as_data(training, files))
    else:
        show.echo(as_text(training, files))


def risen(training) -> str | None:
    """What is said where the loss rose: the rate is the first to ask."""
    from sheetgpt.models.kinds import kind_of

    first, last = training.steps[0], training.steps[-1]
    if not last.loss > first.loss:
        return None
    rate, usual = training.settings.learning_rate, kind_of(training.model.config).defaults.learning_rate
    smaller = min(usual, rate / 10)
    return f"The loss rose from {first.loss:.4f} to {last.loss:.4f}: try --learning-rate {smaller:g}."


def live_room(live: bool) -> int:
    from sheetgpt.training.workbook.write import ROOM

    return ROOM if live else 0


def default_name(training, weights: str | None) -> str:
    """A dump's name: the text's, and the model's where one was given, so that no model's dump replaces another's."""
    from sheetgpt.dump import slug

    ids = "-".join(map(str, training.example.ids))
    model = f"-{slug(Path(weights).resolve().name)}" if weights is not None else ""
    return f"{slug(training.text or ids)}-train-step{model}"


def write_curve(training, file: Path) -> Path:
    from sheetgpt.training.curve import write_losses

    write_losses([step.loss for step in training.steps], file, training.loss.penalty.in_short)
    return file


def dump(training, exports: Path, name: str, *, xlsx: bool, csv: bool, live: bool) -> list[Path]:
    """Write what was asked for; the files written."""
    base = exports / name
    files = []
    if xlsx:
        from sheetgpt.training.workbook.write import write_training

        files.append(write_training(training, base.with_name(f"{base.name}.xlsx"), live=live))
    if csv:
        from sheetgpt.training.dump import write_folder

        files.append(write_folder(training, base))
    return files


def as_data(training, files: list[Path]) -> dict:
    first = training.steps[0]
    return {
        "model": training.model.config.model,
        "settings": asdict(training.settings),
        "loss_is": f"mean of {training.loss.penalty.in_short}",
        "losses": [step.loss for step in training.steps],
        "loss_table": [asdict(row) for row in training.loss_table(first)],
        "update": update_rows(first),
        "gradient_check": [asdict(row) for row in training.gradient_check],
        "files": [str(file) for file in files],
    }


def update_rows(step, limit: int = 1000) -> list[dict]:
    """Each weight: old, gradient, the optimiser's state, new; of more than `limit` those with the largest gradients."""
    import numpy as np

    gradients = {name: step.gradients[name] for name in step.weights}
    places = [(name, *at) for name, matrix in gradients.items() for at in np.ndindex(matrix.shape)]
    if len(places) > limit:
        sizes = np.abs(np.concatenate([matrix.ravel() for matrix in gradients.values()]))
        places = [places[i] for i in np.argsort(-sizes, kind="stable")[:limit]]
    return [update_row(step, *place) for place in places]


def update_row(step, name: str, row: int, column: int) -> dict:
    columns = {"old": step.weights[name]}
    columns |= {what.name.lower(): matrix for what, matrix in step.nudged.items()}
    columns |= {"gradient": step.gradients[name]}
    if step.means:
        columns |= {"mean": step.means[name], "square": step.squares[name]}
    columns["new"] = step.new[name]
    numbers = {what: float(matrix[row, column]) for what, matrix in columns.items()}
    return {"weight": name, "row": row, "column": column, **numbers}


DECIMALS = {"nudged_loss": 5, "nudged_slope": 5}  # in which a nudge shows; others have 4


def update_table(training, rows: list[dict]) -> str:
    """The weights' update as a table; a row of tokens has its token beside its number."""
    from sheetgpt.models.step import Axis
    from sheetgpt.training.example import readable

    step = training.steps[0]

    def place(row: dict) -> str:
        is_token = step.about[row["weight"]].rows is Axis.VOCABULARY
        token = f" {show.token(readable(training.model, row['row']))}" if is_token else ""
        return f"{row['row']},{row['column']}{token}"

    shown = [name for name in list(rows[0])[3:] if name != "target_share"]
    cells = [[row["weight"], place(row), *(f"{row[one]:.{DECIMALS.get(one, 4)}f}" for one in shown)] for row in rows]
    return show.table(["weight", "cell", *(name.replace("_", " ") for name in shown)], cells)


def as_text(training, files: list[Path], shown: int = 30) -> str:
    first, last = training.steps[0], training.steps[-1]
    losses = [
        [row.position, show.token(row.context), show.token(row.target), f"{row.probability:.4f}", f"{row.penalty:.4f}"]
        for row in training.loss_table(first)
    ]
    count = sum(matrix.size for matrix in first.weights.values())
    more = [f"... and {count - shown:,} weights more, with smaller gradients"] if count > shown else []
    curve = [f"Loss of step {last.number}: {last.loss:.4f}"] if last is not first else []
    most = max((one.difference for one in training.gradient_check), default=None)
    agree = [f"Backprop, nudges and the graph of Values differ by at most {most:.1e}"] if most is not None else []
    in_short, digits = training.loss.penalty.in_short, 5 if first.nudged else 4
    return "\n".join(
        [
            show.table(["position", "context", "target", "probability p", f"penalty {in_short}"], losses[:shown]),
            f"Loss {first.loss:.{digits}f} (mean of {in_short})",
            "",
            update_table(training, update_rows(first, shown)),
            *more,
            *curve,
            *agree,
            *(f"Wrote {file}" for file in files),
        ]
    )
