"""Token files of other projects: the ids that the `tokenizers` library gives, or the name of the rule that differs."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkpoints import MERGES, TOKENS, contents, gguf, write_huggingface, write_settings, write_token_files
from command_line import sheetgpt_here
from conftest import require
from models import random_matrices
from sheetgpt import load_model
from sheetgpt.bpe import Tokenizer, write_tables
from sheetgpt.bpe.added import ADDED_FILE, FLAGS, Added
from sheetgpt.convert import convert, open_source
from sheetgpt.convert.export import to_safetensors
from sheetgpt.convert.tokens import read_folder
from sheetgpt.errors import ConvertError, TokenizerError
from sheetgpt.models.config import Config

LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
N = len(TOKENS)
END = N - 1
TEXTS = ["the cat 12345", "the", " the", "It's  théé\n\n x1 1x", "<|endoftext|> a", "ABC\tdef ..."]


def flagged(content, i, **flags):
    about = {"id": i, "content": content, "special": True, "normalized": False}
    return about | {"single_word": False, "lstrip": False, "rstrip": False} | flags


def tokenizer_json(added=(), vocabulary=None, **parts):
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": vocabulary or {token: i for i, token in enumerate(TOKENS)}, "merges": [list(pair) for pair in MERGES],
    }  # fmt: skip
    whole = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [flagged("<|endoftext|>", END), *added],
        "normalizer": None, "pre_tokenizer": LEVEL, "post_processor": None, "decoder": LEVEL, "model": model,
    }  # fmt: skip
    return whole | {name: model | part if name == "model" else part for name, part in parts.items()}


def write_json(folder, data, name="tokenizer.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(data), encoding="utf-8")
    return folder


def read(folder, n_vocab=1000):
    """(our tokenizer of a folder of token files, the remarks); None where its rules are not GPT-2's."""
    remarks = []
    made = read_folder(folder, n_vocab, remarks)
    if made is None:
        return None, remarks
    made(folder / "ours")
    return Tokenizer.read(folder / "ours"), [remark for remark in remarks if not remark.endswith(": padding")]


def library(folder):
    return require("tokenizers", "test").Tokenizer.from_file(str(folder / "tokenizer.json"))


def both(peer, text):
    """The library's ids, special tokens being one token, and being letters."""
    found = []
    for letters in (False, True):
        peer.encode_special_tokens = letters
        found.append(peer.encode(text).ids)
    return found


def ours(tokenizer, text):
    return [tokenizer.encode(text, special=special) for special in (True, False)]


# rules

REGEX = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPLIT = {"type": "Split", "pattern": {"Regex": REGEX}, "behavior": "Isolated", "invert": False}
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [END], "tokens": ["<|endoftext|>"]}},
}
BARE = TEMPLATE | {"single": TEMPLATE["single"][1:], "special_tokens": {}}
ROBERTA = {"type": "RobertaProcessing", "sep": ["<|endoftext|>", END], "cls": ["<|endoftext|>", END]}
ROBERTA |= {"trim_offsets": True, "add_prefix_space": False}


def sequence(kind, *parts):
    name = {"pre": "pretokenizers", "post": "processors", "norm": "normalizers"}[kind]
    return {"type": "Sequence", name: list(parts)}


