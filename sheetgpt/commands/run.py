"""`sheetgpt run`: a prompt through every stage, the predicted token, and the dumps."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show, strange_words
from sheetgpt.errors import DumpError
from sheetgpt.files.text import counted

if TYPE_CHECKING:
    from sheetgpt.run.trace import Trace

MANY_CELLS = 20_000_000  # some 15 seconds' work, and more than spreadsheet programs open with ease
CELLS_A_SECOND = 1_500_000  # that are written, roughly
XLSX_BYTES, CSV_BYTES = {"float64": 13, "float32": 9}, {"float64": 18, "float32": 11}  # a cell


@dataclass(frozen=True)
class Dumps:
    """What the options ask to be written, and where."""

    exports: Path
    name: str | None
    dump_xlsx: bool
    dump_csv: bool
    head_layout: str
    formulas: bool
    max_tokens: int | None
    blocks: str | None
    portable: bool
    with_weights: bool

    def __post_init__(self) -> None:
        live = {"--max-tokens": self.max_tokens, "--blocks": self.blocks, "--portable": self.portable or None}
        alone = [option for option, value in live.items() if value is not None and not self.formulas]
        if alone:
            raise DumpError(f"{alone[0]} goes with --formulas", remedy="add --dump-xlsx --formulas")
        if self.with_weights and (self.formulas or not self.dump_xlsx):
            remedy = "leave it out: the weights are there" if self.formulas else "add it"
            what = "--formulas holds the weights" if self.formulas else "--with-weights goes with --dump-xlsx"
            raise DumpError(what, remedy=remedy)
        if self.formulas and not self.dump_xlsx:
            raise DumpError("--formulas goes with --dump-xlsx", remedy="add it")
        if self.formulas and self.head_layout != "heads":
            remedy = "leave --head-layout out, or --formulas"
            raise DumpError("--formulas lays the heads out side by side", remedy=remedy)

    def write(self, trace: Trace) -> list[Path]:
        """Write what was asked for; the files written."""
        from sheetgpt.dump import slug

        base = self.exports / (self.name or slug(trace.prompt or "-".join(map(str, trace.token_ids))))
        workbook, files = base.with_name(f"{base.name}.xlsx"), []
        show.notice(self.size_notice(trace))
        show.notice(self.replaced_notice(trace, workbook))
        if self.formulas:
            files.append(self.write_live(trace, workbook))
        elif self.dump_xlsx:
            found = trace.to_excel(workbook, head_layout=self.head_layout, with_weights=self.with_weights)
            files.append(found)
        if self.dump_csv:
            files.append(trace.to_csv(base, head_layout=self.head_layout))
        return files

    def replaced_notice(self, trace: Trace, workbook: Path) -> str | None:
        """That a workbook of this name is there: its model may be another. The embedded one is its own each time."""
        from sheetgpt.weights.embedded import ships

        may_differ = trace.weights_folder is not None and not ships(trace.weights_folder)
        return show.replaced_notice(workbook, self.name) if self.dump_xlsx and may_differ else None

    def size_notice(self, trace: Trace) -> str | None:
        """What a large dump will take; nothing of one that takes seconds."""
        cells, kind, files = sum(matrix.size for matrix in trace.arrays.values()), trace.dtype.name, []
        if self.with_weights and trace.weights is not None:
            cells += sum(math.prod(weight.shape) for weight in trace.sizes.weights.values())
        if self.dump_xlsx and not self.formulas:
            files.append(f"a workbook of about {cells * XLSX_BYTES[kind] / 1e6:,.0f} MB")
        if self.dump_csv:
            files.append(f"about {cells * CSV_BYTES[kind] / 1e6:,.0f} MB of CSV")
        if cells < MANY_CELLS or not files:
            return None
        seconds = cells * len(files) / CELLS_A_SECOND
        return f"Writing {' and '.join(files)}: {cells:,} cells. About {seconds:,.0f} s; fewer tokens make less."

    def write_live(self, trace: Trace, path: Path) -> Path:
        from sheetgpt.sheets.live.plan import parse_blocks, plan

        blocks = None if self.blocks is None else parse_blocks(self.blocks, trace.config.n_layer)
        size = plan(trace, max_tokens=self.max_tokens, blocks=blocks, portable=self.portable).size
        show.echo(f"Writing a {size}.", err=True)
        return trace.to_excel(path, formulas=True, max_tokens=self.max_tokens, blocks=blocks, portable=self.portable)


@click.command()
@click.argument("prompt", required=False)
@show.weights_option
@show.ids_option()
@show.special_option
@click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx: every stage on its tab.")
@click.option("--formulas", is_flag=True, help="With --dump-xlsx: every stage a live formula, the weights on tabs.")
@click.option("--max-tokens", type=int, metavar="N", help="With --formulas: room for N tokens. Default: a few more.")
@click.option("--blocks", metavar="A-B", help="With --formulas: only these blocks, such as 3 or 0-1.")
@click.option(
    "--portable",
    is_flag=True,
    help="With --formulas: a formula a cell, also for Google Sheets, Gnumeric, IronCalc, ...",
)
@click.option("--with-weights", is_flag=True, help="With --dump-xlsx: the weights too, each under its name.")
@click.option("--dump-csv", is_flag=True, help="Write EXPORTS/NAME/STAGE.csv for every stage, and a manifest.")
@show.exports_option
@show.name_option("the prompt")
@show.dtype_option()
@click.option(
    "--head-layout",
    type=click.Choice(["heads", "reference"]),
    default="heads",
    show_default=True,
    help="How dumps lay out the heads of steps 6 and 7: side by side, or in the reference's padded slots.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many predictions to show.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="CELL=VALUE",
    help="STAGE[ROW,COLUMN]=VALUE, STAGE[HEAD,QUERY,KEY]=VALUE or STAGE=FILE.csv: a stage or weight. A number fills "
    "STAGE, a head STAGE[0], a row STAGE[3,:]. Repeatable.",
)
@show.json_option
def command(
    prompt: str | None,
    weights: str | None,
    token_ids: list[int] | None,
    special: bool,
    dtype: str,
    top: int,
    assignments: tuple[str, ...],
    as_json: bool,
    **dumps: Any,
) -> None:
    """Run PROMPT through every stage and show the predicted token.

    \b
    Example:
      sheetgpt run "Mike is quick. He moves" --dump-xlsx
      sheetgpt run "Mike is quick. He moves" --dump-xlsx --formulas --name live
      sheetgpt run "Mike is quick. He moves" --set "block_1_step_7[2,-1,2]=0"
    """
    from sheetgpt.model import load_model

    wanted = Dumps(**dumps)
    model = load_model(weights, dtype)
    if wanted.formulas:
        model = (
            model.in_passing()
        )  # every weight is written, too: all of them at once would be a gigabyte of GPT-2 small
    show.notice(None if special else model.special_notice(prompt))
    trace = before = model.run(prompt, token_ids=token_ids, special=special)
    if assignments:
        trace = model.run_edited(before, assignments)
    show.notice(model.length_notice(len(trace.token_ids)))
    show.notice(strange_words.notice(model, prompt))
    files = wanted.write(trace)
    changes = show.Changes(before, trace, assignments) if assignments else None
    if as_json:
        show.print_json(as_data(trace, top, files) | (changes.as_data(top) if changes else {}))
    else:
        show.echo(as_text(trace, top, files, changes))


def as_data(trace: Trace, top: int, files: list[Path]) -> dict[str, Any]:
    from sheetgpt.dump import manifest

    about = manifest(trace)
    del about["stages"]
    return about | {"predictions": [asdict(p) for p in trace.predictions(top)], "files": [str(file) for file in files]}


def as_text(trace: Trace, top: int, files: list[Path], changes: show.Changes | None = None) -> str:
    config = trace.config
    tokens = [
        [position, i, show.token(t)] for position, (i, t) in enumerate(zip(trace.token_ids, trace.tokens, strict=True))
    ]
    best = [
        [p.rank, p.id, show.token(p.token), f"{p.logit:.4f}", f"{p.probability:.2%}"] for p in trace.predictions(top)
    ]
    counts = {"block": config.n_layer, "head": config.n_head, "dimension": config.n_embd, "token": config.n_vocab}
    sizes = ", ".join(counted(count, what) for what, count in counts.items())
    return "\n".join(
        [
            f"{sizes}, {trace.dtype}",
            "",
            show.table(["position", "id", "token"], tokens),
            "",
            changes.as_text(top) if changes else show.table(["rank", "id", "token", "logit", "probability"], best),
            "",
            f"Predicted token: {show.token(trace.predicted_token)}",
            *(f"Wrote {file}" for file in files),
        ]
    )
