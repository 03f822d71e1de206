"""The token files of a weight folder: read as any program may have saved them, checked row by row, written.

`vocab_bpe.csv`: a header row; left, right, a free column, score: higher merges first. `bpe_token_ids.csv`: no header;
token, id; row number = id. `bpe_added_tokens.csv`, where there is one: which tokens are found in a text before it is
cut, and how. What the tables do to a text belongs in `tokenizer`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from sheetgpt.bpe import added as added_tokens
from sheetgpt.bpe.added import ADDED_FILE, Added
from sheetgpt.bpe.words import ALPHABET, cut, unspell
from sheetgpt.errors import TokenizerError, WeightsError
from sheetgpt.files import foreign
from sheetgpt.files.atomic import replacing
from sheetgpt.files.text import SEPARATORS, split_lines

MERGES_FILE = "vocab_bpe.csv"
TOKENS_FILE = "bpe_token_ids.csv"
HEADER = ["left", "right", "rank", "score"]
WAY_OUT = "convert or export the table again, and don't save token files with a spreadsheet program"

# What spreadsheet programs make of tokens. GPT-2's pattern never puts letters, digits and signs into one token.
MONTH = r"[^\W\d]{3,5}\.?"  # in any language
MANGLED = {
    "a date": rf"\d\d?[-. ]+{MONTH}([-. ]+\d{{2,4}})?|{MONTH}[-. ]\d{{2,4}}|\d{{1,4}}[-/.]\d\d?([-/.]\d{{2,4}})?",
    "a time": r"\d{1,2}:\d{2}(:\d{2})?( [AP]M)?",
    "an error value": r"#[A-ZÄÖÜÉÈÓÑÇ/0-9]{2,}[?!]|#N/?[AV]",
    "a rounded number": r"[+-]?\d+([.,]\d+)?E[+-]?\d+|[+-]?\d+[.,]\d+",
}
# These may be tokens as well: they are suspects only where a token is missing.
SUSPECT = {"a number": r"[+-]?\d+", "a truth value": r"TRUE|FALSE|WAHR|FALSCH|VRAI|FAUX|VERDADERO|FALSO"}

LAST_SCORE = 1  # where scores count the merges that are left

Merge = tuple[str, str]


def read_tables(folder: Path) -> tuple[list[Merge], list[str], list[float]]:
    """(merges by rank, tokens by id, scores by rank).

    Raises WeightsError where a file is missing, TokenizerError by file and line where one is wrong.
    """
    merges, scores = read_merges(folder / MERGES_FILE)
    tokens = read_tokens(folder / TOKENS_FILE)
    added = {token.id for token in read_added(folder, len(tokens)) or ()}
    check_tokens(folder / TOKENS_FILE, tokens, merges, added)
    check_whole(folder, merges, tokens, scores, added)
    return merges, tokens, scores


def read_added(folder: Path, n_tokens: int) -> list[Added] | None:
    """The added tokens; None where the folder has no file of them, so that their spelling tells."""
    path = folder / ADDED_FILE
    if not path.exists():
        return None
    lines = read_lines(path)
    separator = fitting_separator(lines[:1], lambda cells: cells == added_tokens.HEADER)
    if separator is None:
        what = f"expected the header `{','.join(added_tokens.HEADER)}`"
        raise TokenizerError(what, where=line_of(path, 1), remedy=WAY_OUT)
    found: dict[str, Added] = {}
    for line, cells in enumerate(parse(path, lines, separator)[1:], start=2):
        token = added_tokens.of_row(cells[: len(added_tokens.HEADER)], n_tokens)
        if token is None or found.setdefault(token.text, token) != token:
            wanted = f"a token, its id (0 to {n_tokens - 1}) and 0 or 1 five times"
            what = f"expected {wanted}, each token once, found {show(cells)}"
            raise TokenizerError(what, where=line_of(path, line), remedy=WAY_OUT)
    return list(found.values())


def read_merges(path: Path) -> tuple[list[Merge], list[float]]:
    """(merges, scores), the higher score first; merges of equal score stay in the file's order."""
    lines = read_lines(path)
    if not lines:
        raise TokenizerError("is empty", where=path, remedy=WAY_OUT)
    if fitting_separator(lines[:1], is_merge):
        remedy = f"put `{','.join(HEADER)}` above it"
        raise TokenizerError("a merge where a header belongs", where=line_of(path, 1), remedy=remedy)
    separator = fitting_separator(lines[1:2], is_merge)
    rows = parse(path, lines, separator or ",")
    table: list[tuple[float, Merge, int]] = []
    for line, cells in enumerate(rows[1:], start=2):
        score = number(cells[3]) if len(cells) >= 4 else None
        if score is None:
            what = f"expected left, right, rank and score, found {show(cells)}"
            raise TokenizerError(what, where=line_of(path, line), remedy=WAY_OUT)
        table.append((score, (cells[0], cells[1]), line))
    table.sort(key=lambda row: -row[0])
    check_merges(path, table)
    return [merge for _, merge, _ in table], [score for score, _, _ in table]


