"""Mistakes are found in every model of ours, under strange names too: what a step is decides, not what it is called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import SMALL
from sheetgpt.diff import diff
from sheetgpt.diff.mistakes import MISTAKES, known_mistakes
from sheetgpt.diff.sides import RunSide
from sheetgpt.models.config import POSITIONS
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Part
from sheetgpt.run.forward import forward
from strange_model import strange


def cases(sizes):
    """Every known mistake at every step that it applies to: (mistake, step, the step done wrong)."""
    for mistake in known_mistakes(sizes):
        for step in sizes.steps:
            change = mistake.change(step, sizes.steps)
            if change is not None:
                yield mistake, step, change


def port(model, trace, step, change):
    """The run of a port that does one step wrong; None where its shapes don't allow it."""
    steps = [change if one == step else one for one in trace.steps]
    try:
        with np.errstate(all="ignore"):  # a port's NaN
            return replace(trace, arrays=forward(steps, model.weights, trace.steps.inputs(trace.token_ids)))
    except (ValueError, IndexError):
        return None


def test_each_mistake_is_named_with_the_stage_where_it_first_can_be(model, trace):
    found = {}
    for mistake, step, change in cases(trace.sizes):
        wrong = None if mistake.name in found else port(model, trace, step, change)
        if wrong is None:
            continue
        report = diff(RunSide(trace, model.weights), RunSide(wrong), weights=model.weights)
        if report.first is not None:
            assert report.first.stage == step.name
            assert mistake.name in report.diagnosis.mistakes
            assert {mistake.name, *report.diagnosis.mistakes} in ({mistake.name}, {"epsilon 1e-12", "no epsilon"})
            found[mistake.name] = step
    if any(step.part is Part.BLOCK for step in trace.steps):
        assert {"scale 1/sqrt(head size) missing", "q, k, v in another order", "mask strict"} <= set(found)
    if any(step.inputs == ("model_wte", trace.steps[2].name) for step in trace.steps):
        assert {"token ids one too high", "logits from another row"} <= set(found)


@pytest.mark.parametrize("position", POSITIONS)
def test_under_strange_names_the_same_mistakes_apply_to_the_same_steps(position, strange_kind):
    plain, other = (Sizes(replace(SMALL, position=position, model=model), 5) for model in ("gpt2", strange_kind))
    assert [(mistake.name, strange(step.name), [strange_input(name, plain) for name in change.inputs])
            for mistake, step, change in cases(plain)] == [
        (mistake.name, step.name, list(change.inputs)) for mistake, step, change in cases(other)
    ]  # fmt: skip
    assert {mistake.name for mistake, *_ in cases(plain)} >= {mistake.name for mistake in MISTAKES} - {
        "positions starting at one",
        "position embeddings left out",
    }


def strange_input(name, sizes):
    return strange(name) if name in sizes.steps else name
