"""`sheetgpt train-bpe`: the tables it writes, what it says, what it refuses."""

from __future__ import annotations

import json

import pytest

from command_line import sheetgpt
from sheetgpt.bpe import Tokenizer, learn
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.cli import main
from sheetgpt.commands import progress

TEXT = "Mike is quick. He moves quickly. Anna is slow. She moves slowly.\n"


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as end:
        main(["train-bpe", *map(str, arguments)])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    assert printed.err.startswith("Error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("Error: ").rstrip("\n")


def test_both_tables_are_written_and_a_summary_is_printed(corpus, tmp_path):
    result = sheetgpt("train-bpe", corpus, tmp_path / "table", "--vocab-size", 270)
    tokenizer = Tokenizer.read(tmp_path / "table")
    count = len(tokenizer.encode(TEXT))
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        f"13 merges, 270 tokens in {tmp_path / 'table'}\n"
        f"the corpus: {len(TEXT)} bytes, {count} tokens, {len(TEXT) / count:.2f} bytes a token\n"
    )
    assert (tokenizer.merges, tokenizer.tokens) == learn(TEXT, 270)


def test_a_corpus_with_too_few_pairs_is_told(corpus, tmp_path, capsys):
    main(["train-bpe", str(corpus), str(tmp_path / "table"), "--vocab-size", "5000"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "5,000 tokens were asked for: the corpus has no more pairs to merge"


def test_json_holds_the_summary(corpus, tmp_path, capsys):
    main(["train-bpe", str(corpus), str(tmp_path / "table"), "--vocab-size", "260", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokens"] == shown["tokens_wanted"] == 260
    assert shown["merges"] == 3
    assert shown["bytes"] == len(TEXT)
    assert shown["folder"] == str(tmp_path / "table")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, capsys):
    (tmp_path / "corpus.txt").write_text(TEXT, encoding="utf-8-sig")
    main(["train-bpe", str(tmp_path / "corpus.txt"), str(tmp_path / "table"), "--vocab-size", "270"])
    assert Tokenizer.read(tmp_path / "table").tokens == learn(TEXT, 270)[1]


def test_progress_is_shown_on_a_terminal_and_changes_nothing(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    main(["train-bpe", str(corpus), str(tmp_path / "table"), "--vocab-size", "270"])
    assert Tokenizer.read(tmp_path / "table").tokens == learn(TEXT, 270)[1]
    assert "Merging" in capsys.readouterr().err


def test_a_table_that_is_there_is_replaced_only_by_force(corpus, tmp_path, capsys):
    table = tmp_path / "table"
    main(["train-bpe", str(corpus), str(table), "--vocab-size", "260"])
    capsys.readouterr()
    assert refused(capsys, corpus, table, "--vocab-size", 270) == (
        f"{table / MERGES_FILE} exists: choose another folder, or replace it with --force"
    )
    (table / MERGES_FILE).unlink()
    assert refused(capsys, corpus, table, "--vocab-size", 270).startswith(f"{table / TOKENS_FILE} exists")
    main(["train-bpe", str(corpus), str(table), "--vocab-size", "270", "--force"])
    assert Tokenizer.read(table).n_vocab == 270


def test_a_vocabulary_smaller_than_the_bytes_is_refused(corpus, tmp_path, capsys):
    assert refused(capsys, corpus, tmp_path / "table", "--vocab-size", 256) == (
        "a vocabulary of 256 tokens is too small: "
        "256 bytes and 1 special make 257 before any merge; ask for more than 257"
    )


@pytest.mark.parametrize("text", ["", "\ufeff", "\n \n"])
def test_an_empty_corpus_is_refused(tmp_path, capsys, text):
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    assert refused(capsys, tmp_path / "corpus.txt", tmp_path / "table", "--vocab-size", 300) == (
        f"{tmp_path / 'corpus.txt'} is empty: give a text to learn from"
    )


def test_a_corpus_that_is_not_utf8_is_refused_by_byte(tmp_path, capsys):
    (tmp_path / "corpus.txt").write_bytes(b"abc \xe9t\xe9")
    assert refused(capsys, tmp_path / "corpus.txt", tmp_path / "table", "--vocab-size", 300) == (
        f"{tmp_path / 'corpus.txt'} is not UTF-8 at byte 5: convert it to UTF-8"
    )


def test_a_corpus_that_cannot_be_read_is_refused(tmp_path, capsys):
    for path, why in ((tmp_path / "none.txt", "No such file or directory"), (tmp_path, "Is a directory")):
        assert refused(capsys, path, tmp_path / "table", "--vocab-size", 300) == (
            f"{path} can't be read ({why}): give a text file"
        )
    assert not (tmp_path / "table").exists()


def test_a_folder_that_cannot_be_written_is_refused(corpus, capsys):
    assert refused(capsys, corpus, corpus / "table", "--vocab-size", 260).startswith(
        f"can't write to {corpus / 'table'}: "
    )


def test_trace_shows_each_pass_and_json_holds_the_same(corpus, tmp_path, capsys):
    command = ["train-bpe", str(corpus), str(tmp_path / "table"), "--vocab-size", "261", "--trace", "--force"]
    main(command)
    shown = capsys.readouterr().out.splitlines()
    main([*command, "--json"])
    data = json.loads(capsys.readouterr().out)
    assert len(data["passes"]) == data["merges"] == 4
    assert shown[0].split() == ["pass", "pair", "count", "new", "token", "id", "words"]
    for line, one in zip(shown[1:5], data["passes"], strict=True):
        assert line.split()[0] == str(one["number"])
        assert f'"{one["left"]}" "{one["right"]}"' in line
        assert f" {one['count']} " in line
    main([*command[:-2], "--force"])
    assert "pair" not in capsys.readouterr().out


def test_the_passes_as_a_workbook(corpus, tmp_path, monkeypatch, capsys):
    import openpyxl

    monkeypatch.chdir(tmp_path)
    main(["train-bpe", str(corpus), "table", "--vocab-size", "266", "--dump-xlsx"])
    assert capsys.readouterr().out.splitlines()[-1].split("/")[-1].endswith("corpus-merges.xlsx")
    passes = []
    learn(TEXT, 266, watch=passes.append)
    rows = list(openpyxl.load_workbook("exports/corpus-merges.xlsx")["index"].iter_rows(min_row=8, values_only=True))
    expected = [(one.number, one.left, one.right, one.count, one.token, one.id) for one in passes]
    assert [row[:6] for row in rows] == expected
    assert [row[6] for row in rows] == [one.as_they_stand for one in passes]
