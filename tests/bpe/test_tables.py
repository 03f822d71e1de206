"""The token files: what programs make of them is read or refused by line; what is written is read back."""

from __future__ import annotations

import csv

import pytest

from sheetgpt.bpe import Tokenizer, learn, write_tables
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE, read_tables
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.errors import TokenizerError, WeightsError

TEXT = "true jan 1999 1999 null NA nan None, the cat; the cat 'jan' \"jan\" 007 007 true <i> =1+1 é中é中\n\n" * 3


@pytest.fixture(scope="module")
def learned() -> tuple[list[tuple[str, str]], list[str]]:
    return learn(TEXT, 1000)


@pytest.fixture
def folder(learned, tmp_path):
    write_tables(tmp_path, *learned)
    return tmp_path


def rows_of(path, separator=",") -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").split("\n")[:-1], delimiter=separator))


def write_rows(path, rows, **style) -> None:
    with path.open("w", newline="", encoding=style.pop("encoding", "utf-8")) as file:
        csv.writer(file, **{"lineterminator": "\n", **style}).writerows(rows)


def change(path, line: int, *cells) -> None:
    """Put other cells into a line (from 1)."""
    rows = rows_of(path)
    rows[line - 1] = list(cells)
    write_rows(path, rows)


def line_of(path, token: str) -> int:
    return [row[0] for row in rows_of(path)].index(token) + 1


def refusal(folder) -> str:
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.read(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{folder}/", "")


# writing


def test_gpt2s_tables_are_written_byte_for_byte_as_the_contract_has_them(gpt2_tables, tmp_path):
    merges, tokens, scores = read_tables(gpt2_tables)
    write_tables(tmp_path / "new" / "folder", merges, tokens)
    assert scores == list(range(50000, 0, -1))
    for name in (MERGES_FILE, TOKENS_FILE):
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (gpt2_tables / name).read_bytes()


def test_what_was_written_is_read_back(folder, learned):
    tokenizer = Tokenizer.read(folder)
    assert (tokenizer.merges, tokenizer.tokens) == learned
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert (folder / MERGES_FILE).read_text(encoding="utf-8").startswith("left,right,rank,score\n")
    assert sorted(path.name for path in folder.iterdir()) == [TOKENS_FILE, MERGES_FILE]


def test_a_token_with_a_line_break_is_not_written_and_the_old_tables_stay(folder, learned):
    before = (folder / TOKENS_FILE).read_bytes()
    with pytest.raises(TokenizerError, match=r"the token 'a\\nb' can't stand in bpe_token_ids.csv"):
        write_tables(folder, [], ["a\nb"])
    assert (folder / TOKENS_FILE).read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenizerError, match=r"can't write to .*file/below: Not a directory: choose another folder$"):
        write_tables(tmp_path / "file" / "below", [], ["a"])


# reading what programs save


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_that_a_spreadsheet_program_saved_are_read(folder, learned, separator, end, encoding):
    for name in (MERGES_FILE, TOKENS_FILE):
        rows = rows_of(folder / name)
        write_rows(folder / name, rows, delimiter=separator, lineterminator=end, encoding=encoding)
    tokenizer = Tokenizer.read(folder)
    assert (tokenizer.merges, tokenizer.tokens) == learned
    assert {",", ";", '"', " ", "=", "'"} < set(tokenizer.tokens)


@pytest.mark.parametrize("separator", [",", ";"])
def test_empty_cells_after_each_row_and_empty_rows_at_the_end_are_read(folder, learned, separator):
    for name in (MERGES_FILE, TOKENS_FILE):
        rows = [[*row, "", ""] for row in rows_of(folder / name)]
        write_rows(folder / name, [*rows, ["", "", "", ""], []], delimiter=separator)
    tokenizer = Tokenizer.read(folder)
    assert (tokenizer.merges, tokenizer.tokens) == learned


def test_quotes_around_every_cell_are_read(folder, learned):
    for name in (MERGES_FILE, TOKENS_FILE):
        write_rows(folder / name, rows_of(folder / name), quoting=csv.QUOTE_ALL)
    assert Tokenizer.read(folder).tokens == learned[1]


def test_words_that_other_readers_take_for_missing_values_are_tokens(tmp_path):
    merges, tokens = learn("NA NA null null nan nan None None TRUE TRUE 1999 1999 1E5", 300)
    write_tables(tmp_path, merges, tokens)
    read = Tokenizer.read(tmp_path)
    assert {" NA", " null", " nan", " None", " TRUE", " 1999"} <= set(read.tokens)
    assert read.tokens == tokens


