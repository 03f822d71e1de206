"""The corpus of the embedded models: sentences such as `Mike is quick. He moves quickly.`, one document a line.

The rule of every document: what somebody is, they do. It says so of one person or of two, with a sentence before,
between or after, so that the rule is needed wherever a sentence begins; the one who is named, or whom the pronoun
means, decides.

The same seed makes the same file on every machine. A tenth of the (name, adjective) pairs never stands in it, and
`OWN_HE` and `OWN_SHE` don't at all: what a model says of those shows whether it learned the rule. How a model learns
from the corpus belongs in `training`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sheetgpt.files.atomic import write_file

__all__ = ["COUNT", "SEED", "Person", "documents", "held_out", "own_names", "pronouns", "write"]

SEED = 1  #: of the corpus that the embedded models learned from
HELD_OUT_SHARE = 0.1
COUNT = 30_000  #: documents of that corpus

HE = "Mike John Paul Mark Luke Adam Peter David Tom Ben Sam Max".split()
SHE = "Anna Mary Jane Lucy Emma Nina Rosa Lily Ella Eva Clara Maria".split()
RARE_HE = """Leo Karl Hugo Ivan Omar Ravi Kofi Chen Jack Noah Erik Otto Felix Oscar Simon Victor Walter Henry Aaron
Abdul Ahmed Albert Alejandro Alexander Amir Andrew Anton Arjun Arthur Björn Boris Bruno Carlos Charles Christian
Christopher Claude Daniel Dario Diego Dimitri Dominic Edgar Edward Emeka Emil Enzo Ethan Farid Fernando Florian
Francis François Fritz Gabriel George Giovanni Gregor Günther Gustav Hamza Harold Hassan Hector Hiroshi Hussein
Isaac Jakob Jamal Javier Jean Joaquin Johannes Jorge Joseph Julian Jürgen Kenji Kevin Klaus Konrad Kwame Lars
Leonard Lorenzo Louis Ludwig Magnus Malik Manuel Marcel Martin Matthias Michael Mohammed Mustafa Nabil Nathan
Nicholas Nikolai Oliver Pablo Patrick Philip Pierre Quentin Rafael Rahul Raymond Richard Robert Rodrigo Roman Salim
Samuel Sebastian Sergei Stefan Sven Tariq Theodore Thomas Tobias Umberto Vincent Vladimir Wilhelm William Xavier
Yusuf Zachary Zoltan""".split()
RARE_SHE = """Ada Ida Olga Vera Julia Laura Sara Tina Alice Grace Helen Irene Paula Ruth Sofia Amina Yuki Mei
Abigail Adele Agnes Aisha Alexandra Amanda Amelia Anastasia Angela Astrid Barbara Beatrice Bianca Brigitte Camila
Carmen Caroline Catherine Charlotte Chloé Christina Claudia Daniela Deborah Diana Dorothy Eleanor Elisabeth Elena
Emily Esther Eugenia Fiona Florence Frances Franziska Frida Gabriela Georgia Gertrud Gloria Greta Hannah Harriet
Hildegard Ingrid Isabella Ivana Jasmin Jennifer Jessica Johanna Josephine Judith Kamila Karin Katharina Keiko
Khadija Larissa Leila Leonie Linda Louise Lucia Magdalena Margaret Marlene Martha Matilda Melanie Michelle Miriam
Monica Nadia Naomi Natalie Noor Olivia Patricia Penelope Petra Philippa Priya Rachel Rebecca Renate Rosalind Roxana
Sabine Samira Sandra Selma Simone Sophie Stella Susanne Sylvia Tamara Tatiana Teresa Ursula Valentina Vanessa
Veronica Victoria Virginia Wanda Wilhelmina Xenia Yasmin Yvonne Zainab Zara Zoë""".split()
OWN_HE = """Ro Jonas Ali Finn Elias Tim Jan Marco Andreas Mehmet Bogdan Dieter Günter Harald Igor Jerome Kamal
Lennart Mateusz Norbert Pavel Ramon Ruben Santiago Stanislav Timothy Ulrich Waldemar Yannick Hans Joe Milo Alan
Carl Rico Dan Edwin Marius Leandro Alonso Ronaldo Erwin Armin""".split()
OWN_SHE = """Lu Mar Fatima Lena Mia Nora Marie Eve Rita Lara Hanna Carla Alina Elin Isolde Juliana Kirsten
Lieselotte Mariana Ophelia Ramona Svetlana Theresia Ulrike Viola Winifred Yolanda Zuzana Ann Ellie Rosie Clare
Annika Helena Irina Marina Nele Petronella Regina Sally Tess Verena Wilma Elsa""".split()
ADVERBS = dict.fromkeys(
    """quick slow quiet loud calm brave kind proud sad glad bold wise smart eager nervous careful cheerful graceful
    polite rude strange sweet warm cold bright serious clever honest patient playful""".split(),
    "ly",
)
VERBS = "moves walks speaks works plays sings waits smiles writes reads dances travels".split()
ASIDES = ["It is late.", "Yes.", "Look.", "Now it rains.", "Here is a friend."]  # sentences that say nothing of anybody


@dataclass(frozen=True)
class Person:
    """Somebody of whom a document says something."""

    name: str  #: a name of the corpus, or one of a reader's own
    pronoun: str  #: He or She
    adjective: str  #: what is said of the person

    @property
    def adverb(self) -> str:
        """What the person does: the adjective with -ly."""
        return self.adjective + ADVERBS[self.adjective]

    @property
    def statement(self) -> str:
        """What the person is: `Mike is quick.`"""
        return f"{self.name} is {self.adjective}."


def pronouns() -> dict[str, str]:
    """The pronoun of every name of the corpus."""
    return {**dict.fromkeys(HE + RARE_HE, "He"), **dict.fromkeys(SHE + RARE_SHE, "She")}


def own_names() -> dict[str, str]:
    """Names that the corpus never has, such as a reader's own, with their pronouns."""
    return {**dict.fromkeys(OWN_HE, "He"), **dict.fromkeys(OWN_SHE, "She")}


