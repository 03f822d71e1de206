"""What the lenses' commands share: the options that say where a report goes, and the report on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.lens.tables import Report, Table

Command = TypeVar("Command", bound=Callable[..., Any])
OPTIONS = (
    show.json_option,
    click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx: each table on its tab, in colours."),
    show.exports_option,
    show.name_option("the prompt"),
    click.option(
        "--plot",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Draw the tables: FILE.png or .svg (matplotlib).",
    ),
)


def output_options(command: Command) -> Command:
    """`--json`, `--dump-xlsx [--exports --name]`, `--plot`; they reach the command as `Outputs` takes them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Outputs:
    """Where the options want a report."""

    as_json: bool
    dump_xlsx: bool
    exports: Path
    name: str | None
    plot: Path | None

    def __post_init__(self) -> None:
        if self.plot is not None:
            from sheetgpt.lens.plot import require_plotting

            require_plotting(self.plot)

    def show(self, report: Report, name: str) -> None:
        """Write the files that were asked for, then print. name: of the workbook, unless one was given."""
        files = self.write(report, name)
        if self.as_json:
            show.print_json({**report.as_data(), "files": [str(file) for file in files]})
        else:
            show.echo("\n".join([as_text(report), *(f"Wrote {file}" for file in files)]))

    def write(self, report: Report, name: str) -> list[Path]:
        files = []
        if self.dump_xlsx:
            from sheetgpt.dump import slug
            from sheetgpt.lens.workbook import write_workbook

            path = self.exports / f"{self.name or slug(name)}.xlsx"
            show.notice(show.replaced_notice(path, self.name))
            files.append(write_workbook(report, path))
        if self.plot is not None:
            from sheetgpt.lens.plot import write_plot

            files.append(write_plot(report, self.plot))
        return files


def as_text(report: Report) -> str:
    """The facts, each table under its title, the conventions."""
    from sheetgpt.lens.tables import fact_text

    facts = [f"{name}: {fact_text(value)}" for name, value in report.facts.items()]
    tables = [line for table in report.tables for line in ("", *table_lines(table))]
    return "\n".join([*facts, *tables, "", *report.notes])


def table_lines(table: Table) -> list[str]:
    from sheetgpt.lens.tables import cell_text, label_text

    names, count = table.row_names, len(table.frame) if table.shown is None else table.shown
    rows = [
        [
            *(label_text(one, name) for one, name in zip(label, names, strict=True)),
            *(cell_text(cell, table.look_of(column)) for column, cell in enumerate(cells)),
        ]
        for label, cells in zip(table.row_labels()[:count], table.cells()[:count], strict=True)
    ]
    more = [f"... and {len(table.frame) - count:,} more ({table.cut_by})"] if len(table.frame) > count else []
    return [table.title, show.table([*names, *table.column_labels()], rows), *more, *table.notes]
