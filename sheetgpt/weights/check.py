"""Is a CSV folder a whole, sane model? Every finding says where, what and what to do about it.

Wrong: the model can't run, or isn't the one that was written (missing, torn, misshapen or extra files, rounded numbers,
a token table that its merges don't make). Odd: it runs, and someone should look (constant rows, traces of a spreadsheet
program). Each matrix in figures is in `figures`; reading belongs in `folder`, `decimals` and `bpe.tables`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sheetgpt.bpe import END_OF_TEXT, Tokenizer
from sheetgpt.bpe.tables import MANGLED, MERGES_FILE, TOKENS_FILE, kind_of_mangling, read_added, read_tables
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.errors import CellError, SheetGPTError, WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.journal import UNFINISHED
from sheetgpt.files.paths import existing
from sheetgpt.models.config import CONSTANTS_FILE, Config
from sheetgpt.models.gpt2 import LM_HEAD
from sheetgpt.models.kinds import Shape, matrix_shapes
from sheetgpt.weights.embedded import named_folder, or_a_name
from sheetgpt.weights.figures import NO_SPREADSHEET, ODD, REWRITE, WRONG, Figures, Tally
from sheetgpt.weights.folder import believed, read_config, refuse_foreign
from sheetgpt.weights.progress import Counter, Progress
from sheetgpt.weights.shapes import AGAIN, require_shape, require_shares

__all__ = ["Finding", "Report", "check"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a folder, or odd."""

    level: str  #: "wrong": the model can't run, or isn't the one that was written; "odd": someone should look
    file: str  #: the file's name
    what: str  #: what is wrong there
    remedy: str  #: what to do about it


@dataclass
class Report:
    """What `check` finds in a folder."""

    folder: Path  #: the folder that was looked at
    config: Config | None = None  #: the constants; None where they can't be read
    matrices: list[Figures] = field(default_factory=list)  #: each matrix in figures
    findings: list[Finding] = field(default_factory=list)  #: what is wrong or odd, file by file

    @property
    def wrong(self) -> int:
        """How many findings are wrong, not only odd."""
        return sum(finding.level == WRONG for finding in self.findings)

    def add(self, level: str, file: str, what: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(level, file, what, remedy))

    def as_data(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "folder": str(self.folder),
            "sane": not self.wrong,
            "constants": dict(self.config.rows()) if self.config else None,
            "findings": [asdict(finding) for finding in self.findings],
            "matrices": [asdict(figures) for figures in self.matrices],
        }


def check(folder: str | Path, *, progress: Progress | None = None) -> Report:
    """Look at every file of a folder; `progress` counts bytes. Raises WeightsError where there is no folder."""
    folder = named_folder(folder)
    if existing(str(folder)) is None or not folder.is_dir():
        refuse_foreign(folder)
        raise WeightsError(
            "is no folder", where=folder, remedy=f"name the folder that holds the model's CSVs, {or_a_name()}"
        )
    report = Report(folder)
    shapes = check_files(report)
    order = {name: number for number, name in enumerate(shapes)}
    files = [path for path in sorted(folder.glob("model_*.csv")) if path.is_file()]
    files.sort(key=lambda path: order.get(path.stem, len(order)))
    counter = Counter(sum(path.stat().st_size for path in files), progress)
    for path in files:
        check_matrix(report, path, shapes.get(path.stem), counter.advance)
    check_tokens(report)
    return report


def check_files(report: Report) -> dict[str, Shape]:
    """The constants, and which files there are; the shapes they should have, as far as it is known."""
    folder = report.folder
    if (folder / UNFINISHED).exists():
        what = "the folder is unfinished: writing it was interrupted"
        report.add(WRONG, UNFINISHED, what, "run the command that writes it again")
    if not (folder / CONSTANTS_FILE).exists():
        what = "is missing: the head size is taken to be the reference's, 64"
        report.add(ODD, CONSTANTS_FILE, what, f"{REWRITE}, constants included")
    try:
        report.config = read_config(folder)
    except SheetGPTError as error:
        report.findings.append(finding_of(error, folder, CONSTANTS_FILE, f"correct {CONSTANTS_FILE}"))
        return {}
    there = {path.stem for path in folder.glob("model_*.csv")}
    shapes = matrix_shapes(believed(report.config, folder), untied=LM_HEAD in there)
    for name in shapes:
        if name not in there:
            report.add(WRONG, f"{name}.csv", "is missing", AGAIN)
    for name in sorted(there - set(shapes)):
        remedy = f"correct {CONSTANTS_FILE}, or delete the file"
        report.add(WRONG, f"{name}.csv", "belongs to no model of these constants", remedy)
    return shapes


