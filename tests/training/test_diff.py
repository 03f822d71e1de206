"""Training steps side by side: dumps and a port's own files are equal where they are, in every format and order."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.commands.diff import command
from sheetgpt.diff import training as diff
from sheetgpt.errors import DumpError
from sheetgpt.fixtures.conventions import OURS
from sheetgpt.fixtures.files import save
from sheetgpt.model import Model
from sheetgpt.models import kinds
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.training.dump import write_folder
from sheetgpt.training.example import example
from sheetgpt.training.matrices import are_of_training, in_order
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import train_steps
from sheetgpt.training.trainer import initial_weights
from sheetgpt.training.workbook.write import write_training
from sheetgpt.weights.folder import Weights
from sheetgpt.workbook.reading.names import defined_names
from workbooks import set_cell

TEXT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def training():
    model = load_model()
    return train_steps(model, example(model, TEXT), Settings(steps=2, weight_decay=0.0), TEXT)


@pytest.fixture(scope="module")
def dumps(training, tmp_path_factory):
    """A folder with two steps as dump/, the first one as dump.xlsx and as a port would write it."""
    folder = tmp_path_factory.mktemp("steps")
    write_folder(training, folder / "dump")
    write_training(replace(training, steps=training.steps[:1]), folder / "dump.xlsx")
    matrices = training.steps[0].matrices
    np.savez(folder / "port.npz", **matrices)
    save_file({name: np.ascontiguousarray(matrix) for name, matrix in matrices.items()}, folder / "port.safetensors")
    save(folder / "port.json", matrices, {}, OURS)
    shutil.copytree(folder / "dump" / "step_1", folder / "port")
    shutil.copytree(folder / "dump", folder / "port_of_two")
    (folder / "port_of_two" / "manifest.json").unlink()
    return folder


OUR_OWN = ("dump", "dump.xlsx")
PORTS = ("port", "port_of_two", "port.npz", "port.safetensors", "port.json")


@pytest.mark.parametrize("right", [*OUR_OWN, *PORTS])
@pytest.mark.parametrize("left", ["dump", "port"])
def test_equal_steps_are_equal_whatever_holds_them(dumps, left, right):
    left, right = (str(dumps / name) for name in (left, right))
    assert diff.is_training(left)
    assert diff.is_training(right)
    report = diff.compare(left, right)
    assert report.first is None
    assert len(report.matrices) >= len(diff.opened(str(dumps / "port.npz")).readers)


@pytest.mark.parametrize("name", PORTS)
def test_of_gradients_that_are_off_the_one_nearest_to_the_loss_comes_first(dumps, training, tmp_path, name):
    off = {**training.steps[0].matrices}
    for matrix in ("d_model_wte", "d_block_1_step_12", "d_block_0_step_12"):
        off[matrix] = off[matrix] + 1e-3
    np.savez(tmp_path / "off.npz", **off)
    report = diff.compare(str(dumps / name), str(tmp_path / "off.npz"))
    assert [one.name for one in report.matrices if not one.equal] == [
        "d_block_1_step_12",
        "d_block_0_step_12",
        "d_model_wte",
    ]


def test_gradients_alone_are_recognised_and_the_command_compares_them(dumps, training, tmp_path):
    ours = training.steps[0].matrices
    np.savez(tmp_path / "a.npz", d_logits=ours["d_logits"], d_model_wte=ours["d_model_wte"])
    np.savez(tmp_path / "b.npz", d_logits=ours["d_logits"], d_model_wte=ours["d_model_wte"] * 2)
    done = sheetgpt_here("diff", tmp_path / "a.npz", tmp_path / "b.npz")
    assert (done.code, done.out.splitlines()[0]) == (1, "d_model_wte diverges first.")
    done = sheetgpt_here("diff", tmp_path / "a.npz", dumps / "dump")
    assert (done.code, done.out.splitlines()[0]) == (0, "No matrix diverges: 2 are equal.")


def test_single_precision_is_no_difference_and_a_small_gradient_twice_as_large_is_one(dumps, training, tmp_path):
    ours = training.steps[0].matrices
    single = {name: matrix.astype(np.float32) for name, matrix in ours.items() if name.startswith("d_")}
    np.savez(tmp_path / "single.npz", **single)
    assert diff.compare(str(dumps / "dump"), str(tmp_path / "single.npz")).first is None
    small = min((name for name in single if np.abs(single[name]).max() > 1e-7), key=lambda n: np.abs(single[n]).max())
    np.savez(tmp_path / "twice.npz", **single | {small: 2 * single[small]})
    assert diff.compare(str(dumps / "dump"), str(tmp_path / "twice.npz")).first.name == small


def test_a_port_may_hold_vectors_a_batch_axis_an_axis_for_heads_and_any_mask(dumps, training, tmp_path):
    ours = training.steps[0].matrices
    tokens = len(ours["block_0_step_6"])
    heads = ours["d_block_0_step_7"].reshape(tokens, -1, tokens).swapaxes(0, 1)
    masked = np.where(ours["block_0_step_6"] < -1e9, -np.inf, ours["block_0_step_6"])
    bias, batch = ours["d_model_h0_attn_c_attn_b"][0], ours["d_block_0_step_3"][None]
    np.savez(
        tmp_path / "port.npz",
        d_block_0_step_7=heads,
        block_0_step_6=masked,
        d_model_h0_attn_c_attn_b=bias,
        d_block_0_step_3=batch,
        d_model_ln_f_g=ours["d_model_ln_f_g"].T,
    )
    report = diff.compare(str(dumps / "dump"), str(tmp_path / "port.npz"))
    assert (report.first, len(report.matrices)) == (None, 5)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_number_never_equals_infinity_or_nothing(dumps, training, tmp_path, value):
    broken = training.steps[0].matrices["d_logits"].copy()
    broken[1, 2] = value
    np.savez(tmp_path / "port.npz", d_logits=broken)
    (one,) = diff.compare(str(dumps / "dump"), str(tmp_path / "port.npz")).matrices
    assert one.cells_out == 1
    assert diff.compare(str(tmp_path / "port.npz"), str(tmp_path / "port.npz")).first is None


def test_a_cell_that_holds_no_number_any_more_is_a_difference(tmp_path):
    config = Config(1, 1, 2, 8, 6, model="bigram")
    weights = initial_weights(config, np.random.default_rng(1))
    model = Model(Weights(weights, config, tmp_path, "float64"), None)
    file = write_training(
        train_steps(model, example(model, None, [5, 1, 2, 5]), Settings(steps=1)), tmp_path / "a.xlsx"
    )
    edited = shutil.copy(file, tmp_path / "edited.xlsx")
    (area,) = defined_names(edited)["d_logits"]
    set_cell(edited, area.part(rows=1, columns=1).address(), "n/a")
    report = diff.compare(str(file), str(edited))
    assert [(one.name, one.cells_out) for one in report.matrices if not one.equal] == [("d_logits", 1)]


def test_a_run_is_no_training(dumps, tmp_path):
    trace = load_model().run(TEXT)
    trace.to_csv(tmp_path / "run")
    trace.to_excel(tmp_path / "run.xlsx")
    np.savez(tmp_path / "run.npz", **trace.arrays, d_model=np.eye(2))
    for name in ("run", "run.xlsx", "run.npz", "missing.npz"):
        assert not diff.is_training(str(tmp_path / name))
    with pytest.raises(DumpError, match="is a run, not training steps: compare two"):
        diff.compare(str(tmp_path / "run"), str(dumps / "dump"))
    with pytest.raises(DumpError, match="run:Mike is no dump of training steps: compare it"):
        diff.compare(str(dumps / "dump"), "run:Mike")


@given(st.text())
def test_whatever_is_typed_is_training_or_not(text):
    assert not diff.is_training("run:" + text)


@pytest.mark.parametrize(("name", "content"), [("a.npz", b"PK torn"), ("a.json", b'{"d_logits": [[1, 2')])
def test_a_torn_file_is_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "can't be read as " in sheetgpt_here("diff", tmp_path / name, tmp_path / name).error


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("position", POSITIONS)
def test_names_are_put_in_the_order_in_which_a_step_makes_its_matrices(model, position):
    config = Config(2, 2, 8, 16, 592, model=model, position=position)
    steps, weights = kinds.training_steps(config), kinds.weights_of(config)
    names = [*weights, *(step.name for step in steps.computed)]
    made = [*names, *(f"d_{name}" for name in reversed(names)), *(f"new_{name}" for name in weights)]
    made += [f"step_2_{name}" for name in made]
    assert in_order(sorted(made)) == made
    assert are_of_training(made)
    assert are_of_training([f"step_3_d_{names[0]}"])
    assert not are_of_training(names)


def test_json_of_matrices_that_do_not_fit_is_json_and_both_shapes_are_shown(tmp_path):
    np.savez(tmp_path / "a.npz", d_logits=np.zeros((3, 4)), d_model_wte=np.ones((2, 2)))
    np.savez(tmp_path / "b.npz", d_logits=np.zeros((5, 4)), d_model_wte=np.ones((2, 2)))
    sides = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    told = CliRunner().invoke(command, [*sides, "--json"])
    assert json.loads(told.output, parse_constant=pytest.fail)["first"] == "d_logits"
    assert "3 x 4 and 5 x 4" in CliRunner().invoke(command, sides).output


@pytest.mark.parametrize(
    "name", ["d_model_wte", "d_model_h0_attn_c_attn_w", "d_model_h1_attn_c_proj_w", "d_block_1_step_9"]
)
def test_a_gradient_that_is_transposed_is_called_so(name, training, dumps, tmp_path):
    matrices = dict(training.steps[0].matrices)
    for change, words in ((0.0, "RIGHT's is transposed"), (1.0, "and its numbers differ too")):
        turned = matrices[name].T + change * (np.indices(matrices[name].T.shape)[0] == 1)
        np.savez(tmp_path / "turned.npz", **{**matrices, name: turned})
        done = sheetgpt_here("diff", dumps / "port.npz", tmp_path / "turned.npz")
        assert done.code == 1
        is_square = len({*turned.shape}) == 1
        if not (change and is_square):  # a square one's shape says nothing
            assert done.out.splitlines()[0].startswith(f"{name} diverges first; ")
            assert words in done.out.splitlines()[0]
        data = json.loads(sheetgpt_here("diff", dumps / "port.npz", tmp_path / "turned.npz", "--json").out)
        assert [one["name"] for one in data["matrices"] if one["note"]] == ([] if change and is_square else [name])
