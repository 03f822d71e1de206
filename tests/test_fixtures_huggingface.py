"""Hugging Face's outputs and what forward hooks see of its modules against our fixtures: names, shapes, numbers."""

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

pytestmark = pytest.mark.oracle
TOLERANCE = 1e-4
CASES = {"small": (SMALL, 7), "one token": (ONE_BLOCK, 1), "odd heads": (ODD_HEADS, 20), "wide heads": (WIDE_HEADS, 32)}


def outputs_of(config, matrices, ids) -> dict[str, np.ndarray]:
    """Every module's output (its first part) by the module's name, and the fields of the model's output."""
    torch = require("torch", "oracle")
    model = huggingface_model(config, matrices)
    seen = {"input_ids": torch.tensor([ids])}

    def hook(name):
        def keep(_module, _inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            if torch.is_tensor(first):
                seen[name] = first

        return keep

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(hook(name))
    with torch.no_grad():
        out = model(seen["input_ids"], output_hidden_states=True, output_attentions=True, use_cache=True)
    seen["logits"] = out.logits
    seen |= {f"hidden_states.{i}": tensor for i, tensor in enumerate(out.hidden_states)}
    seen |= {f"attentions.{i}": tensor for i, tensor in enumerate(out.attentions)}
    for i, layer in enumerate(out.past_key_values.layers):
        seen[f"past_key_values.layers.{i}.keys"], seen[f"past_key_values.layers.{i}.values"] = layer.keys, layer.values
    return {name: tensor.numpy() for name, tensor in seen.items()}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request, tmp_path_factory):
    """(the model, the prompt's ids, Hugging Face's outputs)."""
    config, count = CASES[request.param]
    folder = tmp_path_factory.mktemp("huggingface")
    matrices = random_matrices(config)
    if config is WIDE_HEADS:  # deviations of 0.3 would make numbers of hundreds at this width
        matrices = {name: m if name.endswith(("_g", "_b")) else m * np.float32(0.3) for name, m in matrices.items()}
    write_weights(folder / "w", config, matrices)
    ids = random_ids(config, count)
    return load_model(folder / "w", "float32"), ids, outputs_of(config, matrices, ids)


def agree(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_a_fixture_holds_the_outputs_names_shapes_and_numbers(case):
    model, ids, theirs = case
    arrays = fixtures.make(model, token_ids=ids, names="huggingface").arrays
    assert set(arrays) <= set(theirs)
    for name, array in arrays.items():
        agree(array, theirs[name])


def test_every_module_is_in_the_table_or_is_a_dropout_or_the_whole(case):
    model, _, theirs = case
    entries = naming.entries(naming.Known("huggingface", model.config.n_layer))
    known = {name for entry in entries for name in (*entry.names, *entry.aliases)}
    rest = {name for name in theirs if name not in known}
    assert all(name == "transformer" or name.endswith("dropout") for name in rest), rest


@pytest.mark.parametrize("only", ["all", "hidden states", "base model"])
def test_diff_reads_outputs_as_they_were_saved(case, only, tmp_path):
    model, ids, theirs = case
    kept = {
        "all": theirs,
        "hidden states": {name: array for name, array in theirs.items() if name.startswith("hidden_states")},
        "base model": {
            name.removeprefix("transformer."): array
            for name, array in theirs.items()
            if name.startswith(("transformer.", "attentions", "hidden"))
        },
    }[only]
    np.savez(tmp_path / "out.npz", **kept)
    side = fixtures.source(tmp_path / "out.npz")
    report = diff(RunSource(model.run(token_ids=ids)), side, atol=1e-3, rtol=1e-3)
    assert report.equal, report.first
    expected = {"predicted_embedding", *(f"block_{i}_step_1" for i in range(model.config.n_layer))}
    assert expected <= set(side.names)
    if only == "all":
        assert {"logits", "block_0_step_4", "block_0_step_7", "block_0_step_16", "final_tokens"} <= set(side.names)