def test_the_higher_score_merges_first_whatever_the_order_of_the_rows(folder, learned):
    header, *rows = rows_of(folder / MERGES_FILE)
    write_rows(folder / MERGES_FILE, [header, *reversed(rows)])
    tokenizer = Tokenizer.read(folder)
    assert tokenizer.merges == learned[0]
    assert tokenizer.encode(TEXT) == Tokenizer(*learned).encode(TEXT)


def test_scores_may_be_any_numbers_and_the_trace_shows_them(folder):
    header, *rows = rows_of(folder / MERGES_FILE)
    write_rows(
        folder / MERGES_FILE, [header, *([left, right, "free", -1.5 * i] for i, (left, right, *_) in enumerate(rows))]
    )
    tokenizer = Tokenizer.read(folder)
    assert list(tokenizer.scores.values())[:3] == [0, -1.5, -3]
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert -1.5 in tokenizer.trace("".join(rows[1][:2])).table()[3]


def test_a_table_may_have_more_tokens_than_merges_make(folder, learned):
    n = len(learned[1])
    with (folder / TOKENS_FILE).open("a", encoding="utf-8") as file:
        file.write(f"<|pad|>,{n}\n[unused 1],{n + 1}\n2019,{n + 2}\n")
    tokenizer = Tokenizer.read(folder)
    assert tokenizer.n_vocab == n + 3
    assert tokenizer.decode([n, n + 1]) == "<|pad|>[unused 1]"
    assert tokenizer.encode("<|pad|>", special=True) == [n]


def test_a_table_without_merges_is_bytes(tmp_path):
    write_tables(tmp_path, [], list(ALPHABET))
    tokenizer = Tokenizer.read(tmp_path)
    assert tokenizer.decode(tokenizer.encode("é")) == "é"
    assert len(tokenizer.encode("é")) == 2
    assert tokenizer.end_of_text is None


# refusing


def test_a_missing_file_is_told(folder):
    (folder / TOKENS_FILE).unlink()
    with pytest.raises(
        WeightsError, match=r"bpe_token_ids.csv is missing: a folder with a tokenizer holds vocab_bpe.csv and"
    ):
        Tokenizer.read(folder)


@pytest.mark.parametrize("name", [MERGES_FILE, TOKENS_FILE])
def test_an_empty_file_is_told(folder, name):
    (folder / name).write_text("")
    assert refusal(folder).startswith(f"{name} is empty: ")


@pytest.mark.parametrize("name", [MERGES_FILE, TOKENS_FILE])
def test_a_file_that_is_not_utf8_is_told_by_line(folder, name):
    data = (folder / name).read_bytes().split(b"\n")
    data[4] = b"\xe9" + data[4]
    (folder / name).write_bytes(b"\n".join(data))
    assert refusal(folder) == f"{name}, line 5: not UTF-8: save it as CSV UTF-8"


def test_a_header_over_the_tokens_is_told(folder):
    path = folder / TOKENS_FILE
    path.write_text("token,id\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert (
        refusal(folder)
        == "bpe_token_ids.csv, line 1: 'token,id' is a header, and none may be: remove it (row number = id)"
    )


def test_a_missing_header_over_the_merges_is_told(folder):
    path = folder / MERGES_FILE
    path.write_text(path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    assert refusal(folder) == (
        "vocab_bpe.csv, line 1: a merge where a header belongs: put `left,right,rank,score` above it"
    )


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["X"], "'X'"),
        (["X", "7"], "'X', '7'"),
        (["X", "5", "5"], "'X', '5', '5'"),
        ([], "nothing"),
        (["5", "X"], "'5', 'X'"),
    ],
)
def test_a_row_that_is_not_token_and_id_is_told_by_line(folder, cells, found):
    change(folder / TOKENS_FILE, 6, *cells)
    assert refusal(folder).startswith(
        f"bpe_token_ids.csv, line 6: expected a token and its id 5, found {found}: convert"
    )


def test_a_token_row_that_is_lacking_shifts_no_ids(folder):
    write_rows(folder / TOKENS_FILE, rows_of(folder / TOKENS_FILE)[:9] + rows_of(folder / TOKENS_FILE)[10:])
    assert refusal(folder).startswith("bpe_token_ids.csv, line 10: expected a token and its id 9, found '+', '10'")


def test_an_empty_token_is_told(folder):
    line = line_of(folder / TOKENS_FILE, " ")
    change(folder / TOKENS_FILE, line, "", line - 1)
    assert refusal(folder).startswith(f"bpe_token_ids.csv, line {line}: the token is empty (was it a space?)")


