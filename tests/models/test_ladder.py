"""The ladder of models: the golden numbers of the die, and for every rung three gradients that agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import DIE, VOCABULARY
from sheetgpt import load_model
from sheetgpt.errors import SheetGPTError
from sheetgpt.generate.sample import pick_index
from sheetgpt.models.config import MODELS, Config
from sheetgpt.models.kinds import matrix_shapes, model_steps, training_steps
from sheetgpt.training.gradients import Loss, gradient_check
from sheetgpt.weights.folder import write_weights

SIZES = {name: Config(1, 2, 4, 8, 6, model=name) for name in MODELS} | {
    "die": Config(1, 1, 1, 8, 6, model="die"),
    "softmax": Config(1, 1, 1, 8, 6, model="softmax"),
    "bigram": Config(1, 1, 1, 8, 6, model="bigram"),
    "mlp": Config(1, 1, 2, 3, 6, model="mlp"),
    "attention": Config(1, 1, 4, 8, 6, model="attention"),
}
every_rung = pytest.mark.parametrize("model", MODELS)


def drawn(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Weights that every rung can have: the die's are above 0."""
    rng = np.random.default_rng(seed)
    low = 0.2 if config.model == "die" else -0.8
    return {name: rng.uniform(low, 1.0, shape) for name, shape in matrix_shapes(config).items()}


# ------------------------------------------------------------------------------------------------ golden numbers


def ann() -> Loss:
    targets = np.array([VOCABULARY.index(letter) for letter in "ann."])
    return Loss.of(training_steps(SIZES["die"]), np.array([5, *targets[:-1]]), targets)


def test_the_die_of_the_word_ann_has_the_golden_probabilities_and_loss():
    probabilities = ann().values(DIE)["probabilities"]
    golden = [0.18, 0.14, 0.26, 0.20, 0.05, 0.16]  # the first is 0.1884, cut where the others are rounded
    np.testing.assert_allclose(probabilities[:, 0], golden, atol=0.01)
    assert round(ann()(DIE), 4) == 0.8868


def test_nudging_a_changes_the_golden_loss_and_all_nudges_give_the_golden_gradients():
    nudged = DIE["model_logits"].copy()
    nudged[0] += 0.01
    assert round(ann()({"model_logits": nudged}), 4) == 0.8864
    gradients = ann().gradients(DIE, "numeric", epsilon=0.01)["model_logits"][:, 0]
    np.testing.assert_array_equal(gradients.round(2), [-0.04, 0.03, 0.03, 0.03, -0.12, -0.04])


def test_one_golden_step_with_rate_a_tenth():
    gradients = ann().gradients(DIE, "numeric", epsilon=0.01)["model_logits"]
    stepped = DIE["model_logits"] - 0.1 * gradients
    np.testing.assert_array_equal(stepped[:, 0].round(3), [0.624, 0.447, 0.847, 0.667, 0.182, 0.534])
    assert round(ann()({"model_logits": stepped}), 4) == 0.8847


def test_the_golden_pick_is_index_3():
    assert pick_index(np.array([0.3, 0.1, 0.1, 0.1, 0.2, 0.2]), 0.53) == 3


# ------------------------------------------------------------------------------------------------ every rung


@every_rung
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), word=st.lists(st.integers(0, 5), min_size=2, max_size=5))
def test_backprop_nudges_and_values_agree_on_every_weight(model, seed, word):
    config = SIZES[model]
    weights = drawn(config, seed)
    loss = Loss.of(training_steps(config), np.array(word[:-1]), np.array(word[1:]))
    for check in gradient_check(loss, weights):
        assert check.value_graph == pytest.approx(check.backprop, rel=1e-9, abs=1e-12)
        assert check.numeric == pytest.approx(check.backprop, rel=1e-3, abs=1e-5)


@every_rung
def test_predictions_that_do_not_count_change_neither_loss_nor_gradients(model):
    config = SIZES[model]
    weights, steps = drawn(config, 1), training_steps(config)
    short = Loss.of(steps, np.array([5, 0, 1]), np.array([0, 1, 5]))
    padded = Loss.of(steps, np.array([5, 0, 1, 5, 5]), np.array([0, 1, 5, -1, -1]))
    assert padded(weights) == pytest.approx(short(weights))
    for name, gradient in short.gradients(weights).items():
        np.testing.assert_allclose(padded.gradients(weights)[name], gradient, atol=1e-12)


@every_rung
def test_the_last_row_of_the_training_list_is_the_run(model, tmp_path):
    config = SIZES[model]
    write_weights(tmp_path, config, {name: w.astype(np.float32) for name, w in drawn(config, 2).items()})
    loaded, ids = load_model(tmp_path), [5, 0, 4, 4]
    assert loaded.config == config
    logits = loaded.run(token_ids=ids).array("logits")
    whole = Loss.of(model_steps(config, every_row=True), np.array(ids), np.zeros(4, int)).values(loaded.weights)
    np.testing.assert_allclose(whole["logits"][:, -1:], logits, rtol=1e-12)


def test_many_weights_are_refused_by_nudges_in_one_line():
    config = Config(1, 1, 1, 1, 100, model="bigram")
    loss = Loss.of(training_steps(config), np.array([1]), np.array([2]))
    with pytest.raises(SheetGPTError, match="10,000 weights"):
        loss.gradients(drawn(config, 0), "numeric")
