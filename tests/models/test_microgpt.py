"""microgpt: against an independent PyTorch model in forward and gradients, and through every command."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.models import kinds
from sheetgpt.models.config import Config
from sheetgpt.run.backward import backward
from sheetgpt.run.forward import forward
from sheetgpt.training.example import example
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import train_steps
from sheetgpt.workbook.reading.open import Workbook
from training_books import assert_shows

NAMES = "anna\nann\nella\nelena\nlena\nlina\nnina\nnela\nalina\nliane\nina\neliana\nlea\n"
AS_IN_THE_SOURCE = Config(1, 4, 16, 16, 27, model="microgpt")
DEEPER = Config(3, 2, 12, 10, 31, model="microgpt")


# ------------------------------------------------------------------------------------------------ PyTorch


def rms_norm(x):
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5) ** -0.5


def torch_run(config: Config, matrices, ids, targets, dtype):
    """(stages by our names, mean loss, weights as tensors) of a microgpt written without sheetgpt, head by head."""
    torch = require("torch", "oracle")
    w = {name: torch.tensor(matrix, dtype=dtype, requires_grad=True) for name, matrix in matrices.items()}
    length, size, found = len(ids), config.head_size, {}
    ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
    found["token_embeddings"] = w["model_wte"][torch.tensor(ids)]
    x = found["position_embeddings"] = found["token_embeddings"] + w["model_wpe"][torch.arange(length)]
    x = found["normalised_embeddings"] = rms_norm(x)
    for block in range(config.n_layer):
        stage, weight = f"block_{block}_step_{{}}".format, f"model_h{block}_{{}}_w".format
        before = found[stage(1)] = x
        x = found[stage(2)] = rms_norm(x)
        both = found[stage(4)] = x @ w[weight("attn_c_attn")]
        queries, keys, values = (both[:, third * config.n_embd :][:, : config.n_embd] for third in range(3))
        found |= {stage("5_queries"): queries, stage("5_keys"): keys, stage("5_values"): values}
        scores, weights, mixed = [], [], []
        for head in range(config.n_head):
            q, k, v = (one[:, head * size : (head + 1) * size] for one in (queries, keys, values))
            scores.append((q @ k.T / size**0.5).masked_fill(ahead, -torch.inf))
            weights.append(torch.softmax(scores[-1], -1))
            mixed.append(weights[-1] @ v)
        found |= {stage(6): torch.cat(scores, -1), stage(7): torch.cat(weights, -1), stage(8): torch.cat(mixed, -1)}
        x = found[stage(9)] = found[stage(8)] @ w[weight("attn_c_proj")]
        x = before = found[stage(10)] = x + before
        x = found[stage(11)] = rms_norm(x)
        x = found[stage(13)] = x @ w[weight("mlp_c_fc")]
        x = found[stage(14)] = x.relu()
        x = found[stage(15)] = x @ w[weight("mlp_c_proj")]
        x = found[stage(16)] = x + before
    found["last_hidden_state"] = x
    scores = x @ w["model_lm_head"].T
    found["logits"] = scores.T
    penalties = torch.nn.functional.cross_entropy(scores, torch.tensor(targets), reduction="none")
    found["penalties"] = penalties[None]
    return found, penalties.mean(), w


@pytest.mark.oracle
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("config", [AS_IN_THE_SOURCE, DEEPER], ids=["as in the source", "deeper"])
def test_every_stage_and_the_gradient_of_every_weight_are_pytorchs(config, dtype, limit):
    torch = require("torch", "oracle")
    matrices, ids = random_matrices(config, untied=True), random_ids(config, config.n_ctx)
    stages, loss, tensors = torch_run(config, matrices, ids[:-1], ids[1:], getattr(torch, dtype))
    loss.backward()
    weights = {name: matrix.astype(dtype) for name, matrix in matrices.items()}
    steps = kinds.training_steps(config)
    values = forward(steps, weights, steps.inputs(ids[:-1], targets=np.array(ids[1:])), dtype=dtype)
    assert {step.name for step in steps.computed} - set(stages) == {"triangle_matrix"}
    for name, stage in stages.items():
        theirs = stage.detach().numpy()
        seen = np.isfinite(theirs)  # their scores are -inf where ours are very low
        np.testing.assert_allclose(values[name][seen], theirs[seen], atol=limit, rtol=limit, err_msg=name)
        assert np.all(values[name][~seen] < -1e9), name
    penalties = values["penalties"]
    seeds = {"penalties": np.full_like(penalties, 1 / penalties.size)}
    found = backward(steps, values, weights, seeds)
    assert set(matrices) == set(kinds.weights_of(config))
    for name, tensor in tensors.items():
        np.testing.assert_allclose(found[name], tensor.grad.numpy(), atol=limit, rtol=limit, err_msg=name)


def test_its_constants_and_first_weights_are_the_sources():
    defaults = kinds.kind("microgpt").defaults
    assert (defaults.n_layer, defaults.n_embd, defaults.n_ctx, defaults.n_head) == (1, 16, 16, 4)
    assert (defaults.learning_rate, defaults.optimizer) == (0.01, "adamw")
    kind, rng = kinds.kind("microgpt"), np.random.default_rng(0)
    drawn = [kind.first_weight(one, AS_IN_THE_SOURCE, rng) for one in kinds.weights_of(AS_IN_THE_SOURCE).values()]
    assert sum(matrix.size for matrix in drawn) == 4192  # as the source counts for its 27 tokens
    assert all(abs(matrix.std() - 0.08) < 0.01 and abs(matrix.mean()) < 0.01 for matrix in drawn)


# ------------------------------------------------------------------------------------------------ every command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a model of names, `mg`, as `train` leaves it."""
    folder = tmp_path_factory.mktemp("microgpt")
    (folder / "names.txt").write_text(NAMES, encoding="utf-8")
    command = ["train", "names.txt", "mg", "--tokens", "chars", "--model", "microgpt", "--steps", 300]
    done = sheetgpt_here(*command, "--json", cwd=folder)
    assert done.code == 0, done.err
    assert json.loads(done.out)["loss"] < 0.8 < json.loads(done.out)["first_loss"]
    return folder