def check_matrix(report: Report, path: Path, expected: Shape | None, advance: Callable[[int], object]) -> None:
    tally, start = Tally(path.stem), b""
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
            file.seek(0)
            for text, block in decimals.read_text(file, str(path), "float64", lambda chunk: advance(len(chunk))):
                tally.add(text, block)
        if expected:
            require_shape(path, (tally.rows, tally.columns), expected)
            if report.config:
                require_shares(path, report.config, tally.minimum)
    except OSError as error:
        report.add(WRONG, path.name, f"cannot be read: {error.strerror}", "make it readable")
    except SheetGPTError as error:
        report.findings.append(finding_of(error, report.folder, path.name))
    if tally.rows:
        report.matrices.append(tally.figures())
        for remark in tally.remarks(traces_of_a_spreadsheet(start)):
            report.add(remark.level, path.name, remark.what, remark.remedy)


def check_tokens(report: Report) -> None:
    """The token table against its merges and the model's size."""
    there = [name for name in (MERGES_FILE, TOKENS_FILE) if (report.folder / name).exists()]
    if not there:
        report.add(ODD, TOKENS_FILE, "is missing: no text can be read", "run it by --token-ids")
        return
    try:
        merges, tokens, _ = read_tables(report.folder)
    except SheetGPTError as error:
        report.findings.append(finding_of(error, report.folder, TOKENS_FILE))
        return
    added = {token.id for token in read_added(report.folder, len(tokens)) or ()}
    check_merged_tokens(report, merges, tokens, added)
    n_vocab = report.config.n_vocab if report.config else len(tokens)
    what = f"has {len(tokens):,} tokens, the model {n_vocab:,} rows of embeddings"
    if len(tokens) > n_vocab:
        report.add(WRONG, TOKENS_FILE, what, f"{AGAIN}: they belong to different models")
    elif len(tokens) < n_vocab:
        report.add(ODD, TOKENS_FILE, f"{what}: the rest is padding", "nothing to do if the checkpoint was padded")


def check_merged_tokens(
    report: Report, merges: list[tuple[str, str]], tokens: list[str], added: Collection[int]
) -> None:
    """The tokens against those that letters and merges make; added ones, by id, are known."""
    made = dict.fromkeys([*ALPHABET, *(left + right for left, right in merges)])
    known = set(tokens)
    lost = [token for token in made if token not in known]
    if lost and not Tokenizer(merges, tokens).has_characters_only:  # those know the characters of their corpus only
        what = f"has no row for {len(lost):,} tokens that letters and merges make, such as {lost[0]!r}"
        report.add(WRONG, TOKENS_FILE, f"{what}: texts with them fail", AGAIN)
    unmade = [token for i, token in enumerate(tokens) if not (token in made or token == END_OF_TEXT or i in added)]
    if unmade:
        what = f"has {len(unmade):,} tokens that no merge makes, such as {unmade[0]!r}: they never come out of a text"
        report.add(ODD, TOKENS_FILE, what, "leave them if they are special tokens or padding")


def finding_of(error: SheetGPTError, folder: Path, file: str, remedy: str = AGAIN) -> Finding:
    """A refusal as a finding about the file that it names, else about `file`; `remedy` where it has none."""
    remedy = error.remedy or remedy
    if not error.where:
        return Finding(WRONG, file, error.what, remedy)
    if error.where == str(folder):
        return Finding(WRONG, file, f"the folder {error.what}", remedy)
    named, _, inside = error.where.removeprefix(f"{folder}{os.sep}").partition(", ")
    if isinstance(error, CellError) and (kind := kind_of_mangling(error.cell, MANGLED)):
        what = f"{inside} holds {error.cell!r}, {kind} that a spreadsheet program made of a number"
        return Finding(WRONG, named, what, NO_SPREADSHEET)
    return Finding(WRONG, named.rstrip(":"), f"{inside} {error.what}".lstrip(), remedy)


def traces_of_a_spreadsheet(start: bytes) -> list[str]:
    """How a file's beginning shows that a spreadsheet program saved it."""
    layout = decimals.Layout.of(start)
    traces = {
        "a byte order mark": start.startswith(decimals.BYTE_ORDER_MARK),
        "CRLF line ends": b"\r\n" in start,
        f"`{layout.separator.decode()}` between numbers": layout.separator == b";",
        "tabs between numbers": layout.separator == b"\t",
        "separators behind the last number": bool(layout.surplus),
        "numbers such as 1.5E-05": re.search(rb"\dE[-+]?\d", start) is not None,
    }
    return [trace for trace, found in traces.items() if found]
