"""llm.c's debug state against our training step: what PyTorch's autograd gave, in the layout that llm.c reads."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import ODD_HEADS, ONE_BLOCK, SMALL, random_matrices
from sheetgpt.diff import training as diff
from sheetgpt.errors import DumpError
from sheetgpt.fixtures import llmc
from sheetgpt.weights.folder import write_weights
from transformers_model import huggingface_model

pytestmark = pytest.mark.oracle
OF_BLOCK = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")


def torch_state(config, matrices, ids, targets):
    """(logits, loss, gradients by PyTorch's names) of Hugging Face's model."""
    torch = require("torch", "oracle")
    model = huggingface_model(config, matrices)
    logits = model(torch.tensor(ids)).logits
    flat = logits.reshape(-1, config.n_vocab), torch.tensor(targets).reshape(-1)
    loss = torch.nn.functional.cross_entropy(*flat, ignore_index=-1)
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.transformer.named_parameters()}
    return logits.detach().numpy(), float(loss.detach()), gradients


def tensors_in_order(config, gradients, padding):
    """llm.c's order; its linear layers hold [out, in], Hugging Face's [in, out]."""
    yield np.pad(gradients["wte.weight"], ((0, padding), (0, 0)))
    yield gradients["wpe.weight"]
    for part in OF_BLOCK:
        for kind in ("weight", "bias"):
            for block in range(config.n_layer):
                tensor = gradients[f"h.{block}.{part}.{kind}"]
                yield tensor.T if tensor.ndim == 2 else tensor
    yield gradients["ln_f.weight"]
    yield gradients["ln_f.bias"]


def write_state(path, config, ids, targets, logits, loss, gradients, *, version=2, padding=None):
    padding = -config.n_vocab % 128 if padding is None else padding
    parts = [np.pad(np.array([20240327, version, *np.shape(ids)], "<i4"), (0, 252))]
    parts += [np.array(ids, "<i4"), np.array(targets, "<i4"), logits.astype("<f4"), np.array(loss, "<f4")]
    parts += [np.ascontiguousarray(tensor, "<f4") for tensor in tensors_in_order(config, gradients, padding)]
    path.write_bytes(b"".join(part.tobytes() for part in parts))
    return path


def batch(config, rows, columns, seed=3):
    stream = np.random.default_rng(seed).integers(0, config.n_vocab, rows * columns + 1)
    return stream[:-1].reshape(rows, columns), stream[1:].reshape(rows, columns)


SHAPES = {"a batch": (SMALL, 4, 7), "one row": (ODD_HEADS, 1, 20), "one token": (ONE_BLOCK, 1, 1)}


@pytest.fixture(scope="module", params=SHAPES, ids=SHAPES)
def case(request, tmp_path_factory):
    """(the constants, the model's folder, what a state holds)."""
    config, *shape = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("llmc") / "w"
    matrices = random_matrices(config)
    write_weights(folder, config, matrices)
    ids, targets = batch(config, *shape)
    return config, folder, (ids, targets, *torch_state(config, matrices, ids, targets))


def test_our_backward_pass_gives_the_gradients_of_a_debug_state(case, tmp_path):
    config, folder, held = case
    file = write_state(tmp_path / "gpt2_debug_state.bin", config, *held)
    report = diff.compare("train-step:", str(file), weights=folder)
    assert report.first is None, report.first
    assert not report.missing
    names = [one.name for one in report.matrices]
    assert names[:2] == ["logits", "loss"]
    assert len(names) == 2 + 4 + 12 * config.n_layer
    assert diff.compare(str(file), "train-step:", weights=folder).first is None


@pytest.mark.parametrize(("version", "padding"), [(1, 0), (2, 0), (2, None)])
def test_the_vocabulary_may_be_padded_or_not(case, version, padding, tmp_path):
    config, folder, held = case
    file = write_state(tmp_path / "state.bin", config, *held, version=version, padding=padding)
    assert diff.compare("train-step:", str(file), weights=folder).first is None


def test_each_gradient_that_is_off_is_named_and_the_first_is_the_nearest_to_the_loss(case, tmp_path):
    config, folder, (*held, gradients) = case
    off = {**gradients, "ln_f.bias": gradients["ln_f.bias"] * 1.5, "wpe.weight": gradients["wpe.weight"] + 0.1}
    off["h.0.mlp.c_fc.weight"] = gradients["h.0.mlp.c_fc.weight"] * 2
    file = write_state(tmp_path / "state.bin", config, *held, off)
    result = sheetgpt_here("diff", "train-step:", file, "--weights", folder)
    assert (result.code, result.out.splitlines()[0]) == (1, "d_model_ln_f_b diverges first.")
    report = diff.compare("train-step:", str(file), weights=folder)
    wrong = [one.name for one in report.matrices if not one.equal]
    assert wrong == ["d_model_ln_f_b", "d_model_h0_mlp_c_fc_w", "d_model_wpe"]


def test_wrong_logits_and_a_wrong_loss_are_named(case, tmp_path):
    config, folder, (ids, targets, logits, loss, gradients) = case
    for other, name in (((logits + 1, loss), "logits"), ((logits, loss * 1.1), "loss")):
        file = write_state(tmp_path / "state.bin", config, ids, targets, *other, gradients)
        assert diff.compare("train-step:", str(file), weights=folder).first.name == name


def test_predictions_without_a_target_do_not_count(tmp_path):
    write_weights(tmp_path / "w", SMALL, random_matrices(SMALL))
    ids, targets = (part.copy() for part in batch(SMALL, 2, 5))
    targets[0, 2:] = -1
    held = torch_state(SMALL, random_matrices(SMALL), ids, targets)
    file = write_state(tmp_path / "state.bin", SMALL, ids, targets, *held)
    assert diff.compare("train-step:", str(file), weights=tmp_path / "w").first is None


def test_a_dump_of_a_step_on_the_same_tokens_is_compared_and_on_others_refused(case, tmp_path):
    config, folder, (ids, targets, *held) = case
    text = ",".join(map(str, [*ids[0], targets[0, -1]]))
    made = ("--weights", folder, "--dump-csv", "--exports", tmp_path, "--name", "step")
    sheetgpt_here("train-step", "--token-ids", text, *made)
    file = write_state(tmp_path / "state.bin", config, ids, targets, *held)
    result = sheetgpt_here("diff", tmp_path / "step", file)
    if len(ids) == 1:
        assert (result.code, "d_model_wte" in result.out) == (0, True)
    else:
        assert result.code == 2
        assert "learn from different tokens: compare state.bin with `train-step:`" in result.error


def test_a_step_on_a_text_is_a_side_without_a_batch(case, tmp_path):
    _, folder, _ = case
    same = sheetgpt_here("diff", "train-step-ids:1,2,3", "train-step-ids:1,2,3", "--weights", folder)
    assert same.code == 0
    assert "d_logits" in same.out
    none = sheetgpt_here("diff", "train-step:", "train-step:", "--weights", folder)
    assert (none.code, "train-step: has no text" in none.error) == (2, True)
    ours = sheetgpt_here("diff", "train-step:Mike is quick.", "train-step:Mike is slow.")
    assert (ours.code, ours.out.splitlines()[0].endswith("diverges first.")) == (1, True)


# ------------------------------------------------------------------------------------------------ damage


def test_a_torn_state_is_one_line_wherever_it_is_torn(case, tmp_path):
    config, folder, held = case
    file = write_state(tmp_path / "state.bin", config, *held)
    whole = file.read_bytes()
    padding = -config.n_vocab % 128 * config.n_embd * 4
    for size in {
        len(whole) - padding,
        4,
        8,
        100,
        1023,
        1024,
        1030,
        *range(1, len(whole), max(1, len(whole) // 97)),
        len(whole) - 1,
    }:
        file.write_bytes(whole[:size])
        if size >= 4:
            with pytest.raises(DumpError, match="torn") as found:
                diff.compare("train-step:", str(file), weights=folder)
            assert "\n" not in str(found.value)


@pytest.mark.parametrize("shape", [(2**30, 2**30), (-1, 5), (0, 0), (1, 2**31 - 1)])
def test_a_header_that_claims_an_absurd_batch_takes_no_memory(shape, tmp_path):
    (tmp_path / "state.bin").write_bytes(struct.pack("<4i", 20240327, 2, *shape) + bytes(2000))
    with pytest.raises(DumpError, match="torn"):
        diff.compare("train-step:", str(tmp_path / "state.bin"))


def test_a_state_of_another_version_or_model_is_one_line(case, tmp_path):
    config, folder, held = case
    file = write_state(tmp_path / "state.bin", config, *held, version=3)
    assert (
        "is version 3 of llm.c's debug state, and 1 and 2 are read" in sheetgpt_here("diff", "train-step:", file).error
    )
    file = write_state(tmp_path / "state.bin", config, *held)
    result = sheetgpt_here("diff", "train-step:", file)
    assert result.code == 2
    assert "it is torn, or not of a GPT-2 of n_layer 2, n_embd" in result.error
    assert "of no published GPT-2" in sheetgpt_here("diff", file, file).error
    assert sheetgpt_here("diff", file, file, "--weights", folder).code == 0


def test_ids_beyond_the_vocabulary_are_one_line(case, tmp_path):
    config, folder, (ids, *held) = case
    file = write_state(tmp_path / "state.bin", config, ids + config.n_vocab, *held)
    assert "holds token ids that are none of" in sheetgpt_here("diff", "train-step:", file, "--weights", folder).error


@pytest.mark.parametrize("config", llmc.PUBLISHED, ids=lambda config: f"{config.n_layer} blocks")
def test_the_published_models_are_known_by_their_size(config, tmp_path):
    """A file of the size that the state of this model has, all zeros: it takes no room on the disk."""
    parameters = 50304 * config.n_embd + 1024 * config.n_embd + 2 * config.n_embd
    parameters += config.n_layer * (12 * config.n_embd**2 + 13 * config.n_embd)
    with (tmp_path / "state.bin").open("wb") as file:
        file.write(struct.pack("<4i", 20240327, 2, 4, 64))
        file.truncate(1024 + 4 * (2 * 256 + 256 * 50257 + 1 + parameters))
    readers = llmc.open_state(tmp_path / "state.bin").readers()
    assert len(readers) == 2 + 4 + 12 * config.n_layer
    assert readers["d_model_ln_f_b"]().shape == (1, config.n_embd)
    assert readers["d_model_h1_attn_c_attn_w"]().shape == (config.n_embd, 3 * config.n_embd)
