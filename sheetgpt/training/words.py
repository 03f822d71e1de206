"""Small lists of words to learn from: the names of the ladder, and echoes, in which a letter comes back later.

An echo ends with the letter that it begins with: `anliea`. Between them stand letters of no meaning, more than a window
of three can see over; so what the last letter is, only a model knows that looks further back.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import product

NAMES = "anna ann ella elena lena lina nina nela alina liane ina eliana lea".split()
LETTERS = "aeiln"
BETWEEN = 4  # letters of an echo that stand between the two that are alike
N_ECHOES, N_HELD_OUT = 1000, 100


@dataclass(frozen=True)
class WordList:
    """Words to learn from, and others of the same kind that stand apart."""

    words: list[str]
    held_out: list[str]
    floor: float = 0.0  # of the mean of -ln p, for a model that knows the rule by which they are made; 0: there is none
    why: str = ""


def echoes(seed: int = 1) -> WordList:
    """The same for the same seed. No held-out word is among those to learn from.

    >>> [word[0] == word[-1] for word in echoes().words[:3]]
    [True, True, True]
    """
    every = ["".join([*letters, letters[0]]) for letters in product(LETTERS, repeat=1 + BETWEEN)]
    drawn = random.Random(seed).sample(every, N_ECHOES + N_HELD_OUT)  # noqa: S311 - not secret
    by_chance, predictions = 1 + BETWEEN, 1 + BETWEEN + 2
    why = f"Of {predictions} predictions {by_chance} are chance among {len(LETTERS)} letters; the last two are sure."
    floor = by_chance * math.log(len(LETTERS)) / predictions
    return WordList(drawn[:N_ECHOES], drawn[N_ECHOES:], floor, why)


LISTS = {"names": lambda: WordList(NAMES, []), "echoes": echoes}