@pytest.mark.parametrize("name", [MERGES_FILE, TOKENS_FILE])
def test_a_torn_quote_is_told_by_its_line(folder, name):
    lines = (folder / name).read_text(encoding="utf-8").split("\n")
    lines[7] = '"' + lines[7]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    assert refusal(folder).startswith(f"{name}, line 8: ")


@pytest.mark.parametrize("name", [MERGES_FILE, TOKENS_FILE])
def test_a_file_of_something_else_is_told(folder, name):
    (folder / name).write_text("x" * 200_000, encoding="utf-8")
    assert refusal(folder).startswith(f"{name}, line 1: ")


@pytest.mark.parametrize("cells", [["a", "b", "1"], ["a", "b", "1", "x"], ["a", "b", "1", "nan"], ["a"], []])
def test_a_row_that_is_not_a_merge_is_told_by_line(folder, cells):
    change(folder / MERGES_FILE, 3, *cells)
    assert refusal(folder).startswith("vocab_bpe.csv, line 3: expected left, right, rank and score, found ")


def test_a_merge_of_what_nothing_made_is_told_by_line(folder):
    change(folder / MERGES_FILE, 4, "th", "q", 2, 80.5)
    assert refusal(folder).startswith(
        "vocab_bpe.csv, line 4: 'th' is no letter of GPT-2's byte alphabet, and no merge makes it: convert"
    )


def test_a_merge_before_its_side_is_made_is_told_with_both_lines(folder):
    header, *rows = rows_of(folder / MERGES_FILE)
    later = next(i for i, row in enumerate(rows) if len(row[0]) > 1)
    made = next(i for i, row in enumerate(rows) if row[0] + row[1] == rows[later][0])
    rows[later][3] = "1000"
    write_rows(folder / MERGES_FILE, [header, *rows])
    assert refusal(folder) == (
        f"vocab_bpe.csv, line {later + 2}: {rows[later][0]!r} is made only by the later merge in line {made + 2}: "
        "correct the scores"
    )


def test_a_merge_that_stands_there_twice_is_told(folder):
    rows = rows_of(folder / MERGES_FILE)
    left, right = rows[4][:2]
    change(folder / MERGES_FILE, len(rows), left, right, 7, 0)
    assert refusal(folder).startswith(
        f"vocab_bpe.csv, line {len(rows)}: the merge of line 5 again: {left!r}, {right!r}: "
    )


def test_tables_that_spell_spaces_otherwise_are_told(folder):
    path = folder / MERGES_FILE
    path.write_text(path.read_text(encoding="utf-8").replace(" ", "Ġ"), encoding="utf-8")
    assert "spells a space as Ġ, where these files hold a space: convert the table again" in refusal(folder)


CHANGED = {
    "a date": ["1-Jan", "Jan-01", "01. Mrz", "févr.-99", "1/2/1999", "2024-01-31", "03.04.2005"],
    "a time": ["12:30", "1:05:00 PM"],
    "an error value": ["#NAME?", "#VALUE!", "#DIV/0!", "#N/A", "#BEZUG!"],
    "a rounded number": ["1E+05", "1.99E+14", "1,5", "19.925"],
    "a number": ["99999", "-12"],
    "a truth value": ["TRUE", "FALSE", "WAHR"],
}


@pytest.mark.parametrize(("kind", "cell"), [(kind, cell) for kind, cells in CHANGED.items() for cell in cells])
@pytest.mark.parametrize("token", [" jan", "199", "a", "Ã©ä"])
def test_a_token_that_a_spreadsheet_program_changed_is_told_with_what_was_there(folder, kind, cell, token):
    line = line_of(folder / TOKENS_FILE, token)
    change(folder / TOKENS_FILE, line, cell, line - 1)
    assert refusal(folder) == (
        f"bpe_token_ids.csv, line {line}: {cell!r} is {kind} that a spreadsheet made of a token "
        f"(line {line} should be {token!r}): convert or export the table again, and don't save token files with a "
        "spreadsheet program"
    )


def test_a_changed_token_that_became_another_is_told_with_both_lines(folder):
    zero, zeros = (line_of(folder / TOKENS_FILE, token) for token in ("0", "00"))
    change(folder / TOKENS_FILE, zeros, "0", zeros - 1)
    message = refusal(folder)
    assert message.startswith(f"bpe_token_ids.csv, line {zeros}: '0' stands in lines {zero} and {zeros} ")
    assert f"(line {zeros} should be '00'): convert" in message


