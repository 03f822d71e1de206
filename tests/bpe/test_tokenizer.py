"""Byte-pair encoding: ids as GPT-2's own, for every text; a trace as the reference's; one path for both."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import unicodedata
from itertools import islice, pairwise, product

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import require
from sheetgpt.bpe import Tokenizer, learn, merge_passes, passes
from sheetgpt.bpe import tokenizer as bpe_tokenizer
from sheetgpt.bpe import words as bpe_words
from sheetgpt.bpe.words import ALPHABET, PATTERN, cut, spell, unspell
from sheetgpt.errors import PromptError, TokenizerError
from sheetgpt.training.documents import character_tables

SENTENCES = [
    "",
    "Mike is quick. He moves",
    "They'll say it's Anna's; we've won, I'd bet. I'M SURE THEY'RE LATE 'tis",
    "The year 2024, 3.14159, 1e-10, ½ ² Ⅷ ٣ 一 1234567890",
    "Die Möwe fraß übrigens Käsespätzle.",
    "Wczoraj żółw zjadł źdźbło, ćmę i łabędzia.",
    "Вчера ёж нашёл в саду объявление.",
    "Η γάτα κοιμάται στον ήλιο.",
    "החתול ישן על הגג בשבת.",
    "القطة نامت فوق السطح، أليس كذلك؟",
    "बिल्ली छत पर सो रही है।",
    "แมวนอนอยู่บนหลังคา",
    "那只猫在屋顶上睡觉，龍は裏にいる。",
    "ねこはやねのうえでドラゴンとスーパーへいった。",
    "고양이가 지붕 위에서 잔다.",
    "ကြောင်က အိပ်တယ် ድመቷ ተኛች კატა სძინავს",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 🫠 ✌️",
    "n\u0303 e\u0301\u0323 Z\u0351\u036b\u0343\u036a a\u200db \ufeffx \u202eabc",
    "\x00 \x01\x02\x1b[0m \x7f \x80\x9f a\x1cb\x1dc\x1ed\x1fe",
    "one\r\ntwo\n\n\nthree\r four\v five\f",
    "a  b   c    d\t\te \t f ",
    "   leading, trailing   ",
    "no\u00a0break \u00a0 \u3000full\u2003em \u2028line\u2029paragraph\u0085next \u180e",
    "\U0001f9ff\U000e0001\U0010ffff\ue000\ufffd\uffff",
    "<|endoftext|> <|end of text|> <| endoftext",
    "def f(x):\n    return {'a': x[0]**2}  # x != None\n",
    "ÃÂÃÂÃÂÃÂ §§ ¯¯¯ ···· ── ████ —— ……",
    "a" * 300 + " " * 300 + "!" * 300 + "\n" * 300 + "字" * 300,
]

FRAGMENTS = [*" \n'é…ア\u00a0\x1f", "  ", "'s", "'S", "the", " of", "12", " 7", "中文", "👍🏽", "<|endoftext|>"]
anything = st.characters(codec="utf-8")  # all but surrogates
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(anything, max_size=5), max_size=12).map("".join)


def is_settled(text: str) -> bool:
    """All its characters have a meaning in the Unicode of this Python.

    Which characters are letters or digits, OpenAI's encoder takes from the Unicode of the `regex` package, as we do;
    `tokenizers` carries tables of its own, which may be older. On what Python's Unicode knows they must agree.
    """
    return all(unicodedata.category(char) != "Cn" for char in text)


@pytest.fixture(scope="session")
def gpt2(gpt2_tables) -> Tokenizer:
    return Tokenizer.read(gpt2_tables)


@pytest.fixture(scope="session")
def peer(gpt2_bpe):
    """GPT-2's tokenizer by Hugging Face's library, from GPT-2's own files, without special tokens."""
    tokenizers = require("tokenizers", "test")
    vocabulary, merges = tokenizers.models.BPE.read_file(str(gpt2_bpe / "encoder.json"), str(gpt2_bpe / "vocab.bpe"))
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


@pytest.fixture(scope="session")
def small() -> Tokenizer:
    """A table of merges within and across characters of two and three bytes."""
    return Tokenizer(*learn("ababé éé abé 中中文 文中 中a é中 ééé\n\n aé中 ñé 'é abab" * 3, 330))


def naive_merges(symbols: list[str], scores: dict[tuple[str, str], float]) -> list[str]:
    """Byte-pair encoding as a sentence says it: the pair of highest score, the first of them, until there is none."""
    tokens = symbols.copy()
    while found := [(-scores[pair], i) for i, pair in enumerate(pairwise(tokens)) if pair in scores]:
        i = min(found)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