RULES = {
    "plain": ({}, None),
    "a sequence of one": ({"pre_tokenizer": sequence("pre", LEVEL)}, None),
    "gpt-2's pattern written out": ({"pre_tokenizer": sequence("pre", SPLIT, LEVEL | {"use_regex": False})}, None),
    "a byte-level post_processor": ({"post_processor": LEVEL}, None),
    "a bare template": ({"post_processor": BARE}, None),
    "no normalizers": ({"normalizer": sequence("norm")}, None),
    "digits": ({"pre_tokenizer": sequence("pre", {"type": "Digits", "individual_digits": True}, LEVEL)}, "Digits"),
    "whitespace": ({"pre_tokenizer": sequence("pre", {"type": "WhitespaceSplit"}, LEVEL)}, "WhitespaceSplit"),
    "punctuation": (
        {"pre_tokenizer": sequence("pre", {"type": "Punctuation", "behavior": "Isolated"}, LEVEL)},
        "Punctuation",
    ),
    "no pattern": ({"pre_tokenizer": LEVEL | {"use_regex": False}}, "ByteLevel"),
    "another pattern": (
        {"pre_tokenizer": sequence("pre", SPLIT | {"pattern": {"Regex": r"\p{N}"}}, LEVEL | {"use_regex": False})},
        "Split",
    ),
    "a text as the pattern": (
        {"pre_tokenizer": sequence("pre", SPLIT | {"pattern": {"String": " "}}, LEVEL | {"use_regex": False})},
        "Split",
    ),
    "a pattern removed": (
        {"pre_tokenizer": sequence("pre", SPLIT | {"behavior": "Removed"}, LEVEL | {"use_regex": False})},
        "Split",
    ),
    "prefix space": ({"pre_tokenizer": LEVEL | {"add_prefix_space": True}}, "add_prefix_space"),
    "prefix space deep": (
        {"pre_tokenizer": sequence("pre", sequence("pre", LEVEL | {"add_prefix_space": True}))},
        "add_prefix_space",
    ),
    "nfc": ({"normalizer": {"type": "NFC"}}, "NFC"),
    "lowercase": ({"normalizer": sequence("norm", {"type": "Lowercase"})}, "Lowercase"),
    "prepend": ({"normalizer": {"type": "Prepend", "prepend": "x"}}, "Prepend"),
    "replace": ({"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}}, "Replace"),
    "template": ({"post_processor": TEMPLATE}, "TemplateProcessing"),
    "template deep": ({"post_processor": sequence("post", LEVEL, TEMPLATE)}, "TemplateProcessing"),
    "roberta": ({"post_processor": ROBERTA}, "RobertaProcessing"),
    "ignore merges": ({"model": {"ignore_merges": True}}, "ignore_merges"),
    "dropout": ({"model": {"dropout": 0.5}}, "dropout"),
    "a suffix": ({"model": {"end_of_word_suffix": "h"}}, "end_of_word_suffix"),
    "a prefix": ({"model": {"continuing_subword_prefix": "h"}}, "continuing_subword_prefix"),
}


@pytest.mark.parametrize("rule", RULES)
def test_ids_are_the_librarys_or_the_rule_is_named(tmp_path, rule):
    parts, name = RULES[rule]
    folder = write_json(tmp_path, tokenizer_json(**parts))
    tokenizer, remarks = read(folder)
    if name is None:
        assert remarks == []
        for text in TEXTS:
            assert ours(tokenizer, text) == both(library(folder), text)
    else:
        assert tokenizer is None
        (remark,) = remarks
        assert remark.startswith("tokenizer.json: ")
        assert name in remark
        assert remark.endswith(", and GPT-2's tokenizer doesn't: the model runs by --token-ids")


@pytest.mark.parametrize("part", ["truncation", "padding"])
def test_what_shortens_or_fills_up_is_remarked(tmp_path, part):
    folder = write_json(tmp_path, tokenizer_json(**{part: {"max_length": 3}}))
    tokenizer, (remark,) = read(folder)
    assert len(tokenizer.encode("the the")) == 3
    assert remark.startswith(f"tokenizer.json: its {part} ")


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("setting", ["add_prefix_space", "add_bos_token", "add_eos_token"])
@pytest.mark.parametrize("value", [True, False])
def test_settings_beside_the_table_count(tmp_path, single, setting, value):
    folder = write_json(tmp_path, tokenizer_json()) if single else write_token_files(tmp_path)
    write_json(folder, {"tokenizer_class": "GPT2Tokenizer", setting: value}, "tokenizer_config.json")
    tokenizer, remarks = read(folder)
    assert (tokenizer is None) is value
    assert any(remark.startswith(f"tokenizer_config.json: {setting} ") for remark in remarks) is value


def test_a_class_of_tokenizers_with_rules_of_its_own_is_named(tmp_path):
    folder = write_token_files(tmp_path)
    write_json(folder, {"tokenizer_class": "RobertaTokenizer"}, "tokenizer_config.json")
    assert "tokenizer_class RobertaTokenizer has rules of its own" in read(folder)[1][0]


def test_a_rule_is_a_note_and_the_model_runs_by_ids(tmp_path):
    folder = write_huggingface(tmp_path / "hf", random_matrices(Config(2, 3, 12, 16, 262)))
    write_json(folder, tokenizer_json(normalizer={"type": "Lowercase"}))
    done = sheetgpt_here("convert-weights", folder, tmp_path / "csv")
    assert done.code == 0
    assert done.err.startswith("Note: tokenizer.json: the normalizer Lowercase changes a text before it is cut")
    assert sheetgpt_here("run", "--token-ids", "1,2", "--weights", tmp_path / "csv").code == 0


@pytest.mark.parametrize(
    ("settings_of_file", "name"),
    [
        ({}, None),
        ({"tokenizer.ggml.pre": "gpt-2"}, None),
        ({"tokenizer.ggml.add_bos_token": False}, None),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "tokenizer.ggml.pre 'llama-bpe'"),
        ({"tokenizer.ggml.pre": "default"}, "tokenizer.ggml.pre 'default'"),
        ({"tokenizer.ggml.add_bos_token": True}, "tokenizer.ggml.add_bos_token"),
        ({"tokenizer.ggml.add_eos_token": True}, "tokenizer.ggml.add_eos_token"),
    ],
)
def test_gguf_says_by_which_rule_it_cuts(tmp_path, monkeypatch, settings_of_file, name):
    library = require("gguf", "test")
    written = library.GGUFWriter.write_header_to_file

    def with_settings(self):
        for key, value in settings_of_file.items():
            (self.add_bool if isinstance(value, bool) else self.add_string)(key, value)
        written(self)

    monkeypatch.setattr(library.GGUFWriter, "write_header_to_file", with_settings)
    checkpoint = open_source(str(gguf(tmp_path / "source")))
    assert (checkpoint.write_tables is None) is (name is not None)
    assert [remark.partition(" cuts")[0].partition(" puts")[0] for remark in checkpoint.remarks] == [name] * bool(name)


# added tokens

SPELLINGS = ["[PAD]", "__bos__", "<|im start|>", "<speaker1>", "plain", "the", "  ", "\n", "é", "中文", "1.5", "x,y"]
PIECES = [*SPELLINGS, *" \n'é中\u00a0\u0301_a1", "<|endoftext|>", " the", "ab"]
contents_of_tokens = st.sampled_from(SPELLINGS) | st.text(st.sampled_from("ab <|>é\n"), min_size=1, max_size=4)
flags = st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans()))
added_tokens = st.lists(st.tuples(contents_of_tokens, flags), max_size=6, unique_by=lambda token: token[0])