def test_an_error_value_in_place_of_a_special_token_is_told(folder):
    line = line_of(folder / TOKENS_FILE, "<|endoftext|>")
    change(folder / TOKENS_FILE, line, "#NAME?", line - 1)
    assert refusal(folder).startswith(f"bpe_token_ids.csv, line {line}: '#NAME?' is an error value that a spreadsheet")


def test_changed_cells_among_the_merges_are_told(folder):
    line = next(i for i, row in enumerate(rows_of(folder / MERGES_FILE), 1) if row[0] == " t")
    change(folder / MERGES_FILE, line, "1-Jan", "9", 5, 70.5)
    assert refusal(folder).startswith(
        f"vocab_bpe.csv, line {line}: '1-Jan' is a date that a spreadsheet made of a token: "
    )


def test_the_line_of_a_changed_token_is_found_in_gpt2s_own_table(gpt2_tables, tmp_path):
    for name in (MERGES_FILE, TOKENS_FILE):
        (tmp_path / name).write_bytes((gpt2_tables / name).read_bytes())
    change(tmp_path / TOKENS_FILE, 12346, "Jan-45", 12345)
    expected = rows_of(gpt2_tables / TOKENS_FILE)[12345][0]
    assert f"line 12346: 'Jan-45' is a date that a spreadsheet made of a token (line 12346 should be {expected!r})" in (
        refusal(tmp_path)
    )


# torn


def cut_merges(folder, lines: int, turn=lambda rows: rows):
    """Keep the header and so many merges."""
    header, *rows = rows_of(folder / MERGES_FILE)
    write_rows(folder / MERGES_FILE, [header, *turn(rows)[:lines]])


@pytest.mark.parametrize("lost", [1, 2, 10, -1])
def test_merges_that_end_early_are_told_and_cut_no_text_otherwise(folder, learned, lost):
    cut_merges(folder, 1 if lost < 0 else len(learned[0]) - lost)
    last = len(learned[0]) if lost < 0 else lost + 1
    assert refusal(folder).startswith(f"vocab_bpe.csv is torn: its scores end at {last}, and the last is 1: convert")


def test_merges_of_which_none_is_left_are_told(folder):
    cut_merges(folder, 0)
    assert refusal(folder).startswith("vocab_bpe.csv is torn: it makes none of ")


@pytest.mark.parametrize("lost", [1, 5, 30])
def test_merges_without_their_first_ones_are_told(folder, learned, lost):
    """Written with the lowest score first, a table that ends early has lost those of the highest scores."""
    cut_merges(folder, len(learned[0]) - lost, lambda rows: rows[::-1])
    assert refusal(folder).startswith("vocab_bpe.csv")


def test_merges_that_have_lost_one_in_the_middle_are_told(folder, learned):
    header, *rows = rows_of(folder / MERGES_FILE)
    parts = {part for left, right in learned[0] for part in (left, right)}
    unused = next(i for i, (left, right, *_) in enumerate(rows) if i and left + right not in parts)
    write_rows(folder / MERGES_FILE, [header, *rows[:unused], *rows[unused + 1 :]])
    token = "".join(rows[unused][:2])
    assert refusal(folder).startswith(f"vocab_bpe.csv is torn: it makes none of 1 tokens, such as {token!r}")


def test_scores_of_ones_own_are_torn_where_they_make_not_all_tokens(folder, learned):
    header, *rows = rows_of(folder / MERGES_FILE)
    own = [[left, right, "", -0.5 * i] for i, (left, right, *_) in enumerate(rows)]
    write_rows(folder / MERGES_FILE, [header, *own])
    assert Tokenizer.read(folder).merges == learned[0]
    write_rows(folder / MERGES_FILE, [header, *own[:-3]])
    assert refusal(folder).startswith("vocab_bpe.csv is torn: it makes none of 3 tokens")


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_table_cut_anywhere_in_its_last_lines_is_told(folder, cut):
    """Also inside a score: what is left of it is a number."""
    path = folder / MERGES_FILE
    path.write_bytes(path.read_bytes()[: -4 * cut])
    assert refusal(folder).startswith("vocab_bpe.csv")


def test_words_that_were_added_behind_a_whole_table_are_no_sign_of_a_torn_one(folder, learned):
    n = len(learned[1])
    with (folder / TOKENS_FILE).open("a", encoding="utf-8") as file:
        file.write(f"thethe,{n}\n COVID,{n + 1}\n")
    assert Tokenizer.read(folder).encode("thethe") == Tokenizer(*learned).encode("thethe")