def naive_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return [
        tokenizer.tokens.index(token)
        for word in regex.findall(PATTERN, text)
        for token in naive_merges(list(spell(word)), tokenizer.scores)
    ]


# ids


@pytest.mark.parametrize("text", SENTENCES)
def test_ids_are_gpt2s_in_many_scripts(gpt2, peer, text):
    assert gpt2.encode(text) == peer.encode(text).ids


@given(text=texts.filter(is_settled))
@settings(deadline=None, max_examples=300)
def test_ids_are_gpt2s_for_random_texts(gpt2, peer, text):
    assert gpt2.encode(text) == peer.encode(text).ids


def test_ids_are_gpt2s_whatever_character_stands_between_letters_digits_and_signs(gpt2, peer):
    everything = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    settled = list(filter(is_settled, everything))
    for begin in range(0, len(settled), 20_000):
        text = "\n".join(f"a{char}1{char}!" for char in settled[begin : begin + 20_000])
        assert gpt2.encode(text) == peer.encode(text).ids


def test_a_word_of_a_hundred_thousand_letters_is_no_trouble(gpt2, peer):
    letters = random.Random(1)
    for text in ("".join(letters.choices("abcdefgh", k=100_000)), "a" * 100_000):
        assert gpt2.encode(text) == peer.encode(text).ids


def test_the_end_of_text_is_one_token_only_where_asked_for(gpt2):
    text = "One.<|endoftext|><|endoftext|> Two<|endoftext|>"
    assert gpt2.end_of_text == 50256
    assert gpt2.encode(text, special=True) == [3198, 13, 50256, 50256, 4930, 50256]
    assert 50256 not in gpt2.encode(text)
    assert gpt2.decode(gpt2.encode(text, special=True)) == gpt2.decode(gpt2.encode(text)) == text
    assert gpt2.trace(text, special=True).ids == gpt2.encode(text, special=True)


def test_other_special_tokens_of_a_table_are_read_as_well_the_longest_first():
    tokenizer = Tokenizer([], [*ALPHABET, "<s>", "<s><s>", "<pad>"])
    assert tokenizer.encode("a<s>", special=True) == [ALPHABET.index("a"), 256]
    assert tokenizer.encode("<s><pad>", special=True) == [256, 258]
    assert len(tokenizer.encode("<s>")) == 3


def test_a_special_token_that_the_table_lacks_is_told(small):
    tokenizer = Tokenizer(small.merges, small.tokens[:-1])
    assert tokenizer.end_of_text is None
    with pytest.raises(TokenizerError, match=r"no token <\|endoftext\|>: encode the text without special tokens$"):
        tokenizer.encode("a<|endoftext|>", special=True)
    assert tokenizer.encode("<|endoftext|>") == small.encode("<|endoftext|>")


def test_a_token_that_merging_makes_and_the_table_lacks_is_told(small):
    tokenizer = Tokenizer(small.merges, small.tokens[:256])
    with pytest.raises(
        TokenizerError, match=r"^bpe_token_ids.csv has no token 'abab', which vocab_bpe.csv makes of 'abab'"
    ):
        tokenizer.encode("abab")
    with pytest.raises(
        TokenizerError, match=r"^bpe_token_ids.csv has no token 'ab', which vocab_bpe.csv makes of 'ab'"
    ):
        tokenizer.encode("ab")
    assert tokenizer.encode("xyz") == [ALPHABET.index(letter) for letter in "xyz"]


@pytest.mark.parametrize(("text", "character"), [("ab!c", "!"), ("aü", "ü"), ("b\r\n", "\r"), ("a €", "€")])
@pytest.mark.parametrize("method", ["encode", "trace"])
def test_a_character_that_a_table_of_characters_lacks_is_told(method, text, character):
    tokenizer = Tokenizer(*character_tables("abc é\n"))
    assert tokenizer.decode(tokenizer.encode("cab é")) == "cab é"
    with pytest.raises(TokenizerError, match=re.escape(f"no token for {character!r}: the model doesn't know this")):
        getattr(tokenizer, method)(text)


@pytest.mark.parametrize("method", ["encode", "trace"])
def test_half_a_surrogate_pair_is_told_with_its_place(small, method):
    with pytest.raises(PromptError, match=r"^the text is no Unicode: character 4 is the lone surrogate U\+D83D; give"):
        getattr(small, method)("a b\ud83d")


# decoding