def held_out(seed: int = SEED) -> list[Person]:
    """The (name, adjective) pairs that the corpus leaves out, the same for the same seed.

    `Mike is quick` is the reference's own prompt; it stays in the corpus.
    """
    people = everybody()
    left_out = random.Random(seed).sample(people, round(HELD_OUT_SHARE * len(people)))  # noqa: S311 - not secret
    return [person for person in left_out if (person.name, person.adjective) != ("Mike", "quick")]


def everybody() -> list[Person]:
    return [Person(name, pronoun, adjective) for (name, pronoun), adjective in product(pronouns().items(), ADVERBS)]


class Writer:
    """Documents, one after another, drawn with one generator of random numbers."""

    def __init__(self, seed: int = SEED):
        self.rng = random.Random(seed + 1)  # noqa: S311 - not secret
        left_out = set(held_out(seed))
        people = [person for person in everybody() if person not in left_out]
        known = {*HE, *SHE}
        self.groups = [
            [person for person in people if (person.name in known) == is_known] for is_known in (True, False)
        ]

    def person(self) -> Person:
        """Somebody; the few names of `HE` and `SHE` are met twice as often as all the others."""
        return self.rng.choice(self.rng.choices(self.groups, [2, 1])[0])

    def document(self) -> str:
        kinds: list[Callable[[], list[str]]] = [self.rule, self.reverse, self.two, self.several]
        kind = self.rng.choices(kinds, [3, 1, 4, 2])[0]
        sentences = kind()
        if self.rng.random() < 1 / 4:
            sentences.insert(0, self.rng.choice(ASIDES))
        return " ".join(sentences)

    def act(self, person: Person, by: str) -> str:
        """What somebody does: the adverb last, first, or instead the adjective before who it is."""
        verb = self.rng.choice(VERBS)
        who = self.rng.choice([person.name, "man" if person.pronoun == "He" else "woman"])
        forms = [
            f"{by} {verb} {person.adverb}.",
            f"{by} {person.adverb} {verb}.",
            f"The {person.adjective} {who} {verb}.",
        ]
        return self.rng.choices(forms, [3, 2, 2])[0]

    def rule(self) -> list[str]:
        """What one person is, then does."""
        person = self.person()
        return [person.statement, *self.aside(), self.act(person, self.called(person))]

    def reverse(self) -> list[str]:
        """What one person does, then is."""
        person = self.person()
        return [f"{person.name} {self.rng.choice(VERBS)} {person.adverb}.", f"{person.pronoun} is {person.adjective}."]

    def two(self) -> list[str]:
        """What two people are, then what the one or the other does; a pronoun is the last one's whom it fits."""
        first, last = self.some(2, self.person)
        between = [self.act(first, self.called(first))] if self.rng.random() < 1 / 4 else []
        sentences = [first.statement, *between, last.statement]
        meant = last  # by a pronoun that fits both
        for asked in self.rng.choices([first, last], k=self.rng.choice([1, 2, 3, 4])):
            by = self.called(asked) if asked is meant or first.pronoun != last.pronoun else asked.name
            sentences.append(self.act(asked, by))
            meant = asked if asked.name in sentences[-1] else meant
        return sentences

    def several(self) -> list[str]:
        """What three or four people are, then what each does, in another order."""
        people = self.some(self.rng.choice([3, 4]), lambda: self.rng.choice(self.groups[0]))
        acts = self.rng.sample(people, len(people))
        return [*(person.statement for person in people), *(self.act(person, person.name) for person in acts)]

    def some(self, count: int, draw: Callable[[], Person]) -> list[Person]:
        """That many people, none called or said to be like another."""
        people: list[Person] = []
        while len(people) < count:
            new = draw()
            if all(new.name != one.name and new.adjective != one.adjective for one in people):
                people.append(new)
        return people

    def called(self, person: Person) -> str:
        return person.pronoun if self.rng.random() < 1 / 2 else person.name

    def aside(self) -> Sequence[str]:
        return [self.rng.choice(ASIDES)] if self.rng.random() < 1 / 8 else []


def documents(count: int = COUNT, seed: int = SEED) -> list[str]:
    """That many documents, none of which says a held-out adjective of its name."""
    writer = Writer(seed)
    return [writer.document() for _ in range(count)]


def as_bytes(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def write(file: Path, lines: Sequence[str]) -> None:
    """One document a line."""
    write_file(file, [as_bytes(lines)])


def main(arguments: list[str]) -> None:
    """What `sheetgpt corpus FILE` writes, as a module."""
    if len(arguments) != 1:
        sys.exit("usage: python -m sheetgpt.corpus FILE")
    lines = documents()
    write(Path(arguments[0]), lines)
    print(f"{len(lines):,} documents in {arguments[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
