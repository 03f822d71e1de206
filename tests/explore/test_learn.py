"""Learn, on the page: what a person reads of a step of training is `train-step`'s, served and from a file."""

from __future__ import annotations

import re

import numpy as np
import pytest

import explore_pages as pages
from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.commands import train_step
from sheetgpt.explore.export import export
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer
from sheetgpt.generate.sample import Sampling, candidates
from sheetgpt.models.kinds import kind_of, training_steps, weights_of
from sheetgpt.run.edit import parse
from sheetgpt.training.documents import Documents
from sheetgpt.training.example import example
from sheetgpt.training.gradients import Loss
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import train_steps
from sheetgpt.training.words import NAMES

pytestmark = pytest.mark.browser

WORD = "ann"
KINDS = {"die": 40, "bigram": 40, "mlp": 40}  # and how many steps each is trained before
NUDGE = 0.01
everywhere = pytest.mark.parametrize("chosen", [(kind, place) for place in ("served", "file") for kind in KINDS])
twice = pytest.mark.parametrize("chosen", [("die", "file"), ("mlp", "served")])  # for what hangs on no model
CELLS = """cells => cells.map(cell =>
    [cell.parentElement.getAttribute("aria-rowindex"), cell.getAttribute("aria-colindex"), cell.innerText])"""