@given(text=texts)
@settings(deadline=None, max_examples=300)
def test_decoding_returns_the_text_byte_for_byte(gpt2, small, text):
    for tokenizer in (gpt2, small):
        ids = tokenizer.encode(text)
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert tokenizer.decode(ids) == text


def test_bytes_that_are_no_utf8_decode_to_the_replacement_character(gpt2):
    first, *_ = gpt2.encode("👍")
    assert gpt2.decode([first]) == "\ufffd"
    assert gpt2.decode([*gpt2.encode("a"), ALPHABET.index("ÿ"), *gpt2.encode("b")]) == "a\ufffdb"


@pytest.mark.parametrize("wrong", [-1, 50257, 10**12])
def test_ids_that_the_table_lacks_are_told(gpt2, wrong):
    for look_up in (gpt2.token, lambda i: gpt2.decode([1, i])):
        with pytest.raises(
            TokenizerError, match=f"there is no token id {wrong}: bpe_token_ids.csv has the ids 0 to 50256"
        ):
            look_up(wrong)


def test_numpys_integers_are_ids_as_well(gpt2):
    np = pytest.importorskip("numpy")
    ids = np.array(gpt2.encode("The numbers of an array"))
    assert gpt2.decode(ids) == "The numbers of an array"
    assert gpt2.token(ids[0]) == "The"


def test_tokens_are_spelled_as_the_tables_spell_them(gpt2):
    assert [gpt2.token(i) for i in gpt2.encode(" é\n")] == [" Ã©", "Ċ"]
    assert gpt2.n_vocab == len(gpt2.tokens) == 50257
    assert gpt2.merges[:2] == [(" ", "t"), (" ", "a")]


# words


@given(text=st.text(st.characters(), max_size=30) | st.text(st.characters(max_codepoint=127)) | texts)
@settings(max_examples=500, deadline=None)
def test_words_are_those_of_openais_pattern(text):
    assert cut(text) == regex.findall(PATTERN, text)
    assert "".join(cut(text)) == text


def test_words_in_ascii_are_those_of_openais_pattern_for_all_neighbours():
    for text in map("".join, product(map(chr, range(128)), repeat=2)):
        assert cut(text) == regex.findall(PATTERN, text), text
    for text in map("".join, product("a1! \n'sr\x1f", repeat=5)):
        assert cut(text) == regex.findall(PATTERN, text), text


@given(text=st.text(st.sampled_from("ab1'! \n\x1f\u00a0é中"), max_size=60))
@settings(max_examples=500, deadline=None)
def test_parts_in_ascii_may_be_cut_on_their_own(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe_words, "ASCII_RUN", re.compile(r"(?<![\x00-\x7f])[\x00-\x7f]{3,}"))
        assert cut(text) == regex.findall(PATTERN, text)


def test_long_parts_in_ascii_are_cut_as_the_rest_of_the_text():
    text = (
        "é\u00a0\n\n It's 1 long part.\n\n"
        + "It's  a long part\n of 1000\tletters, " * 40
        + "naïve,  and"
        + " so on" * 200
    )
    first, second = (part.group() for part in bpe_words.ascii_parts(text))
    assert first.startswith(" 1 long part.\n\n")
    assert first.endswith("letters,")
    assert second.startswith("  and so on")
    assert cut(text) == regex.findall(PATTERN, text)


def test_the_alphabet_spells_every_byte_and_back():
    data = bytes(range(256))
    letters = "".join(spell(chr(byte)) for byte in range(128))
    assert len(set(ALPHABET)) == 256
    assert unspell(letters) == data[:128]
    assert sorted(unspell(ALPHABET)) == list(data)
    assert ALPHABET.index("!") == 0  # GPT-2's token ids
    assert ALPHABET.index(" ") == 220


# merging


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_merging_is_what_a_naive_reading_says(data):
    symbols = data.draw(st.lists(st.sampled_from("abc"), max_size=14))
    sides = st.sampled_from(["a", "b", "c", "ab", "bc", "aa", "abc", "aab"])
    scores = data.draw(st.dictionaries(st.tuples(sides, sides), st.integers(1, 4), max_size=8))
    for merging in (passes._short_passes, passes._long_passes):
        tokens = symbols.copy()
        places = list(merging(tokens, {pair: -score for pair, score in scores.items()}))
        assert tokens == naive_merges(symbols, scores)
        assert len(places) == len(symbols) - len(tokens)
        assert places == list(merge_passes(symbols.copy(), {pair: -score for pair, score in scores.items()}))


