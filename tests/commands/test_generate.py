"""`sheetgpt generate` as a person uses it: what it prints, streams, writes and refuses, and how Ctrl-C ends it."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest

from models import SMALL, random_matrices
from sheetgpt import cli, load_model
from sheetgpt.bpe import write_tables
from sheetgpt.bpe.words import ALPHABET, spell
from sheetgpt.generate.decode import Decoder, generate
from sheetgpt.generate.sample import COLUMNS, Sampling
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights

BYTES = Config(n_layer=2, n_head=2, n_embd=8, n_ctx=12, n_vocab=257)  # a token for each byte, and the end of text
EURO = [ALPHABET.index(letter) for letter in spell("€")]  # three bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate") / "weights"
    write_weights(folder, BYTES, random_matrices(BYTES, seed=3))
    write_tables(folder, [], [*ALPHABET, "<|endoftext|>"])
    return folder


@pytest.fixture
def run(folder, capsys, tmp_path, monkeypatch):
    """Runs the command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*args):
        code = 0
        try:
            cli.main(["generate", *map(str, args), "--weights", str(folder)])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    return command


def force(monkeypatch, ids):
    """Make every decoder's logits lead to these tokens: for what comes after the choice."""
    tokens = iter(ids)

    class Forced:
        length = 0

        def __init__(self, *_):
            pass

        def feed(self, _ids):
            return np.eye(BYTES.n_vocab)[next(tokens)]

    monkeypatch.setattr("sheetgpt.generate.decode.Decoder", Forced)


def test_the_prompt_and_its_continuation_are_printed(run):
    code, out, err = run("ab", "-n", 4, "--no-stop-at-eos")
    assert (code, err) == (0, "")
    assert out.startswith("ab")
    assert out.endswith("\n")


def test_json_tells_every_token_and_the_texts_make_the_text(run, folder):
    code, out, err = run("ab", "-n", 6, "--seed", 5, "--json")
    about = json.loads(out)
    assert (code, err) == (0, "")
    assert about["prompt"] == "ab"
    assert about["text"] == "".join(token["text"] for token in about["tokens"])
    assert about["sampling"]["seed"] == 5
    assert about["dtype"] == "float32"
    assert about["end"] == "n"
    model = load_model(folder, "float32")
    for ours, token in zip(about["tokens"], model.generate("ab", 6, seed=5), strict=True):
        assert set(ours) == {"id", "token", "text", "logit", "probability", "rank"}
        assert all(ours[key] == getattr(token, key) for key in ours)