def printed(*arguments, cwd, code=0):
    done = sheetgpt_here(*arguments, "--weights", "mg", "--json", cwd=cwd)
    assert done.code == code, done.err
    return json.loads(done.out)


def test_run_generate_and_loss(trained):
    shown = printed("run", ".an", cwd=trained)
    assert shown["predictions"][0]["token"] in {"n", "a", "i"}
    text = "".join(token["token"] for token in printed("generate", ".", "-n", 12, "--seed", 3, cwd=trained)["tokens"])
    assert set(text) <= set("aeiln.")
    assert printed("loss", ".anna.", cwd=trained)["mean"] < 1
    greedy = [token["id"] for token in printed("generate", ".an", "-n", 3, "--greedy", cwd=trained)["tokens"]]
    model = load_model(trained / "mg")  # the cached decoder's tokens are those of whole runs
    ids = model.ids_of(".an", None)
    for token in greedy:
        assert model.run(token_ids=ids).predictions(1)[0].id == token
        ids.append(token)


@pytest.mark.office
def test_a_training_steps_workbook_recalculates_to_the_same_numbers(trained, recalculate):
    dumps = ["--dump-xlsx", "--formulas", "--dump-csv", "--name", "step", "--steps", 2]
    done = printed("train-step", "ann", *dumps, cwd=trained)
    assert len(done["files"]) == 2
    model = load_model(trained / "mg")
    settings = Settings(steps=2, learning_rate=0.1, weight_decay=0.0)
    training = train_steps(model, example(model, "ann", room=8), settings, "ann")
    assert_shows(recalculate(trained / "exports" / "step.xlsx"), training)


@pytest.mark.office
def test_a_live_workbook_recalculates_to_the_run(trained, recalculate):
    printed("run", ".an", "--dump-xlsx", "--formulas", "--name", "live", cwd=trained)
    book, trace = Workbook(recalculate(trained / "exports" / "live.xlsx")), load_model(trained / "mg").run(".an")
    for name in trace:
        if not trace.step(name).is_text:
            found, _ = book.part(book.names[name])
            np.testing.assert_allclose(found, trace.array(name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_diff_says_equal_of_two_dumps_and_finds_a_changed_one(trained):
    for name in ("one", "two"):
        printed("run", ".an", "--dump-csv", "--name", name, cwd=trained)
    exports = trained / "exports"
    assert sheetgpt_here("diff", exports / "one", exports / "two").code == 0
    changed = shutil.copytree(exports / "one", exports / "changed", dirs_exist_ok=True)
    with (changed / "block_0_step_14.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    rows[2][5] = str(float(rows[2][5]) + 0.5)
    with (changed / "block_0_step_14.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    done = sheetgpt_here("diff", exports / "one", changed, "--json")
    assert done.code == 1, done.err
    assert json.loads(done.out)["first"] == "block_0_step_14"


def test_fixtures_are_read_back_as_equal(trained):
    printed("fixtures", ".an", "-o", "mg.npz", cwd=trained)
    done = sheetgpt_here("diff", "run:.an", "mg.npz", "--weights", "mg", cwd=trained)
    assert done.code == 0, (done.out, done.err)