@st.composite
def tables(draw) -> Tokenizer:
    """A table whose merges join letters within characters and across them, in any order that can be."""
    parts = list(spell("ab é中文"))
    merges: dict[tuple[str, str], None] = {}
    for _ in range(draw(st.integers(0, 12))):
        pair = draw(st.sampled_from(parts)), draw(st.sampled_from(parts))
        merges[pair] = None
        parts.append("".join(pair))
    return Tokenizer(list(merges), [*ALPHABET, *dict.fromkeys(left + right for left, right in merges)])


@given(tokenizer=tables(), text=st.text("ab é中文", max_size=12))
@settings(deadline=None, max_examples=300)
def test_words_cut_into_pieces_give_the_same_tokens_by_any_table(tokenizer, text):
    assert tokenizer.encode(text) == naive_ids(tokenizer, text) == tokenizer.trace(text).ids


@given(text=st.text("ab é中文\n'ñ", max_size=20))
@settings(deadline=None, max_examples=200)
def test_words_cut_into_pieces_give_the_same_tokens_by_a_learned_table(small, text):
    assert small.encode(text) == naive_ids(small, text)


def test_what_is_remembered_is_bounded_and_changes_nothing(small, monkeypatch):
    monkeypatch.setattr(bpe_tokenizer, "REMEMBERED", 2)
    forgetful = Tokenizer(small.merges, small.tokens)
    text = "abab é中 abé ab 中文 " * 5
    assert forgetful.encode(text) == small.encode(text)
    assert len(forgetful._word_ids) <= 2
    assert len(forgetful._piece_ids) <= 2


# the trace


def test_the_trace_is_the_references_cell_by_cell(reference_run):
    folder, _, expected = reference_run
    trace = Tokenizer.read(folder).trace(expected["prompt"])
    assert trace.table() == expected["prompt_to_tokens"]
    assert trace.words == expected["separated_into_words"][0]
    assert trace.tokens == expected["final_tokens"][0]
    assert [str(i) for i in trace.ids] == expected["final_tokens"][1]


@given(text=texts)
@settings(deadline=None, max_examples=100)
def test_the_traces_ids_are_those_of_encoding_and_its_last_pass_holds_them(gpt2, text):
    trace = gpt2.trace(text)
    assert trace.ids == gpt2.encode(text)
    assert trace.tokens == [gpt2.token(i) for i in trace.ids]
    assert "".join(trace.words) == "".join(trace.tokens) == spell(text)
    last = [next(islice(trace.passes(word), trace.n_passes, None)) for word in range(len(trace.words))]
    assert [symbol for symbols, _ in last for symbol in symbols] == trace.tokens
    assert all(place is None for _, place in last)


@given(text=st.text("ab é\n", max_size=12))
@settings(deadline=None, max_examples=100)
def test_the_traces_table_is_a_rectangle_of_seven_rows_a_pass(small, text):
    trace = small.trace(text)
    table = trace.table()
    assert (len(table), len(table[0])) == trace.shape
    assert {len(row) for row in table} == {trace.shape[1]}
    longest = max((len(spell(word)) for word in cut(text)), default=0)
    assert [row[0] for row in table][: 7 * longest : 7] == [f"Pass {i}" for i in range(longest)]
    ids = [cell for cell in table[-1][1:] if cell != ""]
    assert table[-1][0] == "TokenID"
    assert ids == [str(i) for i in small.encode(text)]


def test_every_pass_of_the_table_begins_with_what_the_pass_before_merged(small):
    table = small.trace("ababé 中文 ab").table()
    merged, begun = table[5::7], table[1::7]
    assert [row[1:] for row in merged[:-1]] == [row[1:] for row in begun[1:]]


def test_of_equal_scores_the_first_pair_of_the_word_merges_as_in_the_sheet():
    tokenizer = Tokenizer([("b", "c"), ("a", "b")], [*ALPHABET, "bc", "ab"], scores=[5, 5])
    assert tokenizer.trace("abc").tokens == ["ab", "c"]
    assert list(map(tokenizer.token, tokenizer.encode("abc"))) == ["ab", "c"]


def test_a_special_token_is_one_symbol_of_the_trace(small):
    trace = small.trace("ab<|endoftext|>", special=True)
    assert trace.words == ["ab", "<|endoftext|>"]
    assert trace.table()[1] == ["Input", "a", "b", "", "<|endoftext|>", ""]


def test_importing_the_module_imports_no_numpy():
    code = "import sys, sheetgpt.bpe; sys.exit(bool({'numpy', 'pandas', 'orjson', 'regex'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
