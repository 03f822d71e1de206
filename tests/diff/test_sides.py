"""The law of shapes: of every model, a stage in any layout that its sizes know is read as our matrix."""

from __future__ import annotations

import numpy as np
import pytest

from sheetgpt.diff import diff
from sheetgpt.diff.sides import ArraysSide, FolderSide, RunSide
from sheetgpt.errors import DumpError, StageError
from sheetgpt.models import heads
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Axis
from sheetgpt.run.edit import read_whole


def matrices_of(trace):
    return {name: array for name, array in trace.arrays.items() if name in trace and array.ndim == 2}


def with_every_row(trace, name, matrix):
    """A stage of the last token alone as ports compute it after every token; others as they are."""
    step = trace.step(name)
    if step.rows is not Axis.LAST_TOKEN and step.columns is not Axis.LOGIT:
        return matrix
    row = matrix.reshape(1, -1)
    return np.concatenate([row + 1] * (len(trace.token_ids) - 1) + [row])


def with_heads_first(trace, name, matrix):
    step = trace.step(name)
    if not step.by_head and step.columns is not Axis.HEADS_BY_DIMENSIONS:
        return matrix
    return heads.apart(matrix, trace.config.n_head).swapaxes(0, 1)


SHAPES = {
    "flat": lambda *held: held[-1].ravel(),
    "in a batch of one": lambda *held: held[-1][None],
    "every row": with_every_row,
    "every row, flat": lambda *held: with_every_row(*held).ravel(),
    "heads first": with_heads_first,
    "heads first, in a batch of one": lambda *held: with_heads_first(*held)[None],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_of_any_model_is_equal_to_itself_in_any_shape(shape, trace, tmp_path):
    arrays = {name: SHAPES[shape](trace, name, matrix) for name, matrix in matrices_of(trace).items()}
    np.savez(tmp_path / "port.npz", **arrays)
    report = diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"), atol=0, rtol=0, why=False)
    assert report.equal, report.first
    assert not {one.stage for one in report.missing} & set(arrays)


def test_every_form_of_every_stage_gives_its_matrix_back_and_ours_is_the_first(trace):
    sizes = Sizes(trace.config, len(trace.token_ids))
    for name, (rows, columns) in sizes.shapes.items():
        forms = sizes.forms(name)
        assert next(iter(forms)) == (rows, columns)
        for shape, form in forms.items():
            assert form(np.zeros(shape)).shape == (rows, columns), (name, shape)
            assert sizes.fitted(name, np.zeros(shape)).shape == (rows, columns)
            if len(shape) == 2:
                assert bool(sizes.rows_taken(name, shape)) == (np.prod(shape) == rows * columns * sizes.n_tokens)


def test_an_edit_takes_no_row_out_of_many(trace, tmp_path):
    sizes = Sizes(trace.config, len(trace.token_ids))
    name = next(step.name for step in trace.steps if step.columns is Axis.LOGIT)
    np.savetxt(tmp_path / "rows.csv", with_every_row(trace, name, trace.array(name)), delimiter=",")
    with pytest.raises(StageError, match="what should replace it is"):
        read_whole(name, tmp_path / "rows.csv", sizes)


def test_files_of_a_folder_that_are_called_like_no_stage_are_listed_with_the_nearest_names(trace, tmp_path):
    folder = trace.to_csv(tmp_path / "dump")
    name = next(name for name in trace if name in trace.sizes.shapes)
    (folder / f"{name}.csv").rename(folder / f"{name}x.csv")
    (folder / "notes.csv").write_text("1,2\n")
    (folder / "constants.csv").write_text("n_layer,2\n")
    report = diff(RunSide(trace), FolderSide(folder), why=False)
    unread = dict(report.unread)
    assert set(unread) == {f"{name}x", "notes"}
    assert name in unread[f"{name}x"]
    assert name in {stage.stage for stage in report.missing}


def test_a_folder_without_any_stage_asks_for_the_nearest_name(tmp_path):
    (tmp_path / "block_0_stp_7.csv").write_text("1,2\n")
    with pytest.raises(DumpError, match=r"holds no STAGE\.csv.*did you mean block_0_step_7 by block_0_stp_7"):
        FolderSide(tmp_path)
