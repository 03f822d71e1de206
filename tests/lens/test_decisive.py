"""The decisive cell: no other single attention weight of the last token does more, and `--set` does what is said."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from sheetgpt import load_model
from sheetgpt.lens import decisive as lens
from sheetgpt.models.config import Config
from sheetgpt.run import edit

PROMPT = "Mike is quick. He moves"
POSITIONS = ["learned", "rotary"]


@pytest.fixture(scope="module", params=POSITIONS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    models.write_random_model(folder, Config(2, 3, 12, 16, 40, request.param), seed=4)
    return load_model(folder)


@pytest.fixture(scope="module")
def embedded():
    return load_model()


def after(model, trace, found):
    return model.run_edited(trace, [edit.parse(found.edit, trace.sizes)])


def tried_one_by_one(model, trace):
    """(another answer?, the old answer's probability) after each cell is set to 0, by a run of its own."""
    best, tried = trace.predictions(1)[0], {}
    for name in (step.name for step in trace.steps if step.by_head and step.op.shares):
        for column in range(trace.array(name).shape[1]):
            matrix = np.array(trace.array(name))
            matrix[-1, column] = 0
            run = model.run(token_ids=trace.token_ids, overrides={name: matrix})
            tried[name, column] = run.predictions(1)[0].id != best.id, float(run.ranking()[0][best.id])
    return tried


@settings(max_examples=15, deadline=None)
@given(ids=st.lists(st.integers(0, 39), min_size=1, max_size=16))
def test_no_other_weight_of_the_last_token_does_more(ids, model):
    trace = model.run(token_ids=ids)
    found, best = lens.decisive(trace), trace.predictions(1)[0]
    tried = tried_one_by_one(model, trace)
    changed, probability = tried[found.stage, found.head * len(ids) + found.key]
    assert found.changes == changed
    assert found.new_probability == pytest.approx(probability, abs=1e-12)
    if changed:
        assert probability <= min(p for other, p in tried.values() if other) + 1e-12
    else:
        assert not any(other for other, _ in tried.values())
        moved = [abs(p - best.probability) for _, p in tried.values()]
        assert abs(probability - best.probability) >= max(moved) - 1e-12


@settings(max_examples=10, deadline=None)
@given(ids=st.lists(st.integers(0, 39), min_size=1, max_size=16))
def test_what_is_said_follows_from_set(ids, model):
    trace = model.run(token_ids=ids)
    found = lens.decisive(trace)
    run = after(model, trace, found)
    assert run.predicted_token == found.new_answer
    row = run.array(found.stage)[found.query].reshape(trace.config.n_head, -1)[found.head]
    assert row[found.key] == 0
    assert row.sum() == pytest.approx(1 - found.weight)


def test_the_embedded_model_s_answer_hangs_on_the_adjective(embedded):
    trace = embedded.run(PROMPT)
    found = lens.decisive(trace)
    assert (found.row, found.column) == (" moves", " quick")
    assert found.changes
    assert after(embedded, trace, found).predicted_token == found.new_answer
    assert found.sentence.startswith(f'Type 0 into {found.stage}, head {found.head}, row " moves", column " quick"')


@pytest.mark.parametrize("prompt", [PROMPT, "Anna is loud. She sings"])
def test_where_only_the_likeliest_are_tried_they_hold_the_decisive_one(prompt, embedded, monkeypatch):
    trace = embedded.run(prompt)
    every = lens.decisive(trace)
    monkeypatch.setattr(lens, "WORK", 0)
    assert len(lens.likeliest(trace, lens.last_cells(trace), lens.most_runs(trace))) == lens.FEWEST
    found = lens.decisive(trace)
    assert found.new_probability == pytest.approx(every.new_probability, abs=1e-12)  # other batches, other last bits
    assert replace(found, new_probability=every.new_probability) == every


@pytest.mark.parametrize("page", ["README.md", "docs/lesson.md", "docs/why-quickly.md"])
def test_pages_that_set_the_cell_on_which_the_answer_hangs_set_that_one(page, embedded):
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    found = lens.decisive(embedded.run(PROMPT))
    assert set(re.findall(r"(block_\d_step_7)\[(\d),-1,(\d)\]=0", text)) == {
        (found.stage, str(found.head), str(found.key))
    }


def test_runs_in_memory_one_at_a_time_are_the_same(embedded, monkeypatch):
    trace = embedded.run(PROMPT)
    together = lens.decisive(trace)
    monkeypatch.setattr(lens, "CELLS_AT_ONCE", 1)
    alone = lens.decisive(trace)
    assert alone.edit == together.edit
    assert alone.new_probability == pytest.approx(together.new_probability, rel=1e-9)


@pytest.mark.parametrize("stage", ["block_0_step_4", "block_0_step_7", "block_0_step_15", "model_h1_mlp_c_fc_w"])
def test_what_was_set_in_the_run_stays_so(stage, model):
    before = model.run(token_ids=[3, 1, 4, 1, 5])
    trace = model.run_edited(before, [edit.parse(f"{stage}[0,0]=0.5", before.sizes)])
    found = lens.decisive(trace)
    matrix = np.array(trace.array(found.stage))
    matrix[-1, found.head * 5 + found.key] = 0
    run = model.run(token_ids=trace.token_ids, overrides={**trace.overrides, found.stage: matrix})
    assert found.new_probability == pytest.approx(float(run.ranking()[0][trace.predictions(1)[0].id]), abs=1e-12)


def test_behind_what_was_set_no_weight_decides(model):
    before = model.run(token_ids=[3, 1, 4])
    assert lens.decisive(model.run_edited(before, [edit.parse("predicted_embedding[0,2]=4", before.sizes)])) is None


def test_only_some_blocks(embedded):
    assert lens.decisive(embedded.run(PROMPT), range(1, 2)).stage.startswith("block_1")


def test_a_model_without_attention_has_none(tmp_path):
    config = Config(1, 1, 1, 8, 6, model="softmax")
    models.write_random_model(tmp_path, config)
    assert lens.decisive(load_model(tmp_path).run(token_ids=[0, 1])) is None


def test_the_readme_s_what_if_is_the_decisive_cell(embedded):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (typed,) = re.findall(r'--set "(.*?)"', readme)
    trace = embedded.run(PROMPT)
    found = lens.decisive(trace)
    assert found.changes
    assert edit.parse(typed, trace.sizes) == edit.parse(found.edit, trace.sizes)
