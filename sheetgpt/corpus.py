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


def documents(count: int = 40_000, seed: int = SEED) -> list[str]:
    """That many documents, none of which says a held-out adjective of its name."""
    rng = random.Random(seed + 1)  # noqa: S311 - not secret
    left_out = set(held_out(seed))
    people = [person for person in everybody() if person not in left_out]
    he = [person for person in people if person.pronoun == "He"]
    she = [person for person in people if person.pronoun == "She"]
    made = []
    for _ in range(count):
        if rng.random() < 1 / 3:
            pair = [rng.choice(he), rng.choice(she)]
            made.append(two(*rng.sample(pair, 2), rng))
        else:
            made.append(one(rng.choice(people), rng))
    return made


def one(person: Person, rng: random.Random) -> str:
    """A document about one person."""
    verb = rng.choice(VERBS)
    if rng.random() < 1 / 4:
        return f"{person.name} {verb} {person.adverb}. {person.pronoun} is {person.adjective}."
    return f"{person.name} is {person.adjective}. {person.pronoun} {verb} {person.adverb}."


def two(first: Person, second: Person, rng: random.Random) -> str:
    """A document about two people, of whom the pronoun tells which is meant."""
    said = first, second
    told = rng.sample(said, 2)
    sentences = [f"{p.name} is {p.adjective}." for p in said]
    sentences += [f"{p.pronoun} {rng.choice(VERBS)} {p.adverb}." for p in told]
    return " ".join(sentences)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m sheetgpt.corpus FILE")
    lines = documents()
    Path(arguments[0]).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(f"{len(lines):,} documents in {arguments[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
