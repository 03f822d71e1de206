"""Laws of the lenses: on the embedded model, and on random small models of every kind that has a residual stream."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models import random_ids, random_matrices
from sheetgpt import lens, load_model, ops
from sheetgpt.errors import LensError, SheetGPTError
from sheetgpt.lens.ablation import pieces_of
from sheetgpt.lens.changes import logits_after
from sheetgpt.lens.metrics import parse
from sheetgpt.lens.stream import ATTENTION, MLP, stream_of, writes_of
from sheetgpt.model import Model
from sheetgpt.models import gpt2
from sheetgpt.models.config import POSITIONS, Config
from sheetgpt.models.step import Axis, Steps
from sheetgpt.weights.folder import Weights

PROMPT, OTHER = "Mike is quick. He moves", "Mike is slow. He moves"
STREAMS, WITHOUT = ("gpt2", "microgpt", "attention"), ("die", "softmax", "bigram", "mlp")


def random_model(config, seed=0, *, untied=False) -> Model:
    weights = {name: m.astype(float) for name, m in random_matrices(config, seed, untied=untied).items()}
    return Model(Weights(weights, config, None, "float64"), None)


@st.composite
def models(draw):
    kind, n_head = draw(st.sampled_from(STREAMS)), draw(st.integers(1, 3))
    config = Config(
        n_layer=draw(st.integers(1, 3)) if kind != "attention" else 1,
        n_head=n_head,
        n_embd=n_head * 2 * draw(st.integers(1, 3)),
        n_ctx=12,
        n_vocab=draw(st.integers(3, 20)),
        position=draw(st.sampled_from(POSITIONS)),
        model=kind,
    )
    untied = kind == "microgpt" or (kind == "gpt2" and draw(st.booleans()))
    return random_model(config, draw(st.integers(0, 99)), untied=untied)


@st.composite
def runs(draw):
    model = draw(models())
    return model.run(token_ids=random_ids(model.config, draw(st.integers(1, 8)), draw(st.integers(0, 99))))


@st.composite
def set_runs(draw, run=None):
    """Runs in which some stages (not the logits) and weights were set."""
    trace = draw(runs()) if run is None else run
    stages = [step.name for step in trace.steps if step.number is not None or step.name == "token_embeddings"]
    names = draw(st.lists(st.sampled_from([*stages, *trace.weights]), min_size=1, max_size=3))
    values = np.random.default_rng(draw(st.integers(0, 99)))
    return rerun(trace, {name: values.normal(0, 1, trace.matrix(name).shape) for name in names})


@cache
def embedded(prompt=PROMPT, dtype="float64"):
    return load_model(dtype=dtype).run(prompt)


def rerun(trace, overrides):
    model = Model(trace.weights, trace.tokenizer)
    return model.run(token_ids=trace.token_ids, overrides=overrides)


def last_logits(trace):
    return trace.array("logits")[:, -1]


few = settings(max_examples=25, deadline=None)


# ------------------------------------------------------------------------------------------------ the stream


@given(runs())
@few
def test_each_write_is_what_its_addition_adds_and_the_blocks_begin_where_the_last_one_ended(trace):
    stream = stream_of(trace)
    for write in stream.writes:
        parts = trace.arrays[write.made.name] + trace.arrays[write.before.name]
        np.testing.assert_array_equal(trace.arrays[write.after.name], parts)
    ends = [stream.start, *(writes[-1].after for writes in stream.blocks.values())]
    assert [stream.source(writes[0].before) for writes in stream.blocks.values()] == ends[:-1]
    kinds = [ATTENTION] if trace.config.model == "attention" else [ATTENTION, MLP]
    assert [write.kind for write in stream.writes] == kinds * trace.config.n_layer


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("position", POSITIONS)
def test_the_stream_is_found_where_the_mlp_reads_what_attention_reads_too(position, turned):
    steps = gpt2.steps(Config(3, 2, 8, 12, 20, position))

    def beside(step):
        """The MLP takes the first layer norm; the inputs of a sum stand the other way round, too."""
        if step.number == 13:
            norm = next(one for one in steps if (one.block, one.number) == (step.block, 3))
            return replace(step, inputs=(norm.name, *step.inputs[1:]))
        is_sum = isinstance(step.op, ops.Add) and step.block is not None
        return replace(step, inputs=step.inputs[::-1]) if is_sum and turned else step

    parallel = Steps(beside(step) for step in steps if step.number not in (11, 12))
    assert [in_names(write) for write in writes_of(parallel)] == [in_names(write) for write in writes_of(Steps(steps))]


def in_names(write):
    return write.kind, write.made.name, write.before.name, write.after.name, write.mix and write.mix.name


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_model_without_a_stream_is_refused_by_its_name(kind):
    model = random_model(Config(1, 1, 4, 4, 6, model=kind))
    if kind == "die":
        model = Model(Weights({"model_logits": np.ones((6, 1))}, model.config, None, "float64"), None)
    trace = model.run(token_ids=[1, 2])
    for look in (lens.logit_lens, lens.attribute, lens.ablate, lambda run: lens.patch(run, run)):
        with pytest.raises(LensError, match=f"a {kind} model has no blocks"):
            look(trace)


@pytest.mark.parametrize("stage", ["logits", "predicted_embedding"])
@pytest.mark.parametrize("look", [lens.logit_lens, lens.attribute])
def test_what_was_set_behind_the_blocks_is_refused_where_a_lens_goes_through_it(look, stage):
    trace = rerun(embedded(), {stage: embedded().array(stage)})
    if (look, stage) == (lens.attribute, "predicted_embedding"):
        assert abs(look(trace).total - look(embedded()).total) < 1e-9
    else:
        with pytest.raises(LensError, match=f"{stage} was set"):
            look(trace)


def test_logits_that_were_set_stay_whatever_is_taken_out():
    trace = rerun(embedded(), {"logits": embedded().array("logits")})
    assert (lens.ablate(trace).logit == 0).all(axis=None)


# ------------------------------------------------------------------------------------------------ the logit lens


@given(runs() | set_runs(), st.booleans())
@few
def test_after_the_last_layer_the_logit_lens_is_the_run(trace, sublayers):
    found = lens.logit_lens(trace, sublayers=sublayers)
    best = trace.predictions(1)[0]
    assert found.best.iloc[-1, -1] == best.token
    np.testing.assert_allclose(found.best_probability.iloc[-1, -1], best.probability, rtol=1e-9)
    assert (found.rank.iloc[:, -1] == 1).all()
    np.testing.assert_allclose(found.probability.iloc[:, -1], found.best_probability.iloc[:, -1])


@given(runs(), st.data())
@few
def test_each_row_of_the_logit_lens_is_the_prediction_of_a_run_that_ends_there(trace, data):
    """No token looks ahead, so the last layer's row is a shorter run's own answer."""
    position = data.draw(st.integers(0, len(trace.token_ids) - 1))
    token = data.draw(st.integers(0, trace.config.n_vocab - 1))
    short = Model(trace.weights, None).run(token_ids=trace.token_ids[: position + 1])
    found = lens.logit_lens(trace, token)
    probability, order = short.ranking()
    np.testing.assert_allclose(found.probability.iloc[position, -1], probability[token], rtol=1e-9)
    assert found.rank.iloc[position, -1] == 1 + order.tolist().index(token)


@given(runs())
@few
def test_a_block_that_is_out_leaves_the_lens_as_it_was_before_the_block(trace):
    """What the lens shows before the last block is the run without that block."""
    found, out = lens.logit_lens(trace, 0), lens.ablate(trace, 0)
    last = trace.config.n_layer - 1
    after = trace.ranking()[0][0] + out.probability.loc[last, "block"]
    np.testing.assert_allclose(found.probability.iloc[-1, -2], after, atol=1e-12)


# ------------------------------------------------------------------------------------------------ attribution


@given(runs() | set_runs(), st.data())
@few
def test_the_parts_add_up_to_the_logit_and_heads_to_themselves(trace, data):
    a, b = (data.draw(st.integers(0, trace.config.n_vocab - 1)) for _ in range(2))
    found = lens.attribute(trace, a)
    np.testing.assert_allclose(found.total, last_logits(trace)[a], rtol=0, atol=1e-9)
    heads = found.parts[(found.parts["kind"] == "head") & ~found.parts["source"].isin(trace.overridden)]
    np.testing.assert_allclose(found.by_token.sum(axis=1), heads["adds"], atol=1e-12)
    both = lens.attribute(trace, a, b)
    np.testing.assert_allclose(both.total, last_logits(trace)[a] - last_logits(trace)[b], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        both.parts["adds"], found.parts["adds"] - lens.attribute(trace, b).parts["adds"], atol=1e-12
    )


@given(runs(), st.data())
@few
def test_a_stage_that_was_set_to_what_it_is_adds_what_its_parts_add(trace, data):
    """However little of the model is seen behind it: all parts together are the same logit."""
    step = data.draw(st.sampled_from([step for step in trace.steps if step.number is not None]))
    found, before = lens.attribute(rerun(trace, {step.name: trace.array(step.name)}), 0), lens.attribute(trace, 0)
    np.testing.assert_allclose(found.total, before.total, atol=1e-9)
    same = found.parts.merge(before.parts, on="part")
    np.testing.assert_allclose(same["adds_x"], same["adds_y"], atol=1e-9)


@given(runs())
@few
def test_attribution_has_a_part_for_every_head_and_the_blocks_map_holds_what_is_in_blocks(trace):
    found = lens.attribute(trace)
    config = trace.config
    heads = found.parts[found.parts["kind"] == "head"]
    assert len(heads) == config.n_layer * config.n_head
    inside = found.parts[found.parts["block"].notna()]["adds"]
    np.testing.assert_allclose(np.nansum(found.blocks.to_numpy()), inside.sum(), atol=1e-12)


def test_the_parts_of_the_embedded_models_logit_come_in_the_order_of_the_data():
    found = lens.attribute(embedded(), " quickly")
    assert found.parts["kind"].tolist()[:2] == ["token embedding", "position embedding"]
    assert found.parts["source"].iloc[-1] == "model_ln_f_b"
    assert abs(found.total - found.value) < 1e-9


def test_a_part_that_is_made_larger_adds_more_by_as_much():
    """With the scale held fixed the direction of a weight is the logit's slope along it."""
    trace = embedded()
    found = lens.attribute(trace, " quickly").parts.set_index("source")["adds"]
    name = "model_h1_mlp_c_proj_b"
    larger = Model(trace.weights, trace.tokenizer).run(PROMPT, overrides={name: trace.weights[name] * 1.001})
    slope = (last_logits(larger) - last_logits(trace))[trace.labels.vocabulary().index(" quickly")]
    assert abs(slope - found[name] * 0.001) < abs(found[name]) * 0.001 + 1e-3  # the scale does move a little


