"""`sheetgpt diff` of two folders of many prompts' runs: what is printed, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress

WORST = ["number", "prompt", "first stage", "largest", "stages out", "cause"]
TOTALS = ["first stage", "title", "cause", "prompts", "such as"]
LONGEST_PROMPT = 40


def command(left: str, right: str, alone, top: int, *, every_prompt: bool, as_json: bool, **how) -> int:
    """Compare, print; the exit code. alone: options that go with a single run, by their names."""
    from sheetgpt.diff.many import compare, open_folder

    require_none(alone)
    sides = open_folder(left), open_folder(right)
    with progress("prompts") as advance:
        found = compare(*sides, **how, advance=advance)
    if as_json:
        show.print_json(found.as_data(every_prompt=every_prompt))
    else:
        show.echo(as_text(found, top, every_prompt=every_prompt))
    return 0 if found.equal else 1


def require_none(alone) -> None:
    """Raises DumpError where an option was given that many prompts have no use for."""
    from sheetgpt.errors import DumpError

    given = [name for name, value in alone.items() if value is not None]
    if given:
        raise DumpError(f"{given[0]} doesn't go with folders of many prompts", remedy="compare one prompt's two files")


def as_text(found, top: int, *, every_prompt: bool) -> str:
    """Totals by first stage and cause, then the worst prompts, then what wasn't compared."""
    lines = [headline(found)]
    lines += [found.remark] if found.remark else []
    totals = [[one.stage, one.title, one.cause, f"{one.prompts:,}", one.example] for one in found.totals]
    if totals:
        lines += ["", show.table(TOTALS, totals)]
    if found.diverging:
        more = len(found.diverging) - top
        rows = [row(one) for one in found.diverging[:top]]
        lines += ["", "The worst first:", show.table(WORST, rows)]
        lines += [f"... and {more:,} more (--top)"] if more > 0 else []
    if found.hidden:
        first = found.hidden[0]
        numbers = in_ranges(one.number for one in found.hidden)
        lines += ["", f"Equal within the tolerance, but wrong in {first.stage}: {numbers}; number {first.number}: "]
        lines[-1] += first.sentence
    equal = in_ranges(one.number for one in found.outcomes if one.equal)
    lines += ["", f"Equal: {equal}"] if every_prompt and equal else []
    lines += ["", *(f"Not compared: number {one.number}: {one.trouble}" for one in found.troubled[:top])]
    lines += [f"... and {len(found.troubled) - top:,} more (--top)"] if len(found.troubled) > top else []
    for name, side in zip((found.left, found.right), found.missing, strict=True):
        lines += missing(name, side)
    if found.without_tokens:
        lines += [f"Token ids not compared, as a side holds none: {in_ranges(found.without_tokens)}"]
    lines += [f"Not read, no prompt's number in its name: {', '.join(found.unread)}"] if found.unread else []
    return "\n".join(lines).rstrip("\n")


def headline(found) -> str:
    compared = [one for one in found.outcomes if not one.trouble]
    count, diverging = len(compared), len(found.diverging)
    if diverging:
        worst = found.diverging[0]
        verb = "diverges" if diverging == 1 else "diverge"
        return f"{diverging:,} of {count:,} prompts {verb}, worst number {worst.number}: first {worst.first}."
    stages = sorted({one.stages for one in compared})
    many = f", {' to '.join(map(str, dict.fromkeys((stages[0], stages[-1]))))} stages of each" if stages else ""
    end = "" if found.equal else "; but not all could be"
    return f"No prompt diverges: {count:,} compared{many}{end}."


def row(one) -> list[object]:
    prompt = one.prompt or ""
    shown = prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[: LONGEST_PROMPT - 3]}..."
    where = f"from {one.stage} on, within the tolerance: " if one.stage not in ("", one.first) else ""
    cause = f"{where}{one.sentence}" or one.in_short
    return [one.number, show.token(shown) if shown else "", one.first, f"{one.largest:.1e}", one.stages_out, cause]


def missing(label: str, side) -> list[str]:
    """Which prompts a side has no run of; those whose reason is known, by it."""
    by_reason: dict[str, list[int]] = {}
    for number, why in side.items():
        by_reason.setdefault(why, []).append(number)
    return [
        f"Not in {label}, {len(numbers):,}: {in_ranges(numbers)}{f' ({why})' if why else ''}"
        for why, numbers in by_reason.items()
    ]


def in_ranges(numbers: Iterable[int]) -> str:
    """Numbers in rising order, those that follow one another as a range.

    >>> in_ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7-8'
    """
    spans: list[tuple[int, int]] = []
    for number in numbers:
        begins = not spans or number != spans[-1][1] + 1
        spans = [*spans, (number, number)] if begins else [*spans[:-1], (spans[-1][0], number)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
