"""Of a port that dumps some stages only, however it computes and prints, a mistake is named where it first shows."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ports import FLOAT32_UNIT, PORTS, UNITS, UNSEEN, arrays_of, write
from sheetgpt.commands.diff import as_text
from sheetgpt.diff import diff
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.diff.sides import RunSide
from sheetgpt.model import load_model

PROMPT = "Mike is quick. He moves"
INJECTED = int(os.environ.get("SHEETGPT_INJECTED", "2"))  # mistakes in each kind of dump, a seeded sample


def numbered(*numbers):
    return lambda step: step is not None and step.number in numbers


def named(*names):
    return lambda step: step is not None and step.name in names


def either(*tests):
    return lambda step: any(test(step) for test in tests)


DUMPS = {  # which stages a port dumps
    "ends of blocks and logits": either(numbered(16), named("logits")),
    "embeddings, ends of blocks, logits": either(
        numbered(16), named("token_embeddings", "position_embeddings", "logits")
    ),
    "steps 4, 7, 16": numbered(4, 7, 16),
    "attention": numbered(4, 6, 7, 8, 9),
    "MLP": numbered(11, 12, 13, 14, 15),
    "norms and logits": either(numbered(3, 12), named("predicted_embedding", "logits")),
    "residuals": numbered(10, 16),
    "one block": lambda step: step is not None and step.block == 1,
}


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def good(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def left(model, good):
    return RunSide(good, model.weights)


@pytest.fixture(scope="module")
def cases(good):
    return [
        (mistake, step, change)
        for mistake in known_mistakes(good.sizes)
        for step in good.steps
        if (change := mistake.change(step, good.steps)) is not None
    ]


def first_moved(good, clean, wrong, port, only):
    """The first stage dumped that the mistake moves by more than the port's rounding hides; None where none is."""
    unit = UNITS.get(port, FLOAT32_UNIT)
    for step in good.steps:
        if not only(step) or step.name not in clean:
            continue
        before, after = (np.where(a < -1e9, -1e9, a).astype(float) for a in (clean[step.name], wrong[step.name]))
        size = max(1.0, np.abs(before[before > -1e9]).max(initial=0))
        if not (np.abs(after - before) <= UNSEEN * unit * size).all():
            return step.name
    return None


def causes(report):
    return {one.stage: one.cause for one in report.stages if one.verdict == "different"}


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("port", PORTS)
def test_a_mistake_is_named_where_it_first_shows_and_never_called_rounding(
    port, dump, model, good, left, cases, tmp_path
):
    only = DUMPS[dump]
    names = {step.name for step in good.steps if only(step)}
    clean = arrays_of(good, model, good.steps, port)
    report = diff(left, write(clean, port, tmp_path / "clean.npz", names.__contains__))
    assert not report.own_errors
    assert report.first is None or report.diagnosis.cause == "rounding", report.diagnosis
    seed, found = [list(PORTS).index(port), list(DUMPS).index(dump)], 0
    for at in np.random.default_rng(seed).permutation(len(cases)):
        mistake, step, change = cases[at]
        try:
            wrong = arrays_of(good, model, [change if one == step else one for one in good.steps], port)
        except (ValueError, IndexError):  # shapes that don't allow it
            continue
        if any(name in names and wrong[name].shape != clean[name].shape for name in wrong):
            continue
        shown = first_moved(good, clean, wrong, port, only)
        if shown is None:
            continue
        report = diff(left, write(wrong, port, tmp_path / "port.npz", names.__contains__))
        own = {one.stage: one.cause for one in report.own_errors}
        earliest = next(iter(own), None)
        assert earliest is not None, (mistake.name, step.name, shown, as_text(report)[:500])
        assert all(mistake.name in cause for cause in own.values()), (mistake.name, step.name, shown, own)
        order = list(good.steps.by_name)
        behind = {name: cause for name, cause in causes(report).items() if order.index(name) >= order.index(shown)}
        assert not [cause for cause in behind.values() if "not a bug" in cause], (mistake.name, step.name, behind)
        found += 1
        if found == INJECTED:
            return
    raise AssertionError(f"only {found} mistakes show in {dump} of {port}")


@pytest.mark.parametrize("port", PORTS)
def test_logits_alone_are_too_far_and_it_is_said_what_to_dump_next(port, model, good, left, cases, tmp_path):
    """Between the embeddings and the logits lies the whole model: no cause is made up for what no one can know."""
    for mistake, step, change in cases[:: len(cases) // 5]:
        wrong = arrays_of(good, model, [change if one == step else one for one in good.steps], port)
        report = diff(left, write(wrong, port, tmp_path / "port.npz", {"logits"}.__contains__))
        assert not report.own_errors
        if report.first is not None:
            assert report.first.own_error is None
            assert "stages that lead to it are not in RIGHT: dump block_1_step_1 next" in report.first.cause
            assert mistake.name not in report.first.cause
