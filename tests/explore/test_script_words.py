"""The page's tokenizer is Python's: words, letters, merges pass by pass, ids and text, on any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt.bpe import Tokenizer
from sheetgpt.bpe.added import Added
from sheetgpt.bpe.words import ALPHABET, cut, spell, unspell
from sheetgpt.errors import SheetGPTError
from sheetgpt.training.documents import character_tables
from sheetgpt.weights.folder import EMBEDDED, named_folder

pytestmark = pytest.mark.browser

# What words are cut at, spaces that Python and JavaScript disagree on among them, and characters of several bytes.
PARTS = (
    """'s 't 're 've 'm 'll 'd ' Mike quick moves 1 23 ½ Ⅷ é ß ﬁ 中文 ไทย 한 👩‍🚀 🇪🇺 <|endoftext|> . ,, - _""".split()
)
SPACES = [" ", "  ", "\n", "\r\n", "\t", "\x0b", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u180e", "\u2003", "\u2028"]
SPACES += ["\u200b", "\u202f", "\u205f", "\u3000", "\ufeff", "\0", "#7"]
characters = st.characters(exclude_categories=("Cs", "Cn"))  # assigned ones: other Unicode versions know more
texts = st.lists(st.one_of(st.sampled_from([*PARTS, *SPACES]), st.text(characters, max_size=4)), max_size=12).map(
    "".join
)


def with_added():
    """Every letter, a few merges, and tokens that are found in texts in every way that there is."""
    merges = [("i", "k"), ("M", "ik"), ("'", "s"), (" ", "q"), ("-", "_")]
    found = ["<|endoftext|>", "Mike", "moves", " ", "quick", "#7", "é", "中文"]
    tokens = [
        *ALPHABET,
        *(left + right for left, right in merges),
        *map(spell, found[:3]),
        "#264",
        *map(spell, found[4:]),
    ]
    first = tokens.index("<|endoftext|>")
    added = [
        Added(first, found[0]),
        Added(first + 1, found[1], special=False),
        Added(first + 2, found[2], special=False, single_word=True),
        Added(first + 3, "  ", special=False, normalized=True),
        Added(first + 4, found[4], special=False, lstrip=True),
        Added(first + 5, found[5], special=True, rstrip=True),
        Added(first + 6, found[6], special=False, normalized=True, single_word=True),
        Added(first + 7, found[7], special=False, lstrip=True, rstrip=True),
    ]
    return Tokenizer(merges, tokens, added=added)


def equal_scores():
    merges = [("a", "b"), ("b", "a"), ("ab", "ab"), ("ba", "b"), ("a", "a")]
    return Tokenizer(merges, [*ALPHABET, *(left + right for left, right in merges)], [5, 5, 3, 3, 1])


@pytest.fixture(scope="module")
def tokenizers(gpt2_tables, script):
    """Python's by name; the page has the same under `kept`."""
    made = {
        "embedded": Tokenizer.read(named_folder(EMBEDDED)),
        "gpt2": Tokenizer.read(gpt2_tables),
        "letters": Tokenizer(*character_tables("ann lili\nMike é中👩🚀.")),
        "names": Tokenizer(*character_tables("anna\nelina")),
        "added": with_added(),
        "equal": equal_scores(),
    }
    for name, tokenizer in made.items():
        script("kept[name] = new sheetgpt.Tokenizer(tables)", name=name, tables=tokenizer.as_data())
    return made


every_tokenizer = pytest.mark.parametrize("name", ["embedded", "gpt2", "letters", "names", "added", "equal"])
often = settings(max_examples=50, deadline=None)


def encoded(tokenizer, text, special):
    """What Python makes of a text; None where it refuses it."""
    try:
        trace = tokenizer.trace(text, special=special)
    except SheetGPTError:
        return None
    passes = [[next(made) for _ in range(trace.n_passes)] for made in map(trace.passes, range(len(trace.words)))]
    return {
        "words": trace.words,
        "tokens": trace.tokens,
        "ids": trace.ids,
        "whole": sorted(trace.whole),
        "shape": list(trace.shape),
        "table": trace.table(),
        "passes": [[{"symbols": symbols, "place": place} for symbols, place in word] for word in passes],
        "text": tokenizer.decode(trace.ids),
    }


ENCODE = """
let made;
try { made = kept[name].trace(text, special); } catch (error) { return null; }
const numbers = Array.from({ length: made.nPasses }, (_, number) => number);
return {
  words: made.words, tokens: made.tokens, ids: made.ids, whole: made.whole, shape: made.shape, table: made.table(),
  passes: made.words.map((_, word) => numbers.map((number) => made.pass(word, number))),
  text: kept[name].decode(made.ids),
};
"""


@often
@given(text=texts)
def test_words_and_letters_are_python_s(text, script):
    found = script("const { cut, spell } = sheetgpt.words; return [cut(text), spell(text)]", text=text)
    assert found == [cut(text), spell(text)]


@often
@given(data=st.binary(max_size=12))
def test_bytes_are_the_same_letters_and_the_same_text(data, script):
    token = spell("".join(map(chr, data))) + "".join(ALPHABET[byte] for byte in data)
    body = "const bytes = sheetgpt.words.unspell(token); return [bytes, sheetgpt.words.textOf(bytes)]"
    assert script(body, token=token) == [list(unspell(token)), unspell(token).decode(errors="replace")]


@every_tokenizer
@often
@given(text=texts, special=st.booleans())
def test_a_text_becomes_the_same_tokens_by_the_same_passes(name, text, special, tokenizers, script):
    assert script(ENCODE, name=name, text=text, special=special) == encoded(tokenizers[name], text, special)


@pytest.mark.parametrize("name", ["letters", "names", "equal"])
@often
@given(text=st.text(st.sampled_from("anlieab.中é👩"), max_size=30))
def test_words_of_a_few_letters_become_the_same_tokens(name, text, tokenizers, script):
    assert script(ENCODE, name=name, text=text, special=False) == encoded(tokenizers[name], text, False)


def test_a_long_word_becomes_the_same_tokens(tokenizers, script):
    text = "abracadabra" * 200
    assert script("return kept.gpt2.encode(text)", text=text) == tokenizers["gpt2"].encode(text)


@every_tokenizer
def test_the_end_of_a_document_and_how_tokens_read_are_python_s(name, tokenizers, script):
    found = script("const one = kept[name]; return [one.endOfText, one.hasCharactersOnly]", name=name)
    assert found == [tokenizers[name].end_of_text, tokenizers[name].has_characters_only]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("letters", "ann x", 'the model has no token for "x": leave it out'),
        ("names", "annü", 'the model has no token for "ü": leave it out'),
        ("names", "a\ud83d", "the text is no Unicode: it has the lone surrogate U+D83D"),
        (
            "names",
            "a<|endoftext|>",
            "bpe_token_ids.csv has no token <|endoftext|>: encode the text without special tokens",
        ),
    ],
)
@pytest.mark.usefixtures("tokenizers")
def test_what_a_table_has_not_is_named(name, text, said, script):
    codes = [ord(character) for character in text]
    body = """
    try { kept[name].encode(String.fromCharCode(...codes), true); } catch (error) { return error.message; }
    """
    assert script(body, name=name, codes=codes) == said


def test_an_id_that_a_table_has_not_is_named(tokenizers, script):
    body = "try { kept.names.decode([0, 99]); } catch (error) { return error.message; }"
    assert (
        script(body) == f"there is no token id 99: bpe_token_ids.csv has the ids 0 to {tokenizers['names'].n_vocab - 1}"
    )
