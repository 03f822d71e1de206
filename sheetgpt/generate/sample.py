"""Logits to the next token: greedy, temperature, top-k, top-p; and the choice as the table one would draw by hand.

All of it in float64 and in a fixed order: candidates by falling logit (of equals the smaller id first), sums from the
first to the last. Random numbers are PCG64's, the upper 53 bits of each draw as a number from 0 up to 1, so a seed
means the same on every machine. Where logits come from belongs in `decode`, files in `record` and `workbook`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from sheetgpt.errors import PromptError

__all__ = ["Candidates", "Pick", "PickTable", "Sampler", "Sampling", "candidates", "pick_index"]

COLUMNS = (
    "rank",
    "id",
    "token",
    "logit",
    "logit / temperature",
    "kept by top-k",
    "kept by top-p",
    "probability",
    "cumulative sum",
    "random number",
    "picked",
)
SHOWN_ROWS = 1000  # of a pick's table: a vocabulary of 50,257 for each token would fill a disk with near-zeros
SEED_BITS = 32  # of a seed that nobody gave: short enough to type again
DRAW_BITS = 53  # what a double holds exactly


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy: the greatest logit wins and nothing is drawn.

    Raises PromptError where a number is out of its range.
    """

    temperature: float = 0.0  #: what logits are divided by; 0 is greedy
    top_k: int | None = None  #: only the k greatest logits stay
    top_p: float | None = None  #: of these, only the first whose probabilities reach p together
    seed: int | None = None  #: of the random numbers, PCG64's

    def __post_init__(self) -> None:
        if not (isfinite(self.temperature) and self.temperature >= 0):
            raise PromptError(f"temperature is {self.temperature}", remedy="give 0 (greedy) or more, such as 0.8")
        if self.top_k is not None and self.top_k < 1:
            raise PromptError(f"top-k is {self.top_k}", remedy="keep at least 1 candidate, or leave it out")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise PromptError(f"top-p is {self.top_p}", remedy="give more than 0 and at most 1, such as 0.9")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0):
            raise PromptError(f"seed is {self.seed!r}", remedy="give a whole number, 0 or more")

    @classmethod
    def of(
        cls,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        *,
        greedy: bool = False,
    ) -> Sampling:
        """Greedy where no option is given; with any, temperature 1 unless it is given, and a seed to give again.

        Raises PromptError where greedy is asked for, and a temperature.
        """
        if greedy or all(option is None for option in (temperature, top_k, top_p, seed)):
            if temperature:
                what = f"greedy has no temperature, and temperature {temperature} is given"
                raise PromptError(what, remedy="leave one out")
            return cls(0.0, top_k, top_p, seed)
        if seed is None and temperature != 0:
            seed = secrets.randbits(SEED_BITS)
        return cls(1.0 if temperature is None else float(temperature), top_k, top_p, seed)

    @property
    def greedy(self) -> bool:
        """Does the greatest logit win?"""
        return self.temperature == 0


@dataclass(frozen=True)
class Candidates:
    """Every token as a candidate, the greatest logit first; all arrays are [n_vocab]."""

    ids: np.ndarray  #: [n_vocab] token ids
    logits: np.ndarray  #: [n_vocab] falling
    scaled: np.ndarray  #: [n_vocab] logit / temperature; the logit itself where temperature is 0
    kept_by_top_k: np.ndarray  #: [n_vocab] of bool
    kept_by_top_p: np.ndarray  #: [n_vocab] of bool, among those kept by top-k
    probabilities: np.ndarray  #: [n_vocab] of those kept by both, adding up to 1; the others have 0
    cumulative: np.ndarray  #: [n_vocab] the sums of the probabilities up to each


def candidates(logits: np.ndarray, sampling: Sampling) -> Candidates:  # [n_vocab]
    """The candidates of logits [n_vocab] in order, with what top-k and top-p leave of them. (Fan, Lewis and Dauphin
    2018; Holtzman et al. 2020)
    """
    exact = logits.astype(np.float64)
    ids = np.argsort(-exact, kind="stable")
    ordered = exact[ids]
    temperature = sampling.temperature or 1.0
    with np.errstate(over="ignore"):  # a temperature near 0 may make of a logit, or of a distance, infinity
        scaled = ordered / temperature
        weights = np.exp((ordered - ordered[0]) / temperature)
    by_k = np.arange(len(ids)) < (sampling.top_k or len(ids))
    weights[~by_k] = 0
    if sampling.top_p is None:
        by_p = by_k
    else:
        before = np.concatenate([[0.0], np.cumsum(weights)])
        by_p = by_k & (before[:-1] < sampling.top_p * before[-1])  # the one that reaches p stays
        weights[~by_p] = 0
    probabilities = weights / np.cumsum(weights)[-1]  # subtle: np.sum adds in an order that depends on the processor
    return Candidates(ids, ordered, scaled, by_k, by_p, probabilities, np.cumsum(probabilities))


