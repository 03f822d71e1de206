"""Training: equal to PyTorch step by step, the same again after an interruption, and refusals in one line."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

from command_line import sheetgpt
from conftest import require
from sheetgpt import load_model
from sheetgpt.errors import SheetGPTError, TrainingError
from sheetgpt.models.config import Config
from sheetgpt.training import checkpoint, train
from sheetgpt.training.documents import Corpus, Documents, character_tables, split
from sheetgpt.training.loss import measure
from sheetgpt.training.optimizers import Settings, State, clip, update
from sheetgpt.training.trainer import Trainer

NAMES = "emma\nolivia\nava\nisabella\nsophia\nmia\namelia\nharper\nevelyn\nabigail\nemily\nella\n"
TINY = Config(2, 2, 16, 12, 30)


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text(NAMES, encoding="utf-8")
    return file


def tiny_trainer(config: Config = TINY, **settings) -> Trainer:
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, config.n_vocab - 1, 20).tolist() for _ in range(40)]
    corpus = Corpus(documents, config.n_vocab - 1, config.n_ctx)
    return Trainer(config, corpus, Settings(**{"steps": 12, "batch": 24, "warmup": 3} | settings))


def weights_of(trainer: Trainer) -> np.ndarray:
    return trainer.state.vector.copy()


# ------------------------------------------------------------------------------------------------ PyTorch


def torch_losses(trainer: Trainer, batches) -> list[float]:
    """The losses of the same training in PyTorch: the model, AdamW, clipping and schedule written without sheetgpt."""
    torch = require("torch", "oracle")
    config, settings, functional = trainer.config, trainer.settings, torch.nn.functional
    w = {name: torch.tensor(weight.copy(), requires_grad=True) for name, weight in trainer.weights.items()}
    matrices = [one for name, one in w.items() if not name.endswith(("_g", "_b"))]
    others = [one for name, one in w.items() if name.endswith(("_g", "_b"))]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1.0, betas=(settings.beta1, settings.beta2), eps=settings.epsilon)

    def norm(x, name):
        return functional.layer_norm(x, (config.n_embd,), w[f"{name}_g"][0], w[f"{name}_b"][0], 1e-5)

    def linear(x, name):
        return x @ w[f"{name}_w"] + w[f"{name}_b"]

    losses = []
    for step, (ids, targets) in enumerate(batches):
        batch, length = ids.shape
        x = w["model_wte"][torch.tensor(ids)] + w["model_wpe"][:length]
        for block in range(config.n_layer):
            h = f"model_h{block}_"
            parts = linear(norm(x, h + "ln_1"), h + "attn_c_attn").split(config.n_embd, -1)
            q, k, v = (part.view(batch, length, config.n_head, -1).transpose(1, 2) for part in parts)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + linear(mixed.transpose(1, 2).reshape(batch, length, -1), h + "attn_c_proj")
            hidden = functional.gelu(linear(norm(x, h + "ln_2"), h + "mlp_c_fc"), approximate="tanh")
            x = x + linear(hidden, h + "mlp_c_proj")
        logits = norm(x, "model_ln_f") @ w["model_wte"].T
        loss = functional.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten())
        adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), settings.clip)
        for group in adamw.param_groups:
            group["lr"] = settings.rate(step)
        adamw.step()
        losses.append(loss.item())
    return losses


@pytest.mark.oracle
def test_200_steps_have_pytorchs_loss_at_every_step():
    trainer = tiny_trainer(steps=200)
    rng = np.random.default_rng()
    drawing = Trainer(TINY, trainer.corpus, trainer.settings)  # draws the same batches
    rng.bit_generator.state = drawing.rng.bit_generator.state
    batches = [trainer.corpus.windows(24, rng) for _ in range(200)]
    expected = torch_losses(drawing, batches)
    losses = [record.loss for record in trainer.run()]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < losses[0] - 1


# ------------------------------------------------------------------------------------------------ the same again


def test_a_training_resumed_from_its_checkpoint_ends_with_the_same_bits(tmp_path):
    whole = tiny_trainer()
    losses = [record.loss for record in whole.run()]
    first = tiny_trainer()
    for record in first.run():
        if record.step == 5:
            checkpoint.save(first, tmp_path / "checkpoint.npz")
            break
    second = tiny_trainer()
    checkpoint.resume(second, tmp_path / "checkpoint.npz")
    assert [record.loss for record in second.run()] == losses[5:]
    np.testing.assert_array_equal(weights_of(second), weights_of(whole))
    np.testing.assert_array_equal([r.loss for r in second.log], losses)


def test_how_many_cores_there_are_changes_nothing(monkeypatch):
    losses = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        losses.append([record.loss for record in tiny_trainer().run()])
    assert losses[0] == losses[1] == losses[2]


def test_two_halves_have_the_gradient_of_the_whole_batch():
    trainer = tiny_trainer(steps=1)
    ids, targets = trainer.corpus.windows(24, np.random.default_rng(1))
    trainer.pool = ThreadPoolExecutor(1)
    with_halves = trainer.loss_and_gradients(ids, targets), trainer.state.gradient.copy()
    whole = trainer._part(0, ids, targets, ids.size) / ids.size, trainer.state.gradient.copy()
    assert with_halves[0] == pytest.approx(whole[0], rel=1e-6)
    np.testing.assert_allclose(with_halves[1], whole[1], atol=1e-6)


def test_ctrl_c_saves_and_the_same_command_goes_on(names, tmp_path):
    def arguments(dest):
        return ["train", str(names), str(dest), "--tokens", "chars", "--model", "mlp", "--steps", "4000"]

    command = [sys.executable, "-m", "sheetgpt", *arguments(tmp_path / "stopped")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert "step  100/4000" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130, rest
    assert "the same command goes on from there" in rest
    done = sheetgpt(*arguments(tmp_path / "stopped"), "--resume")
    assert "Going on after step" in done.err
    assert done.code == 0
    assert sheetgpt(*arguments(tmp_path / "whole")).code == 0
    for file in (tmp_path / "whole").glob("model_*.csv"):
        assert file.read_bytes() == (tmp_path / "stopped" / file.name).read_bytes()
    assert not (tmp_path / "stopped" / "checkpoint.npz").exists()


# ------------------------------------------------------------------------------------------------ the ladder


@pytest.mark.parametrize(
    ("model", "most"),
    [("die", 0.937), ("softmax", 2.45), ("bigram", 1.6), ("mlp", 0.6), ("attention", 0.6), ("microgpt", 0.6)],
)
def test_every_rung_learns_names_in_seconds_and_its_model_runs(model, most, names, tmp_path):
    dest = tmp_path / model
    begun = time.perf_counter()
    done = sheetgpt("train", names, dest, "--tokens", "chars", "--model", model, "--json")
    assert done.code == 0, done.err
    assert time.perf_counter() - begun < 30
    trained = load_model(dest)
    assert trained.config.model == model
    losses = [measure(trained, trained.ids_of(f".{name}.", None)).mean for name in NAMES.split()]
    if model == "die":  # learns to miss less, which is another loss
        import json

        assert json.loads(done.out)["loss"] < most < json.loads(done.out)["first_loss"]
    else:
        assert np.mean(losses) < most
    text = "".join(token.text for token in trained.generate(".", n=5, seed=1, temperature=1.0))
    assert set(text) <= set(NAMES) | {"."}


@pytest.mark.parametrize("gradient", ["numeric", "value"])
@pytest.mark.parametrize("model", ["die", "mlp"])
def test_the_other_gradients_train_the_same_model(model, gradient, names, tmp_path):
    losses = {}
    for method in ("backprop", gradient):
        settings = Settings(steps=3, batch=2, learning_rate=0.1, warmup=0, gradient=method)
        new = train.NewModel(1, 1, 2, 2, model=model, tokens="chars")
        trainer = train.prepare(names, tmp_path / method, new, settings)
        losses[method] = [record.loss for record in trainer.run()]
    np.testing.assert_allclose(losses[gradient], losses["backprop"], rtol=1e-4)


def test_held_out_loss_log_curve_and_samples(names, tmp_path):
    require("matplotlib", "plot")
    files = {"--log": tmp_path / "loss.csv", "--plot": tmp_path / "loss.png"}
    options = [part for pair in files.items() for part in pair]
    done = sheetgpt(
        "train", names, tmp_path / "m", "--tokens", "chars", "--model", "bigram", "--steps", 40,
        "--held-out", 0.25, "--evaluate-every", 20, "--sample-every", 20, *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.err.count("held out") == 2
    assert done.err.count("\n    ") == 2
    assert "tokens/s" in done.err
    assert "left" in done.err
    with files["--log"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 41)]
    assert [bool(row["held_out"]) for row in rows].count(True) == 2
    assert files["--plot"].read_bytes().startswith(b"\x89PNG")


def test_what_is_held_out_is_not_learned_from():
    learned, held_out = split(list(range(10)), 0.2)
    assert held_out == [4, 9]
    assert sorted(learned + held_out) == list(range(10))
    assert split([1, 2], 0) == ([1, 2], [])


# ------------------------------------------------------------------------------------------------ batches, vocabulary


def test_documents_begin_after_an_end_token_and_end_with_one():
    ids, targets = next(Documents([[1, 2], [3, 4, 5]], 9, 5).all_windows())
    assert ids.tolist() == [[9, 1, 2]]
    assert targets.tolist() == [[1, 2, 9]]
    ids, targets = Documents([[1, 2], [3, 4, 5]], 9, 5).windows(20, np.random.default_rng(0))
    assert {tuple(row) for row in targets.tolist()} == {(1, 2, 9, -1), (3, 4, 5, 9)}
    assert {tuple(row) for row in ids.tolist()} == {(9, 1, 2, 9), (9, 3, 4, 5)}


def test_characters_of_several_bytes_are_one_token(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("zoë\nбоб\n.x\n", encoding="utf-8")
    new = train.NewModel(1, 1, 1, 8, model="bigram", tokens="chars")
    train.prepare(file, tmp_path / "m", new, Settings(steps=1, batch=1))
    from sheetgpt.bpe import Tokenizer

    tokenizer = Tokenizer.read(tmp_path / "m")
    assert [len(tokenizer.encode(word)) for word in ("zoë", "боб")] == [3, 3]
    assert tokenizer.decode(tokenizer.encode("zoбë.")) == "zoбë."
    assert tokenizer.end_of_text == tokenizer.n_vocab - 1
    assert character_tables("a.b")[1][-1] == "<|endoftext|>"


# ------------------------------------------------------------------------------------------------ the update


def test_clipping_decay_and_schedule():
    gradient = np.array([3.0, 4.0])
    assert clip(gradient, 1.0) == 5
    np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-6)
    state = State.of(np.array([1.0, 1.0]), 1)
    update(state, Settings(optimizer="sgd", learning_rate=0.5, warmup=0, weight_decay=0.1), 0)
    np.testing.assert_allclose(state.vector, [0.95, 1.0])  # only the first decays, and no gradient moves them
    settings = Settings(steps=100, warmup=10, learning_rate=1.0, min_learning_rate=0.1)
    rates = [settings.rate(step) for step in range(101)]
    assert rates[:2] == pytest.approx([1 / 11, 2 / 11])
    assert max(rates) == rates[10] == 1.0
    assert rates[100] == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------ refusals


def test_bad_input_is_one_line(names, tmp_path):
    dest = count()

    def refused(*arguments, corpus=names):
        return sheetgpt("train", corpus, tmp_path / str(next(dest)), *arguments).error

    assert "nothing to resume" in refused("--resume")
    assert "must be above 0" in refused("--learning-rate", -1)
    (tmp_path / "empty.txt").write_text("\n \n")
    assert "is empty" in refused(corpus=tmp_path / "empty.txt")
    assert "can't be read" in refused(corpus=tmp_path / "none.txt")
    chars = ("--tokens", "chars")
    assert "document 2 has 6 tokens and the context holds 4" in refused(*chars, "--model", "attention", "--n-ctx", 5)
    assert "one window takes 65" in refused()
    assert not (tmp_path / str(next(dest) - 1)).exists()  # no token table that the next attempt would take for its own
    small = ("--n-ctx", 8, "--n-layer", 1, "--n-head", 1, "--n-embd", 8, "--steps", 30)
    assert "the loss is" in refused(*small, "--learning-rate", 1e30, "--warmup", 0)
    assert "weights" in refused(*chars, "--n-ctx", 16, "--gradient", "value")
    assert "is no share of a sum any more" in refused(*chars, "--model", "die", "--learning-rate", 50)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    trainer = tiny_trainer(steps=2)
    list(trainer.run())
    checkpoint.save(trainer, tmp_path / "checkpoint.npz")
    with pytest.raises(TrainingError, match="another settings"):
        checkpoint.resume(tiny_trainer(steps=3), tmp_path / "checkpoint.npz")
    other = Trainer(TINY, Corpus([[1, 2, 3]] * 40, 29, TINY.n_ctx), trainer.settings)
    with pytest.raises(TrainingError, match="another corpus"):
        checkpoint.resume(other, tmp_path / "checkpoint.npz")
    (tmp_path / "checkpoint.npz").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="not a whole checkpoint"):
        checkpoint.resume(tiny_trainer(), tmp_path / "checkpoint.npz")


def test_a_finished_model_is_not_overwritten(names, tmp_path):
    arguments = ["train", names, tmp_path / "m", "--tokens", "chars", "--model", "softmax", "--steps", 2]
    assert sheetgpt(*arguments).code == 0
    assert "holds a model already" in sheetgpt(*arguments).error
    assert sheetgpt(*arguments, "--force").code == 0
    with pytest.raises(SheetGPTError):
        load_model(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------ end tokens

LINES = "The cat sat.\n<|endoftext|>\nThe dog ran.<|endoftext|>\n<|endoftext|>The cat ran.\r\n<|endoftext|>\n"
DOCUMENTS = ["The cat sat.", "The dog ran.", "The cat ran."]


@pytest.mark.parametrize("tokens", ["bpe", "chars"])
@pytest.mark.parametrize("times", [1, 20])
def test_the_end_of_text_between_documents_is_the_end_token(tmp_path, tokens, times):
    (tmp_path / "marked.txt").write_text(LINES * times, encoding="utf-8", newline="")
    (tmp_path / "plain.txt").write_text("\n".join(DOCUMENTS * times), encoding="utf-8")
    new = train.NewModel(n_layer=1, n_head=1, n_embd=4, n_ctx=13, vocab_size=280, tokens=tokens)
    marked, plain = (
        train.prepare(tmp_path / f"{name}.txt", tmp_path / name, new, Settings(steps=1)) for name in ("marked", "plain")
    )
    tokenizer = load_tokenizer(tmp_path / "marked")
    if tokens == "chars":
        assert marked.corpus.fingerprint() == plain.corpus.fingerprint()
        assert not {"<", "|"} & set(tokenizer.tokens)
        return
    text = tokenizer.decode(marked.corpus.ids.tolist())
    assert text == "<|endoftext|>".join([*DOCUMENTS * times, ""])
    assert (marked.corpus.ids == tokenizer.end_of_text).sum() == 3 * times


def load_tokenizer(folder):
    from sheetgpt.bpe import Tokenizer

    return Tokenizer.read(folder)


def test_a_corpus_that_begins_with_the_end_token_says_what_to_try(tmp_path):
    (tmp_path / "corpus.txt").write_text("<|endoftext|>\n<|endoftext|>The cat sat on it.\n" * 20)
    done = sheetgpt("train", tmp_path / "corpus.txt", tmp_path / "m", "--steps", "1", "--n-ctx", "8", "--n-embd", "4")
    assert done.code == 0, done.err
    assert f'Try: sheetgpt run "The cat sat" --weights {tmp_path}/m' in done.out