# ------------------------------------------------------------------------------------------------ ablation


@given(runs() | set_runs(), st.data())
@few
def test_a_piece_that_is_out_is_a_run_with_its_stage_set(trace, data):
    """Also where others were set: then it is a run with both set."""
    token = data.draw(st.integers(0, trace.config.n_vocab - 1))
    found = lens.ablate(trace, token)
    before = trace.ranking()[0][token]
    for piece in pieces_of(stream_of(trace)):
        matrix = trace.arrays[piece.instead or piece.stage].copy()
        if piece.head is not None:
            matrix.reshape(len(matrix), trace.config.n_head, -1)[:, piece.head] = 0
        elif not piece.instead:
            matrix[:] = 0
        after = rerun(trace, {**trace.overrides, piece.stage: matrix})
        np.testing.assert_allclose(
            found.logit.loc[piece.block, piece.place], last_logits(after)[token] - last_logits(trace)[token], atol=1e-9
        )
        change = after.ranking()[0][token] - before
        np.testing.assert_allclose(found.probability.loc[piece.block, piece.place], change, atol=1e-9)


@given(runs(), st.integers(0, 99))
@few
def test_means_over_one_position_put_it_back_as_it_is(trace, seed):
    """The mean over a single position is that position's own row: nothing changes."""
    one = Model(trace.weights, None).run(token_ids=random_ids(trace.config, 1, seed))
    found = lens.ablate(one, 0, means=lens.corpus_means(one, [one.token_ids]))
    outs = found.logit.drop(columns="block")
    np.testing.assert_allclose(outs, 0, atol=1e-9)


