"""One stage that can't be read, whatever is wrong with it, ends no comparison and is never passed over in silence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from sheetgpt.commands.diff import as_text, command
from sheetgpt.diff import diff
from sheetgpt.diff.sides import ArraysSide, FolderSide, RunSide
from sheetgpt.errors import DamagedError, DumpError
from sheetgpt.model import load_model

PROMPT = "Mike is quick. He moves"
STAGES = ["final_tokens", "token_embeddings", "block_0_step_4", "block_0_step_7", "block_1_step_16", "logits"]
ODD = {  # what a file holds in place of a matrix
    "three axes": lambda a: np.stack([a, a]),
    "five axes": lambda a: np.stack([a, a])[None, :, None],
    "words": lambda a: np.full(a.shape, "x"),
    "complex numbers": lambda a: a * 1j,
    "dates": lambda a: np.full(a.shape, "2024-01-01", "datetime64[D]"),
    "no numbers": lambda _a: np.zeros((2, 3, 0)),
    "objects": lambda a: np.array([a, None], dtype=object),
}


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def matrices(trace):
    numbers = {name: array for name, array in trace.arrays.items() if array.ndim == 2}
    return numbers | {"final_tokens": np.array([trace.token_ids])}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_array_is_said_and_the_others_are_compared(odd, stage, trace, matrices, tmp_path):
    np.savez(tmp_path / "port.npz", **{**matrices, stage: ODD[odd](matrices[stage])})
    report = diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"))
    assert not report.equal
    (one,) = [found for found in report.stages if found.stage == stage]
    assert one.verdict != "equal"
    assert one.note
    others = {found.stage: found.verdict for found in report.stages if found.stage in matrices and found.stage != stage}
    assert set(others.values()) == {"equal"}
    assert stage in as_text(report).splitlines()[0]
    assert one.note in as_text(report)


@pytest.mark.parametrize("stage", ["token_embeddings", "block_0_step_4", "block_1_step_16", "logits"])
def test_the_first_difference_is_found_behind_an_odd_array(stage, trace, matrices, tmp_path):
    wrong = {**matrices, "block_1_step_9": 1.25 * matrices["block_1_step_9"], stage: np.stack([matrices[stage]] * 2)}
    np.savez(tmp_path / "port.npz", **wrong)
    told = CliRunner().invoke(command, [f"run:{PROMPT}", str(tmp_path / "port.npz")])
    assert told.exit_code == 1
    assert "block_1_step_9 (attention output) diverges first; every cell is 1.25 times" in told.output.splitlines()[0]
    assert f"Not compared: {tmp_path / 'port.npz'}, {stage} has 3 axes" in told.output


def test_ragged_lists_in_json_are_said(trace, matrices, tmp_path):
    lists = {name: array.tolist() for name, array in matrices.items()}
    lists["block_0_step_4"] = [[1, 2], [3]]
    (tmp_path / "port.json").write_text(json.dumps(lists))
    report = diff(RunSide(trace), ArraysSide(tmp_path / "port.json"))
    assert [stage.stage for stage in report.unreadable] == ["block_0_step_4"]
    assert "block_0_step_4" in report.unreadable[0].note
    assert not report.equal
    assert report.first is None


def test_a_torn_file_ends_the_comparison_in_one_line(trace, matrices, tmp_path):
    folder = trace.to_csv(tmp_path / "dump")
    file = folder / "block_0_step_4.csv"
    file.write_text(file.read_text() + "1,2\n")
    with pytest.raises(DamagedError, match=r"block_0_step_4.csv .*torn"):
        diff(RunSide(trace), FolderSide(folder))
    np.savez(tmp_path / "port.npz", **matrices)
    content = bytearray((tmp_path / "port.npz").read_bytes())
    at = content.index(matrices["block_0_step_4"].tobytes()[:64])
    content[at] ^= 1
    (tmp_path / "port.npz").write_bytes(content)
    with pytest.raises(DamagedError, match="block_0_step_4 is damaged"):
        diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"))


def test_where_nothing_can_be_read_it_is_one_line(trace, matrices, tmp_path):
    np.savez(tmp_path / "port.npz", logits=np.stack([matrices["logits"]] * 2))
    with pytest.raises(DumpError, match=r"logits has 3 axes \(2, 592, 1\)"):
        diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"))
