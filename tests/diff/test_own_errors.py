"""Every stage is judged from RIGHT's own inputs, however RIGHT's numbers are rounded; what wrong cells share."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ports import FLOAT32_UNIT, PORTS, UNITS, UNSEEN, arrays_of, write
from sheetgpt.commands.diff import as_text, command
from sheetgpt.diff import diff, open_side
from sheetgpt.diff.grain import Grain, Kind, grain_of
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.diff.patterns import Wrong, in_words
from sheetgpt.diff.sides import ArraysSide, RunSide
from sheetgpt.model import load_model
from sheetgpt.models.step import Axis

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def good(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def left(model, good):
    return RunSide(good, model.weights)


@pytest.mark.parametrize("port", PORTS)
def test_a_right_port_has_no_errors_however_it_rounds_and_prints(port, model, good, left, tmp_path):
    report = diff(left, write(arrays_of(good, model, good.steps, port), port, tmp_path / "port.npz"))
    assert not report.own_errors
    assert report.first is None or report.diagnosis.cause == "rounding"


@pytest.mark.parametrize("port", PORTS)
def test_mistakes_of_any_port_are_named_and_never_called_rounding(port, model, good, left, tmp_path):
    """One mistake in several dumps; those that move less than the port's rounding can't be seen."""
    clean = arrays_of(good, model, good.steps, port)
    cases = [
        (mistake, step, change)
        for mistake in known_mistakes(good.sizes)
        for step in good.steps
        if (change := mistake.change(step, good.steps)) is not None
    ]
    named = 0
    for mistake, step, change in cases[list(PORTS).index(port) :: 17]:
        try:
            arrays = arrays_of(good, model, [change if one == step else one for one in good.steps], port)
        except (ValueError, IndexError):  # shapes that don't allow it
            continue
        moved = np.abs(arrays[step.name].astype(float) - clean[step.name])
        if not (moved > UNSEEN * UNITS.get(port, FLOAT32_UNIT)).any() and np.isfinite(moved).all():
            continue
        report = diff(left, write(arrays, port, tmp_path / "port.npz"))
        own = {stage.stage: stage.cause for stage in report.own_errors}
        assert mistake.name in own[step.name], (mistake.name, step.name, own)
        assert "not a bug" not in own[step.name]
        assert list(own) == [step.name], (mistake.name, step.name, own)
        named += 1
    assert named >= 8


def test_all_own_errors_are_named_in_causal_order_and_the_rest_has_inherited(model, good, left, tmp_path):
    mistakes = {mistake.name: mistake for mistake in known_mistakes(good.sizes)}
    wrong = {
        "block_0_step_2": "sample variance",
        "block_0_step_14": "exact (erf) GELU",
        "block_1_step_4": "bias left out",
        "block_1_step_10": "block 0's residual",
        "logits": "log-probabilities instead of logits",
    }
    steps = [mistakes[wrong[step.name]].change(step, good.steps) if step.name in wrong else step for step in good.steps]
    arrays = arrays_of(good, model, steps, "float64")
    path = tmp_path / "port.npz"
    np.savez(path, **arrays)
    told = CliRunner().invoke(command, [f"run:{PROMPT}", str(path), "--json"])
    stages = {stage["stage"]: stage for stage in json.loads(told.output)["stages"]}
    assert [name for name, stage in stages.items() if stage["own_error"]] == list(wrong)
    assert all(mistake in stages[name]["cause"] for name, mistake in wrong.items())
    assert {stage["own_error"] for stage in stages.values() if stage["verdict"] == "missing"} == {None}
    assert all(stage["own_error"] is False for name, stage in stages.items() if name in arrays and name not in wrong)
    first_line = CliRunner().invoke(command, [f"run:{PROMPT}", str(path)]).output.splitlines()[0]
    assert first_line.startswith("43 of 43 stages compared; block_0_step_2 ")
    assert first_line.endswith("5 stages have errors of their own.")


def test_a_stage_whose_inputs_are_not_there_is_not_judged(good, tmp_path):
    """Without weights and tokens there is nothing to compute an embedding from."""
    wrong = {"token_embeddings": 2 * good.array("token_embeddings"), "block_0_step_6": good.array("block_0_step_6")}
    report = diff(RunSide(good), write(wrong, "float64", tmp_path / "port.npz"), weights={})
    assert report.first.own_error is None
    assert "model_wte" in report.first.cause


def test_stages_far_apart_are_said_and_what_to_dump_next(model, good, left, tmp_path):
    arrays = arrays_of(good, model, good.steps, "float32")
    arrays["block_1_step_16"] = np.random.default_rng(0).normal(size=arrays["block_1_step_16"].shape).astype("float32")
    only = {"block_0_step_16", "block_1_step_16", "logits"}
    report = diff(left, write(arrays, "float32", tmp_path / "port.npz", only.__contains__))
    (own,) = report.own_errors
    assert own.stage == "block_1_step_16"
    assert "no known mistake" in own.cause
    assert "stages that lead to it are not in RIGHT: dump block_1_step_" in own.cause


def test_the_nano_workbook_of_others_has_its_sixteen_errors(shared, tmp_path):
    from sheetgpt.cli import cli

    foreign = shared / "data" / "foreign"
    CliRunner().invoke(cli, ["convert-weights", str(foreign / "nano_weights.npz"), str(tmp_path / "nano")])
    trace = load_model(tmp_path / "nano").run(token_ids=[2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0])
    right = open_side(str(foreign / "NanoGPT-Excel.xlsx"), map_file=foreign / "map_of_whole_stages.csv")
    report = diff(RunSide(trace), right, weights=tmp_path / "nano")
    assert as_text(report).startswith("34 of 61 stages compared; block_0_step_3 ")
    causes = {stage.stage: stage.cause for stage in report.own_errors}
    expected = {"predicted_embedding": "sample variance", "block_0_step_8": "the query's bias in heads 0, 1"}
    for block in range(3):
        for step in (3, 12):
            expected[f"block_{block}_step_{step}"] = "sample variance"
        expected[f"block_{block}_step_13"] = "a range fixed by $"
        expected[f"block_{block}_step_15"] = "a bias fixed by $"
    expected |= {f"block_{block}_step_10": "block 0's residual" for block in (1, 2)}
    assert causes.keys() == expected.keys()
    assert all(words in causes[stage] for stage, words in expected.items())


# ------------------------------------------------------------------------------------------------ what cells share


def changed(good, name, change):
    return RunSide(replace(good, arrays={**good.arrays, name: change(good.array(name).copy())}))


def rows_from(row):
    def change(array):
        array[row:] += 1.0 + np.random.default_rng(1).random(array[row:].shape)
        return array

    return change


def nan_in(row, column):
    def change(array):
        array[row:, column:] = np.nan
        return array

    return change


def with_noise(select):
    def change(array):
        array[select] += 0.3 + np.random.default_rng(2).random(array[select].shape)
        return array

    return change


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        ("logits", lambda a: a - a.mean(), "a constant is added everywhere"),
        ("block_1_step_9", lambda a: 1.25 * a, "every cell is 1.25 times what it should be"),
        ("block_1_step_9", np.zeros_like, "all cells are 0"),
        (
            "block_1_step_9",
            lambda a: np.repeat(a[:1], len(a), axis=0),
            "a range fixed by $ (row 0 of its input for every row)",
        ),
        ("block_1_step_9", lambda a: a.ravel(order="F").reshape(a.shape), "column after column"),
        ("block_1_step_9", with_noise(np.s_[0]), "only row 0 is wrong"),
        ("block_1_step_9", with_noise(np.s_[:, 3:4]), "only column 3 is wrong"),
        ("block_1_step_7", with_noise(np.s_[:, :12]), "only heads 0 and 1 are wrong"),
        (
            "block_1_step_8",
            lambda a: a.reshape(6, 4, 16)[:, [1, 0, 2, 3]].reshape(a.shape),
            "heads 0 and 1 are swapped",
        ),
        (
            "block_1_step_9",
            lambda a: np.where(np.random.default_rng(3).random(a.shape) < 0.1, 0, a / 0.9),
            "the others 1.11111 times what they should be",
        ),
        ("block_1_step_9", nan_in(2, 5), "NaN, the first at row 2, column 5"),
        ("block_1_step_9", lambda a: np.full_like(a, np.inf), "all cells are infinite"),
    ],
)
def test_what_the_wrong_cells_have_in_common_is_said(stage, change, words, model, good, left):
    report = diff(left, changed(good, stage, change), weights=model.weights)
    assert report.first.stage == stage
    assert words in report.first.cause
    assert "blank" not in as_text(report)


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        ("block_0_step_4", lambda a: a.T.copy(), "RIGHT's is transposed"),
        ("logits", lambda a: np.concatenate([a, np.zeros((48, 1))]), "RIGHT's vocabulary is padded to 640 rows"),
    ],
)
def test_shapes_that_do_not_fit_say_what_they_are(stage, change, words, good, left, tmp_path):
    np.savez(tmp_path / "port.npz", **{**{n: good.arrays[n] for n in good.sizes.shapes if n in good.arrays},
                                       stage: change(good.array(stage))})  # fmt: skip
    report = diff(left, ArraysSide(tmp_path / "port.npz"))
    assert words in as_text(report).splitlines()[0]


PADDED = {  # where a port's logits have rows too many
    "a column": lambda rows: rows[-1:].T,
    "a row": lambda rows: rows[-1:],
    "flat": lambda rows: rows[-1],
    "every row": lambda rows: rows,
    "every row in a batch of one": lambda rows: rows[None],
}


@pytest.mark.parametrize("filling", [0.0, 99.0])
@pytest.mark.parametrize("shape", PADDED)
def test_behind_a_padded_vocabulary_its_first_rows_have_their_own_verdict(shape, filling, good, model, left, tmp_path):
    logits = np.concatenate([good.array("logits").T] * 6)
    matrices = {name: good.arrays[name] for name in good.sizes.shapes if name in good.arrays}
    for change, says in ((0.0, "these are equal"), (-logits.mean(), "a constant is added everywhere")):
        padded = np.concatenate([logits + change, np.full((6, 48), filling)], axis=1)
        np.savez(tmp_path / "port.npz", **{**matrices, "logits": PADDED[shape](padded)})
        report = diff(left, ArraysSide(tmp_path / "port.npz"))
        assert report.first.stage == "logits"
        assert report.first.own_error
        assert "RIGHT's vocabulary is padded to 640 rows, 48 too many" in report.first.cause
        assert ("the greatest number among them" in report.first.cause) is (filling > 0)
        assert says in report.first.cause
        assert report.first.cells_out == (592 if change else 0)


def test_a_mistake_behind_a_padded_vocabulary_is_named_and_an_inherited_difference_is_called_so(
    model, good, left, tmp_path
):
    mistakes = {mistake.name: mistake for mistake in known_mistakes(good.sizes)}
    for name, stage, says in (
        ("log-probabilities instead of logits", "logits", "log-probabilities instead of logits reproduces"),
        ("exact (erf) GELU", "block_1_step_14", "inherited"),
    ):
        steps = [mistakes[name].change(step, good.steps) if step.name == stage else step for step in good.steps]
        arrays = arrays_of(good, model, steps, "float64")
        arrays["logits"] = np.concatenate([arrays["logits"], np.zeros((48, 1))])
        np.savez(tmp_path / "port.npz", **arrays)
        logits = next(one for one in diff(left, ArraysSide(tmp_path / "port.npz")).stages if one.stage == "logits")
        assert "padded to 640 rows" in logits.cause
        assert says in logits.cause


def test_weights_of_a_padded_vocabulary_are_compared_too(model, good, left, tmp_path):
    wte = np.concatenate([model.weights["model_wte"], np.zeros((48, 64))])
    for change, verdict in ((0.0, "these are equal"), (1.0, "1 of their cells differ")):
        wte[7, 3] += change
        np.savez(tmp_path / "port.npz", model_wte=wte, logits=good.array("logits"))
        report = diff(left, ArraysSide(tmp_path / "port.npz"))
        assert report.first.stage == "model_wte"
        assert "padded to 640 rows, 48 too many" in report.first.note
        assert verdict in report.first.note


@pytest.mark.parametrize("decimals", [2, 3, 5])
def test_one_stage_that_a_person_rounded_is_equal_within_half_a_unit(decimals, model, good, left):
    rounded = changed(good, "block_1_step_9", lambda array: np.round(array, decimals))
    report = diff(left, rounded, weights=model.weights)
    stage = next(stage for stage in report.stages if stage.stage == "block_1_step_9")
    assert stage.verdict == "equal"
    assert stage.note == f"rounded to {decimals} decimals on the right"
    wrong = changed(
        good, "block_1_step_9", lambda a: np.round(a + 3 * 10.0**-decimals * (np.indices(a.shape)[0] == 1), decimals)
    )
    assert diff(left, wrong, weights=model.weights).first.stage == "block_1_step_9"


def test_a_decoding_step_is_compared_with_the_row_it_belongs_to(good, left, tmp_path):
    names = [name for name, step in good.steps.by_name.items() if step.rows is Axis.TOKENS]
    step = {name: good.array(name)[-1:].copy() for name in names} | {"logits": good.array("logits")}
    np.savez(tmp_path / "step.npz", **step)
    right = diff(left, ArraysSide(tmp_path / "step.npz"))
    assert right.first is None
    assert "one row, compared with the last of 6" in as_text(right)
    step["block_1_step_9"][0, 3] += 1
    np.savez(tmp_path / "step.npz", **step)
    wrong = diff(left, ArraysSide(tmp_path / "step.npz"))
    assert [stage.stage for stage in wrong.stages if stage.verdict == "different"] == ["block_1_step_9"]
    assert wrong.first.worst.row.startswith("position 5")
    assert wrong.first.worst.left_place == "block_1_step_9[5,3]"
    assert wrong.first.worst.right_place == "block_1_step_9[0,3]"


def test_only_the_weights_that_judging_takes_are_read(model, good, tmp_path):
    """A large model's weights would fill the memory."""

    read = set()

    class Watched(dict):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    weights = Watched({name: model.weights[name] for name in model.weights})
    right = write({n: 1.5 * good.array(n) for n in ("block_0_step_2", "block_0_step_3")}, "float64", tmp_path / "p.npz")
    report = diff(RunSide(good), right, weights=weights)
    assert report.first.stage == "block_0_step_2"
    assert {"model_h0_ln_1_g", "model_h0_ln_1_b"} <= read
    assert not [name for name in read if "attn" in name or "mlp" in name]


