"""`sheetgpt tokenize`: what it shows, what it refuses."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt.bpe import Tokenizer, write_tables
from sheetgpt.cli import main
from sheetgpt.commands.tokenize import merges_in_order
from sheetgpt.diff.token_lines import read_lines
from sheetgpt.training.documents import character_tables
from sheetgpt.weights.folder import embedded_folder

PROMPT = "Mike is quick. He moves"


@pytest.fixture
def embedded() -> Tokenizer:
    return Tokenizer.read(embedded_folder())


@pytest.fixture
def tokenize(gpt2_tables, capsys, monkeypatch):
    """`tokenize(*arguments, stdin=b"")` with GPT-2's tables, in this process: what is printed."""

    def run(*arguments: str, stdin: bytes = b"") -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        main(["tokenize", *arguments, "--weights", str(gpt2_tables)])
        return capsys.readouterr().out

    return run


def refused(capsys, *arguments: str, expected_out: str = "") -> str:
    with pytest.raises(SystemExit) as end:
        main(["tokenize", *arguments])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, expected_out)
    assert printed.err.startswith("Error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("Error: ").rstrip("\n")


def test_tokens_are_shown_with_position_and_id(tokenize):
    assert tokenize(PROMPT) == (
        "position     id  token\n"
        '       0  16073  "Mike"\n'
        '       1    318  " is"\n'
        '       2   2068  " quick"\n'
        '       3     13  "."\n'
        '       4    679  " He"\n'
        '       5   6100  " moves"\n'
    )


def test_tokens_spelled_in_letters_are_shown_with_their_text(tokenize):
    assert tokenize("é\n😀").splitlines() == [
        "position     id  token  text",
        '       0   2634  "Ã©"   "é"',
        '       1    198  "Ċ"    "\\n"',
        '       2  47249  "ðŁĺ"  "�"',
        '       3    222  "Ģ"    "�"',
    ]


def test_the_trace_shows_every_merge_pass_by_pass(tokenize):
    merges, tokens = tokenize(" moves no", "--trace").split("\n\n")
    assert merges.splitlines() == [
        "pass  word      score  merged",
        '   0  " moves"  49982  " " "m" "o" "v" "es"',
        '   0  " no"     49957  " n" "o"',
        '   1  " moves"  49971  " m" "o" "v" "es"',
        '   1  " no"     49611  " no"',
        '   2  " moves"  49547  " m" "ov" "es"',
        '   3  " moves"  48847  " mov" "es"',
        '   4  " moves"  44156  " moves"',
    ]
    assert tokens.splitlines()[1:] == ['       0  6100  " moves"', '       1   645  " no"']


def test_json_holds_tokens_words_and_merges(tokenize, gpt2_tables):
    shown = json.loads(tokenize("naïve moves", "--json", "--trace"))
    trace = Tokenizer.read(gpt2_tables).trace("naïve moves")
    assert shown["tokens"] == [
        {"position": n, "id": i, "token": token}
        for n, (i, token) in enumerate(zip(trace.ids, trace.tokens, strict=True))
    ]
    assert shown["words"] == trace.words == ["naÃ¯ve", " moves"]
    assert shown["merges"][-1] == {
        "pass": 4,
        "word": 1,
        "left": " mov",
        "right": "es",
        "score": 44156,
        "merged": [" moves"],
    }
    assert json.loads(tokenize("a", "--json")) == {"tokens": [{"position": 0, "id": 64, "token": "a"}]}


def test_the_end_of_text_is_one_token_where_asked_for(tokenize):
    assert '50256  "<|endoftext|>"' in tokenize("a<|endoftext|>", "--special")
    assert "50256" not in tokenize("a<|endoftext|>")
    merges, tokens = tokenize("ab<|endoftext|>", "--special", "--trace").split("\n\n")
    assert len(merges.splitlines()) == 2
    assert len(tokens.splitlines()) == 3


def test_a_dash_reads_standard_input_to_its_last_byte(tokenize):
    shown = json.loads(tokenize("-", "--json", stdin="é\r\n".encode()))
    assert [token["token"] for token in shown["tokens"]] == ["Ã©", "č", "Ċ"]


def test_an_empty_text_has_no_tokens(tokenize):
    assert tokenize("") == "position  id  token\n"
    assert json.loads(tokenize("", "--json", "--trace")) == {"tokens": [], "words": [], "merges": []}


def test_the_model_that_ships_is_the_default():
    result = sheetgpt_here("tokenize", PROMPT)
    assert result.code == 0, result.err
    assert result.out.startswith("position")
    assert len(result.out.splitlines()) > 5


def test_standard_input_that_is_not_utf8_is_refused_by_byte(gpt2_tables, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    assert refused(capsys, "-", "--weights", str(gpt2_tables)) == (
        "standard input is not UTF-8 at byte 3: convert it to UTF-8"
    )


def test_a_text_that_is_not_unicode_is_refused(gpt2_tables, capsys):
    assert refused(capsys, "a\udcff", "--weights", str(gpt2_tables)) == (
        "the text is no Unicode: character 2 is the lone surrogate U+DCFF; give the text as valid UTF-8"
    )


def test_a_folder_without_tables_is_refused(tmp_path, capsys):
    assert refused(capsys, "a", "--weights", str(tmp_path)) == (
        f"{tmp_path}/vocab_bpe.csv is missing: a folder with a tokenizer holds vocab_bpe.csv and bpe_token_ids.csv"
    )


# ------------------------------------------------------------------------------------------------ many texts


@pytest.fixture
def checked(tmp_path, capsys):
    """`checked(texts, ids, *arguments)`: the exit code and what is printed, by the embedded model's tables."""

    def run(texts: bytes, expected: str | None = None, *arguments: str) -> tuple[int, str]:
        (tmp_path / "texts.txt").write_bytes(texts)
        options = ["--lines", str(tmp_path / "texts.txt"), *arguments]
        if expected is not None:
            (tmp_path / "ids.jsonl").write_text(expected, encoding="utf-8")
            options += ["--expect", str(tmp_path / "ids.jsonl")]
        with pytest.raises(SystemExit) as end:
            main(["tokenize", *options])
        printed = capsys.readouterr()
        return end.value.code, (printed.out + printed.err).replace(str(tmp_path) + "/", "")

    return run


NO_IDS = 'ids.jsonl, line 1 holds no list of ids: write a list such as [464, 995], or {"ids": [464, 995]}'
OTHER_TEXT = "ids.jsonl, line 1 has another text than that line: tokenize the same file again"
texts_of_lines = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12), max_size=5)