def read_once(added):
    """The library reads characters twice, or panics, where a token begins with spaces that another takes along."""
    takes_along = any(flags["rstrip"] for _, flags in added)
    return not (takes_along and any(text[:1].isspace() for text, _ in added))


added_tokens = added_tokens.filter(read_once)
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9).map("".join)


@given(added=added_tokens, texts=st.lists(texts, min_size=1, max_size=8))
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_texts_with_random_added_tokens_have_the_librarys_ids(tmp_path_factory, added, texts):
    folder = tmp_path_factory.mktemp("added")
    listed = [flagged(text, N + number, **of) for number, (text, of) in enumerate(added)]
    number = N
    for token in listed:  # the library gives what the table has the table's id, and numbers the rest on
        if token["content"] in TOKENS:
            token["id"] = TOKENS.index(token["content"])
        else:
            token["id"], number = number, number + 1
    write_json(folder, tokenizer_json(listed))
    tokenizer, remarks = read(folder)
    assert remarks == []
    peer = library(folder)
    for text in texts:
        assert ours(tokenizer, text) == both(peer, text)
        for special in (True, False):
            assert tokenizer.trace(text, special=special).ids == tokenizer.encode(text, special=special)


@given(added=added_tokens)
@settings(deadline=None, max_examples=60)
def test_added_tokens_decode_to_their_text(tmp_path_factory, added):
    folder = tmp_path_factory.mktemp("added")
    listed = [flagged(text, N + number, **of) for number, (text, of) in enumerate(added) if text not in TOKENS]
    tokenizer, _ = read(write_json(folder, tokenizer_json(listed)))
    for token in tokenizer.added:
        assert tokenizer.decode([token.id]) == token.text


