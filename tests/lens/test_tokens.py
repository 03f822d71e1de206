"""A token that is typed is found, and answered where there is none, in the same way wherever one may be named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetgpt import load_model
from sheetgpt.errors import SheetGPTError
from sheetgpt.lens.addresses import parse
from sheetgpt.lens.neighbours import find_token
from sheetgpt.lens.tokens import alike, id_in, same_letters, token_id

TRACE = load_model().run("Mike is quick. He moves")
VOCABULARY = TRACE.labels.vocabulary()
WAYS = {
    "a lens": lambda text: token_id(TRACE, text),
    "neighbours": lambda text: find_token(TRACE.tokenizer, text),
    "an address": lambda text: parse(f"logits['{text}']", TRACE).row,
}


@given(token=st.sampled_from([one for one in VOCABULARY if "'" not in one]))
def test_every_token_is_found_in_every_way(token):
    assert {VOCABULARY[found(token)] for found in WAYS.values()} == {token}


@pytest.mark.parametrize("text", ["\n", "\t", "#5"])
def test_a_text_is_found_though_the_table_spells_it_otherwise(text):
    expected = 5 if text == "#5" else TRACE.tokenizer.encode(text)[0]
    assert {found(text) for found in WAYS.values()} == {expected}


@pytest.mark.parametrize(
    ("text", "meant"), [("quickly", " quickly"), (" Quickly", " quickly"), ("qickly", " quickly"), ("mike", "Mike")]
)
@pytest.mark.parametrize("way", WAYS)
def test_what_may_be_meant_is_named_in_every_way(way, text, meant):
    with pytest.raises(SheetGPTError) as refused:
        WAYS[way](text)
    assert meant in str(refused.value)


@given(text=st.text(st.sampled_from("aA bé\n"), max_size=4), words=st.lists(st.text("aAb c", max_size=4), max_size=6))
def test_tokens_of_the_same_letters_come_first_and_are_tokens(text, words):
    same = same_letters(words, text)
    assert set(same) == {one for one in words if text.strip() and one.strip().lower() == text.strip().lower()}
    assert set(alike(words, text)) <= set(words)
    assert not same or alike(words, text) == same[:3]


@given(text=st.text(max_size=3))
def test_any_text_is_a_token_or_none(text):
    found = id_in(VOCABULARY, TRACE.tokenizer, text)
    assert found is None or 0 <= found < len(VOCABULARY)
    assert id_in(["b", "a", "a"], None, "a") == 1