@given(runs(), st.lists(st.integers(1, 20), min_size=1, max_size=5))
@few
def test_means_are_over_every_position_of_every_document(trace, lengths):
    documents = [random_ids(trace.config, count, seed) for seed, count in enumerate(lengths)]
    means = lens.corpus_means(trace, documents)
    n_ctx = trace.config.n_ctx
    pieces = [ids[start : start + n_ctx] for ids in documents for start in range(0, len(ids), n_ctx)]
    runs = [Model(trace.weights, None).run(token_ids=ids) for ids in pieces]
    for name, row in means.rows.items():
        rows = np.concatenate([run.arrays[name] for run in runs])
        np.testing.assert_allclose(row, rows.mean(0), atol=1e-9)
    assert means.n_positions == sum(lengths)


def test_one_piece_alone_is_the_same_as_among_all():
    whole, alone = lens.ablate(embedded()), lens.ablate(embedded(), what="BLOCK 1 mlp")
    assert alone.logit.shape == (1, 1)
    assert abs(alone.logit.loc[1, "MLP"] - whole.logit.loc[1, "MLP"]) < 1e-9
    assert alone.prediction.loc[1, "MLP"] == whole.prediction.loc[1, "MLP"]


# ------------------------------------------------------------------------------------------------ patching


@st.composite
def pairs(draw):
    """Two runs of one model, of the same length."""
    model, count = draw(models()), draw(st.integers(1, 6))
    ids = [random_ids(model.config, count, draw(st.integers(0, 99))) for _ in range(2)]
    return tuple(model.run(token_ids=one) for one in ids)