def test_a_table_with_nothing_but_the_end_of_text_has_no_file_more(tmp_path):
    for number, flags_of_it in enumerate([{}, {"normalized": True}]):
        folder = write_json(
            tmp_path / str(number), tokenizer_json() | {"added_tokens": [flagged("<|endoftext|>", END, **flags_of_it)]}
        )
        tokenizer, _ = read(folder)
        assert not (folder / "ours" / ADDED_FILE).exists()
        assert tokenizer.encode("<|endoftext|>", special=True) == [END]


def test_tokens_of_older_layouts_are_kept(tmp_path):
    folder = write_token_files(tmp_path)
    write_json(folder, {"<pad>": N, "[SEP]": N + 1, "plain": N + 2}, "added_tokens.json")
    write_json(folder, {"sep_token": "[SEP]", "additional_special_tokens": ["<pad>"]}, "special_tokens_map.json")
    write_json(folder, {"mask_token": {"content": "[MASK]", "lstrip": True}}, "tokenizer_config.json")
    tokenizer, remarks = read(folder)
    assert remarks == []
    assert tokenizer.encode("<pad>[SEP]plain  [MASK]<|endoftext|>", special=True) == [N, N + 1, N + 2, N + 3, END]
    assert tokenizer.encode("aplainb") == [TOKENS.index("a"), N + 2, TOKENS.index("b")]
    assert len(tokenizer.encode("[SEP]")) == 5


def test_a_token_of_the_table_that_is_named_special_is_special(tmp_path):
    folder = write_token_files(tmp_path)
    write_json(folder, {"pad_token": "the"}, "tokenizer_config.json")
    write_json(folder, {token: i for i, token in enumerate([*TOKENS, "[PAD]"])}, "vocab.json")
    write_json(folder, {"pad_token": "[PAD]"}, "special_tokens_map.json")
    tokenizer, _ = read(folder)
    assert tokenizer.encode("a[PAD]", special=True) == [TOKENS.index("a"), N]


@pytest.mark.oracle
@pytest.mark.parametrize("layout", ["single", "pair"])
def test_transformers_own_folders_give_its_ids(tmp_path, layout):
    transformers = require("transformers", "oracle")
    theirs = transformers.GPT2Tokenizer.from_pretrained(write_token_files(write_settings(tmp_path / "base")))
    theirs.add_special_tokens({"pad_token": "[PAD]", "additional_special_tokens": ["<|im start|>", "__bos__"]})
    theirs.add_tokens(["plain", transformers.AddedToken("word", single_word=True, lstrip=True)])
    theirs.save_pretrained(tmp_path / "hf")
    if layout == "pair":
        vocabulary = {token: i for i, token in enumerate(TOKENS)}
        write_json(tmp_path / "hf", vocabulary, "vocab.json")
        write_token_files(tmp_path / "hf")
        added = json.loads((tmp_path / "hf" / "tokenizer.json").read_text())["added_tokens"]
        (tmp_path / "hf" / "tokenizer.json").unlink()
        write_json(tmp_path / "hf", {token["content"]: token["id"] for token in added[1:]}, "added_tokens.json")
        config = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
        decoder = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in added}
        write_json(tmp_path / "hf", config | {"added_tokens_decoder": decoder}, "tokenizer_config.json")
    tokenizer, remarks = read(tmp_path / "hf")
    assert remarks == []
    for text in ["[PAD] the", "<|im start|>the__bos__", "aplainb word words", "<|endoftext|>", "__bos__[PAD]"]:
        assert tokenizer.encode(text, special=True) == theirs(text)["input_ids"], text


