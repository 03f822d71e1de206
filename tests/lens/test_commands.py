"""The lenses' commands, as a user runs them: what they print and write, and what they refuse in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import random_matrices, write_random_model
from sheetgpt import lens, load_model
from sheetgpt.cli import cli
from sheetgpt.lens.stream import stream_of
from sheetgpt.models import kinds
from sheetgpt.models.config import MODELS, Config
from sheetgpt.weights.folder import write_weights
from strange_model import NAME, strange

PROMPT, OTHER = "Mike is quick. He moves", "Mike is slow. He moves"
COMMANDS = {
    "lens": ["lens", PROMPT],
    "attribute": ["attribute", PROMPT, "--by-token"],
    "ablate": ["ablate", PROMPT],
    "patch": ["patch", PROMPT, OTHER],
}


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def table(result, name) -> np.ndarray:
    data = json.loads(result.out)
    (found,) = [one for one in data["tables"] if one["name"] == name]
    return np.array(found["values"])


def test_the_commands_give_what_python_gives(trace, tmp_path):
    other = load_model().run(OTHER)
    lenses = {
        "lens": lens.logit_lens(trace, sublayers=True).report(),
        "attribute": lens.attribute(trace, " quickly", " slowly").report(by_token=True),
        "ablate": lens.ablate(trace, " slowly").report(),
        "patch": lens.patch(trace, other, "block_*_step_8", 'logit " quickly"').report(),
    }
    options = {
        "lens": ["--sublayers"],
        "attribute": ["--token", " quickly", "--against", " slowly"],
        "ablate": ["--token", " slowly", "--zero"],
        "patch": ["--stage", "block_*_step_8", "--metric", 'logit " quickly"'],
    }
    for name, arguments in COMMANDS.items():
        result = sheetgpt_here(*arguments, *options[name], "--json", cwd=tmp_path)
        data = json.loads(result.out)
        assert data.pop("files") == []
        assert data == json.loads(json.dumps(lenses[name].as_data()))


@pytest.mark.parametrize("command", ["lens", "attribute", "ablate"])
def test_a_changed_run_is_looked_at_and_says_what_was_set(command, trace, tmp_path):
    changed = load_model().run(PROMPT, overrides={"block_0_step_15": np.zeros_like(trace.array("block_0_step_15"))})
    looks = {"lens": lens.logit_lens, "attribute": lens.attribute, "ablate": lens.ablate}
    result = sheetgpt_here(command, PROMPT, "--set", "block_0_step_15=0", "--json", cwd=tmp_path)
    data, expected = json.loads(result.out), looks[command](changed).report().as_data()
    assert data["set"] == ["block_0_step_15"]
    assert data["tables"] == json.loads(json.dumps(expected["tables"]))
    assert sheetgpt_here(command, PROMPT, "--set", "block_0_step_99=0", cwd=tmp_path).error


@pytest.mark.parametrize("command", COMMANDS)
def test_a_workbook_and_a_picture_are_written_where_they_are_asked_for(command, tmp_path):
    require("matplotlib", "plot")
    result = sheetgpt_here(*COMMANDS[command], "--dump-xlsx", "--plot", "x.svg", cwd=tmp_path)
    assert result.code == 0, result.err
    book = tmp_path / "exports" / f"{command}-mike-is-quick-he-moves.xlsx"
    assert result.out.splitlines()[-2:] == [f"Wrote {book.relative_to(tmp_path)}", "Wrote x.svg"]
    assert openpyxl.load_workbook(book).sheetnames[0] == "index"
    named = sheetgpt_here(*COMMANDS[command], "--dump-xlsx", "--exports", "there", "--name", "mine", cwd=tmp_path)
    assert named.code == 0
    assert (tmp_path / "there" / "mine.xlsx").exists()


@pytest.mark.parametrize("arguments", [*COMMANDS.values(), ["explain", PROMPT, "logits[3]"], ["neighbours", "Mike"]])
def test_a_workbook_of_that_name_is_replaced_with_a_word_unless_the_name_was_given(arguments, tmp_path):
    first = sheetgpt_here(*arguments, "--dump-xlsx", cwd=tmp_path)
    path = first.out.splitlines()[-1].removeprefix("Wrote ")
    second, chosen = (
        sheetgpt_here(*arguments, "--dump-xlsx", *name, cwd=tmp_path) for name in ([], ["--name", Path(path).stem])
    )
    assert second.err == f"{path} was there already and is replaced; --name keeps the next one beside it.\n"
    assert first.err == chosen.err == ""


def test_a_mean_over_a_corpus_is_said_to_be_one(tmp_path):
    (tmp_path / "corpus.txt").write_text("Mike is quick.\nAnna is slow. She moves slowly.\n", encoding="utf-8")
    result = sheetgpt_here("ablate", PROMPT, "--mean", "corpus.txt", "--json", cwd=tmp_path)
    assert "positions of 2 documents" in json.loads(result.out)["instead"]
    first = sheetgpt_here(
        "ablate", PROMPT, "--mean", "corpus.txt", "--documents", "1", "--what", "block_1 head 0", cwd=tmp_path
    )
    assert "positions of 1 documents" in first.out
    assert first.err == ""


REFUSALS = {
    "an unknown token, and those like it": (
        ["lens", PROMPT, "--token", "quickly"],
        '"quickly" is no token',
        '" quickly"',
    ),
    "a token that is none in attribution": (
        ["attribute", PROMPT, "--against", "xyzzy"],
        '"xyzzy" is no token',
        "did you",
    ),
    "an unknown token in a metric": (["patch", PROMPT, OTHER, "--metric", "logit qickly"], '"qickly"', '" quickly"'),
    "no metric": (["patch", PROMPT, OTHER, "--metric", "loss"], "--metric 'loss'", "logit difference A B"),
    "prompts of different lengths": (["patch", PROMPT, "Mike is."], "CLEAN has 6 tokens and CORRUPT has 3", "tokenize"),
    "prompts that predict the same": (["patch", PROMPT, PROMPT], "both prompts predict", "--metric"),
    "a stage without positions": (
        ["patch", PROMPT, OTHER, "--stage", "logits"],
        "logits has no row for each position",
        "block_1",
    ),
    "a stage of texts": (["patch", PROMPT, OTHER, "--stage", "final_tokens"], "final_tokens has no row", "block_1"),
    "a weight": (["patch", PROMPT, OTHER, "--stage", "model_wte"], "no stage is called 'model_wte'", "did you mean"),
    "an unknown piece": (["ablate", PROMPT, "--what", "block_7 head 1"], "--what 'block_7 head 1'", "block_"),
    "two ways out": (["ablate", PROMPT, "--zero", "--mean", "x.txt"], "either --zero or --mean", ""),
    "documents of nothing": (["ablate", PROMPT, "--documents", "3"], "--documents goes with --mean", ""),
    "no corpus": (["ablate", PROMPT, "--mean", "nowhere.txt"], "nowhere.txt", ""),
    "an empty corpus": (["ablate", PROMPT, "--mean", "empty.txt"], "the corpus has no tokens", ""),
    "another picture": (["lens", PROMPT, "--plot", "x.jpg"], "a picture ends in .png or .svg", ""),
    "no prompt": (["lens"], "give either a prompt or token ids", ""),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_one_line_and_writes_nothing(case, tmp_path):
    arguments, *expected = REFUSALS[case]
    (tmp_path / "empty.txt").touch()
    error = sheetgpt_here(*arguments, "--dump-xlsx", cwd=tmp_path).error
    assert all(text in error for text in expected), error
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


@pytest.mark.parametrize("kind", ["die", "softmax", "bigram", "mlp"])
def test_a_model_without_a_residual_stream_is_said_to_have_none(kind, tmp_path):
    config = Config(1, 1, 4, 4, 6, model=kind)
    shares = {name: np.abs(matrix) for name, matrix in random_matrices(config, seed=3).items()}
    write_weights(tmp_path / "w", config, shares)
    for command in ("lens", "attribute", "ablate"):
        result = sheetgpt_here(command, "--token-ids", "1,2", "--weights", tmp_path / "w", cwd=tmp_path)
        assert f"a {kind} model has no blocks that write to a residual stream" in result.error


@pytest.mark.parametrize(
    ("kind", "position"), [("attention", "sinusoidal"), ("microgpt", "learned"), ("gpt2", "rotary")]
)
def test_every_model_with_a_stream_works_without_a_tokenizer(kind, position, tmp_path):
    config = Config(1, 2, 8, 8, 10, position=position, model=kind)
    write_random_model(tmp_path / "w", config, untied=kind == "microgpt")
    for command in ("lens", "attribute", "ablate"):
        result = sheetgpt_here(
            command, "--token-ids", "1,2,3", "--token", "#4", "--weights", tmp_path / "w", cwd=tmp_path
        )
        assert result.code == 0, result.err
        assert '"#4"' in result.out


def test_patch_takes_token_ids_where_there_is_no_tokenizer(tmp_path):
    write_random_model(tmp_path / "w", Config(1, 2, 8, 8, 10))
    options = ["--ids", "--metric", "logit #4", "--weights", tmp_path / "w", "--json"]
    result = sheetgpt_here("patch", "1,2,3", "1,5,3", *options, cwd=tmp_path)
    recovered = table(result, "block_step_16")
    assert recovered.shape == (1, 3)
    assert recovered[0, 2] == pytest.approx(1)
    assert recovered[0, 0] == 0
    assert "whole numbers" in sheetgpt_here("patch", "a", "b", *options, cwd=tmp_path).error


# ------------------------------------------------------------------------------------------------ strange names


@pytest.fixture
def strange_folder(tmp_path):
    """A GPT-2 whose stages all have other names, and the same weights under the usual ones."""
    MODELS[NAME] = "strange_model"
    kinds._known.cache_clear()
    config = Config(2, 2, 8, 8, 30)
    for name, model in (("plain", "gpt2"), ("strange", NAME)):
        write_random_model(tmp_path / name, config)
        if model != "gpt2":
            with (tmp_path / name / "constants.csv").open("a") as file:
                file.write(f"model,{model}\n")
    yield tmp_path
    del MODELS[NAME]
    kinds._known.cache_clear()


def test_no_lens_asks_a_stages_name(strange_folder, tmp_path):
    plain, other = (load_model(strange_folder / name) for name in ("plain", "strange"))
    ids, others = [1, 2, 3], [1, 7, 3]
    runs = [model.run(token_ids=ids) for model in (plain, other)]
    ours, theirs = (lens.logit_lens(run, sublayers=True) for run in runs)
    assert [strange(name) for name in ours.stages] == list(theirs.stages)
    np.testing.assert_array_equal(ours.probability, theirs.probability)
    ours, theirs = (lens.attribute(run) for run in runs)
    np.testing.assert_array_equal(ours.parts["adds"], theirs.parts["adds"])
    np.testing.assert_array_equal(ours.by_token, theirs.by_token)
    np.testing.assert_array_equal(*(lens.ablate(run).logit for run in runs))
    pairs = zip(runs, (model.run(token_ids=others) for model in (plain, other)), strict=True)
    ours, theirs = (lens.patch(run, corrupt, metric="logit #1").patches for run, corrupt in pairs)
    np.testing.assert_array_equal(ours["recovered"], theirs["recovered"])
    stage = strange(stream_of(runs[0]).end.name)
    folder = strange_folder / "strange"
    with pytest.raises(SystemExit) as done:
        cli.main(["ablate", "--token-ids", "1,2", "--weights", str(folder)], standalone_mode=True)
    assert done.value.code == 0
    assert stage in theirs["stage"].tolist()
