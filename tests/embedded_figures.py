"""How well a model learned the corpus: `python tests/embedded_figures.py [FOLDER]` prints the README's figures.

FOLDER is a model's folder or name; without it the table of all that ship is printed. Nothing that is asked stands in
the corpus: either the name never does, or the name never with that adjective.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import product
from pathlib import Path

import numpy as np

from sheetgpt import corpus, load_model
from sheetgpt.corpus import Person
from sheetgpt.model import Model
from sheetgpt.models.step import Role
from sheetgpt.run.forward import forward
from sheetgpt.weights.embedded import ABOUT

COUNT = 600  # prompts of a kind

Asked = tuple[str, str]  # a prompt, the word that comes next


def share_right(model: Model, asked: Iterable[Asked]) -> float:
    """The share of (prompt, next word) in which the most probable next token is that word."""
    right = rights(model, list(asked))
    return sum(right) / len(right)


def rights(model: Model, asked: list[Asked]) -> list[bool]:
    """Of each (prompt, next word): is the most probable next token that word?"""
    batches: dict[int, list[tuple[int, list[int], int]]] = {}
    for number, (prompt, word) in enumerate(asked):
        ids, (answer, *rest) = model.tokenizer.encode(prompt), model.tokenizer.encode(word)
        assert not rest, f"{word!r} is more than one token"
        batches.setdefault(len(ids), []).append((number, ids, answer))
    right = [False] * len(asked)
    for batch in batches.values():
        values = forward(model.steps, model.weights, model.steps.inputs(np.array([ids for _, ids, _ in batch])))
        best = values[model.steps.name(Role.PREDICTION)][:, 1, 0]
        for (number, _, answer), predicted in zip(batch, best, strict=True):
            right[number] = int(predicted) == answer
    return right


# --------------------------------------------------------------------------------------------- prompts of each kind


class Prompts:
    """Prompts drawn with one generator of random numbers; a kind is a method that makes one (prompt, next word)."""

    def __init__(self, model: Model):
        self.rng = random.Random(7)
        self.model = model
        self.people = corpus.held_out()
        self.common = [person for person in self.people if person.name in {*corpus.HE, *corpus.SHE}]
        self.own = [
            Person(name, said, word) for (name, said), word in product(corpus.own_names().items(), corpus.ADVERBS)
        ]

    def asked(self, before: str, person: Person, by: str) -> Asked:
        return f"{before} {by} {self.rng.choice(corpus.VERBS)}", f" {person.adverb}"

    def person(self) -> Person:
        return self.rng.choice(self.common)

    def other(self, person: Person, people: Sequence[Person], same_pronoun: bool | None = None) -> Person:
        """Somebody else of these, who is something else."""
        while True:
            other = self.rng.choice(people)
            apart = other.name != person.name and other.adjective != person.adjective
            if apart and same_pronoun in (None, other.pronoun == person.pronoun):
                return other

    def known_name(self) -> Asked:
        person = self.rng.choice(self.people)
        return self.asked(person.statement, person, person.pronoun)

    @cached_property
    def own_by_length(self) -> Mapping[int, list[Person]]:
        """Persons with names of their own, by the tokens of these."""
        found: dict[int, list[Person]] = {}
        for one in self.own:
            found.setdefault(len(self.model.tokenizer.encode(one.name)), []).append(one)
        return found

    def own_name(self, n_tokens: int) -> Asked:
        person = self.rng.choice(self.own_by_length[n_tokens])
        return self.asked(person.statement, person, person.pronoun)

    def sentence_before(self) -> Asked:
        """`It is late. Mike is quick. He moves`, `Anna is slow. She sings slowly. Mike is quick. He moves`."""
        person = self.person()
        other = self.other(person, self.common)
        said = f"{other.statement} {other.pronoun} {self.rng.choice(corpus.VERBS)} {other.adverb}."
        before = self.rng.choice([self.rng.choice(corpus.ASIDES), other.statement, said])
        return self.asked(f"{before} {person.statement}", person, person.pronoun)

    def sentence_after(self) -> Asked:
        """`Mike is quick. It is late. He moves`, `Mike is quick. Anna is slow. He moves`."""
        person = self.person()
        after = self.rng.choice(
            [self.rng.choice(corpus.ASIDES), self.other(person, self.common, same_pronoun=False).statement]
        )
        return self.asked(f"{person.statement} {after}", person, person.pronoun)

    def two_by_pronoun(self, people: Sequence[Person]) -> Asked:
        """`Mike is quick. Anna is slow. She moves`, or `He`."""
        two = self.two(people, same_pronoun=False)
        person = self.rng.choice(two)
        return self.asked(" ".join(one.statement for one in two), person, person.pronoun)

    def two_by_name(self, people: Sequence[Person]) -> Asked:
        """`Mike is quick. Paul is slow. Mike moves`, or `Paul`."""
        two = self.two(people)
        person = self.rng.choice(two)
        return self.asked(" ".join(one.statement for one in two), person, person.name)

    def two(self, people: Sequence[Person], same_pronoun: bool | None = None) -> tuple[Person, Person]:
        first = self.rng.choice(people)
        return first, self.other(first, people, same_pronoun)

    def own_of_two(self) -> Asked:
        """`Fatima is quick. Paul is slow. Fatima moves`: an own name, beside one of the corpus."""
        person = self.rng.choice(self.own)
        people = [person, self.other(person, self.common)]
        self.rng.shuffle(people)
        return self.asked(" ".join(one.statement for one in people), person, person.name)

    def said_twice(self) -> Asked:
        """`Mike Mike is quick. He moves`."""
        person = self.person()
        return self.asked(f"{person.name} {person.statement}", person, person.pronoun)


def kinds(prompts: Prompts) -> Mapping[str, Callable[[], Asked]]:
    """What makes a prompt, by the figure's name."""
    own = {
        f"own names of {count} token{'s'[: count > 1]}": lambda count=count: prompts.own_name(count)
        for count in (1, 2, 3, 4)
    }
    return {
        "names of the corpus": prompts.known_name,
        **own,
        "a sentence before": prompts.sentence_before,
        "a sentence after": prompts.sentence_after,
        "two persons, the pronoun decides": lambda: prompts.two_by_pronoun(prompts.common),
        "two persons, the name decides": lambda: prompts.two_by_name(prompts.common),
        "two persons of rare names, the pronoun decides": lambda: prompts.two_by_pronoun(prompts.people),
        "two persons of rare names, the name decides": lambda: prompts.two_by_name(prompts.people),
        "an own name beside another, the name decides": prompts.own_of_two,
        "a name said twice": prompts.said_twice,
    }


PROMPT, WORD = "Mike is quick. He moves", " quickly"
PROBABILITY, SIZE = f"probability of {WORD!r} after {PROMPT!r}", "size of the CSVs in MB"


@cache
def figures(folder: str | Path | None = None) -> Mapping[str, float]:
    """The figures by name."""
    model = load_model(folder)
    probabilities = {one.token: one.probability for one in model.run(PROMPT).predictions(model.config.n_vocab)}
    made = kinds(Prompts(model))
    return {
        PROBABILITY: probabilities[WORD],
        **{kind: share_right(model, [make() for _ in range(COUNT)]) for kind, make in made.items()},
        SIZE: sum(file.stat().st_size for file in model.weights.folder.glob("*.csv")) / 1e6,
    }


def as_table(measured: Mapping[str, Mapping[str, float]]) -> str:
    """The figures of models by their names, a row a figure."""
    first = next(iter(measured.values()))
    rows = [["", *measured], ["---"] + ["---:"] * len(measured)]
    rows += [[name, *(f"{one[name]:.4f}" for one in measured.values())] for name in first]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        for name, value in figures(sys.argv[1]).items():
            print(f"{name}: {value:.4f}")
    else:
        print(as_table({name: figures(name) for name in ABOUT}))
