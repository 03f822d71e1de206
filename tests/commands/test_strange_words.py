"""What `run` says of words that a model may not know; nothing of the corpus that the embedded ones learned from."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.bpe.words import cut
from sheetgpt.commands import strange_words
from sheetgpt.corpus import documents, held_out
from sheetgpt.weights.embedded import embedded_folder
from training_books import write_model

CORPUS = documents(300)


@pytest.fixture(scope="module")
def model():
    return load_model()


@settings(max_examples=40, deadline=None)
@given(document=st.sampled_from(CORPUS), words=st.integers(1, 20))
def test_nothing_is_said_of_the_corpus_itself(document, words, model):
    assert strange_words.notice(model, "".join(list(cut(document))[:words])) is None


@pytest.mark.parametrize("person", held_out()[:5])
def test_nothing_is_said_of_what_is_held_out_as_its_words_are_known(person, model):
    assert strange_words.notice(model, f"{person.name} is {person.adjective}. {person.pronoun} moves") is None


@settings(max_examples=30, deadline=None)
@given(letters=st.text("qxz", min_size=3, max_size=9))
def test_a_foreign_word_is_named_with_its_pieces(letters, model):
    said = strange_words.notice(model, f"Mike is {letters}")
    pieces = "|".join(model.tokenizer.token(i) for i in model.tokenizer.encode(f" {letters}"))
    assert f'" {letters}" ({pieces}' in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("mike is quick. He moves", "there is 'Mike'"),
        ("Mike is Quick. He moves", "there is ' quick'"),
        ("Mike is quick. He moves ", "leave it out"),
        ("Mike is quick. ", "leave it out"),
        ("Anna is slow. mike is quick", "there is ' Mike'"),
        ("Q\x1bxz is", r"\x1b"),
        ("Is Mike quick?", '"?" (?)'),
        ("zxq xqz qqz zzx is", "and 1 more"),
    ],
)
def test_what_may_be_meant_is_said(prompt, says, model):
    assert says in strange_words.notice(model, prompt)


def test_it_stands_on_stderr_in_one_line_and_the_answer_alone_on_stdout():
    plain, as_json = (sheetgpt_here("run", "Zxqz is quick. He moves", *more) for more in ([], ["--json"]))
    assert plain.err == as_json.err
    assert plain.err.startswith("This model never read")
    assert plain.err.count("\n") == 1
    assert "never read" not in plain.out + as_json.out
    assert json.loads(as_json.out)["predictions"]
    assert sheetgpt_here("run", "Mike is quick. He moves").err == ""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model of which nobody knows what it has read."""
    return load_model(shutil.copytree(embedded_folder(), tmp_path_factory.mktemp("other") / "model"))


@settings(max_examples=30, deadline=None)
@given(letters=st.text("qxzéя", min_size=2, max_size=9))
def test_of_another_model_it_is_said_which_words_were_cut_into_letters(letters, other):
    said = strange_words.notice(other, f"Mike is {letters}. He is 77 !?")
    assert said.startswith(f'Cut into single characters: " {letters}" ({"|".join(pieces(other, f" {letters}"))}).')


def pieces(model, word):
    return [model.tokenizer.token(i) for i in model.tokenizer.encode(word)]


@settings(max_examples=30, deadline=None)
@given(text=st.text("aeiknqu ", max_size=20))
def test_of_another_model_nothing_is_said_where_each_word_has_a_token_of_several_letters(text, other):
    in_letters = [
        word for word in cut(text) if len(word.strip()) > 1 and max(map(len, map(str.strip, pieces(other, word)))) == 1
    ]
    assert bool(in_letters) == bool(strange_words.notice(other, text))


def test_of_a_model_of_characters_nothing_is_said(tmp_path):
    assert strange_words.notice(write_model(tmp_path, "bigram"), "anna") is None
