"""Is a CSV folder a whole, sane model? Every finding says where, what and what to do about it.

Wrong: the model can't run, or isn't the one that was written (missing, torn, misshapen or extra files, rounded numbers,
a token table that its merges don't make). Odd: it runs, and someone should look (constant rows, traces of a spreadsheet
program). Here too: each matrix in figures. Reading is `weights`', `decimals`' and `bpe.tables`' business.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from sheetgpt.bpe import END_OF_TEXT, Tokenizer
from sheetgpt.bpe.tables import MANGLED, MERGES_FILE, TOKENS_FILE, kind_of_mangling, read_tables
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.config import CONSTANTS_FILE, Config
from sheetgpt.errors import SheetGPTError, WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.journal import UNFINISHED
from sheetgpt.weights import LM_HEAD, Progress, matrix_shapes, read_config, require_shape

AGAIN = "get or convert the model again"
REWRITE = "`sheetgpt convert-weights FOLDER DEST` writes it regularly"
OUTLIER = 4  # a channel is an outlier where its root mean square is more than this many times the matrix's
SAMPLE = 4096  # numbers of a file whose digits are counted
# the shortest decimals of a float32 have seven digits or more in 97 of 100
FEW_DIGITS, SUSPECT_SHARE, ROUND_SHARE, ENOUGH = 6, 0.2, 0.8, 100
MANTISSA = re.compile(rb"[-+]?([\d.]+)")


@dataclass(frozen=True)
class Finding:
    level: str  # wrong, odd
    file: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Figures:
    """A matrix in figures."""

    name: str
    rows: int
    columns: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    zeros: int
    outliers: list[int]  # columns, the strongest first


@dataclass
class Report:
    folder: Path
    config: Config | None = None
    matrices: list[Figures] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(finding.level == "wrong" for finding in self.findings)

    def as_data(self) -> dict:
        return {
            "folder": str(self.folder),
            "sane": not self.wrong,
            "constants": dict(self.config.rows()) if self.config else None,
            "findings": [asdict(finding) for finding in self.findings],
            "matrices": [asdict(figures) for figures in self.matrices],
        }


def check(folder: Path, *, progress: Progress | None = None) -> Report:
    """Look at every file of a folder; `progress` is told of bytes. Raises WeightsError where there is no folder."""
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder: name the folder that holds the model's CSVs")
    report = Report(folder)
    shapes = check_files(report)
    files = [path for path in sorted(folder.glob("model_*.csv")) if path.is_file()]
    files.sort(key=lambda path: list(shapes).index(path.stem) if path.stem in shapes else len(shapes))
    total, done = sum(path.stat().st_size for path in files), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    for path in files:
        check_matrix(report, path, shapes.get(path.stem), advance)
    check_tokens(report)
    return report


def check_files(report: Report) -> dict[str, tuple[int, int]]:
    """The constants, and which files there are; the shapes they should have, as far as it is known."""
    folder = report.folder
    if (folder / UNFINISHED).exists():
        remedy = "run the command that writes it again"
        report.findings.append(
            Finding("wrong", UNFINISHED, "the folder is unfinished: writing it was interrupted", remedy)
        )
    if not (folder / CONSTANTS_FILE).exists():
        what = "is missing: the head size is taken to be the reference's, 64"
        report.findings.append(Finding("odd", CONSTANTS_FILE, what, f"{REWRITE}, constants included"))
    try:
        report.config = read_config(folder)
    except SheetGPTError as error:
        report.findings.append(told(error, folder, CONSTANTS_FILE))
        return {}
    there = {path.stem for path in folder.glob("model_*.csv")}
    shapes = matrix_shapes(report.config, untied=LM_HEAD in there)
    report.findings += [Finding("wrong", f"{name}.csv", "is missing", AGAIN) for name in shapes if name not in there]
    remedy = f"correct {CONSTANTS_FILE}, or delete the file"
    what = "belongs to no model of these constants"
    report.findings += [Finding("wrong", f"{name}.csv", what, remedy) for name in sorted(there - set(shapes))]
    return shapes


def check_matrix(report: Report, path: Path, expected: tuple[int, int] | None, advance) -> None:
    tally = Tally(path.stem)
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
            file.seek(0)
            for text, block in decimals.read_text(file, str(path), "float64", lambda chunk: advance(len(chunk))):
                tally.add(text, block)
        if expected:
            require_shape(path, (tally.rows, tally.columns), expected)
    except (SheetGPTError, OSError) as error:
        report.findings.append(mangled(told(error, report.folder, path.name)))
    if tally.rows:
        report.matrices.append(tally.figures())
        saved = traces_of_a_spreadsheet(start)
        report.findings += [Finding(level, path.name, what, remedy) for level, what, remedy in tally.findings(saved)]


def check_tokens(report: Report) -> None:
    """The token table against its merges and the model's size."""
    there = [name for name in (MERGES_FILE, TOKENS_FILE) if (report.folder / name).exists()]
    if not there:
        report.findings.append(Finding("odd", TOKENS_FILE, "is missing: no text can be read", "run it by --token-ids"))
        return
    try:
        merges, tokens, _ = read_tables(report.folder)
    except SheetGPTError as error:
        report.findings.append(told(error, report.folder, TOKENS_FILE))
        return
    made = dict.fromkeys([*ALPHABET, *(left + right for left, right in merges)])
    known = set(tokens)
    lost = [token for token in made if token not in known]
    if lost and not Tokenizer(merges, tokens).has_characters_only:  # those know the characters of their corpus only
        what = f"lacks {len(lost):,} tokens that letters and merges make, such as {lost[0]!r}: texts with them fail"
        report.findings.append(Finding("wrong", TOKENS_FILE, what, AGAIN))
    unmade = [token for token in tokens if token not in made and token != END_OF_TEXT]
    if unmade:
        what = f"has {len(unmade):,} tokens that no merge makes, such as {unmade[0]!r}: they never come out of a text"
        report.findings.append(Finding("odd", TOKENS_FILE, what, "leave them if they are special tokens or padding"))
    n_vocab = report.config.n_vocab if report.config else len(tokens)
    if len(tokens) > n_vocab:
        what = f"has {len(tokens):,} tokens, the model {n_vocab:,} rows of embeddings"
        report.findings.append(Finding("wrong", TOKENS_FILE, what, f"{AGAIN}: they belong to different models"))
    elif len(tokens) < n_vocab:
        what = f"has {len(tokens):,} tokens, the model {n_vocab:,} rows of embeddings: the rest is padding"
        report.findings.append(Finding("odd", TOKENS_FILE, what, "nothing to do if the checkpoint was padded"))


