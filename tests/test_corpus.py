"""The generated corpus: the same everywhere, grammatical, and silent about what is held out."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from sheetgpt import corpus
from sheetgpt.bpe import Tokenizer
from sheetgpt.weights.folder import embedded_folder

STATED = re.compile(r"(\w+) is (?:a )?(\w+)(?: (man|woman))?\.")
ACTED = re.compile(r"(\w+) (\w+) (\w+ly)\.")


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
    adjectives = {person.adverb: person.adjective for person in corpus.everybody()}
    for line in lines:
        said = [(name, word) for name, word, _ in STATED.findall(line)]
        said += [(name, adjectives[adverb]) for name, _, adverb in ACTED.findall(line)]
        assert not held.intersection(said), line


def test_what_somebody_does_is_what_they_are(lines):
    """Every adverb of a name is that of the name's adjective, and a pronoun's that of one whom it fits."""
    said_of = corpus.pronouns()
    for line in lines:
        stated = STATED.findall(line)
        is_of = {name: adjective for name, adjective, _ in stated if name in said_of}
        for who, _, adverb in ACTED.findall(line):
            if who in is_of:
                assert adverb == is_of[who] + "ly", line
            elif is_of and who in ("He", "She"):
                assert adverb in {word + "ly" for name, word in is_of.items() if said_of[name] == who}, line
        for name, _, kind in stated:
            assert not kind or (kind == "man") == (said_of[name] == "He"), line


def test_a_pronoun_that_fits_two_means_the_last_who_was_named():
    pronouns = corpus.pronouns()
    seen = Counter()
    for line in corpus.documents(5000):
        is_of = {name: word for name, word, _ in STATED.findall(line) if name in pronouns}
        if len(is_of) != 2 or len({pronouns[name] for name in is_of}) != 1:
            continue
        named = ""
        for sentence in re.findall(r"[^.]+\.", line):
            who, last = sentence.strip(" .").split()[0], sentence.strip(" .").split()[-1]
            named = who if who in is_of else named
            if who in ("He", "She"):
                assert last == is_of[named] + "ly", line
                seen[who] += 1
    assert min(seen.values()) > 50


def test_own_names_stand_in_no_document(lines):
    own = set(corpus.own_names())
    assert not own & set(corpus.pronouns())
    assert not own & {word for line in lines for word in re.findall(r"\w+", line)}


def test_names_of_one_to_four_tokens_are_held_out(tokenizer):
    """So that each kind can be asked for; the names that stand most often are one token each, wherever they stand."""
    count = Counter(len(tokenizer.encode(name)) for name in corpus.own_names())
    assert all(count[n] >= 3 for n in (1, 2, 3, 4))
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
