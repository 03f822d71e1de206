"""`sheetgpt run`: what it shows, what it writes, what it refuses."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from command_line import sheetgpt_here
from models import SMALL, write_random_model
from sheetgpt import load_model
from sheetgpt.commands import run
from sheetgpt.models.heads import unpadded

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "w"
    write_random_model(folder, SMALL)
    return folder


def numbers(path) -> np.ndarray:
    """A dumped stage without its labels."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return np.array([[float(cell) for cell in row[1:]] for row in rows])


def test_the_embedded_model_completes_the_references_prompt():
    result = sheetgpt_here("run", PROMPT)
    assert result.code == 0, result.err
    assert 'Predicted token: " quickly"' in result.out
    assert result.err == ""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_large_dump_is_announced_with_its_size(dtype, tmp_path, monkeypatch):
    def err(*options):
        text = "Mike is quick. He moves quickly. " * 6 + "Mike is quick. He moves quickly."
        return (
            CliRunner()
            .invoke(run.command, [text, "--exports", str(tmp_path), "--name", "big", "--dtype", dtype, *options])
            .stderr
        )

    assert err("--dump-csv") == ""
    monkeypatch.setattr(run, "MANY_CELLS", 100_000)
    told = err("--dump-csv", "--dump-xlsx")
    found = re.fullmatch(r"Writing a workbook of about (\d+) MB and about (\d+) MB of CSV: [\d,]+ cells\. .*\n", told)
    sizes = [(tmp_path / "big.xlsx").stat().st_size]
    sizes.append(sum(path.stat().st_size for path in (tmp_path / "big").iterdir()))
    for megabytes, size in zip(found.groups(), sizes, strict=True):
        assert float(megabytes) == pytest.approx(size / 1e6, rel=0.5)
    assert err() == ""


def test_json_holds_tokens_predictions_and_constants():
    data = json.loads(sheetgpt_here("run", PROMPT, "--json", "--top", "3").out)
    assert [entry["token"] for entry in data["tokens"]] == ["Mike", " is", " quick", ".", " He", " moves"]
    assert data["predicted_token"]["token"] == " quickly"
    assert len(data["predictions"]) == 3
    assert data["predictions"][0]["probability"] > 0.9
    assert data["constants"] == dict(load_model().config.rows())