STILL = {"reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Models of the ladder by name, a little trained."""
    folder = tmp_path_factory.mktemp("ladder")
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    for kind, steps in KINDS.items():
        options = ["--tokens", "chars", "--model", kind, "--steps", steps]
        done = sheetgpt_here("train", "names.txt", kind, *options, cwd=folder)
        assert done.code == 0, done.err
    return {kind: load_model(folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def addresses(trained, page_built, tmp_path_factory):
    """Where each model's page is: on a server, and in a file."""
    folder, asked = tmp_path_factory.mktemp("pages"), Asked(WORD)
    with (
        pages.serving(Explorer(trained["die"], asked)) as die,
        pages.serving(Explorer(trained["bigram"], asked)) as bigram,
        pages.serving(Explorer(trained["mlp"], asked)) as mlp,
    ):
        served = {"die": die, "bigram": bigram, "mlp": mlp}
        files = {kind: export(model, asked, folder / f"{kind}.html").as_uri() for kind, model in trained.items()}
        yield {"served": served, "file": files}


@pytest.fixture
def model(trained, chosen):
    return trained[chosen[0]]


@pytest.fixture
def learn(addresses, chosen, chromium):
    kind, place = chosen
    with pages.opened(chromium, addresses[place][kind], **STILL) as found:
        yield found


@pytest.fixture
def die(addresses, chromium):
    with pages.opened(chromium, addresses["served"]["die"], **STILL) as found:
        yield found


def trained_on(model, word=WORD, steps=1, **options):
    """Steps of training by the command's own defaults."""
    defaults = {"learning_rate": 0.1, "weight_decay": 0.0, "optimizer": kind_of(model.config).defaults.optimizer}
    return train_steps(model, example(model, word), Settings(steps=steps, **defaults | options))


def rows_of(found, selector):
    """A table's rows, each the texts of its cells."""
    return [
        row.split("\t")
        for row in found.page.locator(f"{selector} tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.innerText).join('\\t'))"
        )
    ]


def value(text):
    """A number as the page shows it."""
    return pages.number(re.sub("[▲▼]", "", text).replace("e−", "e-"))


def weights_of_page(found):
    """The weights as they stand, with every digit."""
    packed = found.page.evaluate(
        "() => [...sheetgpt.learning.weights.value].map(([name, x]) => [name, x.rows, x.columns, [...x.data]])"
    )
    return {name: np.array(data).reshape(rows, columns) for name, rows, columns, data in packed}


def do_steps(found, count):
    found.page.fill(".many input", str(count))
    found.page.click(".many button")
    found.page.wait_for_function("() => sheetgpt.learning.left.value === null")


def losses_of_page(found):
    return found.page.evaluate("() => sheetgpt.learning.curve.value.losses")


def assert_weights(found, expected):
    seen = weights_of_page(found)
    assert set(seen) == set(expected)
    for name, matrix in expected.items():
        np.testing.assert_allclose(seen[name], matrix, rtol=1e-9, atol=1e-9, err_msg=name)


@twice
def test_a_model_that_learns_begins_with_learning_at_the_prompt(learn):
    assert learn.page.get_attribute(".views .on", "aria-current") == "page"
    assert learn.page.inner_text(".views .on") == "Learn"
    assert learn.page.locator(".targets .die:not(.given)").all_inner_texts() == [*WORD, "."]


@everywhere
def test_the_penalties_are_train_step_s(learn, model):
    training = trained_on(model)
    rows = rows_of(learn, ".positions")
    for row, expected in zip(rows, training.loss_table(training.steps[0]), strict=True):
        assert row[:3] == [str(expected.position), expected.context, expected.target]
        assert value(row[3]) == pytest.approx(expected.probability, abs=6e-5)
        assert value(row[4]) == pytest.approx(expected.penalty, abs=6e-5)
    assert value(learn.page.inner_text(".positions tfoot td >> nth=1")) == pytest.approx(
        training.steps[0].loss, abs=6e-6
    )
    assert training.loss.penalty.in_short.replace("-", "−") in learn.page.inner_text(".positions thead")


@everywhere
def test_a_training_of_each_weight_is_listed_as_train_step_lists_it(learn, model):
    training = trained_on(model)
    (step,) = training.steps
    name = next(iter(step.weights))
    learn.page.click("text=list")
    learn.page.wait_for_function(
        "() => [...document.querySelectorAll('.weight-list td')].every(cell => cell.innerText !== '')"
    )
    expected = [row for row in train_step.update_rows(step, limit=10**9) if row["weight"] == name]
    if len(expected) > 30:
        expected = sorted(expected, key=lambda row: -abs(row["gradient"]))[:30]
    optional = ["mean", "square"] if step.means else []
    for row, texts in zip(expected, rows_of(learn, ".weight-list"), strict=True):
        assert texts[0].split()[0] == f"{row['row']},{row['column']}"
        seen = dict(
            zip(["old", "more", "less", "slope", "gradient", *optional, "new"], map(value, texts[1:]), strict=True)
        )
        for column in ("old", "gradient", *optional, "new"):
            assert seen[column] == pytest.approx(row[column], abs=6e-5), column
        at = row["row"], row["column"]
        for column, by in (("more", NUDGE), ("less", -NUDGE)):
            assert seen[column] == pytest.approx(loss_with(training, name, at, by), abs=6e-6), column
        if "nudged_loss" in row:
            assert seen["more"] == pytest.approx(row["nudged_loss"], abs=6e-6)
            assert seen["slope"] == pytest.approx(row["nudged_slope"], abs=6e-6)


def loss_with(training, name, at, by):
    nudged = {one: matrix.copy() for one, matrix in training.steps[0].weights.items()}
    nudged[name][at] += by
    return training.loss(nudged)


@everywhere
def test_a_click_does_train_step_s_step(learn, model):
    learn.page.click("text=One step")
    assert_weights(learn, trained_on(model).steps[0].new)
    assert "1 step done" in learn.page.inner_text(".steps")
    learn.page.click("text=First weights again")
    assert_weights(learn, {name: model.weights[name] for name in weights_of(model.config)})


@everywhere
def test_twenty_steps_end_with_train_step_s_loss(learn, model):
    do_steps(learn, 20)
    training = trained_on(model, steps=21)
    assert losses_of_page(learn) == pytest.approx([step.loss for step in training.steps], rel=1e-9)
    assert_weights(learn, training.steps[20].weights)
    shown = learn.page.inner_text(".curve h2 i")
    assert value(shown.split()[0]) == pytest.approx(training.steps[-1].loss, abs=6e-6)
    assert shown.endswith("after 20 steps")


@twice
def test_it_goes_on_until_it_is_stopped(learn):
    learn.page.click(".steps .run")
    learn.page.wait_for_function("() => sheetgpt.learning.stepsDone.value > 25")
    learn.page.click(".steps .run")
    done = learn.page.evaluate("() => sheetgpt.learning.stepsDone.value")
    learn.page.wait_for_timeout(100)
    assert learn.page.evaluate("() => sheetgpt.learning.stepsDone.value") == done
    assert losses_of_page(learn)[-1] < losses_of_page(learn)[0]


@everywhere
def test_all_words_are_learned_as_one_batch(learn, model):
    learn.page.click("text=all 13 words")
    tokenizer = model.tokenizer
    documents = Documents([tokenizer.encode(name) for name in NAMES], tokenizer.end_of_text, None)
    loss = Loss.of(training_steps(model.config), *documents._batch(documents.documents))
    weights = {name: np.asarray(model.weights[name], float) for name in weights_of(model.config)}
    assert losses_of_page(learn)[-1] == pytest.approx(loss(weights), rel=1e-9)
    learn.page.click("text=One step")
    assert losses_of_page(learn)[-1] == pytest.approx(loss(weights_of_page(learn)), rel=1e-9)
    assert losses_of_page(learn)[-1] < losses_of_page(learn)[0]
    means = learn.page.locator(".word-list li span").all_inner_texts()
    now = weights_of_page(learn)
    expected = [example(model, name).loss(training_steps(model.config))(now) for name in NAMES]
    assert [value(text) for text in means] == pytest.approx(expected, abs=6e-4)


@twice
def test_another_word_is_learned_as_soon_as_it_is_typed(learn, model):
    learn.prompt("lea")
    training = trained_on(model, "lea")
    assert [row[2] for row in rows_of(learn, ".positions")] == [*"lea", "."]
    assert losses_of_page(learn) == pytest.approx([training.steps[0].loss], rel=1e-9)
    learn.prompt("lex")
    assert "no token for" in learn.complaint
    assert [row[2] for row in rows_of(learn, ".positions")] == [*"lea", "."]


@twice
def test_a_target_rolls_the_letter_that_generate_picks(learn, model):
    learn.page.click(".rolling button:text-is('Roll')")
    end = model.tokenizer.end_of_text
    for target in (0.05, 0.4, 0.93):
        learn.page.fill(".rolling input[type=range]", str(target))
        found = candidates(model.run(token_ids=[end]).array("logits")[:, -1], Sampling(1.0))
        picked = int(found.ids[np.searchsorted(found.cumulative, target, side="right")])
        assert learn.page.locator(".dice .die").all_inner_texts() == [".", model.token(picked)]


@twice
def test_a_rolled_word_can_be_learned(learn, model):
    learn.page.click(".rolling button:text-is('Roll')")
    learn.page.fill(".rolling input[type=range]", "0")
    (best, *_) = model.run(token_ids=[model.tokenizer.end_of_text]).predictions(1)
    learn.page.click("text=Learn it")
    learn.settle()
    assert learn.page.input_value("#prompt") == best.token
    assert [row[2] for row in rows_of(learn, ".positions")] == [best.token, "."]


@twice
def test_a_word_is_rolled_until_its_end(learn, model):
    learn.page.click("button:text-is('Roll a word')")
    learn.page.wait_for_selector(".dice .end")
    letters = learn.page.locator(".dice .die").all_inner_texts()
    assert letters[0] == "."
    assert "." not in letters[1:-1]
    assert letters[-1] == "." or len(letters) == 25


@twice
def test_it_begins_with_train_step_s_own_settings(learn, model):
    settings = learn.page.evaluate("() => sheetgpt.learning.settings.value")
    defaults = {option.name: option.default for option in train_step.command.params}
    names = {"learning_rate": "learningRate", "weight_decay": "weightDecay"}
    for name in ("learning_rate", "weight_decay", "beta1", "beta2", "gradient"):
        assert settings[names.get(name, name)] == defaults[name], name
    assert settings["epsilon"] == Settings().epsilon
    assert settings["optimizer"] == kind_of(model.config).defaults.optimizer


@twice
def test_settings_are_those_of_train_step(learn, model):
    learn.page.select_option(".settings select", "adamw")
    learn.page.fill(".settings input >> nth=0", "0.03")
    learn.page.fill(".settings input >> nth=1", "0.2")
    do_steps(learn, 3)
    training = trained_on(model, steps=3, optimizer="adamw", learning_rate=0.03, weight_decay=0.2)
    assert_weights(learn, training.steps[-1].new)


@twice
def test_a_stage_of_the_word_has_train_step_s_values_and_gradients(learn, model):
    (step,) = trained_on(model).steps
    name = next(reversed(step.stages)) if model.config.model == "die" else "logits"
    learn.page.select_option("[aria-label=matrix]", name)
    for button, expected in (("value", step.stages[name]), ("gradient", step.gradients[name])):
        learn.page.click(f".quantities >> text={button}")
        cells = learn.page.eval_on_selector_all("#learn-sheet .cell", CELLS)
        heads = learn.page.locator("#learn-sheet .grid-line").count()
        assert len(cells) == expected.size
        for row, column, text in cells:
            assert value(text) == pytest.approx(expected[int(row) - 1 - heads, int(column) - 2], abs=6e-5)


# ------------------------------------------------------------------------------------------------ the die


def test_a_weight_of_the_die_stays_above_0(die, trained):
    die.page.fill(".settings input >> nth=0", "200")
    die.page.click("text=One step")
    assert "a weight of the die would fall to 0 or below at step 1" in die.page.inner_text(".learn-right .complaint")
    assert_weights(die, {name: trained["die"].weights[name] for name in ("model_logits",)})


def test_the_run_can_be_looked_at_with_the_learned_weights(die, trained):
    model = trained["die"]
    do_steps(die, 5)
    die.page.click("text=Look at the run")
    die.settle()
    new = trained_on(model, steps=5).steps[-1].new["model_logits"]
    trace = model.run(WORD)
    sets = [parse(f"model_logits[{row},0]={number!r}", trace.sizes) for row, number in enumerate(new[:, 0].tolist())]
    expected = model.run_edited(trace, sets).array("probabilities")
    np.testing.assert_allclose(pages.matrix_of(die.page, "probabilities"), expected, rtol=1e-9)


def test_words_are_added_and_left_out(die):
    die.page.click("text=all 13 words")
    die.prompt("nell")
    die.page.click("text=Add “nell”")
    assert "all 14 words" in die.page.inner_text(".which")
    die.page.click("[aria-label='leave anna out']")
    assert die.page.locator(".word-list .link").all_inner_texts() == [*NAMES[1:], "nell"]


def test_a_gap_in_the_curve_stands_where_another_word_is_learned(die):
    do_steps(die, 2)
    die.prompt("lea")
    do_steps(die, 2)
    losses = losses_of_page(die)
    assert [loss is None for loss in losses] == [False, False, True, False, False, False]
