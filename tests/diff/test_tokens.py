"""Where two cuts of one text part: the word, both cuts, the merge that was missed; whatever else ids may differ in."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sheetgpt.bpe import Tokenizer, learn
from sheetgpt.bpe.words import ALPHABET, spell, unspell
from sheetgpt.diff.tokens import merges_of, shown, where_cut_differs
from sheetgpt.weights.folder import embedded_folder

TOKENIZER = Tokenizer(*learn("the then that this the hat née née 😀😀 é é the thin hint\n\n" * 3, 300))
texts = st.text(st.sampled_from("thenai ée😀\n.1"), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def embedded() -> Tokenizer:
    return Tokenizer.read(embedded_folder())


def found(left: list[int], right: list[int], tokenizer: Tokenizer | None = TOKENIZER) -> str:
    spelled = [tokenizer.token(i) if tokenizer and i < tokenizer.n_vocab else f"#{i}" for i in left]
    return where_cut_differs(spelled, left, right, tokenizer)


@st.composite
def other_cuts(draw, text: str) -> list[int]:
    """Ids that stand for the text, by any tokens of the table that fit."""
    rest, ids = "".join(TOKENIZER.trace(text).words), []
    while rest:
        fitting = [i for i, token in enumerate(TOKENIZER.tokens) if rest.startswith(token)]
        ids.append(draw(st.sampled_from(fitting)))
        rest = rest[len(TOKENIZER.tokens[ids[-1]]) :]
    return ids


# ------------------------------------------------------------------------------------------------ one text


def test_a_word_cut_otherwise_is_named_with_both_cuts_and_the_merge_that_was_missed(embedded):
    left = embedded.encode("Mike is quick. He moves quickly")
    right = [*left[:-1], *embedded.ids_of([" quick", "ly"])]
    reason = 'the merge " quick" + "ly" was missed'
    assert found(left, right, embedded) == (
        f'the word " quickly" is cut " quick" + "ly" on the right, " quickly" on the left: {reason}'
    )
    assert found(right, left, embedded) == (
        f'the word " quickly" is cut " quickly" on the right, " quick" + "ly" on the left: {reason} on the left'
    )


def test_parts_of_characters_are_shown_as_their_bytes():
    letter = {token: i for i, token in enumerate(TOKENIZER.tokens)}
    right = [letter["Ã"], letter["©"], letter["."]]
    assert found(TOKENIZER.encode("é."), right) == (
        'the word "é" is cut "\\xc3" + "\\xa9" on the right, "é" on the left: the merge "\\xc3" + "\\xa9" was missed'
    )


def test_a_token_that_goes_over_the_end_of_a_word_is_named():
    tokenizer = Tokenizer([("a", "b")], ["a", "b", " ", "ab", "b "])
    assert found([3, 2, 0], [0, 4, 0], tokenizer) == (
        'the words "ab a" are cut "a" + "b " + "a" on the right, "ab" + " " + "a" on the left: '
        'the merge "a" + "b" was missed'
    )
    assert found([1, 2, 0], [4, 0], tokenizer) == (
        'the words "b a" are cut "b " + "a" on the right, "b" + " " + "a" on the left: "b " goes over the end of a word'
    )


def test_what_no_merge_makes_is_named_and_the_tables_own_cut_where_neither_side_has_it():
    tokenizer = Tokenizer([("a", "b")], ["a", "b", "c", "ab", "abc", "bc"])
    assert found([3, 2], [4], tokenizer).endswith(': no merge of the table makes "abc" here')
    assert found([0, 1, 2], [0, 5], tokenizer).endswith('the merge "a" + "b" was missed; by the table it is "ab" + "c"')


def test_the_end_of_text_read_as_letters_is_named():
    special, spelled = (TOKENIZER.encode("the<|endoftext|>", special=special) for special in (True, False))
    assert found(special, spelled).endswith("it is one special token on the left only")
    assert found(spelled, special).endswith("it is one special token on the right only")


@given(texts, st.data())
def test_of_any_two_cuts_the_first_words_that_differ_are_shown_whole(text, data):
    left, right = TOKENIZER.encode(text), data.draw(other_cuts(text))
    assume(left != right)
    sentence = found(left, right)
    assume("..." not in sentence)
    shape = r'the words? "(.*?)" (?:is|are) cut "(.*)" on the right, "(.*)" on the left: .+'
    words, there, here = re.fullmatch(shape, sentence).groups()
    assert there != here
    assert as_bytes(words) == as_bytes(there) == as_bytes(here)
    assert as_bytes(words) in text.encode()


@given(texts, st.data())
def test_a_merge_that_is_undone_is_the_one_that_was_missed(text, data):
    left = TOKENIZER.encode(text)
    merged = [at for at, i in enumerate(left) if TOKENIZER.tokens[i] not in ALPHABET]
    assume(merged)
    at = data.draw(st.sampled_from(merged))
    _, *pair = list(merges_of(TOKENIZER, TOKENIZER.decode_bytes([left[at]])))[-1]
    right = [*left[:at], *TOKENIZER.ids_of(pair), *left[at + 1 :]]
    named = " + ".join(shown(unspell(symbol)) for symbol in pair)
    assert found(left, right).endswith(f": the merge {named} was missed")


def as_bytes(shown_pieces: str) -> bytes:
    """The bytes behind pieces as a sentence shows them."""
    joined = shown_pieces.replace('" + "', "").replace("\\n", "\n").encode()
    return re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), joined)


# ------------------------------------------------------------------------------------------------ other differences


def test_tokens_too_many_or_too_few_are_named(embedded):
    ids = embedded.encode("Mike moves")
    end = embedded.end_of_text
    assert found(ids, [end, *ids], embedded) == (
        f'the tokens on the right begin with "<|endoftext|>" (id {end}), those on the left do not'
    )
    assert found(ids, ids[:1], embedded) == (
        'the tokens on the right end before position 1, where those on the left go on with " moves"'
    )
    assert found(ids, [], embedded).startswith("the tokens on the right end before position 0, ")


def test_another_prompt_is_said_to_be_one(embedded):
    left, right = embedded.encode("Mike is quick."), embedded.encode("Mike is slow.")
    assert found(left, right, embedded) == (
        'these are two texts: the first word that differs is " quick" on the left, " slow" on the right'
    )


def test_ids_beyond_the_table_are_named(embedded):
    ids = embedded.encode("Mike")
    assert found(ids, [*ids, 592], embedded) == (
        "token id 592 (position 1) on the right is not in the token table, which ends at 591"
    )
    assert found([592], ids, embedded).startswith("token id 592 (position 0) on the left is not in the token table")


def test_without_a_table_the_first_ids_that_differ_are_named():
    assert where_cut_differs([" a", "b"], [3, 4], [3, 5], None) == (
        'position 1 holds token id 4 "b" on the left, token id 5 on the right'
    )
    assert where_cut_differs(["#3"], [3], [3, 5], None) == (
        "position 1 holds nothing on the left, token id 5 on the right"
    )


def test_equal_ids_and_two_ids_of_one_text_are_said_plainly():
    assert found([3], [3]) == "the token ids are the same, but the tokens are spelled otherwise"
    tokenizer = Tokenizer([], ["字", spell("字")])  # the first is not spelled in letters
    assert (
        found([1], [0], tokenizer)
        == 'position 0 holds "字" on both sides, as id 1 on the left and as id 0 on the right'
    )


@given(st.lists(st.integers(-2, TOKENIZER.n_vocab + 2), max_size=12), st.lists(st.integers(-2, 302), max_size=12))
def test_any_two_rows_of_ids_give_one_line(left, right):
    for tokenizer in (TOKENIZER, None):
        sentence = found([max(i, 0) for i in left], right, tokenizer)
        assert sentence
        assert "\n" not in sentence
