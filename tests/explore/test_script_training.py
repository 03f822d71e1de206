"""A step of training on the page is `train-step`'s: loss, gradients, nudges and update, on every rung of the ladder."""

from __future__ import annotations

import numpy as np
import pytest

import models
from sheetgpt.bpe import write_tables
from sheetgpt.errors import SheetGPTError
from sheetgpt.explore.facts import step_data
from sheetgpt.model import load_model
from sheetgpt.models.config import MODELS, Config
from sheetgpt.models.kinds import has_last_position, kind, training_steps, weights_of
from sheetgpt.training.documents import Documents, character_tables
from sheetgpt.training.example import example
from sheetgpt.training.gradients import Loss
from sheetgpt.training.matrices import What
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import constant_rate, train_steps
from sheetgpt.weights.folder import write_weights

pytestmark = pytest.mark.browser

WORDS = "anna ann elina lea"
SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 8, "n_ctx": 12}
STEPS = 3


def of_kind(name, folder):
    """A random model of letters."""
    tables = character_tables(WORDS.replace(" ", "\n"))
    config = Config(**(SMALL | {"n_ctx": 3} if name == "mlp" else SMALL), n_vocab=len(tables[1]), model=name)
    matrices = models.random_matrices(config, 7)
    if kind(name).plain_shares:
        matrices = {one: np.abs(matrix) + 0.5 for one, matrix in matrices.items()}
    folder.mkdir()
    write_tables(folder, *tables)
    write_weights(folder, config, matrices)
    return load_model(folder)


def keep(script, model):
    tokenizer = model.tokenizer
    weights = {name: np.asarray(model.weights[name], float) for name in weights_of(model.config)}
    decayed = [name for name, weight in weights_of(model.config).items() if not weight.is_vector]
    tables = {"merges": tokenizer.merges, "scores": list(tokenizer.scores.values()), "tokens": tokenizer.tokens}
    body = """
    kept.tokenizer = new sheetgpt.Tokenizer({ ...tables, added: null });
    kept.state = sheetgpt.stateOf({ steps, weights: new Map(Object.entries(weights)) }, decayed);
    """
    steps = [step_data(step) for step in training_steps(model.config)]
    script(body, tables=tables, steps=steps, weights=weights, decayed=decayed)
    return model


@pytest.fixture(scope="module", params=MODELS)
def model(request, script, tmp_path_factory):
    return keep(script, of_kind(request.param, tmp_path_factory.mktemp("models") / request.param))


TRAIN = """
const example = sheetgpt.exampleOf(kept.tokenizer, text, room);
let state = kept.state;
return Array.from({ length: count }, () => {
  const made = sheetgpt.trainStep(state, [example], { ...sheetgpt.DEFAULTS, ...settings });
  state = made.after;
  const { values, gradients } = made.runs[0];
  return {
    loss: made.loss, values, stageGradients: gradients, gradients: made.gradients, weights: made.before.model.weights,
    new: state.model.weights, means: state.means, squares: state.squares,
    table: sheetgpt.lossTable(made.before.model, made.runs[0]),
  };
});
"""


def room_of(model):
    return model.config.n_ctx if has_last_position(model.config) else None


def as_options(settings):
    names = {"learning_rate": "learningRate", "weight_decay": "weightDecay"}
    shown = ("optimizer", "learning_rate", "weight_decay", "beta1", "beta2", "epsilon", "gradient")
    return {names.get(name, name): getattr(settings, name) for name in shown}


def assert_close(found, expected, tolerance=1e-9):
    assert set(found) == set(expected)
    for name, matrix in expected.items():
        np.testing.assert_allclose(found[name], matrix, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_steps_of_training_are_python_s(optimizer, decay, model, script):
    settings = Settings(steps=STEPS, optimizer=optimizer, learning_rate=0.05, weight_decay=decay)
    training = train_steps(model, example(model, "anna"), settings)
    found = script(TRAIN, text="anna", room=room_of(model), count=STEPS, settings=as_options(settings))
    for made, step in zip(found, training.steps, strict=True):
        assert made["loss"] == pytest.approx(step.loss, rel=1e-9)
        given = set(made["values"]) - set(step.stages)
        assert_close({name: one for name, one in made["values"].items() if name not in given}, step.stages)
        assert_close(made["stageGradients"], step.gradients)
        assert_close(made["gradients"], {name: step.gradients[name] for name in step.weights})
        assert_close(made["weights"], step.weights)
        assert_close(made["new"], step.new)
        if optimizer == "adamw":
            assert_close(made["means"], step.means)
            assert_close(made["squares"], step.squares)
        same_table(made["table"], training.loss_table(step))


def same_table(found, expected):
    for row, other in zip(found, expected, strict=True):
        assert (row["position"], row["context"], row["target"]) == (other.position, other.context, other.target)
        for name in ("probability", "penalty", "share"):
            assert row[name] == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-12)


