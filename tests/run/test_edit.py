"""Changed cells: setting a stage to itself is nothing, what depends on a change follows it, bad edits are one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from sheetgpt import ops
from sheetgpt.cli import main
from sheetgpt.commands.run import command
from sheetgpt.errors import PromptError, SheetGPTError, StageError
from sheetgpt.model import load_model
from sheetgpt.models.kinds import model_steps
from sheetgpt.run import edit

PROMPT = "Mike is quick. He moves"
STEPS = model_steps(models.SMALL)
MATRICES = [step.name for step in STEPS if not step.is_text]
BY_HEAD = [step.name for step in STEPS if step.by_head]
IDS = [3, 1, 4, 1, 5, 9, 2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    models.write_random_model(folder, models.SMALL, seed=2)
    return load_model(folder)


@pytest.fixture(scope="module")
def trace(model):
    return model.run(token_ids=IDS)


def set_cells(model, trace, *texts):
    return model.run_edited(trace, [edit.parse(text, trace.sizes) for text in texts])


def assert_same(left, right, names=MATRICES):
    for name in names:
        assert np.array_equal(left.array(name), right.array(name)), name


# ------------------------------------------------------------------------------------------------ no-ops and effects


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [*MATRICES, "model_wte", "model_h1_mlp_c_fc_w", "model_ln_f_g"])
def test_a_stage_set_to_its_own_value_changes_no_bit(name, dtype, model):
    model = model if dtype == "float64" else load_model(model.weights.folder, dtype)
    trace = model.run(token_ids=IDS)
    own = model.weights[name] if name.startswith("model_") else trace.array(name)
    assert_same(model.run(token_ids=IDS, overrides={name: own}), trace)
    assert_same(model.run(token_ids=IDS, overrides={name: own}, base=trace), trace)


@pytest.mark.parametrize("name", BY_HEAD)
def test_every_cell_of_every_head_set_to_its_own_value_changes_no_bit(name, model, trace):
    by_head = trace.array(name).reshape(len(IDS), models.SMALL.n_head, len(IDS))
    for head in range(models.SMALL.n_head):
        texts = [
            f"{name}[{head},{query},{key}]={by_head[query, head, key]!r}".replace("np.float64(", "").replace(")", "")
            for query in range(len(IDS))
            for key in range(len(IDS))
        ]
        assert_same(set_cells(model, trace, *texts), trace)


def test_the_token_ids_set_to_their_own_value_change_no_bit(model, trace):
    assert_same(model.run(token_ids=IDS, overrides={"final_tokens": np.array([IDS, IDS])}), trace)
    assert_same(set_cells(model, trace, f"final_tokens[1,-1]={IDS[-1]}"), trace)


@settings(max_examples=30, deadline=None)
@given(first=st.sampled_from([*MATRICES, "model_wte", "model_h1_mlp_c_fc_w"]), data=st.data())
def test_edits_of_a_run_with_overrides_are_both_at_once(first, data, model, trace):
    second = data.draw(st.sampled_from([*MATRICES, "model_wte", "model_h1_mlp_c_fc_w"]))
    changed = {first: 2 * trace.matrix(first)}
    before = model.run(token_ids=IDS, overrides=changed)
    found = set_cells(model, before, f"{second}[0,0]=0.25")
    matrix = np.array(before.matrix(second))
    matrix[0, 0] = 0.25
    assert set(found.overrides) == {first, second}
    assert_same(found, model.run(token_ids=IDS, overrides={**changed, second: matrix}))


def test_a_cell_of_a_weight_that_was_set_keeps_the_others_as_they_were_set(model, trace):
    doubled = 2 * trace.matrix("model_wte")
    found = set_cells(model, model.run(token_ids=IDS, overrides={"model_wte": doubled}), "model_wte[3,0]=1")
    expected = np.array(doubled)
    expected[3, 0] = 1
    assert np.array_equal(found.matrix("model_wte"), expected)


@pytest.mark.parametrize("name", MATRICES)
def test_nothing_before_a_changed_stage_changes_and_with_a_base_the_rest_is_the_same(name, model, trace):
    rng = np.random.default_rng(1)
    matrix = trace.array(name) + 0.1 * rng.standard_normal(trace.array(name).shape)
    changed = model.run(token_ids=IDS, overrides={name: matrix})
    assert_same(changed, model.run(token_ids=IDS, overrides={name: matrix}, base=trace))
    assert np.array_equal(changed.array(name), matrix)
    assert_same(changed, trace, MATRICES[: MATRICES.index(name)])
    assert changed.overridden == (name,)


def test_only_what_depends_on_a_change_is_computed(model, trace, monkeypatch):
    computed = []
    value = ops.Normalize.value
    monkeypatch.setattr(ops.Normalize, "value", lambda self, x: (computed.append(x), value(self, x))[1])
    set_cells(model, trace, "block_1_step_10[0,0]=3")
    assert len(computed) == 2  # step 11 of the second block, the final norm


def test_a_late_edit_stands_among_cells_that_follow_from_the_early_one(model, trace):
    early, late = "block_0_step_1[2,3]=4", "block_1_step_9[0,1]=-2"
    both, other_way = set_cells(model, trace, early, late), set_cells(model, trace, late, early)
    assert_same(both, other_way)
    alone = set_cells(model, trace, early)
    expected = alone.array("block_1_step_9").copy()
    expected[0, 1] = -2
    assert np.array_equal(both.array("block_1_step_9"), expected)


def test_a_head_s_cell_is_its_query_s_row_and_its_key_s_column(model, trace):
    after = set_cells(model, trace, "block_0_step_7[1,2,-7]=0.5")
    where = np.argwhere(after.array("block_0_step_7") != trace.array("block_0_step_7"))
    assert where.tolist() == [[2, 1 * len(IDS) + 0]]


def test_a_changed_token_id_is_another_prompt(model, trace):
    after = set_cells(model, trace, "final_tokens[1,0]=8")
    assert after.token_ids == [8, *IDS[1:]]
    assert_same(after, model.run(token_ids=[8, *IDS[1:]]))


def test_a_changed_weight_changes_what_uses_it(model, trace):
    after = set_cells(model, trace, "model_h1_mlp_c_fc_w[3,5]=0.5")
    assert_same(after, trace, MATRICES[: MATRICES.index("block_1_step_13")])
    changed = np.argwhere(after.array("block_1_step_13") != trace.array("block_1_step_13"))
    assert set(changed[:, 1]) == {5}
    weight = model.weights["model_h1_mlp_c_fc_w"].copy()
    weight[3, 5] = 0.5
    assert_same(after, model.run(token_ids=IDS, overrides={"model_h1_mlp_c_fc_w": weight}))


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(MATRICES), number=st.floats(-1e6, 1e6), seed=st.integers(0, 99))
def test_any_cell_takes_any_number_exactly(name, number, seed, model, trace):
    rows, columns = trace.array(name).shape
    row, column = np.random.default_rng(seed).integers(0, [rows, columns]).tolist()
    after = set_cells(model, trace, f"{name}[{row},{column - columns}]={number!r}")
    assert after.array(name)[row, column] == number
    assert np.sum(after.array(name) != trace.array(name)) <= 1


@pytest.mark.parametrize("name", ["block_0_step_4", "block_1_step_7", "logits", "triangle_matrix"])
@pytest.mark.parametrize("layout", ["heads", "reference"])
def test_a_dumped_csv_set_as_its_own_stage_changes_no_bit(name, layout, tmp_path):
    model = load_model()
    trace = model.run(PROMPT)
    trace.to_csv(tmp_path / "dump", head_layout=layout)
    after = set_cells(model, trace, f"{name}={tmp_path / 'dump' / name}.csv")
    for stage in after:
        assert trace.step(stage).is_text or np.array_equal(after.array(stage), trace.array(stage))


SLICES = st.one_of(
    st.integers(-7, 6),
    st.builds(slice, *[st.none() | st.integers(-9, 9)] * 2, st.none() | st.integers(-3, 3).filter(bool)),
)


def spelled(index):
    """An index as it is typed."""
    if isinstance(index, int):
        return str(index)
    parts = ["" if part is None else str(part) for part in (index.start, index.stop, index.step)]
    return ":".join(parts if index.step is not None else parts[:2])


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from(BY_HEAD), indices=st.tuples(st.integers(-3, 2) | st.just(slice(None)), SLICES, SLICES))
def test_a_filled_part_of_a_head_is_numpy_s_slice_of_heads_queries_keys(name, indices, trace):
    assert_filled(trace, name, indices, apart=True)


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(["token_embeddings", "block_0_step_4", "block_1_step_7"]), indices=st.tuples(SLICES, SLICES)
)
def test_a_filled_part_of_a_matrix_is_numpy_s_slice(name, indices, trace):
    assert_filled(trace, name, indices)


@pytest.mark.parametrize(("name", "index"), [("block_0_step_4", -1), ("block_0_step_4", slice(2, None))])
def test_a_single_index_is_a_row(name, index, trace):
    assert_filled(trace, name, (index,))


@pytest.mark.parametrize(("name", "index"), [(BY_HEAD[0], -1), (BY_HEAD[-1], 0), (BY_HEAD[-1], slice(1, None))])
def test_a_single_index_of_a_stage_with_heads_is_a_head(name, index, trace):
    assert_filled(trace, name, (index,), apart=True)


def assert_filled(trace, name, indices, *, apart=False):
    before = trace.array(name)
    expected = np.array(before)
    view = expected.reshape(len(IDS), models.SMALL.n_head, -1).swapaxes(0, 1) if apart else expected
    text = f"{name}[{','.join(map(spelled, indices))}]=-0.25"
    if not view[indices].size:
        with pytest.raises(StageError, match="holds no cell"):
            edit.parse(text, trace.sizes)
        return
    view[indices] = -0.25
    found = edit.edited(before, [edit.parse(text, trace.sizes)])
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", [*MATRICES, "model_wte", "model_h0_attn_c_attn_b"])
def test_a_number_fills_a_whole_stage_or_weight(name, model, trace):
    after = set_cells(model, trace, f"{name}=0.5")
    matrix = np.full(trace.sizes.shapes[name], 0.5)
    assert_same(after, model.run(token_ids=IDS, overrides={name: matrix}))


def test_all_token_ids_are_filled(model, trace):
    assert set_cells(model, trace, "final_tokens[1,:]=4").token_ids == [4] * len(IDS)
    assert set_cells(model, trace, "final_tokens=4").token_ids == [4] * len(IDS)


def test_travel_names_the_largest_change_of_each_part(model, trace):
    after = set_cells(model, trace, "block_1_step_9[0,1]=50")
    parts = {part.part: part for part in edit.travel(trace, after)}
    assert list(parts) == ["embeddings", "block 0", "block 1", "head"]
    assert parts["embeddings"].largest_change == parts["block 0"].largest_change == 0
    assert parts["block 1"].largest_change >= abs(50 - trace.array("block_1_step_9")[0, 1])


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["model_wte", "model_h1_mlp_c_fc_w"])
def test_a_function_of_a_weight_is_refused(name, model):
    with pytest.raises(StageError, match=f"{name} is a weight, which nothing computes: give a matrix"):
        model.run(token_ids=IDS, overrides={name: np.negative})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("block_0_step_7[7,0]=1", "7 is out of range, its rows are 0 to 6"),
        ("block_0_step_7[3,0,0]=1", "3 is out of range, its heads are 0 to 2"),
        ("block_0_step_4[0,36]=1", "36 is out of range, its columns are 0 to 35"),
        ("block_0_step_4[0,0,0]=1", "a cell of block_0_step_4 is block_0_step_4[ROW,COLUMN]"),
        ("block_0_step_4[a,0]=1", "counted from 0"),
        ("block_0_stp_7[0,0]=1", "did you mean block_0_step_7"),
        ("predicted_token[0,1]=1", "set logits"),
        ("separated_into_words[0,0]=Mike", "holds text"),
        ("logits[1,0]=many", "'many' is no number"),
        ("logits[1,0]=nan", "finite"),
        ("logits", "--set takes"),
        ("final_tokens[0,1]=3", "final_tokens[1,1]=ID"),
        ("logits=nowhere.csv", "nowhere.csv"),
        ("logits=inf", "finite"),
        ("block_0_step_7[0]=many", "'many' is no number"),
        ("block_0_step_7[3]=0", "3 is out of range, its heads are 0 to 2"),
        ("block_0_step_7[0,:,7]=0", "7 is out of range, its keys are 0 to 6"),
        ("block_0_step_4[:,-37]=0", "-37 is out of range, its columns are 0 to 35"),
        ("block_0_step_4[7:,0]=0", "holds no cell, its rows are 0 to 6"),
        ("block_0_step_4[::0,0]=0", "a step of 0"),
        ("block_0_step_4[1:2:3:4,0]=0", "in whole numbers"),
        ("block_0_step_4[,0]=0", "in whole numbers"),
        ("block_0_step_4[:,:,:]=0", "a cell of block_0_step_4 is block_0_step_4[ROW,COLUMN]"),
        ("block_0_step_7[0,:,:,:]=0", "[ROW,COLUMN or HEAD,QUERY,KEY]"),
        ("final_tokens[:,3]=3", "final_tokens[1,3]=ID"),
        ("final_tokens[0]=3", "final_tokens[1,:]=ID"),
    ],
)
def test_a_wrong_assignment_is_refused_in_one_line(text, says, model, trace):
    with pytest.raises(SheetGPTError) as error:
        set_cells(model, trace, text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("block_0_step_4", np.zeros((7, 12))),
        ("block_0_step_4", np.zeros(36)),
        ("block_0_step_4", 3.0),
        ("model_wte", np.zeros((12, 40))),
        ("final_tokens", [1, 2, 3]),
        ("final_tokens", [0.5] * 7),
        ("no_stage", np.zeros((1, 1))),
        ("block_0_step_1", [["text"] * 12] * 7),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(name, matrix, model):
    with pytest.raises(StageError):
        model.run(token_ids=IDS, overrides={name: matrix})


def test_token_ids_beyond_the_vocabulary_are_refused(model, trace):
    with pytest.raises(PromptError):
        set_cells(model, trace, "final_tokens[1,0]=40")


def test_a_csv_with_text_or_the_wrong_size_is_refused_by_cell(model, trace, tmp_path):
    file = tmp_path / "m.csv"
    np.savetxt(file, np.zeros((7, 12)), delimiter=",")
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace("0.0", "much", 1).replace("much00000000000000000e+00", "much")
    file.write_text("\n".join(lines))
    with pytest.raises(StageError, match=r"row 3, column 1 holds 'much'"):
        set_cells(model, trace, f"block_0_step_1={file}")
    np.savetxt(file, np.zeros((7, 11)), delimiter=",")
    with pytest.raises(StageError, match="7 x 12"):
        set_cells(model, trace, f"block_0_step_1={file}")


# ------------------------------------------------------------------------------------------------ the command


def test_the_terminal_shows_predictions_before_and_after_and_the_travel():
    told = CliRunner().invoke(command, [PROMPT, "--set", "block_0_step_7[2,-1,0]=0", "--top", "3"]).output
    assert "before" in told
    assert "How far the change travelled:" in told
    assert "block 1" in told


def test_json_holds_the_assignments_the_predictions_before_and_the_travel():
    told = CliRunner().invoke(command, [PROMPT, "--set", "logits[5,0]=99", "--json"]).output
    data = json.loads(told)
    assert data["set"] == ["logits[5,0]=99"]
    assert data["before"][0]["token"] == " quickly"
    assert data["predictions"][0]["id"] == 5
    assert [part["part"] for part in data["travel"]] == ["embeddings", "block 0", "block 1", "head"]


def test_a_wrong_assignment_ends_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", PROMPT, "--set", "logits[0,7]=1"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("Error: logits[0, 7]: 7 is out of range")