def test_the_same_seed_prints_the_same_text_and_another_seed_another(run):
    texts = [run("ab", "-n", 8, "--temperature", 2, "--seed", seed)[1] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_seed_that_nobody_gave_is_told_and_makes_the_text_again(run):
    options = ("ab", "-n", 8, "--temperature", 2, "--no-stop-at-eos")  # any seed may be drawn
    _, out, err = run(*options)
    seed = err.split()[1]
    assert err == f"Seed {seed} (--seed {seed} makes this text again).\n"
    assert run(*options, "--seed", seed)[1] == out


def test_greedy_needs_no_option(run):
    assert run("ab", "-n", 5, "--greedy")[1] == run("ab", "-n", 5)[1] == run("ab", "-n", 5, "--temperature", 0)[1]


def test_a_full_context_slides_with_a_notice_or_ends(run):
    code, _, err = run("abc", "-n", 12, "--no-stop-at-eos")
    assert code == 0
    assert err == "The context of 12 tokens was full: it went on with its newest 6 alone.\n"
    code, out, err = run("abc", "-n", 12, "--no-slide", "--no-stop-at-eos", "--json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["end"], len(json.loads(out)["tokens"])) == ("context", 9)
    _, _, err = run("abc", "-n", 12, "--no-slide", "--no-stop-at-eos")
    assert err == "Prompt and new tokens fill the context of 12 tokens. --slide goes on.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["ab", "-n", 0], "n is 0: generate at least 1 token"),
        (["ab", "--temperature", -1], "temperature is -1.0: give 0 (greedy) or more, such as 0.8"),
        (["ab", "--top-p", 0], "top-p is 0.0: give more than 0 and at most 1, such as 0.9"),
        (["ab", "--top-p", 1.5], "top-p is 1.5: give more than 0 and at most 1, such as 0.9"),
        (["ab", "--top-k", 0], "top-k is 0: keep at least 1 candidate, or leave it out"),
        (
            ["ab", "--seed", "x"],
            "Invalid value for '--seed': 'x' is not a valid integer. See sheetgpt generate --help.",
        ),
        (
            ["ab", "--seed", 1.5],
            "Invalid value for '--seed': '1.5' is not a valid integer. See sheetgpt generate --help.",
        ),
        (
            ["a" * 12],
            "the prompt has 12 tokens and the model's context holds 12: shorten it to 11, as a new token needs a place",
        ),
        (["a" * 13], "the prompt has 13 tokens and the model's context holds 12: shorten it"),
        ([""], "the prompt is empty: give at least one token"),
        ([], "give either a prompt or token ids"),
        (["ab", "--token-ids", "1"], "give either a prompt or token ids, not both"),
        (
            ["ab", "--greedy", "--temperature", 1],
            "greedy has no temperature, and temperature 1.0 is given: leave one out",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, args, message):
    assert run(*args) == (2, "", f"Error: {message}\n")


def test_bytes_of_a_character_come_as_one_when_it_is_complete(folder, monkeypatch):
    model = load_model(folder)
    letter, end = ALPHABET.index("x"), 256
    ids = [letter, *EURO, *EURO[:2], letter, *EURO[:1], end]
    force(monkeypatch, ids)
    tokens = list(generate(model, [letter], 50, Sampling()))
    assert [token.id for token in tokens] == ids
    assert [token.text for token in tokens] == ["x", "", "", "€", "", "", "\ufffdx", "", "\ufffd"]
    assert [token.ends for token in tokens] == [False] * 8 + [True]


def test_the_end_of_text_is_printed_where_generation_goes_on(folder, monkeypatch):
    model = load_model(folder)
    force(monkeypatch, [256, 256, 1])
    tokens = list(generate(model, [1], 3, Sampling(), stop_at_eos=False))
    assert "".join(token.text for token in tokens) == f"<|endoftext|><|endoftext|>{ALPHABET[1]}"


def test_a_model_without_a_tokenizer_takes_and_tells_ids(tmp_path, capsys):
    write_weights(tmp_path / "w", SMALL, random_matrices(SMALL))
    cli.main(["generate", "--token-ids", "1,2", "-n", "2", "--weights", str(tmp_path / "w")])
    out, _ = capsys.readouterr()
    assert out.startswith("#1#2#")


def read(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_dump_lets_the_choice_be_made_by_hand(run, tmp_path):
    options = ["--temperature", 0.7, "--top-k", 30, "--top-p", 0.8, "--seed", 2]
    _, out, _ = run("ab", "-n", 5, *options, "--dump-csv", "--name", "mine", "--json")
    about = json.loads((tmp_path / "exports/mine/manifest.json").read_text(encoding="utf-8"))
    assert json.loads(out)["files"] == ["exports/mine"]
    assert about["tokens"] == json.loads(out)["tokens"]
    assert [stage["name"] for stage in about["stages"]] == [f"pick_{i:04d}" for i in range(1, 6)]
    for token, stage in zip(about["tokens"], about["stages"], strict=True):
        rows = read(tmp_path / f"exports/mine/{stage['name']}.csv")
        assert tuple(rows[0]) == COLUMNS
        assert stage["shape"] == [len(rows), len(COLUMNS)]
        assert [row["kept by top-k"] for row in rows] == ["yes"] * 30 + ["no"] * 227
        weights = [np.exp(float(row["logit / temperature"])) * (row["kept by top-p"] == "yes") for row in rows]
        by_hand = np.array(weights) / sum(weights)
        np.testing.assert_allclose([float(row["probability"]) for row in rows], by_hand, rtol=1e-9, atol=1e-15)
        random = float(rows[0]["random number"])
        chosen = next(row for row in rows if float(row["cumulative sum"]) > random)
        assert chosen["picked"] == "yes"
        assert int(chosen["id"]) == token["id"]
        assert sum(row["picked"] == "yes" for row in rows) == 1


def test_a_greedy_pick_needs_no_random_number(run, tmp_path):
    run("ab", "-n", 1, "--dump-csv", "--name", "mine")
    rows = read(tmp_path / "exports/mine/pick_0001.csv")
    assert rows[0]["picked"] == "yes"
    assert {row["random number"] for row in rows} == {""} == {row["logit / temperature"] for row in rows}


def test_the_workbook_has_an_index_that_leads_to_each_picks_tab(run, tmp_path):
    from openpyxl import load_workbook

    run("ab", "-n", 3, "--seed", 1, "--top-k", 5, "--no-stop-at-eos", "--dump-xlsx", "--dump-csv", "--name", "mine")
    with pytest.warns(UserWarning, match="extension"):  # data bars, which openpyxl doesn't know
        book = load_workbook(tmp_path / "exports/mine.xlsx")
    assert book.sheetnames == ["index", "pick_0001", "pick_0002", "pick_0003"]
    links = {cell.hyperlink.location for row in book["index"] for cell in row if cell.hyperlink}
    assert links == {f"'{name}'!A1" for name in book.sheetnames[1:]}
    for name in book.sheetnames[1:]:
        cells = list(book[name].iter_rows(min_row=3, values_only=True))
        assert cells[0] == COLUMNS
        for row, by_csv in zip(cells[1:], read(tmp_path / f"exports/mine/{name}.csv"), strict=False):
            assert row[2] == by_csv["token"]
            for cell, text in zip(row, by_csv.values(), strict=True):
                assert str(cell or "") == text or float(cell) == pytest.approx(float(text), rel=1e-15)
        assert {type(row[2]) for row in cells[1 : BYTES.n_vocab + 1]} == {str}  # tokens such as "=" and "7" stay texts


def test_a_large_vocabularys_tables_are_cut_and_say_so(tmp_path, capsys, monkeypatch):
    from openpyxl import load_workbook

    monkeypatch.chdir(tmp_path)
    config = Config(n_layer=1, n_head=1, n_embd=4, n_ctx=8, n_vocab=1500)
    write_weights(tmp_path / "w", config, random_matrices(config))
    options = ["--dump-csv", "--dump-xlsx", "--name", "big", "--weights", "w", "--temperature", "1", "--seed", "1"]
    cli.main(["generate", "--token-ids", "1", "-n", "1", *options])
    rows = read(tmp_path / "exports/big/pick_0001.csv")
    assert [row["rank"] for row in rows[:1000]] == [str(i) for i in range(1, 1001)]
    sentence = rows[-1]["token"]
    assert sentence.startswith(f"{1500 - len(rows) + 1} more candidates")
    with pytest.warns(UserWarning, match="extension"):
        sheet = load_workbook(tmp_path / "exports/big.xlsx")["pick_0001"]
    assert sheet.cell(sheet.max_row, 1).value == sentence
    capsys.readouterr()


@pytest.mark.parametrize("where", ["decoding", "printing"])
def test_ctrl_c_at_any_place_ends_with_what_was_made_so_far(run, monkeypatch, where):
    calls = iter(range(100))

    def interrupt(function):
        def interrupted(*args, **kwargs):
            if next(calls) == 3:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return interrupted

    if where == "decoding":
        monkeypatch.setattr("sheetgpt.generate.decode.Decoder.feed", interrupt(Decoder.feed))
    else:
        monkeypatch.setattr("click.echo", interrupt(click.echo))
    code, out, err = run("ab", "-n", 100, "--no-stop-at-eos")
    assert (code, err) == (130, "Interrupted after 3 of 100 tokens.\n")
    assert out.startswith("ab")
    assert out.endswith("\n")


def test_ctrl_c_still_prints_json(run, monkeypatch):
    monkeypatch.setattr("sheetgpt.generate.record.Record.following", lambda *_: raising())
    code, out, _ = run("ab", "--json")
    assert code == 130
    assert (json.loads(out)["end"], json.loads(out)["tokens"]) == ("interrupted", [])


def raising():
    raise KeyboardInterrupt
    yield


def test_ctrl_c_in_a_terminal_keeps_the_text_and_writes_the_dump(folder, tmp_path):
    command = [sys.executable, "-m", "sheetgpt", "generate", "ab", "-n", "1000000000", "--no-stop-at-eos"]
    where = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*command, "--weights", str(folder), "--dump-csv", "--name", "mine"], **where)
    assert process.stdout.read(2) == b"ab"  # it streams
    process.stdout.read(1)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.endswith(b"\n")
    lines = err.decode().splitlines()
    assert "Traceback" not in err.decode()
    about = json.loads((tmp_path / "exports/mine/manifest.json").read_text(encoding="utf-8"))
    assert about["end"] == "interrupted"
    assert lines[0] == f"Interrupted after {len(about['tokens'])} of 1000000000 tokens."


def test_in_python_generation_yields_tokens(folder):
    model = load_model(folder)
    tokens = model.generate("ab", 3, stop_at_eos=False)
    assert next(tokens).rank == 1
    assert len(list(tokens)) == 2
