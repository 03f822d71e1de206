"""The generated corpus: the same everywhere, grammatical, and silent about the held-out pairs."""

from __future__ import annotations

import re

from sheetgpt import corpus


def test_the_corpus_is_the_same_each_time_and_holds_the_references_prompt():
    lines = corpus.documents(5000)
    assert lines == corpus.documents(5000)
    assert any(line.startswith("Mike is quick. He ") and "quickly" in line for line in lines)


def test_no_document_says_a_held_out_adjective_of_its_name():
    held = {(person.name, person.adjective) for person in corpus.held_out()}
    assert len(held) > 150
    for line in corpus.documents(20_000):
        said = re.findall(r"(\w+) is (\w+)\.", line)
        one_person = re.match(r"(\w+) \w+ \w+ly\. \w+ is (\w+)\.$", line)
        if one_person:
            said = [one_person.groups()]
        assert not held.intersection(said), line


def test_pronouns_fit_the_names():
    for person in corpus.everybody():
        assert (person.pronoun == "He") == (person.name in corpus.HE)
    assert not set(corpus.HE) & set(corpus.SHE)
