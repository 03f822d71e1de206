"""The generated corpus: the same everywhere, grammatical, and silent about what is held out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import pytest

from sheetgpt import corpus
from sheetgpt.bpe import Tokenizer
from sheetgpt.weights.folder import embedded_folder

ADJECTIVES = {adjective + end: adjective for adjective, end in corpus.ADVERBS.items()}


@dataclass(frozen=True)
class Sentence:
    """A sentence that says something of somebody: (who, what they are, does it state or show it?)."""

    who: str  # a name, a pronoun, man or woman
    adjective: str
    states: bool


def sentences(line: str) -> list[Sentence]:
    """Those of a document that say what somebody is or how they do something."""
    found = []
    for sentence in re.findall(r"[^.]+", line):
        match sentence.split():
            case [who, "is", word] if word in corpus.ADVERBS:
                found.append(Sentence(who, word, states=True))
            case ["The", adjective, who, _]:
                found.append(Sentence(who, adjective, states=False))
            case [who, *words] if set(words) & set(ADJECTIVES):
                adverb, verb = sorted(words, key=lambda word: word not in ADJECTIVES)
                assert verb in corpus.VERBS
                found.append(Sentence(who, ADJECTIVES[adverb], states=False))
            case _:
                assert f"{sentence.strip()}." in corpus.ASIDES, line
    return found


@pytest.fixture(scope="module")
def lines():
    return corpus.documents(20_000)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.read(embedded_folder())


def test_the_corpus_is_the_same_each_time_and_holds_the_references_prompt(lines):
    assert lines[:5000] == corpus.documents(5000)
    assert any(line.startswith("Mike is quick. He ") and "quickly" in line for line in lines)


def test_no_document_says_a_held_out_adjective_of_its_name(lines):
    held = {(person.name, person.adjective) for person in corpus.held_out()}
    assert len(held) > 150
    for line in lines:
        assert not held.intersection((one.who, one.adjective) for one in sentences(line)), line


def test_what_somebody_does_is_what_they_are(lines):
    """Every adverb of a name is that of the name's adjective, and a pronoun's that of one whom it fits."""
    pronouns = corpus.pronouns()
    for line in lines:
        said = sentences(line)
        is_of = {one.who: one.adjective for one in said if one.who in pronouns}
        assert len(set(is_of.values())) == len(is_of), line
        for one in said:
            fits = {"He": "He", "man": "He", "She": "She", "woman": "She"}.get(one.who)
            allowed = [is_of[one.who]] if not fits else [is_of[name] for name in is_of if pronouns[name] == fits]
            assert one.adjective in allowed, line


def test_a_pronoun_that_fits_two_means_the_last_who_was_named():
    pronouns = corpus.pronouns()
    seen = Counter()
    for line in corpus.documents(5000):
        said = sentences(line)
        is_of = {one.who: one.adjective for one in said if one.states}
        if len(is_of) != 2 or len({pronouns.get(name) for name in is_of}) != 1:
            continue
        named = ""
        for one in said:
            named = one.who if one.who in is_of else named
            if one.who in ("He", "She"):
                assert one.adjective == is_of[named], line
                seen[one.who] += 1
    assert min(seen["He"], seen["She"]) > 50


def test_own_names_stand_in_no_document(lines):
    own = set(corpus.own_names())
    assert not own & set(corpus.pronouns())
    assert not own & {word for line in lines for word in re.findall(r"\w+", line)}


def test_names_of_one_to_four_tokens_are_held_out(tokenizer):
    """So that each kind can be asked for; the names that stand most often are one token each, wherever they stand."""
    count = Counter(len(tokenizer.encode(name)) for name in corpus.own_names())
    assert all(count[n] >= 2 for n in (1, 2, 3, 4))
    assert {len(tokenizer.encode(before + name)) for name in corpus.HE + corpus.SHE for before in ("", " ")} == {1}
    assert len(tokenizer.encode("Mike is quick. He moves")) == 6


def test_adjectives_verbs_and_adverbs_are_one_token_each(tokenizer):
    words = [*corpus.ADVERBS, *corpus.VERBS, *(word + end for word, end in corpus.ADVERBS.items())]
    assert {len(tokenizer.encode(f" {word}")) for word in words} == {1}


def test_pronouns_fit_the_names():
    for person in corpus.everybody():
        assert (person.pronoun == "He") == (person.name in corpus.HE + corpus.RARE_HE)
    he, she = {*corpus.HE, *corpus.RARE_HE, *corpus.OWN_HE}, {*corpus.SHE, *corpus.RARE_SHE, *corpus.OWN_SHE}
    assert not he & she