def told(error: Exception, folder: Path, file: str) -> Finding:
    """A refusal as a finding: its sentence ends with the way out."""
    if isinstance(error, OSError):
        return Finding("wrong", file, f"cannot be read: {error.strerror}", "make it readable")
    sentence = str(error).replace(f"{folder}/", "").replace(f"{folder} ", "the folder ")
    parts = re.fullmatch(r"(.*)[:;] (.*)", sentence)
    what, remedy = parts.groups() if parts else (sentence, AGAIN)
    named = re.match(r"([\w.]+\.csv),? ", what)
    return Finding("wrong", named[1], what[named.end() :], remedy) if named else Finding("wrong", file, what, remedy)


def mangled(finding: Finding) -> Finding:
    """The same, naming what a spreadsheet program did."""
    cell = re.search(r"holds '(.*?)'", finding.what)
    kind = kind_of_mangling(cell[1], MANGLED) if cell else None
    if kind is None:
        return finding
    what = f"{finding.what.partition(', which')[0]}, {kind} that a spreadsheet program made of a number"
    return replace(finding, what=what, remedy=f"{AGAIN}, and don't save it with a spreadsheet program")


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


class Tally:
    """A matrix's figures, gathered block by block."""

    def __init__(self, name: str):
        self.name = name
        self.rows = self.columns = self.zeros = 0
        self.sums = self.squares = np.zeros(0)  # of each column
        self.minimum, self.maximum = np.inf, -np.inf
        self.constant: list[int] = []  # rows, from 1
        self.twins: list[tuple[int, int]] = []
        self.first_row: dict[bytes, int] = {}
        self.digits: list[int] = []  # of some numbers that are not 0

    def add(self, text: bytes, block: np.ndarray) -> None:
        if not self.rows:
            self.columns = block.shape[1]
            self.sums = self.squares = np.zeros(self.columns)
        self.sums = self.sums + block.sum(0)
        self.squares = self.squares + np.square(block).sum(0)
        self.minimum, self.maximum = min(self.minimum, block.min()), max(self.maximum, block.max())
        self.zeros += block.size - int(np.count_nonzero(block))
        if self.columns > 1:
            self.constant += (self.rows + 1 + np.flatnonzero(block.min(1) == block.max(1))).tolist()
        for number, row in enumerate(block, start=self.rows + 1):
            twin = self.first_row.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), number)
            if twin != number:
                self.twins.append((twin, number))
        cells = text[: 32 * (SAMPLE - len(self.digits))].replace(b"\n", b",").split(b",")[: SAMPLE - len(self.digits)]
        self.digits += [count for count in map(significant_digits, cells) if count]
        self.rows += len(block)

    def figures(self) -> Figures:
        count = self.rows * self.columns
        mean = self.sums.sum() / count
        strength = np.sqrt(self.squares / self.rows)
        order = np.argsort(-strength)
        outliers = order[strength[order] > OUTLIER * np.sqrt(self.squares.sum() / count)]
        return Figures(
            self.name,
            self.rows,
            self.columns,
            float(mean),
            float(np.sqrt(max(0.0, self.squares.sum() / count - mean**2))),
            float(self.minimum),
            float(self.maximum),
            self.zeros,
            outliers.tolist(),
        )

    def findings(self, traces: list[str]) -> Iterator[tuple[str, str, str]]:
        """(level, what, remedy) of what stands in the matrix."""
        few = sum(count <= FEW_DIGITS for count in self.digits)
        share = few / max(ENOUGH, len(self.digits))
        if traces and share > SUSPECT_SHARE:
            what = f"{share:.0%} of its numbers have at most {FEW_DIGITS} digits: a spreadsheet program rounded them"
            yield "wrong", what, f"{AGAIN}, and don't save it with a spreadsheet program"
        elif share > ROUND_SHARE:
            what = f"{share:.0%} of its numbers have at most {FEW_DIGITS} digits: were they rounded?"
            yield "odd", what, f"{AGAIN} if they were not typed in"
        if traces:
            yield (
                "odd",
                f"was saved by a spreadsheet program ({', '.join(traces)})",
                f"{REWRITE}; it is read all the same",
            )
        if self.rows > 1 and len(self.constant) == self.rows:
            yield "odd", "holds the same number all along each row", f"{AGAIN} if it should have been trained"
        elif self.rows > 1 and self.constant:
            what = f"has {len(self.constant):,} rows of one number, such as row {self.constant[0]}"
            yield "odd", what, f"{AGAIN} if they are not padding"
        constant = set(self.constant)
        twins = [pair for pair in self.twins if pair[1] not in constant]
        if twins:
            what = f"has {len(twins):,} rows that stand there before: row {twins[0][1]} is row {twins[0][0]} again"
            yield "odd", what, f"{AGAIN} if they are not padding"


def significant_digits(cell: bytes) -> int:
    """How many digits tell a number; 0 for 0.

    >>> significant_digits(b"-0.01230e-5"), significant_digits(b"1200"), significant_digits(b"0.0")
    (3, 2, 0)
    """
    found = MANTISSA.match(cell)
    return len(found[1].replace(b".", b"").strip(b"0")) if found else 0
