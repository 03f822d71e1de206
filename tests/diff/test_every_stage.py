"""The law of `diff`: a changed cell of any stage of any model, whatever its name, is a difference that names it."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from sheetgpt.commands.diff import command
from sheetgpt.diff import diff
from sheetgpt.diff.sides.arrays import ArraysSide
from sheetgpt.diff.sides.folder import FolderSide
from sheetgpt.diff.sides.run import RunSide
from sheetgpt.dump import MANIFEST
from sheetgpt.model import Model
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import Weights, write_weights


@pytest.fixture(scope="module")
def dump(trace, tmp_path_factory):
    return trace.to_csv(tmp_path_factory.mktemp("dump") / "dump")


@pytest.fixture(scope="module")
def bare(dump, tmp_path_factory):
    """The dump as a foreign one is: nothing but its matrices says what it is."""
    folder = shutil.copytree(dump, tmp_path_factory.mktemp("bare") / "bare")
    (folder / MANIFEST).unlink()
    return folder


def change_the_last_cell(path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    try:
        rows[-1][-1] = str(float(rows[-1][-1]) + 777)
    except ValueError:
        rows[-1][-1] = "changed"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("says_what_it_is", [True, False], ids=["with its manifest", "bare"])
def test_a_changed_cell_of_any_stage_is_a_difference_that_names_it(says_what_it_is, trace, dump, bare, tmp_path):
    folder = dump if says_what_it_is else bare
    changed = shutil.copytree(folder, tmp_path / "changed")
    assert set(FolderSide(folder).names) == set(trace)
    for stage in trace:
        change_the_last_cell(changed / f"{stage}.csv")
        sides = [FolderSide(folder), FolderSide(changed)][:: 1 if says_what_it_is else -1]
        report = diff(*sides, why=False)
        assert [one.stage for one in report.stages if one.verdict == "different"] == [stage]
        assert not {one.stage for one in report.missing} & set(trace)
        shutil.copy(folder / f"{stage}.csv", changed)
    assert diff(FolderSide(folder), FolderSide(changed)).equal


def test_a_changed_cell_of_any_matrix_is_found_in_bare_arrays(trace, tmp_path):
    matrices = {name: array for name, array in trace.arrays.items() if name in trace and array.ndim == 2}
    for stage, matrix in matrices.items():
        changed = matrix.copy()
        changed[-1, -1] += 777
        np.savez(tmp_path / "port.npz", **{**matrices, stage: changed})
        report = diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"), why=False)
        assert [one.stage for one in report.stages if one.verdict == "different"] == [stage]


def test_a_die_whose_scores_were_changed_is_no_equal_die(tmp_path):
    """The fault that the law is for: a pattern of stage names knew no `scores`."""
    config = Config(n_layer=1, n_head=1, n_embd=1, n_ctx=32, n_vocab=3, model="die")
    weights = Weights({"model_logits": np.array([[1.07], [0.8], [1.13]])}, config, tmp_path, "float64")
    dump = Model(weights, None).run(token_ids=[0]).to_csv(tmp_path / "dump")
    changed = shutil.copytree(dump, tmp_path / "changed")
    scores = changed / "scores.csv"
    scores.write_text(scores.read_text().replace("1.07", "777"))
    told = CliRunner().invoke(command, [str(dump), str(changed)])
    assert told.exit_code == 1
    assert told.output.startswith("3 of 3 stages compared; scores (the die's weights) diverges first")


def test_weights_of_any_model_are_compared_without_any_constants(model, tmp_path):
    write_weights(tmp_path / "left", model.config, model.weights)
    (tmp_path / "left" / "constants.csv").unlink()
    for name, matrix in model.weights.items():
        shutil.copytree(tmp_path / "left", tmp_path / name)
        changed = matrix.copy()
        changed[-1, -1] += 777
        np.savetxt(tmp_path / name / f"{name}.csv", changed, delimiter=",", fmt="%.17g")
        report = diff(FolderSide(tmp_path / "left"), FolderSide(tmp_path / name), why=False)
        assert [one.stage for one in report.stages if one.verdict == "different"] == [name]
