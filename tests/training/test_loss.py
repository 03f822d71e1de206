"""The loss of a text: against Hugging Face's, in windows, and what it says of itself."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import ODD_HEADS, ONE_BLOCK, SMALL, random_ids, random_matrices, write_random_model
from sheetgpt import load_model
from sheetgpt.errors import PromptError
from sheetgpt.training import loss
from sheetgpt.training.loss import measure, windows
from transformers_model import huggingface_model


@pytest.mark.oracle
@pytest.mark.parametrize("config", [SMALL, ODD_HEADS], ids=["small", "odd heads"])
def test_a_text_within_the_context_has_hugging_faces_loss(config, tmp_path):
    torch = require("torch", "oracle")
    write_random_model(tmp_path, config)
    ids = random_ids(config, config.n_ctx)
    theirs = huggingface_model(config, random_matrices(config)).double()
    with torch.no_grad():
        expected = theirs(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    assert measure(load_model(tmp_path), ids).mean == pytest.approx(expected, rel=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("stride", [1, 5, SMALL.n_ctx // 2, SMALL.n_ctx - 1])
def test_a_longer_text_has_the_loss_of_hugging_faces_sliding_windows(stride, tmp_path):
    torch = require("torch", "oracle")
    write_random_model(tmp_path, SMALL)
    ids, theirs = random_ids(SMALL, 61), huggingface_model(SMALL, random_matrices(SMALL)).double()
    total, before = 0.0, 0
    for begin in range(0, len(ids), stride):  # as their guide to perplexity has it
        end = min(begin + SMALL.n_ctx, len(ids))
        labels = torch.tensor([ids[begin:end]])
        labels[:, : -(end - before)] = -100
        scored = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            total += theirs(torch.tensor([ids[begin:end]]), labels=labels).loss.item() * scored
        before = end
        if end == len(ids):
            break
    assert measure(load_model(tmp_path), ids, stride).mean == pytest.approx(total / (len(ids) - 1), rel=1e-6)


@pytest.mark.parametrize(("count", "n_ctx", "stride"), [(2, 9, 4), (9, 9, 4), (10, 9, 8), (100, 7, 1), (64, 8, 5)])
def test_every_token_but_the_first_is_scored_once_with_something_before_it(count, n_ctx, stride):
    scored = []
    for begin, end, first in windows(count, n_ctx, stride):
        assert end - begin <= n_ctx
        assert first > begin
        scored += range(first, end)
    assert scored == list(range(1, count))


def test_probability_penalty_and_rank_are_those_of_the_runs(tmp_path):
    write_random_model(tmp_path, SMALL)
    model, ids = load_model(tmp_path), random_ids(SMALL, 9)
    for token in measure(model, ids).tokens:
        predictions = model.run(token_ids=ids[: token.position]).predictions(SMALL.n_vocab)
        found = next(one for one in predictions if one.id == token.id)
        assert token.probability == pytest.approx(found.probability, rel=1e-9)
        assert token.rank == found.rank
        assert token.penalty == pytest.approx(-math.log(token.probability))


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", ["gpt2", "microgpt", "mlp", "attention", "bigram", "softmax", "rotary"])
def test_it_makes_no_difference_how_many_predictions_are_held_at_once(rows, name, tmp_path, monkeypatch):
    change = {"position": name} if name == "rotary" else {"model": name}
    config = replace(ONE_BLOCK, n_ctx=9, **change)
    write_random_model(tmp_path, config)
    model, ids = load_model(tmp_path), random_ids(config, 25)
    expected = measure(model, ids, 5)
    monkeypatch.setattr(loss, "ROWS", rows)
    found = measure(model, ids, 5)
    assert [(one.position, one.id, one.rank, one.seen) for one in found.tokens] == [
        (one.position, one.id, one.rank, one.seen) for one in expected.tokens
    ]
    np.testing.assert_allclose(
        [one.penalty for one in found.tokens], [one.penalty for one in expected.tokens], rtol=1e-9
    )


def test_the_means_belong_together():
    table = measure(load_model(), load_model().ids_of("Mike is quick. He moves quickly.", None))
    assert table.mean == pytest.approx(np.mean([token.penalty for token in table.tokens]))
    assert table.perplexity == pytest.approx(math.exp(table.mean))
    assert table.n_bytes == len(" is quick. He moves quickly.")
    assert table.bits_per_byte == pytest.approx(table.mean * len(table.tokens) / math.log(2) / table.n_bytes)


def test_the_command_reads_a_file_of_any_length_in_windows(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("Mike is quick. He moves quickly. " * 20, encoding="utf-8")
    data = json.loads(sheetgpt_here("loss", "--file", file, "--json").out)
    assert data["n_windows"] > 1
    assert len(data["tokens"]) == data["tokens"][-1]["position"]
    shown = sheetgpt_here("loss", "--file", file, "--stride", 32, "--top", 3).out
    assert "more (--top)" in shown
    assert "bits per byte" in shown


def test_bad_input_is_one_line(tmp_path):
    assert "at least 2 tokens" in sheetgpt_here("loss", "--token-ids", "1").error
    assert "--stride is 64" in sheetgpt_here("loss", "Mike is quick.", "--stride", 64).error
    assert "give either a text or --file" in sheetgpt_here("loss", "Mike", "--file", tmp_path / "x").error
    assert "can't be read" in sheetgpt_here("loss", "--file", tmp_path / "x").error
    (tmp_path / "x").write_bytes(b"\xff")
    assert "not UTF-8" in sheetgpt_here("loss", "--file", tmp_path / "x").error
    with pytest.raises(PromptError, match="token id 99999"):
        load_model().ids_of(None, [99999])