def patchable(trace):
    return [step for step in trace.steps if step.rows is Axis.TOKENS]


@given(pairs(), st.booleans(), st.data())
@few
def test_a_patch_is_corrupts_run_with_that_piece_set(pair, are_set, data):
    """Also where others were set in both: then it is a run with all set."""
    clean, corrupt = (data.draw(set_runs(run)) if are_set else run for run in pair)
    step = data.draw(st.sampled_from(patchable(corrupt)))
    metric = parse("logit #0", clean)
    assume(metric.of(clean.array("logits")) != metric.of(corrupt.array("logits")))
    found = lens.patch(clean, corrupt, step.name, metric)
    for row in found.patches.itertuples():
        matrix = corrupt.arrays[step.name].copy()
        columns = slice(None)
        if step.by_head or step.columns is Axis.HEADS_BY_DIMENSIONS:
            width = matrix.shape[1] // corrupt.config.n_head
            columns = slice(row.head * width, (row.head + 1) * width)
        matrix[row.position, columns] = clean.arrays[step.name][row.position, columns]
        after = last_logits(rerun(corrupt, {**corrupt.overrides, step.name: matrix}))[0]
        np.testing.assert_allclose(row.metric, after, atol=1e-9)


@given(pairs(), st.data())
@few
def test_a_piece_set_to_its_own_value_changes_nothing_bit_for_bit(pair, data):
    """Also in the run that is computed for it; what both prompts share up to a position brings back exactly 0."""
    clean, corrupt = pair
    step = data.draw(st.sampled_from(patchable(corrupt)))
    again = logits_after(corrupt, step.name, corrupt.arrays[step.name][None])[0]
    np.testing.assert_array_equal(again, corrupt.array("logits"))
    metric = parse("logit #0", clean)
    assume(metric.of(clean.array("logits")) != metric.of(corrupt.array("logits")))
    found = lens.patch(clean, corrupt, step.name, metric)
    for row in found.patches.itertuples():
        if np.array_equal(clean.arrays[step.name][row.position], corrupt.arrays[step.name][row.position]):
            assert row.metric == found.corrupt_metric
            assert row.recovered == 0


@given(set_runs())
@few
def test_means_are_those_of_the_weights_that_were_set(trace):
    """Stages that were set belong to their prompt: no document has them."""
    weights = {name: trace.matrix(name) for name in trace.weights}
    as_set = Model(Weights(weights, trace.config, None, "float64"), None).run(token_ids=trace.token_ids)
    documents = [random_ids(trace.config, 3, 1)]
    found, expected = (lens.corpus_means(one, documents).rows for one in (trace, as_set))
    for name, row in expected.items():
        np.testing.assert_allclose(found[name], row, atol=1e-12)


