"""The corpus of the embedded model: sentences such as `Mike is quick. He moves quickly.`, one document a line.

`python -m sheetgpt.corpus corpus.txt` writes the same file on every machine. A tenth of the (name, adjective) pairs
never stands in it: `held_out` lists them, so that what the model says of them shows whether it learned the rule.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

SEED = 1
HELD_OUT_SHARE = 0.1

HE = """Mike John Paul Mark Luke Adam Peter David Tom Ben Sam Max Leo Karl Hugo Ivan Omar Ravi Kofi Chen Jack Noah
Erik Otto Felix Oscar Simon Victor Walter Henry""".split()
SHE = """Anna Mary Jane Lucy Emma Nina Rosa Lily Ella Ada Eva Ida Olga Vera Clara Julia Laura Maria Sara Tina Alice
Grace Helen Irene Paula Ruth Sofia Amina Yuki Mei""".split()
ADVERBS = dict.fromkeys(
    """quick slow quiet loud calm brave kind proud sad glad bold wise smart eager nervous careful cheerful graceful
    polite rude strange sweet warm cold bright serious clever honest patient playful""".split(),
    "ly",
)
VERBS = "moves walks speaks works plays sings waits smiles writes reads dances travels".split()


@dataclass(frozen=True)
class Person:
    """Somebody of whom a document says something."""

    name: str
    pronoun: str
    adjective: str

    @property
    def adverb(self) -> str:
        return self.adjective + ADVERBS[self.adjective]


def held_out(seed: int = SEED) -> list[Person]:
    """The (name, adjective) pairs that the corpus leaves out, the same for the same seed.

    `Mike is quick` is the reference's own prompt; it stays in the corpus.
    """
    people = everybody()
    left_out = random.Random(seed).sample(people, round(HELD_OUT_SHARE * len(people)))  # noqa: S311 - not secret
    return [person for person in left_out if (person.name, person.adjective) != ("Mike", "quick")]


def everybody() -> list[Person]:
    pronouns = {**dict.fromkeys(HE, "He"), **dict.fromkeys(SHE, "She")}
    return [Person(name, pronouns[name], adjective) for name, adjective in product(pronouns, ADVERBS)]


def documents(count: int = 20_000, seed: int = SEED) -> list[str]:
    """That many documents, none of which says a held-out adjective of its name."""
    rng = random.Random(seed + 1)  # noqa: S311 - not secret
    left_out = set(held_out(seed))
    people = [person for person in everybody() if person not in left_out]
    return [one(rng.choice(people), rng) for _ in range(count)]


def one(person: Person, rng: random.Random) -> str:
    """What a document says of a person, the rule or, every fourth time, its reverse."""
    verb = rng.choice(VERBS)
    if rng.random() < 1 / 4:
        return f"{person.name} {verb} {person.adverb}. {person.pronoun} is {person.adjective}."
    return f"{person.name} is {person.adjective}. {person.pronoun} {verb} {person.adverb}."


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m sheetgpt.corpus FILE")
    lines = documents()
    Path(arguments[0]).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(f"{len(lines):,} documents in {arguments[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
