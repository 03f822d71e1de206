"""TransformerLens' own `run_with_cache` against our fixtures: names, shapes, numbers; and its cache in `diff`."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import require
from models import ODD_HEADS, ONE_BLOCK, SMALL, WIDE_HEADS, random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.diff.compare import diff
from sheetgpt.diff.sides.side import RunSource
from sheetgpt.fixtures import arrays as fixtures
from sheetgpt.fixtures import entries as naming
from sheetgpt.weights.folder import write_weights
from test_huggingface import huggingface_model

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]  # it and what it imports warn of their own code
TOLERANCE = 1e-4
CASES = {"small": (SMALL, 7), "one token": (ONE_BLOCK, 1), "odd heads": (ODD_HEADS, 20), "wide heads": (WIDE_HEADS, 32)}


def local_tokenizer(folder, n_vocab: int):
    """A tokenizer that needs no download; it is asked for, and not used."""
    tokenizers, transformers = require("tokenizers", "test"), require("transformers", "oracle")
    words = tokenizers.models.WordLevel({f"#{i}": i for i in range(n_vocab)}, unk_token="#0")
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), bos_token="#1", eos_token="#1"
    )
    made.save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def cache_of(config, matrices, ids, folder) -> dict[str, np.ndarray]:
    """What `run_with_cache` gives for weights as they are, neither folded nor centred."""
    torch = require("torch", "oracle")
    require("transformer_lens", "oracle")
    from transformer_lens.model_bridge import TransformerBridge

    model = huggingface_model(config, matrices)
    model.config.architectures = ["GPT2LMHeadModel"]
    tokenizer = local_tokenizer(folder, config.n_vocab)
    bridge = TransformerBridge.boot_transformers("gpt2", hf_model=model, tokenizer=tokenizer)
    bridge.enable_compatibility_mode(no_processing=True)
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(torch.tensor([ids]))
    assert torch.equal(logits, cache["hook_unembed"])
    return {name: tensor.numpy() for name, tensor in cache.items()}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request, tmp_path_factory):
    """(the model, the prompt's ids, TransformerLens' cache)."""
    config, count = CASES[request.param]
    folder = tmp_path_factory.mktemp("lens")
    matrices = random_matrices(config)
    if config is WIDE_HEADS:  # deviations of 0.3 would make numbers of hundreds at this width
        matrices = {name: m if name.endswith(("_g", "_b")) else m * np.float32(0.3) for name, m in matrices.items()}
    write_weights(folder / "w", config, matrices)
    ids = random_ids(config, count)
    return load_model(folder / "w", "float32"), ids, cache_of(config, matrices, ids, folder)


def agree(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_a_fixture_holds_the_caches_names_shapes_and_numbers(case):
    model, ids, cache = case
    arrays = fixtures.make(model, token_ids=ids, names="transformerlens").arrays
    assert set(arrays) <= set(cache)
    for name, array in arrays.items():
        agree(array, cache[name])


def test_every_name_in_the_cache_is_in_the_table_or_repeats_an_array_that_is(case):
    model, ids, cache = case
    made = fixtures.make(model, token_ids=ids, names="transformerlens")
    inner = {  # inputs of a part of a part, each the output of the part before
        "pos_embed.hook_in": None,  # positions
        "ln1.hook_in": "block_{}_step_1",
        "attn.q.hook_in": "block_{}_step_3",
        "attn.k.hook_in": "block_{}_step_3",
        "attn.v.hook_in": "block_{}_step_3",
        "attn.hook_hidden_states": "block_{}_step_9",
        "mlp.in.hook_in": "block_{}_step_12",
    }
    by_stage = {about["stage"]: made.arrays[about["name"]] for about in made.manifest["arrays"]}
    entries = naming.entries(naming.Known("transformerlens", model.config.n_layer))
    known = {name: entry.stage for entry in entries for name in (*entry.names, *entry.aliases)}
    for name, array in cache.items():
        part = name.partition("blocks.")[2].partition(".")
        stage = known.get(name) or inner[part[2] or name]
        if stage and stage.format(part[0]) in by_stage:
            agree(by_stage[stage.format(part[0])], array)


def test_diff_reads_a_cache_as_it_was_saved(case, tmp_path):
    model, ids, cache = case
    np.savez(tmp_path / "cache.npz", **cache)
    run = RunSource(model.run(token_ids=ids))
    report = diff(run, fixtures.source(tmp_path / "cache.npz"), atol=1e-3, rtol=1e-3)
    assert report.equal, report.first
    assert {stage.stage for stage in report.missing} <= {
        *("separated_into_words", "prompt_to_tokens", "triangle_matrix", "predicted_token"),
        *(f"block_{i}_step_4" for i in range(model.config.n_layer)),
    }


def test_diff_names_the_stage_where_a_cache_diverges(case, tmp_path):
    model, ids, cache = case
    changed = {**cache, "blocks.0.attn.hook_z": cache["blocks.0.attn.hook_z"] + 1}
    np.savez(tmp_path / "cache.npz", **changed)
    report = diff(RunSource(model.run(token_ids=ids)), fixtures.source(tmp_path / "cache.npz"), atol=1e-3, rtol=1e-3)
    assert report.first.stage == "block_0_step_8"