@given(texts_of_lines, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_each_line_of_a_file_is_a_text_without_its_end(tmp_path_factory, texts, end, ended):
    texts = [text.removeprefix("\ufeff").rstrip("\r") for text in texts]
    file = tmp_path_factory.mktemp("lines") / "texts.txt"
    file.write_bytes((end.join(texts) + (end if ended and texts else "")).encode())
    assert read_lines(file) == (texts if ended or not texts or texts[-1] else texts[:-1])


def test_every_line_is_a_list_of_ids(checked, embedded):
    code, out = checked("Mike is quick.\n\n naïve\r\n".encode())
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        embedded.encode(t) for t in ("Mike is quick.", "", " naïve")
    ]
    assert checked(b"<|endoftext|>", None, "--special") == (0, f"[{embedded.end_of_text}]\n")


def test_the_ids_that_it_prints_are_as_expected_by_itself(checked):
    texts = "Mike is quick.\n\nnaïve 😀\n".encode()
    _, ids = checked(texts)
    assert checked(texts, ids) == (0, "3 of 3 lines are equal.\n")
    code, data = checked(texts, ids, "--json")
    assert (code, json.loads(data)) == (0, {"n_lines": 3, "n_equal": 3, "different": [], "equal": True})


def test_a_line_that_differs_is_shown_with_both_cuts_and_the_merge_that_was_missed(checked, embedded):
    ids = embedded.encode("Mike moves quickly")
    ported = [*ids[:-1], *embedded.ids_of([" quick", "ly"])]
    expected = f'{ids}\n{{"ids": {ported}, "text": "Mike moves quickly"}}\n'
    code, out = checked(b"Mike moves quickly\nMike moves quickly", expected)
    assert code == 1
    assert out == (
        "1 of 2 lines are equal.\n\n"
        'Line 2: "Mike moves quickly"\n'
        '  here      "Mike" " moves" " quickly"\n'
        '  expected  "Mike" " moves" " quick" "ly"\n'
        '  the word " quickly" is cut " quick" + "ly" in the expected ids, " quickly" here: '
        'the merge " quick" + "ly" was missed\n'
    )
    code, data = checked(b"Mike moves quickly\nMike moves quickly", expected, "--json")
    (line,) = json.loads(data)["different"]
    assert (code, line["number"], line["ids"], line["expected_ids"]) == (1, 2, ids, ported)


