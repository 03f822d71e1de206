"""The page runs our list of steps: of every kind of model each stage is Python's, and so is what follows from edits."""

from __future__ import annotations

import numpy as np
import pytest

import models
from sheetgpt.explore.facts import step_data
from sheetgpt.explore.origin import origin
from sheetgpt.explore.runs import answer
from sheetgpt.lens.addresses import Region
from sheetgpt.model import load_model
from sheetgpt.models.config import MODELS, Config
from sheetgpt.models.kinds import kind, training_steps
from sheetgpt.models.step import Role
from sheetgpt.run.edit import Edit
from sheetgpt.weights.folder import write_weights

pytestmark = pytest.mark.browser

IDS = [3, 1, 4, 1, 5, 9, 2]
SMALL = {"n_layer": 2, "n_head": 3, "n_embd": 12, "n_ctx": 16, "n_vocab": 40}
# kind of model, positions, has its head a matrix of its own?
EVERY_KIND = [(name, "learned", False) for name in MODELS]
EVERY_KIND += [("gpt2", "learned", True), ("gpt2", "sinusoidal", False), ("gpt2", "rotary", True)]
EVERY_KIND += [("attention", "sinusoidal", False), ("attention", "rotary", False), ("microgpt", "rotary", False)]


def made(name, position, untied, folder):
    """A random model of a kind."""
    config = Config(**SMALL, position=position, model=name)
    matrices = models.random_matrices(config, 5, untied=untied)
    if kind(name).plain_shares:
        matrices = {key: np.abs(matrix) + 0.1 for key, matrix in matrices.items()}
    write_weights(folder, config, matrices)
    return load_model(folder)


def keep(script, model, steps=None):
    """The model as `kept.model` on the page; a browser's page of its own never holds two at a time."""
    data = [step_data(step) for step in steps or model.steps]
    body = "kept.model = { steps, weights: new Map(Object.entries(weights)) }; kept.runs = []"
    script(body, steps=data, weights={name: np.asarray(model.weights[name], float) for name in model.weights})
    return model


@pytest.fixture(scope="module", params=EVERY_KIND, ids=str)
def model(request, script, tmp_path_factory):
    return keep(script, made(*request.param, tmp_path_factory.mktemp("weights")))


RUN = "kept.run = sheetgpt.run(kept.model, ids); return kept.run.values"
EDIT = "kept.run = sheetgpt.runEdited(kept.model, kept.run, edits); return kept.run.values"


def assert_same(found, trace):
    assert [name for name in found if name in trace.arrays] == [name for name in trace.arrays if name in found]
    for name, array in trace.arrays.items():
        np.testing.assert_allclose(found[name], np.atleast_2d(array), rtol=1e-9, atol=1e-9, err_msg=name)


def as_data(edits):
    return [{"stage": one.stage, "at": one.at, "value": one.value} for one in edits]


def test_every_stage_of_a_run_is_python_s(model, script):
    assert_same(script(RUN, ids=IDS), model.run(token_ids=IDS))


def test_stages_arrive_in_the_order_of_the_list(model, script):
    body = "const seen = []; sheetgpt.run(kept.model, ids, (name) => seen.push(name)); return seen"
    assert script(body, ids=IDS) == [step.name for step in model.steps if not step.is_given]


@pytest.mark.parametrize("seed", range(4))
def test_cells_that_are_set_and_what_follows_are_python_s(seed, model, script):
    """Twice: what was set before stays set."""
    rng = np.random.default_rng(seed)
    trace = model.run(token_ids=IDS)
    script(RUN, ids=IDS)
    for _ in range(2):
        edits = drawn(rng, model, trace)
        trace = model.run_edited(trace, edits)
        assert_same(script(EDIT, edits=as_data(edits)), trace)


def drawn(rng, model, trace):
    """A few cells of stages and weights, in any order; sometimes a token, sometimes a whole stage."""
    of_tokens, prediction = model.steps.name(Role.TOKENS), model.steps.name(Role.PREDICTION)
    shapes = {name: shape for name, shape in trace.sizes.shapes.items() if name != prediction}
    names = rng.choice(sorted(set(shapes) & ({*trace.arrays, *model.weights})), 3)
    edits = [Edit(str(name), cell(rng, shapes[name]), float(abs(rng.normal()))) for name in (*names, names[0])]
    if rng.random() < 0.3:
        edits.append(Edit(of_tokens, (1, int(rng.integers(len(IDS)))), float(rng.integers(SMALL["n_vocab"]))))
    if rng.random() < 0.3:
        edits.append(Edit(str(names[1]), None, np.abs(rng.standard_normal(shapes[names[1]]))))
    return edits


def cell(rng, shape):
    row, column = rng.integers(shape).tolist()
    return row, column


