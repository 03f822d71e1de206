"""Prompts from every kind of file: the same list, and what can't be a prompt in its place with an error."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import require
from sheetgpt.batch.prompts import EMPTY, ENDINGS, LINES, Prompt, read_prompts
from sheetgpt.commands import batch, loss
from sheetgpt.errors import PromptError, TextError

TEXTS = ["Mike is quick. He moves", 'She said "no", twice', "", " a;b\tc ", "été 🙂"]
EXPECTED = [Prompt(text) if text else Prompt(text, error=EMPTY) for text in TEXTS]


def of(tmp_path: Path, name: str, data: bytes | str, **options) -> list[Prompt]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_prompts(str(path), **options)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_text_is_a_prompt_a_line(tmp_path, end, mark, last):
    assert of(tmp_path, "p.txt", mark + end.join(TEXTS) + (end if last else "")) == EXPECTED


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("columns", [["prompt"], ["id", "prompt"]])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_has_a_column_of_prompts(tmp_path, separator, mark, columns, end):
    out = io.StringIO(newline="")
    rows = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=end)
    rows.writerow(columns)
    rows.writerows([["7"] * (len(columns) - 1) + [text] for text in TEXTS])
    assert of(tmp_path, "p.csv", mark + out.getvalue()) == EXPECTED


def test_lines_of_a_csv_with_nothing_on_them_are_no_prompts(tmp_path):
    assert of(tmp_path, "p.csv", '\nprompt\nHe\n\n""\nShe\n\n') == [
        Prompt("He"),
        Prompt("", error=EMPTY),
        Prompt("She"),
    ]


def test_a_csv_may_have_lines_in_a_cell_and_token_ids_and_another_column(tmp_path):
    assert of(tmp_path, "p.csv", 'prompt\n"a\nb"\n') == [Prompt("a\nb")]
    ids = 'token_ids,n\n"3, 1,2",1\n[4 5],2\nx,3\n'
    assert of(tmp_path, "p.csv", ids)[:2] == [Prompt(token_ids=(3, 1, 2)), Prompt(token_ids=(4, 5))]
    assert of(tmp_path, "p.csv", ids)[2].error
    assert of(tmp_path, "p.csv", ids, column="n")[0] == Prompt("1")
    with pytest.raises(PromptError, match="has no column 'prompt', but 'a', 'b': name it by --column"):
        of(tmp_path, "p.csv", "a,b\n1,2\n")


@given(st.text("-+0123456789,. []x_\t", max_size=9) | st.integers(4301, 6000).map(lambda digits: "7" * digits))
@example("--3")
@example("-")
@example("²")
@example("1" * 5000)
def test_any_cell_of_token_ids_is_a_prompt_or_an_error_in_its_place(tmp_path_factory, cell):
    first, found, last = of(tmp_path_factory.mktemp("p"), "p.csv", f'token_ids\n1\n"{cell}"\n2\n')
    assert (first, last) == (Prompt(token_ids=(1,)), Prompt(token_ids=(2,)))
    assert (found.token_ids is None) != (found.error is None)
    if re.fullmatch(r"\s*-?\d{1,9}([, ]+-?\d{1,9})*\s*", cell, re.ASCII):
        assert found.token_ids == tuple(int(part) for part in cell.replace(",", " ").split())


def test_json_lines_hold_a_prompt_or_token_ids(tmp_path):
    lines = [json.dumps({"prompt": text}) for text in TEXTS]
    assert of(tmp_path, "p.jsonl", "\n".join(lines)) == EXPECTED
    assert of(tmp_path, "p.jsonl", '{"token_ids": [3, 1, 2], "more": null}') == [Prompt(token_ids=(3, 1, 2))]


@pytest.mark.parametrize(
    "line",
    ["", "{", "7", "{}", '{"prompt": "a", "token_ids": [1]}', '{"prompt": 3}', '{"token_ids": [1.5]}',
     '{"token_ids": []}', '{"token_ids": [true]}', '{"prompt": null}', "[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_no_prompt_is_an_error_in_its_place(tmp_path, line):
    first, bad, last = of(tmp_path, "p.jsonl", f'{{"prompt": "a"}}\n{line}\n{{"prompt": "b"}}\n')
    assert (first, last) == (Prompt("a"), Prompt("b"))
    assert bad.error
    assert "\n" not in bad.error


def test_parquet_has_a_column_of_prompts_or_of_lists(tmp_path):
    require("pyarrow", "test")
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"prompt": [*TEXTS, None], "n": [1] * 6}), tmp_path / "p.parquet")
    assert read_prompts(str(tmp_path / "p.parquet")) == [*EXPECTED, Prompt("", error=EMPTY)]
    parquet.write_table(pa.table({"token_ids": [[3, 1], []]}), tmp_path / "i.parquet")
    assert read_prompts(str(tmp_path / "i.parquet")) == [Prompt(token_ids=(3, 1)), Prompt(error=EMPTY)]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(PromptError, match="is no Parquet"):
        read_prompts(str(tmp_path / "t.parquet"))


def test_both_commands_offer_every_format_that_is_read():
    for command in (batch.command, loss.command):
        [offered] = [option.type.choices for option in command.params if option.name == "kind"]
        assert set(offered) == {*ENDINGS.values(), *LINES}


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(TextError, match="can't be read"):
        read_prompts(str(tmp_path / "nothing"))
    with pytest.raises(TextError, match="can't be read"):
        read_prompts("a\0b")
    with pytest.raises(PromptError, match="holds no prompt"):
        of(tmp_path, "p.txt", "")
    with pytest.raises(TextError, match="is not UTF-8 at byte 2"):
        of(tmp_path, "p.txt", b"a\xff")


@given(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1))
def test_any_line_is_the_prompt_that_stands_there(tmp_path_factory, text):
    if not text.startswith("\ufeff"):
        assert of(tmp_path_factory.mktemp("p"), "p.txt", f"a\n{text}\n")[1] == Prompt(text)