def is_merge(cells: list[str]) -> bool:
    return len(cells) >= 4 and number(cells[3]) is not None


def is_first_token(cells: list[str]) -> bool:
    return len(cells) == 2 and cells[1].strip() == "0"


def check_merges(path: Path, table: list[tuple[float, Merge, int]]) -> None:
    """Refuse a merge that stands there twice, or one of a symbol that nothing makes before."""
    lines: dict[Merge, int] = {}
    known = set(ALPHABET)
    for _, merge, line in table:
        if merge in lines:
            what = f"the merge of line {lines[merge]} again: {show(merge)}"
            raise TokenizerError(what, where=line_of(path, line), remedy=WAY_OUT)
        lines[merge] = line
        for side in merge:
            if side not in known:
                what, remedy = why_unknown(side, table)
                raise TokenizerError(what, where=line_of(path, line), remedy=remedy)
        known.add("".join(merge))


def why_unknown(side: str, table: list[tuple[float, Merge, int]]) -> tuple[str, str]:
    """(what is wrong with a merge's side that no merge of a higher score makes, the way out)."""
    later = [line for _, merge, line in table if "".join(merge) == side]
    if later:
        return f"{side!r} is made only by the later merge in line {later[0]}", "correct the scores"
    if kind := kind_of_mangling(side, {**MANGLED, **SUSPECT}):
        return f"{side!r} is {kind} that a spreadsheet made of a token", WAY_OUT
    if "Ġ" in side:
        return f"{side!r} spells a space as Ġ, where these files hold a space", "convert the table again"
    return f"{side!r} is no letter of GPT-2's byte alphabet, and no merge makes it", WAY_OUT


def read_tokens(path: Path) -> list[str]:
    """The tokens; each row's number, from 0, must be its id."""
    lines = read_lines(path)
    if not lines:
        raise TokenizerError("is empty", where=path, remedy=WAY_OUT)
    separator = fitting_separator(lines[:1], is_first_token)
    if not separator and fitting_separator(lines[1:2], is_first_token):
        what = f"{lines[0]!r} is a header, and none may be"
        raise TokenizerError(what, where=line_of(path, 1), remedy="remove it (row number = id)")
    tokens = []
    for i, row in enumerate(parse(path, lines, separator or ",")):
        cells = row if len(row) == 2 else without_empty_end(row)
        if len(cells) != 2 or cells[1].strip() != str(i):
            what = f"expected a token and its id {i}, found {show(cells)}"
            raise TokenizerError(what, where=line_of(path, i + 1), remedy=WAY_OUT)
        if not cells[0]:
            what = "the token is empty (was it a space?)"
            raise TokenizerError(what, where=line_of(path, i + 1), remedy=WAY_OUT)
        tokens.append(cells[0])
    return tokens


