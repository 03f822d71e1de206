"""Learning a merge table: the examples of others, the same table everywhere, counts that stay true."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import require
from sheetgpt.bpe import Tokenizer, learn, write_tables
from sheetgpt.bpe.learning import merge
from sheetgpt.bpe.words import ALPHABET, PATTERN, spell
from sheetgpt.errors import PromptError, TokenizerError


def naive_learn(text: str, wanted: int) -> list[tuple[str, str]]:
    """Count all pairs of all words anew before each merge."""
    words = {word: [ALPHABET.index(letter) for letter in spell(word)] for word in regex.findall(PATTERN, text)}
    times = Counter(regex.findall(PATTERN, text))
    symbols, merges = list(ALPHABET), []
    while len(symbols) < wanted:
        counts = Counter()
        for word, numbers in words.items():
            for pair in pairwise(numbers):
                counts[pair] += times[word]
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(tuple(symbols[i] for i in best))
        product = "".join(merges[-1])
        if product not in symbols:
            symbols.append(product)
        for word, numbers in words.items():
            words[word] = merge(numbers, best, symbols.index(product))[0]
    return list(dict.fromkeys(merges))


def english(length: int) -> str:
    """Words of a made-up language, the earlier ones the more frequent."""
    draw = random.Random(1)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(2000)]
    text = " ".join(draw.choices(words, [1 / (i + 1) for i in range(2000)], k=length // 5))
    return text[:length].replace(" ba ", ", ").replace(" do ", ".\n\n")


def test_wikipedias_example_merges_as_told_there():
    merges, tokens = learn("aaabdaaabac", 256 + 1 + 3)
    assert merges == [("a", "a"), ("a", "b"), ("aa", "ab")]  # Z = aa, Y = ab, X = ZY
    assert Tokenizer(merges, tokens).trace("aaabdaaabac").tokens == ["aaab", "d", "aaab", "a", "c"]


def test_tokens_are_gpt2s_letters_then_merges_then_special_ones():
    merges, tokens = learn("to be or not to be", 262)
    assert tokens[:256] == list(ALPHABET)
    assert tokens[256:-1] == ["".join(merge) for merge in merges]
    assert tokens[-1] == "<|endoftext|>"
    assert learn("to be", 258, special=("<a>", "<b>")) == ([], [*ALPHABET, "<a>", "<b>"])


@given(text=st.text("ab é\n", max_size=40), wanted=st.integers(257, 275))
@settings(deadline=None, max_examples=300)
def test_counts_kept_true_give_what_counting_anew_gives(text, wanted):
    assert learn(text, wanted)[0] == naive_learn(text, wanted - 1)


def test_the_same_text_gives_the_same_table_whatever_the_order_of_its_words():
    lines = english(20_000).split(" ")
    table = learn(" ".join(lines), 400)
    random.Random(2).shuffle(lines)
    shuffled = " ".join(lines)
    assert learn(shuffled, 400) == learn(shuffled, 400)
    assert len(table[0]) == 400 - 257


def test_the_table_is_the_one_that_the_tokenizers_library_learns():
    tokenizers = require("tokenizers", "test")
    text = english(60_000) + "naïve 中文 中文 'tis\n\n  x" * 5
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    letters = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.pre_tokenizer = letters
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|endoftext|>"], initial_alphabet=letters.alphabet(), show_progress=False
    )
    peer.train_from_iterator([text], trainer)
    merges = [tuple(side.replace("Ġ", " ") for side in pair) for pair in json.loads(peer.to_str())["model"]["merges"]]
    assert learn(text, 700)[0] == merges


def test_a_text_without_pairs_left_gives_fewer_tokens():
    merges, tokens = learn("abab", 1000)
    assert merges == [("a", "b"), ("ab", "ab")]
    assert len(tokens) == 256 + 2 + 1
    assert learn("", 1000)[0] == []


def test_special_tokens_in_the_text_are_not_learned():
    assert learn("<|endoftext|>" * 9 + "ab", 1000)[0] == [("a", "b")]


@given(text=st.text(max_size=60))
@settings(deadline=None, max_examples=50)
def test_learned_tables_survive_their_files_and_encode_their_text(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("learned")
    table = learn(text, 300)
    write_tables(folder, *table)
    tokenizer = Tokenizer.read(folder)
    assert (tokenizer.merges, tokenizer.tokens) == table
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_progress_is_told_after_each_merge():
    told = []
    learn("abcd abcd", 260, progress=lambda done, wanted: told.append((done, wanted)))
    assert told == [(257, 259), (258, 259), (259, 259)]


def test_a_vocabulary_too_small_for_the_bytes_is_refused():
    with pytest.raises(
        TokenizerError, match=r"^a vocabulary of 256 tokens is too small: 256 bytes and 1 special make 257"
    ):
        learn("abc", 256)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(PromptError, match=r"lone surrogate U\+D800"):
        learn("a\ud800", 300)


# ------------------------------------------------------------------------------------------------ the passes


def watched(text, wanted):
    passes = []
    return learn(text, wanted, watch=passes.append), passes


@settings(max_examples=60, deadline=None)
@given(text=st.text("abc d", min_size=1, max_size=60), wanted=st.integers(257, 280))
def test_replaying_the_passes_gives_the_merge_table(text, wanted):
    (merges, tokens), passes = watched(text, wanted)
    assert (merges, tokens) == learn(text, wanted)
    assert list(dict.fromkeys((one.left, one.right) for one in passes)) == merges
    assert [one.number for one in passes] == list(range(1, len(passes) + 1))
    assert all(tokens[one.id] == one.token == one.left + one.right for one in passes)


@settings(max_examples=60, deadline=None)
@given(text=st.text("abc d", min_size=1, max_size=60), wanted=st.integers(257, 280))
def test_each_pass_merges_a_pair_as_often_as_the_words_before_it_hold_it_and_none_is_more_frequent(text, wanted):
    times = Counter(spell(word) for word in regex.findall(PATTERN, text))
    before = [tuple(word) for word in times]
    for one in watched(text, wanted)[1]:
        counts = Counter()
        for word, count in zip(before, times.values(), strict=True):
            for pair in pairwise(word):
                counts[pair] += count
        assert counts[one.left, one.right] == one.count == max(counts.values())
        assert ["".join(word) for word in one.words] == list(times)
        before = one.words


def test_the_table_that_is_made_by_hand():
    passes = watched("low low lower lowest newer", 256 + 1 + 4)[1]
    assert [(one.left, one.right, one.count) for one in passes] == [
        ("l", "o", 4),
        ("lo", "w", 4),
        (" ", "low", 3),
        ("e", "r", 2),
    ]
    assert passes[-1].words == (
        ("low",),
        (" low",),
        (" low", "er"),
        (" low", "e", "s", "t"),
        *[(" ", "n", "e", "w", "er")],
    )


def test_of_many_words_the_passes_are_shown_without_them():
    passes = watched(" ".join(f"{a}{b}" for a in "abcdefg" for b in "hijklmn"), 260)[1]
    assert {one.words for one in passes} == {()}
