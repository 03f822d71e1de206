"""docs/why-quickly.md: what its sentences say of the embedded model is so.

Its tables are compared by the runner of pages. Where other weights make a sentence untrue, a test here fails.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sheetgpt import lens, load_model
from sheetgpt.lens.decisive import decisive
from sheetgpt.run.edit import parse

PAGE = (Path(__file__).parents[2] / "docs" / "why-quickly.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```console\n.*?```", "", PAGE, flags=re.DOTALL)
CELLS = re.findall(r"block_0_step_7\[(\d),-1,2\]", PAGE)
HEAD = int(CELLS[0])
ADJECTIVE, LAST = 2, 5
QUICKLY = " quickly"


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def trace(model):
    return model.run("Mike is quick. He moves")


@pytest.fixture(scope="module")
def other(model):
    return model.run("Mike is slow. He moves")


@pytest.fixture(scope="module")
def without_the_share(model, trace):
    return model.run_edited(trace, [parse(f"block_0_step_7[{HEAD},-1,{ADJECTIVE}]=0", trace.sizes)])


def test_the_head_that_the_page_names_is_the_one_that_decides(trace):
    found = decisive(trace)
    assert (found.stage, found.head, found.key, found.query) == ("block_0_step_7", HEAD, ADJECTIVE, LAST)
    assert set(CELLS) == {str(HEAD)}
    assert {int(head) for head in re.findall(r"[Hh]ead (\d)", PROSE)} == {HEAD}
    width = trace.config.n_embd // trace.config.n_head
    (column,) = map(int, re.findall(r"block_0_step_8\[-1,(\d+)\]", PAGE))
    assert column // width == HEAD


def test_numbers_of_a_run_stand_in_outputs_alone():
    """In the sentences there are only places, counts and sizes."""
    sentences = re.sub(r"```.*?```|`[^`]+`|\]\(.*?\)", "", PAGE, flags=re.DOTALL)
    assert set(re.findall(r"\d[\d.,]*\d|\d", sentences)) <= {"0", "1", "2", "5", "16", "64", "144", "1,200"}


def test_the_sizes_are_the_models(trace):
    config = trace.config
    assert (config.n_layer, config.n_head, config.n_embd) == (2, 4, 64)
    assert trace.tokens.index(" quick") == ADJECTIVE
    assert trace.tokens.index(" moves") == LAST == len(trace.tokens) - 1
    assert trace.predicted_token == QUICKLY


def test_it_is_known_after_the_first_mlp_and_in_the_last_row_alone(trace):
    found = lens.logit_lens(trace, QUICKLY, sublayers=True)
    first = found.rank == 1
    assert first.iloc[-1].tolist() == [False, False, True, True, True]
    assert not first.iloc[:-1].any(axis=None)
    assert lens.logit_lens(trace).best.iloc[ADJECTIVE, -1] == "."


def test_the_head_looks_at_the_adjective_and_is_not_the_only_one(trace):
    shares = trace.array("block_0_step_7")[-1].reshape(trace.config.n_head, -1)
    assert shares[HEAD, ADJECTIVE] > 0.5
    assert (shares.argmax(1) == ADJECTIVE).sum() > 1


def test_without_the_head_alone_another_word_is_said_and_the_second_block_is_not_needed(trace):
    found = lens.ablate(trace)
    heads = [f"head {head}" for head in range(trace.config.n_head)]
    changes = found.logit[heads].stack()
    assert changes.idxmin() == (0, f"head {HEAD}")
    assert changes.min() < 2 * changes.drop((0, f"head {HEAD}")).min()
    says = found.prediction[heads].stack() == QUICKLY
    assert says[~says].index.tolist() == [(0, f"head {HEAD}")]
    assert found.prediction.loc[0, "MLP"] != QUICKLY
    assert found.prediction.loc[1, "block"] == QUICKLY


def test_without_the_one_share_it_is_another_adverb(without_the_share):
    assert without_the_share.predicted_token.endswith("ly")
    assert without_the_share.predicted_token != QUICKLY


def test_the_head_adds_next_to_nothing_and_the_mlp_nearly_all(trace, without_the_share):
    found, without = lens.attribute(trace, QUICKLY), lens.attribute(without_the_share, QUICKLY)
    assert abs(found.blocks.loc[0, f"head {HEAD}"]) < 0.05 * found.value
    assert found.blocks.loc[0, "MLP"] > 0.8 * found.value
    assert found.parts["adds"].drop(found.parts["adds"].idxmax()).max() < 0.1 * found.value
    assert without.blocks.loc[0, "MLP"] < found.blocks.loc[0, "MLP"] / 2


def test_the_difference_travels_from_the_adjective_to_the_last_row_in_the_first_block(trace, other):
    maps = lens.patch(trace, other, ["position_embeddings", "block_*_step_16", "block_*_step_8"]).maps
    assert maps["position_embeddings"].iloc[0].round(2).tolist() == [0, 0, 1, 0, 0, 0]
    assert maps["block_*_step_16"].loc["block 0"].round(1).tolist() == [0, 0, 0, 0, 0, 1]
    by_head = maps["block_*_step_8"].iloc[:, -1]
    assert by_head.idxmax() == ("block 0", HEAD)
    assert by_head.max() > 0.5


def test_what_arrives_is_what_the_adjective_offers(trace):
    (cell,) = re.findall(r"block_0_step_8\[-1,\d+\]", PAGE)
    terms = lens.explain(trace, cell).terms
    largest = max(terms, key=lambda term: abs(term.value))
    assert f"key {ADJECTIVE} " in largest.label
    assert abs(largest.value) > 0.8 * sum(abs(term.value) for term in terms)
