"""docs/why-quickly.md: what its sentences say of the embedded model is so.

Its tables are compared by the runner of pages. Where other weights make a sentence untrue, a test here fails.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sheetgpt import corpus, lens, load_model
from sheetgpt.lens.decisive import decisive
from sheetgpt.run.edit import parse

PAGE = (Path(__file__).parents[2] / "docs" / "why-quickly.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```console\n.*?```", "", PAGE, flags=re.DOTALL)
CELLS = re.findall(r"block_(\d)_step_7\[(\d),-1,2\]", PAGE)
BLOCK, HEAD = map(int, CELLS[0])
WEIGHTS = f"block_{BLOCK}_step_7"
ADJECTIVE, LAST = 2, 5
QUICKLY, SLOWLY = " quickly", " slowly"


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
    return model.run_edited(trace, [parse(f"{WEIGHTS}[{HEAD},-1,{ADJECTIVE}]=0", trace.sizes)])


def test_the_head_that_the_page_names_is_the_one_that_decides(trace):
    found = decisive(trace)
    assert (found.stage, found.head, found.key, found.query) == (WEIGHTS, HEAD, ADJECTIVE, LAST)
    assert set(CELLS) == {(str(BLOCK), str(HEAD))}
    assert {int(head) for head in re.findall(r"[Hh]ead (\d)", PROSE)} == {HEAD}
    assert set(re.findall(r"[Hh]ead \d of block (\d)", PROSE)) == {str(BLOCK)}
    width = trace.config.n_embd // trace.config.n_head
    ((block, column),) = re.findall(r"block_(\d)_step_8\[-1,(\d+)\]", PAGE)
    assert (int(block), int(column) // width) == (BLOCK, HEAD)


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


def test_it_is_known_after_the_second_attention(trace):
    found = lens.logit_lens(trace, QUICKLY, sublayers=True)
    assert (found.rank == 1).iloc[-1].tolist() == [False, False, False, True, True]
    assert found.best.iloc[-1, 2].endswith("ly")
    assert found.best.iloc[-1, 2] != QUICKLY
    assert found.best.iloc[-1, :2].str.endswith("s").all()


def test_behind_he_the_adverb_may_stand_before_the_verb(trace):
    assert lens.logit_lens(trace).best.iloc[LAST - 1, -1] == QUICKLY
    assert any(re.search(r"\b(He|She) [a-z]+ly [a-z]+s\.", document) for document in corpus.documents(100))


def test_the_head_looks_at_the_adjective_and_is_not_the_only_one(trace):
    shares = shares_of_the_last_row(trace)
    assert shares[HEAD, ADJECTIVE] > 0.9
    assert (shares.argmax(1) == ADJECTIVE).sum() > 1


def shares_of_the_last_row(trace):
    return trace.array(WEIGHTS)[-1].reshape(trace.config.n_head, -1)


def test_without_the_head_alone_another_word_is_said_and_of_the_mlps_the_first_is_needed(trace):
    found = lens.ablate(trace)
    heads = [f"head {head}" for head in range(trace.config.n_head)]
    changes = found.logit[heads].stack()
    assert changes.idxmin() == (BLOCK, f"head {HEAD}")
    assert changes.min() < 2 * changes.drop((BLOCK, f"head {HEAD}")).min()
    says = found.prediction[heads].stack() == QUICKLY
    assert says[~says].index.tolist() == [(BLOCK, f"head {HEAD}")]
    assert (found.prediction["MLP"] == QUICKLY).tolist() == [False, True]


def test_without_the_one_share_it_is_another_adverb(without_the_share):
    assert without_the_share.predicted_token.endswith("ly")
    assert without_the_share.predicted_token != QUICKLY


def test_the_head_adds_the_most_and_as_much_as_is_lost_without_it(trace):
    found = lens.attribute(trace, QUICKLY)
    adds = found.blocks.loc[BLOCK, f"head {HEAD}"]
    assert adds == found.parts["adds"].max()
    assert adds == pytest.approx(-lens.ablate(trace).logit.loc[BLOCK, f"head {HEAD}"], rel=0.1)
    assert (found.blocks["MLP"] > 0.1 * found.value).all()


def test_the_head_decides_which_adverb_and_the_mlp_behind_it_follows(trace, without_the_share):
    found, without = (lens.attribute(one, QUICKLY, SLOWLY) for one in (trace, without_the_share))
    assert found.blocks.loc[BLOCK, f"head {HEAD}"] > 0.5 * found.value
    assert abs(found.blocks.loc[0, "MLP"]) < 0.05 * lens.attribute(trace, QUICKLY).blocks.loc[0, "MLP"]
    assert 0 < without.blocks.loc[BLOCK, "MLP"] < found.blocks.loc[BLOCK, "MLP"] / 2
    heads = [f"head {head}" for head in range(trace.config.n_head)]
    of_heads = without.blocks.loc[BLOCK, heads].sum()
    assert of_heads + without.blocks.loc[BLOCK, "MLP"] > 0.8 * without.value > 0
    best = without.blocks.loc[BLOCK, heads].astype(float).idxmax()
    assert shares_of_the_last_row(trace)[heads.index(best)].argmax() == ADJECTIVE


def test_what_the_head_writes_points_where_the_adverb_points(trace, model):
    width = trace.config.n_embd // trace.config.n_head
    columns = slice(HEAD * width, (HEAD + 1) * width)
    written = (
        trace.array(f"block_{BLOCK}_step_8")[-1, columns] @ model.weights[f"model_h{BLOCK}_attn_c_proj_w"][columns]
    )
    scaled = (written - written.mean()) * model.weights["model_ln_f_g"].ravel()
    assert trace.labels.vocabulary()[int(np.argmax(model.weights["model_wte"] @ scaled))] == QUICKLY


def test_the_difference_travels_from_the_adjective_to_the_last_row_in_the_second_block(trace, other):
    maps = lens.patch(trace, other, ["position_embeddings", "block_*_step_16", "block_*_step_8"]).maps
    assert maps["position_embeddings"].iloc[0].round(2).tolist() == [0, 0, 1, 0, 0, 0]
    assert maps["block_*_step_16"].loc["block 0"].round(1).tolist() == [0, 0, 1, 0, 0, 0]
    assert maps["block_*_step_16"].loc["block 1"].round(1).tolist() == [0, 0, 0, 0, 0, 1]
    by_head = maps["block_*_step_8"].iloc[:, -1]
    assert by_head.idxmax() == (f"block {BLOCK}", HEAD)
    assert by_head.max() > 0.5
    assert maps["block_*_step_8"].loc["block 0"].abs().max(axis=None) < 0.1


def test_the_first_mlp_prepares_the_adjective(model, trace, other):
    found = lens.patch(trace, other, ["block_*_step_15"]).maps["block_*_step_15"]
    assert found.loc["block 0"].round(1).tolist() == [0, 0, 1, 0, 0, 0]
    prepared = other.array("block_0_step_15").copy()
    prepared[ADJECTIVE] = trace.array("block_0_step_15")[ADJECTIVE]
    patched = model.run("Mike is slow. He moves", overrides={"block_0_step_15": prepared})
    assert (other.predicted_token, patched.predicted_token) == (SLOWLY, QUICKLY)


def test_when_mike_is_slow_another_head_helps_more(trace, other):
    others = [f"head {head}" for head in range(trace.config.n_head) if head != HEAD]
    most = [lens.attribute(one).blocks.loc[BLOCK, others].max() for one in (trace, other)]
    assert most[1] > 2 * most[0]


def test_what_arrives_is_what_the_adjective_offers(trace):
    (cell,) = re.findall(r"block_\d_step_8\[-1,\d+\]", PAGE)
    terms = lens.explain(trace, cell).terms
    largest = max(terms, key=lambda term: abs(term.value))
    assert f"key {ADJECTIVE} " in largest.label
    assert abs(largest.value) > 0.8 * sum(abs(term.value) for term in terms)