def pick_index(probabilities: np.ndarray, random: float) -> int:
    """The first place whose cumulative sum is greater than the random number; the last possible where none is.

    >>> pick_index(np.array([0.3, 0.1, 0.1, 0.1, 0.2, 0.2]), 0.53)
    3
    """
    index = int(np.searchsorted(np.cumsum(probabilities), random, side="right"))
    return min(index, int(np.flatnonzero(probabilities)[-1]))  # rounding may leave the last sum just below 1


@dataclass(frozen=True)
class Pick:
    """One choice: the token and how it came to be chosen."""

    id: int  #: the token's id
    logits: np.ndarray = field(repr=False)  #: [n_vocab]
    sampling: Sampling  #: how it was chosen
    random: float | None = None  #: the number that was drawn, from 0 up to 1; None where nothing was

    @cached_property
    def candidates(self) -> Candidates:
        """Every token as a candidate, the greatest logit first."""
        return candidates(self.logits, self.sampling)

    @cached_property
    def index(self) -> int:
        """The picked row in the table of candidates, from 0."""
        return int(np.flatnonzero(self.candidates.ids == self.id)[0])

    @property
    def rank(self) -> int:
        """1 for the greatest logit."""
        return self.index + 1

    @property
    def logit(self) -> float:
        """The token's score."""
        return float(self.logits[self.id])

    @property
    def probability(self) -> float:
        """As the table shows it: among the candidates kept, at this temperature (greedy: at temperature 1)."""
        return float(self.candidates.probabilities[self.index])

    def table(self, limit: int = SHOWN_ROWS) -> PickTable:
        """What is shown of the candidates: the first `limit`, and the picked one wherever it stands."""
        every, index = self.candidates, self.index
        first = min(limit, len(every.ids))
        shown = np.append(np.arange(first), index) if index >= first else np.arange(first)
        hidden = np.delete(np.arange(len(every.ids)), shown)
        return PickTable(
            Candidates(*(column[shown] for column in vars(every).values())),
            ranks=shown + 1,
            picked=self.id,
            random=self.random,
            greedy=self.sampling.greedy,
            hidden=len(hidden),
            hidden_kept=int(every.kept_by_top_p[hidden].sum()),
            hidden_probability=float(np.cumsum(np.append(0.0, every.probabilities[hidden]))[-1]),
        )


@dataclass(frozen=True)
class PickTable:
    """The choice as a table under COLUMNS, and what it leaves out of a large vocabulary."""

    shown: Candidates  #: the candidates that are shown
    ranks: np.ndarray  #: [shown] 1 for the greatest logit
    picked: int  #: the token's id
    random: float | None  #: the number that was drawn; None where nothing was
    greedy: bool  #: was the greatest logit picked?
    hidden: int  #: how many candidates are not shown
    hidden_kept: int  #: how many of those top-k and top-p keep
    hidden_probability: float  #: what those have together, 0 to 1

    def __len__(self) -> int:
        return len(self.ranks)

    def rows(self, token: Callable[[int], str]) -> Iterator[list[Any]]:
        """The cells row by row, under `COLUMNS`; `token` spells an id."""
        shown = self.shown
        for row, rank in enumerate(self.ranks.tolist()):
            token_id, by_k = int(shown.ids[row]), shown.kept_by_top_k[row]
            yield [
                rank,
                token_id,
                token(token_id),
                float(shown.logits[row]),
                "" if self.greedy else float(shown.scaled[row]),
                yes_no(by_k),
                yes_no(shown.kept_by_top_p[row]) if by_k else "",  # top-p looks only at what top-k leaves
                float(shown.probabilities[row]),
                float(shown.cumulative[row]),
                "" if self.random is None else self.random,
                yes_no(token_id == self.picked),
            ]

    def left_out(self) -> str:
        """One sentence about the candidates that are not shown; empty where all are."""
        if not self.hidden:
            return ""
        chance = f"together with a probability of {self.hidden_probability:.6f}"
        return f"{self.hidden:,} more candidates, {self.hidden_kept:,} of them kept, {chance}"


def yes_no(flag: bool | np.bool) -> str:
    return "yes" if flag else "no"


class Sampler:
    """Picks token after token; the same sampling gives the same picks for the same logits."""

    def __init__(self, sampling: Sampling):
        self.sampling = sampling
        self._bits = None if sampling.greedy else np.random.PCG64(sampling.seed)

    def pick(self, logits: np.ndarray) -> Pick:  # [n_vocab]
        """The choice of one token from logits [n_vocab]."""
        if self._bits is None:
            return Pick(int(logits.argmax()), logits, self.sampling)
        random = (self._bits.random_raw() >> (64 - DRAW_BITS)) * 2.0**-DRAW_BITS
        table = candidates(logits, self.sampling)
        pick = Pick(int(table.ids[pick_index(table.probabilities, random)]), logits, self.sampling, random)
        pick.__dict__["candidates"] = table  # computed already
        return pick
