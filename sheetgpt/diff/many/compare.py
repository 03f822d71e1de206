"""Each prompt of two folders compared with its like, one pair in memory at a time; the worst first, and totals.

What differs in a pair and why is found by `diff`, as of any two sides; here it is gathered and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from sheetgpt.diff import diff
from sheetgpt.diff.diagnosis import read_weights
from sheetgpt.diff.many.folders import Folder
from sheetgpt.diff.result import (
    CELLS,
    DIFFERENT,
    INPUTS,
    OVERRIDE,
    PATTERN,
    ROUNDING,
    STALE,
    TOKENS,
    UNKNOWN,
    Report,
    plain,
)
from sheetgpt.diff.sides import Side, Weights
from sheetgpt.errors import DumpError, SheetGPTError

IN_SHORT = {  # causes that have no mistake's name
    ROUNDING: "rounding, not a bug",
    INPUTS: "RIGHT follows from its own inputs",
    CELLS: "single cells do not follow",
    OVERRIDE: "replaced by --set",
    TOKENS: "other tokens",
    STALE: "left standing, or edited",
    PATTERN: "no known mistake, but the wrong cells have something in common",
    UNKNOWN: "no known mistake",
}
UNEXPLAINED = "not explained"


@dataclass(frozen=True)
class Outcome:
    """What is found of one prompt."""

    number: int  #: of the prompt
    prompt: str | None = None  #: the text, where a side says it
    equal: bool = False  #: is no difference found?
    first: str = ""  #: the first stage that diverges; empty where none does
    title: str = ""  #: that stage's title
    #: where the difference begins, also of a prompt that is equal, where a mistake hides within the tolerance
    stage: str = ""
    cause: str = ""  #: why, as `Diagnosis.cause` has it
    in_short: str = ""  #: the same cause for prompts that share it
    sentence: str = ""  #: why, as `diff` says it of this prompt alone
    mistakes: tuple[str, ...] = ()  #: the known mistakes of ports that explain it
    largest: float = 0.0  #: the largest difference in a stage; infinite where stages can't be subtracted
    stages: int = 0  #: how many matrices were compared
    stages_out: int = 0  #: how many stages differ
    has_tokens: bool = True  #: do both sides hold token ids? These were compared then
    trouble: str = ""  #: why the prompt, or a stage that had to be there, could not be compared

    @classmethod
    def of(cls, number: int, prompt: str | None, report: Report, *, has_tokens: bool = True) -> Outcome:
        """What a prompt's own report comes to."""
        out = [stage for stage in report.stages if stage.verdict == DIFFERENT]
        sizes = [math.inf if stage.largest_difference is None else stage.largest_difference for stage in out]
        first, why = report.first, report.diagnosis
        found = cls(
            number,
            prompt,
            equal=report.equal,
            first=first.stage if first else "",
            title=first.title if first else "",
            in_short=UNEXPLAINED if first else "",
            largest=max((math.inf if math.isnan(size) else size for size in sizes), default=0.0),
            stages=report.extent[0],
            stages_out=len(out),
            has_tokens=has_tokens,
            trouble="" if first or report.equal else not_compared(report),
        )
        return found if why is None else found.because(why.stage, why.cause, why.sentence, why.mistakes)

    def because(self, stage: str, cause: str, sentence: str, mistakes: tuple[str, ...]) -> Outcome:
        """The same with a cause."""
        in_short = " and ".join(mistakes) or IN_SHORT[cause]
        return replace(self, stage=stage, cause=cause, sentence=sentence, mistakes=mistakes, in_short=in_short)


@dataclass(frozen=True)
class Total:
    """The prompts that diverge first in the same stage for the same cause."""

    stage: str  #: where they diverge first
    title: str  #: the stage's title
    cause: str  #: why, in short
    prompts: int  #: how many
    example: int  #: the worst one's number