def test_a_csv_dump_holds_every_stage_exactly_and_says_what_it_is(small, tmp_path):
    arguments = ["--weights", small, "--token-ids", "5, 4,3", "--dump-csv", "--exports", tmp_path, "--name", "d"]
    result = sheetgpt_here("run", *arguments)
    assert f"Wrote {tmp_path / 'd'}" in result.out
    trace = load_model(small).run(token_ids=[5, 4, 3])
    about = json.loads((tmp_path / "d" / "manifest.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in about["stages"]] == list(trace)
    assert [entry["id"] for entry in about["tokens"]] == [5, 4, 3]
    assert about["dtype"] == "float64"
    assert about["constants"] == dict(SMALL.rows())
    assert about["weights"] == str(small)
    for stage in about["stages"]:
        if not trace.step(stage["name"]).is_text:
            matrix = numbers(tmp_path / "d" / f"{stage['name']}.csv")
            np.testing.assert_array_equal(matrix, trace.array(stage["name"]))
            assert list(matrix.shape) == stage["shape"]


def test_the_references_head_layout_is_written_where_it_fits(small, tmp_path):
    arguments = ["--weights", small, "--token-ids", "1,2,3", "--dump-csv", "--exports", tmp_path, "--name", "d"]
    sheetgpt_here("run", *arguments, "--head-layout", "reference")
    trace = load_model(small).run(token_ids=[1, 2, 3])
    padded = numbers(tmp_path / "d" / "block_1_step_7.csv")
    assert padded.shape == (3, SMALL.n_embd)
    np.testing.assert_array_equal(unpadded(padded, SMALL.n_head), trace.array("block_1_step_7"))


def test_more_tokens_than_the_head_size_are_refused_in_the_references_layout_and_nothing_is_left(small, tmp_path):
    arguments = ["--weights", small, "--token-ids", "1,2,3,4,5", "--dump-csv", "--exports", tmp_path]
    assert "holds 4 tokens" in sheetgpt_here("run", *arguments, "--head-layout", "reference").error
    assert list(tmp_path.iterdir()) == []


def test_dumped_csvs_equal_the_references_run_within_1e_11(reference_run, tmp_path):
    folder, expected, tokens = reference_run
    arguments = ["--weights", folder, "--dump-csv", "--exports", tmp_path, "--name", "d", "--head-layout", "reference"]
    assert sheetgpt_here("run", tokens["prompt"], *arguments).code == 0
    for name, matrix in expected.items():
        ours, masked = numbers(tmp_path / "d" / f"{name}.csv"), matrix < -1e9
        np.testing.assert_allclose(ours[~masked], matrix[~masked], rtol=0, atol=1e-11, err_msg=name)
    with (tmp_path / "d" / "prompt_to_tokens.csv").open(newline="", encoding="utf-8") as file:
        dumped = [row[1:] for row in csv.reader(file)][1:]
    assert dumped == [[str(cell) for cell in row] for row in tokens["prompt_to_tokens"]]


def test_the_same_run_writes_the_same_bytes(small, tmp_path):
    for place in ("a", "b"):
        sheetgpt_here(
            "run", "--weights", small, "--token-ids", "1,2", "--dump-csv", "--dump-xlsx", "--exports", tmp_path / place
        )
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 40
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_dump_of_the_embedded_model_names_no_path_and_a_diff_finds_the_model_again(tmp_path):
    assert sheetgpt_here("run", PROMPT, "--dump-csv", "--dump-xlsx", "--exports", tmp_path, "--name", "d").code == 0
    assert json.loads((tmp_path / "d" / "manifest.json").read_text(encoding="utf-8"))["weights"] == "embedded"
    result = sheetgpt_here("diff", tmp_path / "d.xlsx", "run:" + PROMPT, cwd=tmp_path)
    assert result.code == 0, result.err


def test_a_dump_replaces_a_dump_but_never_something_else(small, tmp_path):
    arguments = ["run", "--weights", small, "--token-ids", "1,2", "--dump-csv", "--exports", tmp_path, "--name", "d"]
    assert sheetgpt_here(*arguments).code == 0
    assert sheetgpt_here(*arguments).code == 0
    (tmp_path / "d" / "manifest.json").unlink()
    assert "exists and is not a dump" in sheetgpt_here(*arguments).error
    assert (tmp_path / "d" / "logits.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "the prompt is empty"),
        ([], "give either a prompt or token ids"),
        (["x " * 200], "tokens and the model's context holds"),
        (["--token-ids", "1,99999"], "token id 99999 (position 1) is not in the model"),
        (["--token-ids", "1,x"], "--token-ids takes whole numbers such as \"3,1,2\", not '1,x'"),
        (["Mike", "--weights", "nowhere"], "nowhere"),
        (["Mike", "--dtype", "float16"], "'float16' is not one of"),
        (["Mike", "--dump-csv", "--exports", "/dev/null/x"], "can't write"),
        (["Mike", "--dump-xlsx", "--exports", "/dev/null/x"], "/dev/null/x"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    assert message in sheetgpt_here("run", *arguments, cwd=tmp_path).error
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_token_files_says_so(small):
    assert "give --token-ids" in sheetgpt_here("run", "Mike", "--weights", small).error


@pytest.mark.parametrize("name", ["../out", "a/b", "/tmp/x", "a\\b", "", ".", "..", "n" * 300])
@pytest.mark.parametrize("command", [["run"], ["generate", "-n", "1"], ["train-step"]])
def test_a_name_is_one_name_and_nothing_is_written_else(tmp_path, command, name):
    first, *more = command
    result = sheetgpt_here(first, "Mike is quick", *more, "--dump-csv", "--name", name, cwd=tmp_path)
    assert "is not one name: a folder is given by --exports" in result.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "ü=1", "-x", ".hidden", "a.b"])
def test_any_one_name_will_do(tmp_path, name):
    assert sheetgpt_here("run", "Mike", "--dump-csv", f"--name={name}", cwd=tmp_path).code == 0
    assert (tmp_path / "exports" / name / "manifest.json").is_file()


def test_texts_stand_in_csv_dumps_as_they_are(tmp_path):
    assert sheetgpt_here("run", '=1+2 @x -3 "', "--dump-csv", "--name", "d", cwd=tmp_path).code == 0
    with (tmp_path / "exports" / "d" / "separated_into_words.csv").open(newline="", encoding="utf-8") as file:
        words = list(csv.reader(file))[1][1:]
    assert "".join(words) == '=1+2 @x -3 "'