def check_tokens(path: Path, tokens: list[str], merges: list[Merge], added: Collection[int] = ()) -> None:
    """Refuse tokens that a spreadsheet program has changed, and tokens that stand there twice.

    Tokens that no merge makes are allowed (special ones, padding), and some that merges make may be missing. Those that
    were added, by id, may look like anything.
    """
    made = [*ALPHABET, *dict.fromkeys(left + right for left, right in merges)]
    known, missing = set(made), set(made).difference(tokens)
    kinds = {**MANGLED, **SUSPECT} if missing else MANGLED
    first: dict[str, int] = {}
    for i, token in enumerate(tokens):
        twin = first.setdefault(token, i)
        if twin != i:
            line, inferred = expectation([i, twin], tokens, made, missing)
            what = f"{token!r} stands in lines {twin + 1} and {i + 1}{inferred}"
            raise TokenizerError(what, where=line_of(path, line), remedy=WAY_OUT)
        if token not in known and i not in added and (kind := kind_of_mangling(token, kinds)):
            line, inferred = expectation([i], tokens, made, missing)
            what = f"{token!r} is {kind} that a spreadsheet made of a token{inferred}"
            raise TokenizerError(what, where=line_of(path, line), remedy=WAY_OUT)


def check_whole(
    folder: Path, merges: list[Merge], tokens: list[str], scores: Sequence[float], added: Collection[int] = ()
) -> None:
    """Refuse a table of merges that ends early, or has lost some: it would cut texts otherwise, in silence."""
    is_counted = bool(scores) and list(scores) == [scores[0] - i for i in range(len(scores))]  # as `write_tables` does
    if is_counted and scores[-1] > LAST_SCORE:
        what = f"is torn: its scores end at {scores[-1]:,}, and the last is {LAST_SCORE}"
        raise TokenizerError(what, where=folder / MERGES_FILE, remedy=WAY_OUT)
    others = [token for i, token in enumerate(tokens) if i not in added]
    require_made(folder / MERGES_FILE, merges, others, added_may_follow=is_counted)


def require_made(where: Path, merges: Iterable[Merge], tokens: Sequence[str], *, added_may_follow: bool) -> None:
    """Raises TokenizerError where merges are missing that made some of the tokens.

    added_may_follow: behind the last token that a merge makes, tokens may stand that somebody added. Where tokens are
    missing, too, the tables belong to different models: what makes such a token says so.
    """
    made = {left + right for left, right in merges}
    if not made.issubset(tokens):
        return
    last = max((i for i, token in enumerate(tokens) if token in made), default=-1) if added_may_follow else len(tokens)
    known = made | set(ALPHABET)
    unmade = [token for i, token in enumerate(tokens) if i < last and token not in known and is_of_one_word(token)]
    if unmade:
        what = f"is torn: it makes none of {len(unmade):,} tokens, such as {unmade[0]!r}"
        raise TokenizerError(what, where=where, remedy=WAY_OUT)


def is_of_one_word(token: str) -> bool:
    """Might merges have made it? Special tokens such as <|pad|> are cut into several words before merging.

    >>> is_of_one_word(" the"), is_of_one_word("<|pad|>"), is_of_one_word("of the")
    (True, False, False)
    """
    return all(letter in ALPHABET for letter in token) and len(cut(unspell(token).decode(errors="ignore"))) <= 1


def expectation(suspects: list[int], tokens: list[str], made: list[str], missing: set[str]) -> tuple[int, str]:
    """(line, what belongs there) of the first suspect row whose token follows from its neighbours'; else (line, "")."""
    for i in suspects:
        expected = expected_token(i, tokens, made, missing)
        if expected:
            return i + 1, f" (line {i + 1} should be {expected!r})"
    return suspects[0] + 1, ""


def expected_token(i: int, tokens: list[str], made: list[str], missing: set[str]) -> str | None:
    """What row i held, inferred from a neighbour: tables list letters and tokens in the order of their making."""
    for neighbour in (i - 1, i + 1):
        if 0 <= neighbour < len(tokens) and tokens[neighbour] in made:
            place = made.index(tokens[neighbour]) + i - neighbour
            if 0 <= place < len(made) and made[place] in missing:
                return made[place]
    return None


def kind_of_mangling(cell: str, kinds: dict[str, str]) -> str | None:
    """What the cell looks like: "a date", "an error value", ..., or None."""
    return next((kind for kind, pattern in kinds.items() if re.fullmatch(pattern, cell)), None)