@dataclass(frozen=True)
class Gathered:
    """A comparison of two folders of many prompts' runs."""

    left: str  #: the first folder
    right: str  #: the second folder
    outcomes: Sequence[Outcome]  #: by number
    #: number -> why a side has no such run, for LEFT and for RIGHT
    missing: tuple[Mapping[int, str], Mapping[int, str]]
    unread: Sequence[str]  #: files that were passed over
    remark: str = ""  #: what is said of the two as wholes
    strict: bool = False  #: is a prompt that is missing on one side a difference?

    @cached_property
    def diverging(self) -> list[Outcome]:
        """The worst first; of equals, the smaller number."""
        return sorted((one for one in self.outcomes if one.first), key=lambda one: (-one.largest, one.number))

    @property
    def troubled(self) -> list[Outcome]:
        """The prompts that could not be compared."""
        return [one for one in self.outcomes if one.trouble]

    @property
    def without_tokens(self) -> list[int]:
        """The prompts of which a side holds no token ids."""
        return [one.number for one in self.outcomes if not one.has_tokens and not one.trouble]

    @property
    def hidden(self) -> list[Outcome]:
        """The prompts that are equal within the tolerance, in which a known mistake hides all the same."""
        return [one for one in self.outcomes if not one.first and one.stage]

    @property
    def equal(self) -> bool:
        """Is no difference found?"""
        return all(one.equal for one in self.outcomes) and not (self.strict and any(self.missing))

    @property
    def totals(self) -> list[Total]:
        """By first stage and cause, the most prompts first."""
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for one in self.diverging:
            groups.setdefault((one.first, one.in_short), []).append(one)
        found = [
            Total(stage, group[0].title, cause, len(group), group[0].number) for (stage, cause), group in groups.items()
        ]
        return sorted(found, key=lambda total: -total.prompts)

    def as_data(self, *, every_prompt: bool = False) -> dict[str, Any]:
        """As JSON has it; every_prompt: also those that are equal."""
        equal = [one for one in self.outcomes if one.equal] if every_prompt else []
        missing = ({str(number): why for number, why in side.items()} for side in self.missing)
        found: dict[str, Any] = plain(
            {
                "equal": self.equal,
                "left": self.left,
                "right": self.right,
                "prompts": len(self.outcomes),
                "diverging": len(self.diverging),
                "totals": [asdict(total) for total in self.totals],
                "outcomes": [asdict(one) for one in (*self.diverging, *equal)],
                "within_tolerance": [asdict(one) for one in self.hidden],
                "not_compared": {str(one.number): one.trouble for one in self.troubled},
                "token_ids_not_compared": self.without_tokens,
                **dict(zip(("missing_left", "missing_right"), missing, strict=True)),
                "unread": list(self.unread),
                "remark": self.remark,
            }
        )
        return found


def compare(
    left: Folder,
    right: Folder,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    strict: bool = False,
    weights: Weights = None,
    only: str | None = None,
    advance: Callable[[int, int], object] | None = None,
) -> Gathered:
    """Every prompt that both sides hold, by its number. Raises DumpError where there is none, or none can be compared.

    atol, rtol, strict, weights, only: as of `diff`. strict: a prompt that one side lacks is a difference, too.
    """
    shared = sorted(set(left.numbers) & set(right.numbers))
    if not shared:
        what = f"{left.label} and {right.label} have no prompt in common"
        raise DumpError(what, remedy="prompts are paired by number")
    loaded: list[Weights] = []  # once, not for every prompt

    def found(one: Side, other: Side) -> Report:
        if not loaded:
            loaded.append(read_weights(weights, one))
        again = one.token_ids != other.token_ids  # LEFT's model is run then, from its folder
        given = weights if again else loaded[0]
        return diff(one, other, atol=atol, rtol=rtol, strict=strict, weights=given, only=only)

    outcomes = []
    for done, number in enumerate(shared, start=1):
        outcomes.append(outcome(number, left, right, found))
        if advance:
            advance(done, len(shared))
    if not any(one.stages or one.equal for one in outcomes):
        raise DumpError(f"no prompt can be compared; number {shared[0]}: {outcomes[0].trouble}")
    unread = [f"{side.label}/{name}" for side in (left, right) for name in side.unread]
    return Gathered(left.label, right.label, outcomes, missing(left, right), unread, remark(left, right), strict)


def outcome(number: int, left: Folder, right: Folder, found: Callable[[Side, Side], Report]) -> Outcome:
    """Of one prompt. What can't be read is a trouble of this prompt, and the others are compared all the same."""
    try:
        one, other = left.side(number), right.side(number)
        prompt = one.about.get("prompt") or other.about.get("prompt")
        has_tokens = bool(one.token_ids and other.token_ids)
        return Outcome.of(number, prompt, found(one, other), has_tokens=has_tokens)
    except SheetGPTError as error:
        return Outcome(number, trouble=str(error))


def not_compared(report: Report) -> str:
    """What a side lacks or can't show, in a report that is not equal for this alone."""
    found = (report.unreadable or report.missing)[0]
    return found.note if found.is_unreadable else f"{found.stage} is {found.note}"


def missing(left: Folder, right: Folder) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """(the numbers that only RIGHT has, those that only LEFT has), each with the reason that a side knows."""
    ours, theirs = set(left.numbers), set(right.numbers)
    return (
        {number: left.why_not(number) for number in sorted(theirs - ours)},
        {number: right.why_not(number) for number in sorted(ours - theirs)},
    )


def remark(left: Folder, right: Folder) -> str:
    ours, theirs = left.model, right.model
    is_known = ours is not None and theirs is not None and ours.dtype == theirs.dtype  # of others they differ anyway
    if is_known and ours != theirs:
        return "The two sides are runs of different models."
    return ""