def test_nan_in_a_csv_is_nan_and_an_empty_cell_is_blank(good, tmp_path):
    dumps = [good.to_csv(tmp_path / name) for name in ("left", "nan", "blank")]
    for folder, text in zip(dumps[1:], ("nan", ""), strict=True):
        file = folder / "block_1_step_9.csv"
        lines = file.read_text().split("\n")
        lines[2] = ",".join([lines[2].split(",")[0], text, *lines[2].split(",")[2:]])
        file.write_text("\n".join(lines))
    nan, blank = (as_text(diff(*(open_side(str(side)) for side in (dumps[0], other)))) for other in dumps[1:])
    assert "NaN" in nan.splitlines()[0]
    assert "blank" not in nan
    assert "blank" in blank


# ------------------------------------------------------------------------------------------------ laws


GRAINS = [Grain(Kind.FLOAT32), Grain(Kind.FLOAT16), Grain(Kind.BFLOAT16), Grain(Kind.DECIMALS, 2),
          Grain(Kind.DECIMALS, 4), Grain(Kind.DIGITS, 6), Grain(Kind.DIGITS, 4)]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GRAINS), st.integers(0, 2**32), st.sampled_from([0.5, 1.0, 30.0]))
def test_a_grain_is_seen_in_the_numbers_and_rounds_by_no_more_than_half_a_unit(grain, seed, size):
    numbers = size * np.random.default_rng(seed).standard_normal((40, 12))
    rounded = grain.rounded(numbers)
    assert (np.abs(rounded - numbers) <= grain.half_unit(numbers) * (1 + 1e-9) + 1e-300).all()
    assert grain_of(rounded) == grain
    assert grain_of(numbers) == Grain()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(2, 5))
def test_no_pattern_is_seen_in_noise_and_none_in_what_is_right(seed, rows, heads):
    step = replace(load_model().steps["block_0_step_8"], columns=Axis.HEADS_BY_DIMENSIONS)
    expected = np.random.default_rng(seed).standard_normal((rows, 8 * heads))
    noise = np.random.default_rng(seed + 1).standard_normal(expected.shape)
    allowed = np.full(expected.shape, 1e-9)
    assert in_words(Wrong(step, expected, expected, allowed, heads)) == ""
    assert in_words(Wrong(step, expected, noise, allowed, heads)) == ""