def test_the_gradient_by_nudges_is_python_s(model, script):
    settings = constant_rate(Settings(steps=1, optimizer="sgd", gradient="numeric"))
    training = train_steps(model, example(model, "ann"), settings)
    found = script(TRAIN, text="ann", room=room_of(model), count=1, settings=as_options(settings))[0]
    step = training.steps[0]
    assert_close(found["gradients"], step.gradients, 1e-7)  # differences of losses, divided by 1e-6
    assert_close(found["new"], step.new, 1e-9)


def test_what_nudging_each_weight_of_the_die_does_is_python_s(script, tmp_path):
    model = keep(script, of_kind("die", tmp_path / "die"))
    (step,) = train_steps(model, example(model, "ann"), Settings(steps=1, optimizer="sgd")).steps
    (name,) = step.weights
    body = """
    const examples = [sheetgpt.exampleOf(kept.tokenizer, "ann", null)];
    const { losses, slopes } = sheetgpt.nudged(kept.state.model, examples, name);
    return [losses, slopes, sheetgpt.targetShares(examples, kept.tokenizer.tokens.length)];
    """
    losses, slopes, shares = script(body, name=name)
    np.testing.assert_allclose(losses, step.nudged[What.NUDGED_LOSS], rtol=1e-12)
    np.testing.assert_allclose(slopes, step.nudged[What.NUDGED_SLOPE], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shares, step.nudged[What.TARGET_SHARE], rtol=1e-12)


def test_a_nudge_of_any_weight_changes_the_loss_as_python_says(model, script):
    steps, weights = training_steps(model.config), {one: np.asarray(model.weights[one], float) for one in model.weights}
    loss, name = example(model, "ann").loss(steps), list(weights)[-1]
    body = """
    const examples = [sheetgpt.exampleOf(kept.tokenizer, "ann", null)];
    return sheetgpt.nudged(kept.state.model, examples, name, 0.01).losses;
    """
    found = script(body, name=name)
    assert found.shape == weights[name].shape
    for at in [(0, 0), tuple(size - 1 for size in found.shape)]:
        changed = weights[name].copy()
        changed[at] += 0.01
        assert found[at] == pytest.approx(loss({**weights, name: changed}), rel=1e-9)


def test_a_batch_has_python_s_loss_and_gradient(model, script):
    texts, steps = WORDS.split(), training_steps(model.config)
    tokenizer = model.tokenizer
    documents = Documents([tokenizer.encode(text) for text in texts], tokenizer.end_of_text, None)
    loss = Loss.of(steps, *documents._batch(documents.documents))
    weights = {name: np.asarray(model.weights[name], float) for name in weights_of(model.config)}
    body = """
    const batch = sheetgpt.batchOf(texts.map((text) => sheetgpt.exampleOf(kept.tokenizer, text, null)));
    const made = sheetgpt.trainStep(kept.state, batch, sheetgpt.DEFAULTS);
    const { model } = kept.state;
    return [made.loss, sheetgpt.lossOf(model, batch), made.gradients, sheetgpt.penaltyOfModel(model).inShort];
    """
    total, again, gradients, in_short = script(body, texts=texts)
    assert total == pytest.approx(loss(weights), rel=1e-9)
    assert again == pytest.approx(total, rel=1e-12)
    assert_close(gradients, dict(loss.gradients(weights)))
    assert in_short == loss.penalty.in_short


def test_a_text_is_seen_as_python_sees_it(script):
    body = """
    kept.tokenizer = new sheetgpt.Tokenizer({ merges, scores, tokens, added: null });
    return sheetgpt.exampleOf(kept.tokenizer, text, 64);
    """
    model, text = load_model(), "Mike is quick. He moves"
    tokenizer = model.tokenizer
    tables = {"merges": tokenizer.merges, "scores": list(tokenizer.scores.values()), "tokens": tokenizer.tokens}
    found, expected = script(body, text=text, **tables), example(model, text)
    for name in ("ids", "targets", "share", "context", "coming"):
        assert found[name] == list(getattr(expected, name)), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is nothing to learn from: give a text of more tokens"),
        ("annannannann", "the text takes 13 positions and the model's context holds 12: shorten it"),
        ("anx", 'the model has no token for "x": leave it out'),
    ],
)
def test_a_text_that_teaches_nothing_is_refused_as_by_python(text, said, script, tmp_path):
    model = keep(script, of_kind("attention", tmp_path / "attention"))
    with pytest.raises(SheetGPTError):
        example(model, text)
    body = "try { sheetgpt.exampleOf(kept.tokenizer, text, room); } catch (error) { return error.message; }"
    assert script(body, text=text, room=model.config.n_ctx) == said


def test_a_loss_that_is_no_number_ends_the_training(script, tmp_path):
    keep(script, of_kind("softmax", tmp_path / "softmax"))
    body = """
    const examples = [sheetgpt.exampleOf(kept.tokenizer, "ann", null)];
    const options = { ...sheetgpt.DEFAULTS, optimizer: "sgd", learningRate: 1e308 };
    let { state } = kept;
    try {
      for (let i = 0; i < 10; i++) state = sheetgpt.trainStep(state, examples, options).after;
    } catch (error) { return error.message; }
    """
    assert script(body).endswith("try a smaller learning rate")