def test_of_many_lines_that_differ_ten_are_shown(checked):
    code, out = checked(b"a\n" * 25, "[99999]\n" * 25)
    assert (code, out.count("\nLine "), out.splitlines()[-1]) == (1, 10, "... and 15 lines more")
    assert "token id 99999 (position 0) in the expected ids is not in the token table, which ends at 591" in out


@pytest.mark.parametrize(
    ("texts", "expected", "error"),
    [
        (b"a\nb\n", "[1]\n", "ids.jsonl has 1 lines, and texts.txt has 2: give a line of ids for each line of text"),
        (b"a\nb\n", "[1]\n[2\n", "ids.jsonl, line 2 is no JSON: write a list of ids, such as [464, 995]"),
        (b"a", '{"id": [1]}', NO_IDS),
        (b"a", "[1.0]", NO_IDS),
        (b"a", "[true]", NO_IDS),
        (b"a", '{"ids": [1], "text": "b"}', OTHER_TEXT),
        (b"a\n\xff\n", None, "texts.txt, line 2 is not UTF-8: convert it to UTF-8"),
    ],
)  # fmt: skip
def test_trouble_is_one_line_that_names_file_and_line(checked, texts, expected, error):
    assert checked(texts, expected) == (2, f"Error: {error}\n")


def test_a_text_that_the_table_can_not_spell_is_named_by_its_line(tmp_path, capsys):
    write_tables(tmp_path, *character_tables("ab"))
    (tmp_path / "texts.txt").write_text("ab\naüb\n", encoding="utf-8")
    error = refused(capsys, "--weights", str(tmp_path), "--lines", str(tmp_path / "texts.txt"), expected_out="[0, 1]\n")
    assert error.startswith(
        f"{tmp_path}/texts.txt, line 2 can't be told in tokens: bpe_token_ids.csv has no token for 'ü'"
    )


def test_options_that_do_not_go_together_are_refused(capsys):
    assert refused(capsys) == "give either TEXT or --lines FILE"
    assert refused(capsys, "a", "--lines", "b") == "give either TEXT or --lines FILE, not both"
    assert refused(capsys, "a", "--expect", "b") == "--expect goes with --lines: give the file of texts"
    assert refused(capsys, "--lines", "b", "--trace") == "--trace shows one text: leave --lines out, and give TEXT"
    assert refused(capsys, "--lines", "missing.txt") == (
        "missing.txt can't be read (No such file or directory): give a file of texts"
    )


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_word_whose_merges_would_fill_the_memory_is_refused(as_json):
    assert "give shorter words" in sheetgpt_here("tokenize", "moves" * 2000, "--trace", *as_json).error
    assert sheetgpt_here("tokenize", "moves" * 2000, *as_json).code == 0
    assert sheetgpt_here("tokenize", "moves " * 2000, "--trace", *as_json).code == 0


@pytest.mark.parametrize("text", ["", "a", "moves quickly", "é日本 moves moves", "x" * 70])
def test_what_a_trace_shows_is_counted_before(text):
    tokenizer = Tokenizer.read(embedded_folder())
    trace = tokenizer.trace(text)
    assert trace.n_shown == sum(len(merge["merged"]) for merge in merges_in_order(tokenizer, trace))
