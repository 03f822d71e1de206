"""`sheetgpt tokenize`: what it shows, what it refuses."""

from __future__ import annotations

import io
import json
import sys

import pytest

from command_line import sheetgpt
from sheetgpt.bpe import Tokenizer
from sheetgpt.cli import main

PROMPT = "Mike is quick. He moves"


@pytest.fixture
def tokenize(gpt2_tables, capsys, monkeypatch):
    """`tokenize(*arguments, stdin=b"")` with GPT-2's tables, in this process: what is printed."""

    def run(*arguments: str, stdin: bytes = b"") -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        main(["tokenize", *arguments, "--weights", str(gpt2_tables)])
        return capsys.readouterr().out

    return run


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["tokenize", *arguments])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
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
    result = sheetgpt("tokenize", PROMPT)
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


def test_help_ends_with_an_example(capsys):
    main(["tokenize", "--help"])
    assert '\n  Example:\n    sheetgpt tokenize "Mike is quick. He moves" --trace\n' in capsys.readouterr().out