# more tokens than rows, holes


def folder_with(tmp_path, n_vocab, data):
    matrices = random_matrices(Config(2, 3, 12, 16, 262)) | {"model_wte": np.ones((n_vocab, 12), np.float32)}
    folder = write_huggingface(tmp_path / "hf", matrices, vocab_size=n_vocab)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    return write_json(folder, data)


def test_tokens_without_a_row_are_left_out_and_named(tmp_path):
    folder = folder_with(tmp_path, N, tokenizer_json([flagged("[PAD]", N), flagged("<s>", N + 1)]))
    done = sheetgpt_here("convert-weights", folder, tmp_path / "csv")
    assert (done.code, done.err) == (
        0,
        "Note: 2 of 264 tokens in tokenizer.json have no row in the model, left out: '[PAD]', '<s>'\n",
    )
    tokenizer = load_model(tmp_path / "csv").tokenizer
    assert tokenizer.n_vocab == N
    assert tokenizer.encode("the<s>", special=True) == library(folder).encode("the").ids + tokenizer.encode("<s>")
    assert sheetgpt_here("check", tmp_path / "csv").code == 0


def test_a_merge_whose_token_has_no_row_is_said_where_a_text_needs_it(tmp_path):
    last = "Ġthe"
    vocabulary = {token: i for i, token in enumerate([*(token for token in TOKENS if token != last), last])}
    data = tokenizer_json(vocabulary=vocabulary) | {"added_tokens": [flagged("<|endoftext|>", N - 2)]}
    convert(str(folder_with(tmp_path, N - 1, data)), tmp_path / "csv")
    tokenizer = load_model(tmp_path / "csv").tokenizer
    assert tokenizer.encode("the") == [vocabulary["t"], vocabulary["he"]]
    with pytest.raises(TokenizerError, match="the model has no row for it, or the files are of two models"):
        tokenizer.encode(" the")


@pytest.mark.parametrize("hole", ["in the table", "among the added"])
def test_holes_in_the_ids_are_padding(tmp_path, hole):
    if hole == "in the table":
        data = tokenizer_json(vocabulary={token: i for i, token in enumerate(TOKENS)} | {"[PAD]": N + 2})
        data["added_tokens"].append(flagged("[PAD]", N + 2))
    else:
        data = tokenizer_json([flagged("[PAD]", N + 2)])
    folder = folder_with(tmp_path, N + 3, data)
    done = sheetgpt_here("convert-weights", folder, tmp_path / "csv")
    assert done.code == 0
    assert f"Note: 2 of {N + 3} ids have no token in tokenizer.json: padding\n" in done.err
    assert ("Hugging Face's libraries number them without gaps" in done.err) == (hole == "among the added")
    tokenizer = load_model(tmp_path / "csv").tokenizer
    assert tokenizer.encode("[PAD] the", special=True) == [N + 2, *tokenizer.encode(" the")]
    assert tokenizer.tokens[N:] == ["#262", "#263", "[PAD]"]
    assert len(tokenizer.encode("#262", special=True)) == 4
    assert sheetgpt_here("check", tmp_path / "csv").code == 0


def test_an_added_token_whose_id_is_anothers_is_numbered_on_as_the_library_does(tmp_path):
    folder = write_json(tmp_path, tokenizer_json([flagged("[PAD]", 7)]))
    tokenizer, remarks = read(folder)
    assert ours(tokenizer, "[PAD] the") == both(library(folder), "[PAD] the")
    assert remarks == []