def read_lines(path: Path) -> list[str]:
    """The lines of a file without empty ones at its end; any byte order mark and line ends are understood."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        has_other = any((path.parent / name).exists() for name in (MERGES_FILE, TOKENS_FILE))
        if not has_other and (found := foreign.of_path(path.parent)):
            raise WeightsError(found.what, where=path.parent, remedy=found.remedy) from None
        remedy = f"a folder with a tokenizer holds {MERGES_FILE} and {TOKENS_FILE}"
        raise WeightsError("is missing", where=path, remedy=remedy) from None
    except OSError as error:
        raise WeightsError(f"can't be read: {error.strerror}", where=path) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = line_of(path, data.count(10, 0, error.start) + 1)
        raise TokenizerError("not UTF-8", where=where, remedy="save it as CSV UTF-8") from None
    lines = split_lines(text)
    while lines and not lines[-1].strip(SEPARATORS + " "):
        lines.pop()
    return lines


def fitting_separator(lines: list[str], fits: Callable[[list[str]], bool]) -> str | None:
    """The separator by which the first line's cells fit: tokens hold separators, too."""
    for separator in SEPARATORS:
        with suppress(csv.Error):  # `parse` raises it
            if any(fits(without_empty_end(cells)) for cells in csv.reader(lines[:1], delimiter=separator)):
                return separator
    return None


def parse(path: Path, lines: list[str], separator: str) -> list[list[str]]:
    """The cells of each line. No token holds a line break: a quote that is open at a line's end is an error."""
    reader = csv.reader(lines, delimiter=separator)
    rows = []
    try:
        for row in reader:
            rows.append(row)
            if reader.line_num != len(rows):
                what = "a quote is opened and not closed"
                raise TokenizerError(what, where=line_of(path, len(rows)), remedy=WAY_OUT)
    except csv.Error as error:
        raise TokenizerError(str(error), where=line_of(path, len(rows) + 1), remedy=WAY_OUT) from None
    return rows


def without_empty_end(cells: list[str]) -> list[str]:
    """The cells without empty ones at the end, which some programs add to every line."""
    filled = max((i for i, cell in enumerate(cells) if cell), default=-1)
    return cells[: filled + 1]


def number(cell: str) -> float | None:
    """A finite number, whole where it can be; None for anything else."""
    try:
        value = float(cell)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def line_of(path: Path, line: int) -> str:
    return f"{path}, line {line}:"


def show(cells: Iterable[str]) -> str:
    """Cells in an error's sentence."""
    text = ", ".join(map(repr, cells)) or "nothing"
    return text if len(text) <= 80 else f"{text[:77]}..."


def write_tables(folder: Path, merges: list[Merge], tokens: list[str], added: Sequence[Added] | None = None) -> None:
    """Write the files, or none. The score of a merge is the number of merges minus its rank.

    added: where their spelling doesn't tell which tokens were added, and how they are found. Raises TokenizerError
    where a token can't stand in a file, or the folder can't be written.
    """
    folder = Path(folder)
    broken = [token for token in tokens if not token or "\n" in token or "\r" in token]
    if broken:
        what = f"the token {broken[0]!r} can't stand in {TOKENS_FILE}"
        raise TokenizerError(what, remedy="it is empty or holds a line break")
    ranked = ((left, right, rank, len(merges) - rank) for rank, (left, right) in enumerate(merges))
    files: dict[str, list[Sequence[str | int]]] = {
        MERGES_FILE: [HEADER, *ranked],
        TOKENS_FILE: [[token, i] for i, token in enumerate(tokens)],
    }
    if added is not None:
        files[ADDED_FILE] = [added_tokens.HEADER, *map(added_tokens.row_of, added)]
    try:
        with ExitStack() as written:
            for name, rows in files.items():
                temporary = written.enter_context(replacing(folder / name))
                with temporary.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file, lineterminator="\n").writerows(rows)
        if added is None:
            (folder / ADDED_FILE).unlink(missing_ok=True)
    except OSError as error:
        what = f"can't write to {folder}: {error.strerror}"
        raise TokenizerError(what, remedy="choose another folder") from None


def refuse_to_replace(folder: Path) -> None:
    """Raises TokenizerError where the folder holds a table already."""
    for name in (MERGES_FILE, TOKENS_FILE):
        if (folder / name).exists():
            remedy = "choose another folder, or replace it with --force"
            raise TokenizerError("exists", where=folder / name, remedy=remedy)
