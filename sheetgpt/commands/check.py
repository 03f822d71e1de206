"""`sheetgpt check`: is a CSV folder a whole, sane model?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress

if TYPE_CHECKING:
    from sheetgpt.weights.check import Report
    from sheetgpt.weights.figures import Figures


@click.command()
@click.argument("folder", type=click.Path())
@show.json_option
def command(folder: str, as_json: bool) -> None:
    """Say whether FOLDER is a whole, sane model: its files, shapes and numbers, token table and constants.

    Each matrix is shown in figures; each finding comes with what to do about it. Exit code 1 where something is wrong.

    \b
    Example:
      sheetgpt check my_csv
      sheetgpt check rotary
    """
    from sheetgpt.weights.check import check

    with progress("Reading") as advance:
        report = check(folder, progress=advance)
    if as_json:
        show.print_json(report.as_data())
    else:
        show.echo(as_text(report))
    if report.wrong:
        raise SystemExit(1)


def as_text(report: Report) -> str:
    headers = ["matrix", "shape", "mean", "deviation", "min", "max", "zeros", "outlier channels"]
    rows = [
        [
            m.name,
            f"{m.rows} x {m.columns}",
            *map(figure, (m.mean, m.deviation, m.minimum, m.maximum)),
            m.zeros,
            outliers(m),
        ]
        for m in report.matrices
    ]
    found = [f"{f.level.upper():<5}  {f.file}: {f.what}\n       -> {f.remedy}" for f in report.findings]
    odd = len(report.findings) - report.wrong
    whole = f"Whole; {odd} odd" if odd else "Whole and sane"
    verdict = f"{report.wrong} wrong, {odd} odd" if report.wrong else whole
    numbers = sum(m.rows * m.columns for m in report.matrices)
    last = f"{verdict}: {len(report.matrices)} matrices, {numbers:,} numbers"
    return "\n".join([*([show.table(headers, rows), ""] if rows else []), *found, *([""] if found else []), last])


def figure(value: float) -> str:
    return f"{value:.4g}"


def outliers(matrix: Figures) -> str:
    """How many, and the strongest three."""
    if not matrix.outliers:
        return "-"
    more = ", ..." if len(matrix.outliers) > 3 else ""
    return f"{len(matrix.outliers)}: {', '.join(map(str, matrix.outliers[:3]))}{more}"