def test_what_an_edit_does_not_reach_is_not_computed_again(script, tmp_path):
    model = keep(script, made("gpt2", "learned", False, tmp_path))
    name = model.steps.in_block(1, 13).name
    script(RUN, ids=IDS)
    body = """
    const after = sheetgpt.runEdited(kept.model, kept.run, [{ stage: name, at: [0, 0], value: 1 }]);
    return [...after.values.keys()].filter((one) => after.values.get(one) !== kept.run.values.get(one));
    """
    found = script(body, name=name)
    names = [step.name for step in model.steps.computed]
    given = [*model.steps.inputs(IDS)]
    assert [one for one in found if one not in given] == names[names.index(name) :]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            {"stage": "block_0_step_2", "at": [7, 0], "value": 1},
            "block_0_step_2[7,0] is no cell: block_0_step_2 has 7 rows and 12 columns",
        ),
        (
            {"stage": "block_0_step_2", "at": None, "value": np.ones((2, 3))},
            "block_0_step_2 has 7 x 12 cells, not 2 x 3",
        ),
        ({"stage": "final_tokens", "at": [1, 0], "value": 0.5}, "0.5 is no token id: ids are whole numbers from 0"),
        ({"stage": "final_tokens", "at": [1, 0], "value": 40}, "there is no row 40: rows are 0 to 39"),
        (
            {"stage": "final_tokens", "at": [0, 0], "value": 1},
            "final_tokens[-1,0] is no cell: final_tokens has 1 rows and 7 columns",
        ),
        ({"stage": "nothing", "at": [0, 0], "value": 1}, "no stage or weight is called nothing"),
    ],
)
def test_an_edit_that_does_not_fit_is_named(edit, said, script, tmp_path):
    keep(script, made("gpt2", "learned", False, tmp_path))
    script(RUN, ids=IDS)
    body = "try { sheetgpt.runEdited(kept.model, kept.run, [edit]); } catch (error) { return error.message; }"
    assert script(body, edit=edit) == said


def test_the_embedded_model_s_answer_texts_and_travel_are_python_s(script):
    model, prompt = keep(script, load_model()), "Mike is quick. He moves"
    tokenizer = model.tokenizer
    before = model.run(prompt)
    edits = [Edit(model.steps.in_block(1, 4).name, (5, 3), 2.0)]
    after = model.run_edited(before, edits)
    body = """
    const tokenizer = new sheetgpt.Tokenizer({ merges, scores, tokens, added: null });
    const token = (id) => tokens[id];
    const merges_ = tokenizer.trace(prompt);
    const { model } = kept;
    const before = sheetgpt.run(model, merges_.ids);
    const after = sheetgpt.runEdited(model, before, edits);
    return {
      tables: sheetgpt.textTables(model, before, token, merges_),
      prediction: sheetgpt.predictionTable(model, before, token),
      best: [sheetgpt.bestOf(model, before, null, token), sheetgpt.bestOf(model, after, before, token)],
      travel: sheetgpt.travelOf(model.steps, before, after),
    };
    """
    tables = {"merges": tokenizer.merges, "scores": list(tokenizer.scores.values()), "tokens": tokenizer.tokens}
    found = script(body, prompt=prompt, edits=as_data(edits), **tables)
    texts = [step.name for step in model.steps if step.is_given]
    assert found["tables"] == {name: before.text_table(name) for name in texts}
    close(found["prediction"], before.text_table(model.steps.name(Role.PREDICTION)))
    close(found["best"][0], answer(before, None)["best"])
    close(found["best"][1], answer(after, before)["best"])
    close(found["travel"], answer(after, before)["travel"])


def close(found, expected):
    """The same but for the last digits of numbers."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    else:
        assert found == expected


def test_where_cells_come_from_and_where_they_go_is_python_s(model, script):
    rng, trace = np.random.default_rng(0), model.run(token_ids=IDS)
    script(RUN, ids=IDS)
    names = [name for name in trace.sizes.shapes if name in trace.arrays or name in model.weights]
    cells = [(name, *cell(rng, trace.sizes.shapes[name])) for name in names for _ in range(2)]
    cells += [(model.steps.name(Role.TOKENS), 1, 2), (model.steps.name(Role.PREDICTION), 0, 1)]
    found = script("return cells.map((cell) => sheetgpt.originOf(kept.model, kept.run, ...cell))", cells=cells)
    for one, made in zip(cells, found, strict=True):
        assert_origin(made, origin(trace, Region(*one)))


def assert_origin(found, expected):
    near = {"rel": 1e-9, "abs": 1e-9}
    sums = [(one["terms"] or {}).pop("sum", None) for one in (found, expected)]
    close(found, expected)
    assert (sums[0] is None) == (sums[1] is None)
    if sums[0]:
        largest = [one.pop("largest") for one in sums]
        close(*sums)
        sizes = [[abs(term["value"]) for term in terms] for terms in largest]  # alike, whichever of equals comes first
        assert sizes[0] == pytest.approx(sizes[1], **near)
        assert {term["index"] for term in largest[0]} == {term["index"] for term in largest[1]}


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_of_every_stage_and_weight_is_python_s(name, script, tmp_path):
    from sheetgpt.training.gradients import Loss

    model = made(name, "learned", False, tmp_path)
    steps = training_steps(model.config, untied=model.weights.untied)
    keep(script, model, steps)
    targets = [*IDS[1:], 0]
    loss = Loss.of(steps, np.array(IDS), np.array(targets))
    weights = {one: np.asarray(model.weights[one], float) for one in model.weights}
    values = loss.values(weights)
    expected = loss.backprop(values, weights)
    body = """
    const values = sheetgpt.forward(kept.model, sheetgpt.inputsOf(kept.model.steps, ids, targets));
    return [values, sheetgpt.backward(kept.model, values, new Map([[penalties, share]]))];
    """
    found, gradients = script(body, ids=IDS, targets=targets, penalties=loss.penalties, share=loss.share)
    for stage, array in values.items():
        np.testing.assert_allclose(found[stage], np.atleast_2d(array), rtol=1e-9, atol=1e-9, err_msg=stage)
    assert set(gradients) == set(expected)
    for stage, array in expected.items():
        np.testing.assert_allclose(gradients[stage], array, rtol=1e-9, atol=1e-9, err_msg=stage)
