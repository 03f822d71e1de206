"""Pages whose commands are run and whose printed answers are compared; the answers can be written anew.

    python tests/doc_sessions.py --update docs/lesson.md

A session is a block marked `console`: lines that begin with `$ ` are typed, the lines under each are what is printed,
on standard error first. A line `...` stands for any number of lines. A block marked `sh` behind a line
`<!-- session -->` is only run. All sessions of a page run one after the other in one folder, which holds nothing but
what `doc_files` gives that page. A refusal is an answer, too, and so is what a comparison or a check finds.

Words are compared exactly, whole numbers too; a number with decimals may differ by one in its last place, as sums come
out otherwise on another machine, and by more on pages that train a model. What else a page says belongs in tests of its
own.
"""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from command_line import Result, sheetgpt, sheetgpt_here
from doc_files import GIVEN

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=```)|(?<=<!-- session -->\n```sh\n)(.*?)(?=```)", re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
LEFT_OUT = "..."
FINDS = re.compile(r"sheetgpt (diff|check|tokenize .*--expect)\b")  # exit code 1: there are differences, faults
PROGRESS = re.compile(r"\r|tokens/s")  # differs from time to time
BOUND = re.compile(r"at most \S+$")  # of numbers that are only noise

Lines = Sequence[str]
AreAlike = Callable[[str, str], bool]


# ------------------------------------------------------------------------------------------------ a page


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that the page shows of its answer; None where it shows none."""

    typed: str
    shown: tuple[str, ...] | None


def commands(text: str) -> list[Command]:
    """The commands of a page's sessions, in order."""
    found: list[Command] = []
    for console, lines in BLOCK.findall(text):
        found += [Command(one[1], tuple(one[2].splitlines())) for one in COMMAND.finditer(console)]
        found += [Command(line, None) for line in lines.splitlines() if line]
    return found


@dataclass
class Walk:
    """A page whose commands were run: the folder in which, and what each printed, by what was typed."""

    folder: Path
    printed: dict[str, list[str]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def walked(text: str, folder: Path, are_alike: AreAlike | None = None) -> Walk:
    """Every command run, and its answer compared with the page's."""
    walk = Walk(folder)
    for command in commands(text):
        walk.printed[command.typed] = printed = answer(command.typed, folder)
        if command.shown is not None and not is_shown(command.shown, printed, are_alike or alike):
            walk.differences += [f"$ {command.typed}", *(f"- {one}" for one in command.shown)]
            walk.differences += [f"+ {one}" for one in printed]
    return walk


def answered(text: str, folder: Path) -> str:
    """A page with what its commands print now."""

    def command(found: re.Match[str]) -> str:
        lines = anew(found[2].splitlines(), answer(found[1], folder))
        return "".join(f"{line}\n" for line in [f"$ {found[1]}", *lines])

    def block(found: re.Match[str]) -> str:
        for line in (found[2] or "").splitlines():
            answer(line, folder)
        return found[0] if found[1] is None else COMMAND.sub(command, found[1])

    return BLOCK.sub(block, text)


def files() -> list[Path]:
    """README, and the pages in `docs` and its folders; not those that change the code, which `test_built` follows."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if page.parent.name != "built")]


def pages() -> list[str]:
    """Those with sessions, such as `docs/learn`."""
    return [name_of(page) for page in files() if BLOCK.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return page.resolve().relative_to(ROOT).with_suffix("").as_posix()


def run_python(text: str) -> dict:
    """The names that the page's lines of Python leave behind."""
    names: dict = {}
    for code in PYTHON.findall(text):
        exec(code, names)
    return names


# ------------------------------------------------------------------------------------------------ running


def answer(typed: str, folder: Path) -> list[str]:
    """What a command prints, line by line. Fails where it fails and doesn't say so as an error."""
    done = result_of(typed, folder)
    told = [line for line in done.err.splitlines() if not PROGRESS.search(line)]
    is_refused = done.code == 2 and any(line.startswith("Error: ") for line in told)
    is_found = done.code == 1 and FINDS.match(typed)
    assert done.code == 0 or is_refused or is_found, (typed, done.code, done.err)
    assert "Traceback" not in done.err, (typed, done.err)
    return [line.rstrip() for line in [*told, *done.out.splitlines()]]


def result_of(typed: str, folder: Path) -> Result:
    words = shlex.split(typed, comments=True)
    if ">" not in words:
        return result_here(words, folder)
    *words, _, file = words
    done = result_here(words, folder)
    (folder / file).write_text(done.out, encoding="utf-8", newline="")
    return Result(done.code, "", done.err)


def result_here(words: Sequence[str], folder: Path) -> Result:
    program, *words = words
    if program == "sheetgpt":
        run = sheetgpt if "--plot" in words else sheetgpt_here  # matplotlib would stay as the command set it up
        return run(*words, cwd=folder, COLUMNS="110")
    if program == "printf":
        return Result(0, print_formatted(*words), "")
    assert program == "python", program
    line = [sys.executable, *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def print_formatted(form: str, *texts: str) -> str:
    r"""What `printf` prints, which Windows does not have: of formats `%s`, of escapes line ends.

    >>> print_formatted("%s\\n", "a", "b")
    'a\nb\n'
    """
    return "".join(form.replace("\\n", "\n").replace("%s", text) for text in texts or [""])


# ------------------------------------------------------------------------------------------------ comparing


def alike(shown: str, printed: str) -> bool:
    """The same words and whole numbers; other numbers within one of the last place.

    >>> alike("loss 1.774 of 5 tokens", "loss 1.775 of 5 tokens"), alike("loss 1.774", "loss 1.776")
    (True, False)
    >>> alike("block_1 0.5", "block_2 0.5"), alike("errors of at most 9e-08", "errors of at most 6.1e-08")
    (False, True)
    """
    return have_numbers(shown, printed, is_bound if BOUND.search(shown) else within_the_last_place)


def trained(shown: str, printed: str) -> bool:
    """The same of numbers that come from training, which adds up such differences: within 3 %, or 0.003 near 0.

    >>> trained("Loss 1.77 (mean of 5 tokens)", "Loss 1.7741 (mean of 5 tokens)"), trained("Loss 1.77", "Loss 1.87")
    (True, False)
    >>> trained("13 words", "14 words"), trained("p 0.0202", "p 0.0402"), trained("at most 3e-08", "at most 3e-03")
    (False, False, False)
    """
    return have_numbers(shown, printed, is_bound if BOUND.search(shown) else within_a_few_percent)


def have_numbers(shown: str, printed: str, are_close: Callable[[str, str], bool]) -> bool:
    """The same words (and blanks, where the numbers are as long), and numbers that are close."""
    if shown == printed:
        return True
    left, right = (NUMBER.findall(line) for line in (shown, printed))
    words = [NUMBER.sub("#", line) for line in (shown, printed)]
    if list(map(len, left)) != list(map(len, right)):
        words = [" ".join(line.split()) for line in words]
    return words[0] == words[1] and len(left) == len(right) and all(map(are_close, left, right))


def within_the_last_place(a: str, b: str) -> bool:
    if is_whole(a) and is_whole(b):
        return value(a) == value(b)
    unit = min(10.0 ** int(Decimal(one.replace(",", "")).as_tuple().exponent) for one in (a, b))
    return abs(value(a) - value(b)) <= 1.001 * unit


def within_a_few_percent(a: str, b: str) -> bool:
    if is_whole(a) and is_whole(b):
        return value(a) == value(b)
    return math.isclose(value(a), value(b), rel_tol=0.03, abs_tol=0.003)


def is_bound(a: str, b: str) -> bool:
    """Whole numbers as they are; a bound on noise stays one."""
    return value(a) == value(b) if is_whole(a) and is_whole(b) else value(b) <= 10 * value(a)


def is_whole(number: str) -> bool:
    return not set(".e") & set(number)


def value(number: str) -> float:
    return float(number.replace(",", ""))


def parts(shown: Lines) -> list[list[str]]:
    """What stands between the lines that were left out."""
    found: list[list[str]] = [[]]
    for line in shown:
        found.append([]) if line == LEFT_OUT else found[-1].append(line)
    return found


def is_shown(shown: Lines, printed: Lines, are_alike: AreAlike = alike) -> bool:
    """Is that the answer, in its order, save for what was left out?"""
    first, *others = parts(shown)
    if not others:
        return len(first) == len(printed) and all(map(are_alike, first, printed))
    last, at = len(printed) - len(others[-1]), len(first)
    if last < at or not all(map(are_alike, first + others[-1], [*printed[:at], *printed[last:]])):
        return False
    for part in others[:-1]:
        place = next(places(part, printed[:last], at, are_alike), None)
        if place is None:
            return False
        at = place + len(part)
    return True


def places(part: Lines, printed: Lines, begin: int, are_alike: AreAlike) -> Iterator[int]:
    for at in range(begin, len(printed) - len(part) + 1):
        if all(map(are_alike, part, printed[at:])):
            yield at


def anew(shown: Lines, printed: Lines) -> list[str]:
    """The answer as it is now, with the same left out.

    What stands between two gaps is found by its words, or by its first line's; where that changed too, it is left as it
    was.
    """
    first, *others = parts(shown)
    if not others:
        return list(printed)
    last, at = max(len(first), len(printed) - len(others[-1])), len(first)
    lines = list(printed[:at])
    for part in others[:-1]:
        place = next(places(part, printed[:last], at, same_words), None)
        if place is None:
            place = next(places(part[:1], printed[:last], at, same_words), None)
        lines += [LEFT_OUT, *(part if place is None else printed[place : place + len(part)])]
        at = at if place is None else place + len(part)
    return [*lines, LEFT_OUT, *printed[last:]]


def same_words(a: str, b: str) -> bool:
    return have_numbers(a, b, lambda *_: True)


if __name__ == "__main__":
    option, *files = sys.argv[1:]
    assert option == "--update", __doc__
    for page in map(Path, files):
        with tempfile.TemporaryDirectory() as empty:
            GIVEN.get(name_of(page), lambda _folder: None)(Path(empty))
            page.write_text(answered(page.read_text(encoding="utf-8"), Path(empty)), encoding="utf-8")