def test_no_tokenizer_leaves_a_table_that_is_wrong(tmp_path):
    folder = folder_with(tmp_path, N, tokenizer_json(vocabulary={"a": 0, "b": 0}))
    with pytest.raises(ConvertError, match="give|each once"):
        convert(str(folder), tmp_path / "csv")
    assert convert(str(folder), tmp_path / "csv", tokenizer=False).write_tables is None


# the way back


@pytest.mark.oracle
@given(added=added_tokens, texts=st.lists(texts, min_size=1, max_size=4))
@settings(deadline=None, max_examples=15)
def test_added_tokens_survive_the_way_to_safetensors(tmp_path_factory, added, texts):
    transformers = require("transformers", "oracle")
    base = tmp_path_factory.mktemp("way")
    listed = [flagged(text, 0, **of) for text, of in added if text not in TOKENS]
    for number, token in enumerate(listed):
        token["id"] = N + number
    n_vocab = N + len(listed)
    folder = folder_with(base, n_vocab, tokenizer_json(listed))
    convert(str(folder), base / "csv")
    to_safetensors(base / "csv", base / "back")
    convert(str(base / "back"), base / "again")
    assert contents(base / "again") == contents(base / "csv")
    theirs = transformers.AutoTokenizer.from_pretrained(base / "back")
    tokenizer = Tokenizer.read(base / "csv")
    for text in texts:
        assert theirs(text)["input_ids"] == tokenizer.encode(text, special=True)


# our file


def test_the_file_of_added_tokens_is_read_as_a_spreadsheet_program_saves_it(tmp_path):
    added = [Added(N, "[PAD]"), Added(N + 1, " x\n", special=False, lstrip=True), Added(N + 2, "1.5", rstrip=True)]
    merges = [(a.replace("Ġ", " "), b.replace("Ġ", " ")) for a, b in MERGES]
    tokens = [*(token.replace("Ġ", " ") for token in TOKENS), "[PAD]", " xĊ", "1.5"]
    write_tables(tmp_path, merges, tokens, added)
    assert Tokenizer.read(tmp_path).added == added
    text = (tmp_path / ADDED_FILE).read_text(encoding="utf-8")
    assert text.splitlines()[:2] == ["token,id,special,normalized,single_word,lstrip,rstrip", "[PAD],262,1,0,0,0,0"]
    assert text.splitlines()[2:] == [" xĊ,263,0,0,0,1,0", "1.5,264,1,0,0,0,1"]
    saved = "\ufeff" + text.replace(",0", ";FALSE").replace(",1", ";TRUE").replace(",", ";").replace("\n", "\r\n")
    (tmp_path / ADDED_FILE).write_text(saved, encoding="utf-8", newline="")
    assert Tokenizer.read(tmp_path).added == added


@pytest.mark.parametrize(
    ("line", "text"),
    [(1, "x"), (2, "token,id,special,normalized,single_word,lstrip,rstrip\n[PAD],999,1,0,0,0,0\n"),
     (2, "token,id,special,normalized,single_word,lstrip,rstrip\n[PAD],1,2,0,0,0,0\n"),
     (3, "token,id,special,normalized,single_word,lstrip,rstrip\na,1,1,0,0,0,0\na,2,1,0,0,0,0\n")],
)  # fmt: skip
def test_a_damaged_file_of_added_tokens_is_refused_by_line(tmp_path, line, text):
    write_tables(tmp_path, [], ["a", "b", "[PAD]"])
    (tmp_path / ADDED_FILE).write_text(text)
    with pytest.raises(TokenizerError, match=rf"{ADDED_FILE}, line {line}: expected "):
        Tokenizer.read(tmp_path)


def test_a_new_table_takes_the_file_of_the_old_one_away(tmp_path):
    write_tables(tmp_path, [], ["a", "[PAD]"], [Added(1, "[PAD]")])
    write_tables(tmp_path, [], ["a", "b"])
    assert not (tmp_path / ADDED_FILE).exists()
