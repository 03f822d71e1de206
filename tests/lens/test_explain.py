"""Every number of every model is explained: its terms give it back, its precedents and dependents meet, addresses are
those of `--set`, and what is no number is one line.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import doc_sessions
from command_line import sheetgpt_here
from conftest import require
from models import random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.errors import SheetGPTError, StageError
from sheetgpt.lens import dependents, explain, precedents
from sheetgpt.lens.addresses import Region, address, parse, split
from sheetgpt.lens.cells import dependents_of, precedents_of, terms_of, value_at
from sheetgpt.model import Model
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.models.kinds import kind_of
from sheetgpt.models.step import Role
from sheetgpt.run import edit
from sheetgpt.weights.folder import Weights

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
PROMPT = "Mike is quick. He moves"
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_ctx": 6, "n_vocab": 11}
ALL = [Config(**SIZES, model=model, position=position) for model in MODELS for position in POSITIONS]
KINDS = [config for config in ALL if kind_of(config).attends or config.position == POSITIONS[0]]
GPT2 = Config(**SIZES)
EVERY = [pytest.param(config, id=f"{config.model}, {config.position}") for config in KINDS]
every_model = pytest.mark.parametrize("config", EVERY)


def model_of(config, *, untied=False, dtype="float64"):
    """A random model without a tokenizer; weights above 0 where they are parts of a sum."""
    matrices = {name: x.astype(dtype) for name, x in random_matrices(config, 5, untied=untied).items()}
    if config.model == "die":
        matrices = {name: np.abs(x) + 0.1 for name, x in matrices.items()}
    return Model(Weights(matrices, config, None, dtype), None)


TRACES = {config: model_of(config).run(token_ids=random_ids(config, 5, 3)) for config in KINDS}


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def computed(trace):
    return [step.name for step in trace.steps.computed if not step.is_text]


def cells(trace, names):
    """A strategy: a cell of one of these stages or weights."""

    def in_stage(name):
        rows, columns = trace.sizes.shapes[name]
        return st.builds(Region, st.just(name), st.integers(0, rows - 1), st.integers(0, columns - 1))

    return st.sampled_from(names).flatmap(in_stage)


def close(found, expected):
    return abs(found - expected) <= 1e-12 * max(1.0, abs(expected))


def inside(region):
    return [region.at(number) for number in range(region.rows * region.columns)]


# ------------------------------------------------------------------------------------------------ laws


@every_model
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_terms_of_any_cell_of_any_stage_give_it_back(config, data):
    trace = TRACES[config]
    cell = data.draw(cells(trace, computed(trace)))
    found = explain(trace, address(cell, trace), top=data.draw(st.integers(1, 9)))
    assert found.value == trace.array(cell.stage)[cell.cell]
    assert close(terms_of(trace, cell).value, found.value)
    assert not found.notes
    if found.adds_all:
        assert close(math.fsum(term.value for term in found.rows if term.label != "sum"), found.value)
        assert close(math.fsum(term.value for term in (*found.terms, *found.addends)), found.value)
    shares = [term.share for term in (*found.terms, *found.addends)]
    assert not shares or sum(shares) == pytest.approx(1) or not any(shares)
    assert [abs(term.value) for term in found.terms] == sorted((abs(term.value) for term in found.terms), reverse=True)


@every_model
def test_every_stage_of_every_model_is_explained_at_its_first_and_last_cell(config):
    trace = TRACES[config]
    for name in computed(trace):
        for place in ("0,0", "-1,-1"):
            found = explain(trace, f"{name}[{place}]", depth=50)
            assert found.value == trace.array(name)[tuple(map(int, place.split(",")))]
            assert all(level.in_numbers for level in found.levels)


@every_model
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_cell_is_a_dependent_of_each_of_its_precedents_and_the_other_way_round(config, data):
    trace = TRACES[config]
    cell = data.draw(cells(trace, computed(trace)))
    for region in precedents_of(trace, cell):
        source = data.draw(st.sampled_from(inside(region)))
        assert any(cell in one for one in dependents_of(trace, source)), source
    source = data.draw(cells(trace, [*computed(trace), *trace.sizes.weights]))
    for region in dependents_of(trace, source):
        if region.stage != trace.steps.name(Role.PREDICTION):
            made = data.draw(st.sampled_from(inside(region)))
            assert any(source in one for one in precedents_of(trace, made)), made


@every_model
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_changed_cell_changes_its_dependents_alone_in_the_stages_that_read_it(config, data):
    trace, model = TRACES[config], model_of(config)
    source = data.draw(cells(trace, [*computed(trace), *trace.sizes.weights]))
    new = value_at(trace, source) + 0.25
    changed = model.run_edited(trace, [edit.Edit(source.stage, source.cell, new)])
    reached = dependents_of(trace, source)
    for step in trace.steps.computed.readers(source.stage):
        others = {name for name in step.inputs if name != source.stage and name in computed(trace)}
        if step.is_text or any(not np.array_equal(trace.array(name), changed.array(name)) for name in others):
            continue
        differing = np.abs(trace.array(step.name) - changed.array(step.name)) > 1e-12
        for row, column in np.argwhere(differing).tolist():
            assert any(Region(step.name, row, column) in one for one in reached)


@every_model
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_terms_of_a_difference_add_up_to_it(config, data):
    trace = TRACES[config]
    name = data.draw(st.sampled_from(computed(trace)))
    left, right = (data.draw(cells(trace, [name])) for _ in range(2))
    found = explain(trace, f"{address(left, trace)} - {address(right, trace)}")
    assert found.value == value_at(trace, left) - value_at(trace, right)
    assert close(math.fsum(term.value for term in (*found.terms, *found.addends)), found.value)
    for term in found.terms:
        if term.left is not None and "first" not in found.heads[0]:
            assert close(term.left * term.right, term.value)


def test_the_difference_of_two_logits_is_the_difference_of_their_rows_times_the_prediction(trace):
    found = explain(trace, "logits[3]-logits[5]", top=1000)
    wte, embedding = trace.weights["model_wte"], trace.array("predicted_embedding")[0]
    expected = sorted(((wte[3] - wte[5]) * embedding).tolist(), key=lambda x: -abs(x))
    np.testing.assert_allclose([term.value for term in found.terms], expected, rtol=1e-12, atol=1e-14)
    assert found.heads == ("model_wte, difference", "predicted_embedding", "product")


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_level_explains_a_cell_of_the_level_above(data):
    trace = TRACES[GPT2]
    cell = data.draw(cells(trace, computed(trace)))
    levels = list(explain(trace, address(cell, trace), depth=6).levels)
    for above, below in itertools.pairwise(levels):
        named = [one for term in (*above.numbers, *above.terms, *above.addends) for one in term.cells]
        assert below.address in {address(one, trace) for one in named}


def test_depth_goes_on_with_the_largest_term():
    trace = TRACES[GPT2]
    found = explain(trace, "block_1_step_4[2,3]", depth=1)
    assert found.below.address == str(found.terms[0].cells[0])
    scored = explain(trace, "logits[4]", depth=1)  # on its left is a weight
    assert scored.below.address == str(scored.terms[0].cells[1])
    assert found.below.below is None


@every_model
@pytest.mark.parametrize("scale", [0.0, 1e150, 1e308])
def test_what_is_no_finite_number_is_explained_as_far_as_it_goes(config, scale):
    model = model_of(config)
    weights = Weights({name: x * scale for name, x in model.weights.items()}, config, None, "float64")
    with np.errstate(all="ignore"):
        trace = replace(model, weights=weights).run(token_ids=[1, 2, 3])
    for name in trace.sizes.steps.computed.by_name:
        with np.errstate(all="ignore"):  # as the command line does
            found = explain(trace, f"{name}[0,0]", depth=3, top=2)
        assert found.frame.shape[1] == 5
        json.dumps(found.as_data(), allow_nan=False)


def test_float32_is_explained_as_well():
    trace = model_of(GPT2, dtype="float32").run(token_ids=[1, 2, 3])
    for name in computed(trace):
        cell = Region(name, 0, 0)
        assert terms_of(trace, cell).value == pytest.approx(value_at(trace, cell), rel=1e-4, abs=1e-5)


def test_a_head_with_a_matrix_of_its_own_is_explained():
    config = replace(GPT2, n_layer=1)
    trace = model_of(config, untied=True).run(token_ids=[1, 2, 3])
    assert explain(trace, "logits[4]").heads[0] == "model_lm_head"


# ------------------------------------------------------------------------------------------------ addresses


@every_model
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_cell_has_the_address_that_set_takes(config, data):
    trace = TRACES[config]
    cell = data.draw(cells(trace, [*computed(trace), *trace.sizes.weights]))
    assert parse(address(cell, trace), trace) == cell
    assert edit.parse(f"{address(cell, trace)}=0", trace.sizes).at == cell.cell
    rows, columns = trace.sizes.shapes[cell.stage]
    from_the_end = f"{cell.stage}[{cell.row - rows},{cell.column - columns}]"
    assert parse(from_the_end, trace) == cell == Region(cell.stage, *edit.parse(f"{from_the_end}=0", trace.sizes).at)


def test_tokens_are_named_by_text_and_a_single_column_needs_no_index(trace):
    vocabulary = list(trace.labels.vocabulary())
    for token in (" quickly", ",", "."):
        row = vocabulary.index(token)
        for text in (f"logits['{token}']", f'logits["{token}"]', f"logits[{row}]", f"logits['{token}',0]"):
            assert parse(text, trace) == Region("logits", row, 0), text
    assert parse("model_wte[' quickly',-1]", trace) == Region("model_wte", vocabulary.index(" quickly"), 63)
    assert parse("model_ln_f_g[5]", trace) == Region("model_ln_f_g", 0, 5)


@pytest.mark.parametrize("text", ["a[1,2]-b[3,4]", "a[1,2] - b[3,4]", "  a[1,2]-b[3,4] "])
def test_a_difference_is_two_addresses(text):
    assert split(text) == ["a[1,2]", "b[3,4]"]
    assert split("logits[' a-b']") == ["logits[' a-b']"]
    assert split("a[-1,2]-b[-3,-4]") == ["a[-1,2]", "b[-3,-4]"]


BAD = {
    "blok_1_step_4[1,2]": "did you mean block_1_step_4",
    "block_1_step_4": "name one, block_1_step_4[ROW,COLUMN]",
    "block_1_step_7[]": "block_1_step_7[HEAD,QUERY,KEY]",
    "block_1_step_4[2]": "is several cells",
    "block_1_step_4[:,3]": "is several cells",
    "block_1_step_7[0]": "name one: block_1_step_7[ROW,COLUMN] or block_1_step_7[HEAD,QUERY,KEY]",
    "block_1_step_4[2,3,4]": "a cell of block_1_step_4 is",
    "block_1_step_4[6,0]": "its rows are 0 to 5",
    "block_1_step_4[0,-193]": "its columns are 0 to 191",
    "block_1_step_7[4,0,0]": "its heads are 0 to 3",
    "block_1_step_4[a,0]": "whole numbers",
    "block_1_step_4['a',0]": "no tokens of the vocabulary",
    "logits['quickly']": "did you mean ' quickly'?",
    "logits[' quicklier']": "no token is ' quicklier'",
    "separated_into_words[0,0]": "sheetgpt tokenize TEXT --trace",
    "final_tokens[1,2]": "sheetgpt tokenize TEXT --trace",
    "predicted_token[3,0]": "its rows are 0 to 2",
    "logits[5]-": "STAGE[ROW,COLUMN]",
    "": "STAGE[ROW,COLUMN]",
    "logits[5]-logits[9999]": "out of range",
}


@pytest.mark.parametrize("text", BAD, ids=str)
def test_what_is_no_number_of_the_run_is_one_line_that_says_what_to_do(text, trace):
    with pytest.raises(StageError) as refused:
        explain(trace, text)
    assert BAD[text] in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("logitsmde_w1[],-'\" 0:."), max_size=25))
def test_any_text_is_a_cell_or_refused(text):
    trace = TRACES[GPT2]
    try:
        found = explain(trace, text)
    except SheetGPTError as refused:
        assert "\n" not in str(refused)  # noqa: PT017 - it may be a cell, too
    else:
        assert np.isfinite(found.value)


# ------------------------------------------------------------------------------------------------ what is said


def test_the_predicted_token_is_the_best_logits(trace):
    found = explain(trace, "predicted_token", top=4, depth=1)
    best = trace.predictions(4)
    assert [term.value for term in found.rows] == [one.logit for one in best]
    np.testing.assert_allclose([term.share for term in found.rows], [one.probability for one in best])
    assert found.below.address == f"logits[{best[0].id},0]"
    assert precedents(trace, "predicted_token") == [Region("logits", 0, 0, trace.config.n_vocab, 1)]


def test_a_weight_is_learned_and_read(trace):
    found = explain(trace, "model_wte[7,3]")
    assert found.value == trace.weights["model_wte"][7, 3]
    assert found.notes == ("Read by token_embeddings, logits.",)
    assert precedents(trace, "model_wte[7,3]") == []
    assert Region("logits", 7, 0) in dependents(trace, "model_wte[7,3]")


def test_tokens_choose_the_rows_of_the_embeddings(trace):
    assert Region("final_tokens", 1, 2) in precedents(trace, "token_embeddings[2,5]")
    assert dependents_of(trace, Region("final_tokens", 1, 2)) == [Region("token_embeddings", 2, 0, 1, 64)]


def test_a_set_cell_is_said_to_be_set_and_cells_behind_it_follow(trace):
    model = load_model()
    texts = ("block_0_step_16[2,3]=4", "model_h1_ln_1_g[0,3]=2")
    changed = model.run_edited(trace, [edit.parse(text, trace.sizes) for text in texts])
    was = value_at(trace, Region("block_0_step_16", 2, 3))
    assert explain(changed, "block_0_step_16[2,3]").notes == (
        f"block_0_step_16[2,3] was set: its inputs make {was:.6g}.",
    )
    assert not explain(changed, "block_0_step_16[2,4]").notes
    behind = explain(changed, "block_1_step_3[2,3]")
    assert behind.terms[0].right == 2  # the weight as it was set
    assert close(behind.terms[0].value + behind.addends[0].value, behind.value)
    assert "set" in explain(changed, "model_h1_ln_1_g[0,3]").notes[1]


def test_the_frame_has_the_rows_and_the_cells(trace):
    frame = explain(trace, "block_1_step_4[2,3]", top=5).frame
    assert list(frame.columns) == ["left", "right", "value", "share", "cells"]
    assert list(frame.index[-3:]) == ["59 smaller", "bias", "sum"]
    np.testing.assert_allclose(frame.value[:5], frame.left[:5] * frame.right[:5])
    assert frame.cells["bias"] == "model_h1_attn_c_attn_b[0,3]"


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_prints_a_tree_and_writes_what_is_asked_for(tmp_path, trace):
    require("matplotlib", "plot")
    arguments = ("--depth", 2, "--top", 3, "--dump-xlsx", "--plot", "terms.svg")
    done = sheetgpt_here("explain", PROMPT, "block_1_step_4[2,3]", *arguments, cwd=tmp_path)
    assert done.code == 0, done.err
    value = trace.array("block_1_step_4")[2, 3]
    assert done.out.startswith(f'block_1_step_4[2,3] = {value:.6g}  (queries, keys, values; position 2 " quick"')
    assert "\n= step 3 @ w + b\n= sum of 64 products + bias\n" in done.out
    assert "\n  block_1_step_3[2," in done.out
    assert "\n    block_1_step_2[2," in done.out
    (workbook,) = (tmp_path / "exports").iterdir()
    assert f"Wrote exports/{workbook.name}" in done.out
    assert (tmp_path / "terms.svg").read_text().startswith("<?xml")
    book = openpyxl.load_workbook(workbook)
    assert book.sheetnames[1:] == ["0 block_1_step_4", "1 block_1_step_3", "2 block_1_step_2"]
    held = {cell.value for row in book["0 block_1_step_4"].iter_rows() for cell in row}
    numbers = np.array([cell for cell in held if isinstance(cell, float)])
    for term in explain(trace, "block_1_step_4[2,3]").terms[:3]:
        assert np.isclose(numbers, term.value, rtol=1e-14).any()
    assert {"block_1_step_3", "model_h1_attn_c_attn_w", "product", "share", "bias", "sum"} <= held


def test_json_holds_every_term_with_its_cells(trace):
    done = sheetgpt_here("explain", PROMPT, "logits[' quickly']-logits[' slowly']", "--depth", 1, "--json")
    data, found = json.loads(done.out), explain(trace, "logits[' quickly']-logits[' slowly']", depth=1)
    assert data["value"] == found.value
    assert [term["value"] for term in data["terms"]] == [term.value for term in found.terms]
    assert data["terms"][0]["cells"] == [str(cell) for cell in found.terms[0].cells]
    assert data["below"]["address"] == found.below.address
    assert data["prompt"] == PROMPT


def test_a_changed_run_and_token_ids_are_explained(trace):
    ids = ",".join(map(str, trace.token_ids))
    same = sheetgpt_here("explain", "--token-ids", ids, "block_1_step_16[-1,5]", "--json")
    assert json.loads(same.out)["value"] == trace.array("block_1_step_16")[-1, 5]
    changed = sheetgpt_here("explain", PROMPT, "block_1_step_1[2,3]", "--set", "block_0_step_16[2,3]=4", "--json")
    assert json.loads(changed.out)["value"] == 4


@pytest.mark.parametrize("outputs", [[], ["--json"]])
def test_what_is_only_printed_needs_no_frames(outputs):
    code = (
        f"import sys; from sheetgpt.cli import cli; arguments = {['explain', PROMPT, 'logits[3]', *outputs]!r}; "
        "cli.main(arguments, standalone_mode=False); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("arguments", [[PROMPT, "blok_1_step_4[1,2]"], [PROMPT], ["", "logits[1]"]])
def test_a_bad_question_is_one_line(arguments):
    assert sheetgpt_here("explain", *arguments).error


# ------------------------------------------------------------------------------------------------ the page


def test_the_pages_python_runs():
    assert doc_sessions.run_python(PAGE)["found"].below.address