@given(pairs())
@few
def test_the_last_row_of_the_last_blocks_output_brings_everything_back(pair):
    clean, corrupt = pair
    stage, metric = stream_of(clean).end.name, parse("logit #0", clean)
    assume(abs(metric.of(clean.array("logits")) - metric.of(corrupt.array("logits"))) >= 1e-6)
    (found,) = lens.patch(clean, corrupt, stage, metric).maps.values()
    np.testing.assert_allclose(found.iloc[0, -1], 1, atol=1e-6)
    np.testing.assert_allclose(found.iloc[0, :-1], 0, atol=1e-6)


def test_embeddings_where_one_token_differs_bring_everything_back_there_alone():
    found = lens.patch(embedded(), embedded(OTHER), "position_embeddings").maps["position_embeddings"]
    np.testing.assert_allclose(found.to_numpy(), [[0, 0, 1, 0, 0, 0]], atol=1e-12)


def test_the_default_is_each_blocks_output_and_what_attention_and_mlp_add_by_position():
    found = lens.patch(embedded(), embedded(OTHER))
    n_layer, count = embedded().config.n_layer, len(embedded().token_ids)
    assert [frame.shape for frame in found.maps.values()] == [(n_layer, count)] * 3
    assert len(found.patches) == 3 * n_layer * count
    assert found.metric.name == 'logit difference " quickly" " slowly"'


def test_stages_by_head_have_a_row_a_head():
    config = embedded().config
    found = lens.patch(embedded(), embedded(OTHER), ["block_*_step_7", "block_*_step_5_values"])
    heads = config.n_layer * config.n_head
    assert {name: len(frame) for name, frame in found.maps.items()} == {
        "block_*_step_7": heads,
        "block_*_step_5_values": heads,
    }


@pytest.mark.parametrize(
    ("metric", "kind", "tokens"),
    [
        ('logit difference " quickly" " slowly"', "logit difference", [" quickly", " slowly"]),
        ("logit difference  quickly  slowly", "logit difference", [" quickly", " slowly"]),
        ("logit  quickly", "logit", [" quickly"]),
        ('probability " quickly"', "probability", [" quickly"]),
    ],
)
def test_metrics_are_read_with_quotes_and_without(metric, kind, tokens):
    found, vocabulary = parse(metric, embedded()), embedded().labels.vocabulary()
    assert (found.kind, [vocabulary[i] for i in found.tokens]) == (kind, tokens)


def test_a_probability_is_the_runs_own():
    found = parse("probability  quickly", embedded()).of(embedded().array("logits"))
    best = next(one for one in embedded().predictions(20) if one.token == " quickly")
    assert abs(found - best.probability) < 1e-12


@pytest.mark.parametrize(
    "call",
    [
        lambda: lens.patch(embedded(), embedded("Mike is slow.")),
        lambda: lens.patch(embedded(), embedded()),
        lambda: lens.patch(embedded(), embedded(OTHER), "logits"),
        lambda: lens.patch(embedded(), embedded(OTHER), "block_9_*"),
        lambda: lens.patch(embedded(), embedded(OTHER), metric="loss"),
        lambda: lens.patch(embedded(), embedded(OTHER), metric="logit difference  quickly"),
        lambda: lens.logit_lens(embedded(), "quickyl"),
        lambda: lens.attribute(embedded(), 10**6),
        lambda: lens.ablate(embedded(), what="block_1 head 99"),
        lambda: lens.corpus_means(embedded(), []),
    ],
)
def test_what_does_not_fit_is_one_line(call):
    with pytest.raises(SheetGPTError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_float32_runs_are_read_as_they_are():
    trace = embedded(dtype="float32")
    assert abs(lens.attribute(trace).total - lens.attribute(trace).value) < 1e-4
    assert lens.logit_lens(trace).best.iloc[-1, -1] == trace.predicted_token
    np.testing.assert_allclose(lens.ablate(trace).logit, lens.ablate(embedded()).logit, atol=1e-4)
