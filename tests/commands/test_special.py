"""`--special`: each special token of a text is one token, in every command that reads a text and in what it writes."""

import json

import numpy as np
import pytest

from command_line import sheetgpt_here
from models import write_random_model
from sheetgpt import load_model
from sheetgpt.bpe import write_tables
from sheetgpt.bpe.added import Added
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.diff.sides import open_side
from sheetgpt.models.config import Config
from sheetgpt.resume import resume

PROMPT = "ab[PAD] the<|im start|>plain ab"
SPECIAL = ["ab", "[PAD]", " the", "<|im start|>", "plain", " ab"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small random model with tokens of every spelling, one of which is not special."""
    folder = tmp_path_factory.mktemp("special") / "w"
    merges = [("a", "b"), (" ", "ab"), (" ", "t"), ("h", "e"), (" t", "he")]
    tokens = [*ALPHABET, *(left + right for left, right in merges)]
    added = [Added(len(tokens), "[PAD]"), Added(len(tokens) + 1, "<|im start|>")]
    added.append(Added(len(tokens) + 2, "plain", special=False))
    write_random_model(folder, Config(1, 2, 8, 40, len(tokens) + 3))
    write_tables(folder, merges, [*tokens, *(token.text for token in added)], added)
    return folder


def tokens_of(done, name="tokens"):
    assert done.code == 0, done.err
    return [token["token"] for token in json.loads(done.out)[name]]


def test_every_command_reads_special_tokens_where_it_is_asked_to(weights):
    for command, name in (("tokenize", "tokens"), ("run", "tokens"), ("generate", "prompt_tokens")):
        done = sheetgpt_here(command, PROMPT, "--weights", weights, "--special", "--json")
        assert tokens_of(done, name) == SPECIAL, command
    done = sheetgpt_here("loss", PROMPT, "--weights", weights, "--special", "--json")
    assert tokens_of(done) == SPECIAL[1:]


@pytest.mark.parametrize("command", ["run", "generate", "loss"])
def test_without_it_a_note_says_that_they_are_letters(weights, command):
    done = sheetgpt_here(command, PROMPT, "--weights", weights)
    assert done.code == 0
    assert done.err.startswith("[PAD] is read as the letters that spell it: --special reads it as one token.\n")
    assert "letters" not in sheetgpt_here(command, "ab plain", "--weights", weights).err
    assert "letters" not in sheetgpt_here(command, PROMPT, "--weights", weights, "--special").err


def test_tokens_that_are_not_special_are_found_always(weights):
    assert tokens_of(sheetgpt_here("tokenize", "abplain", "--weights", weights, "--json")) == ["ab", "plain"]


def test_the_trace_shows_them_as_words(weights):
    done = sheetgpt_here("tokenize", PROMPT, "--weights", weights, "--special", "--trace", "--json")
    assert json.loads(done.out)["words"] == ["ab", "[PAD]", " the", "<|im start|>", "plain", " ab"]


def test_the_embedded_models_end_of_text_in_the_middle(tmp_path):
    done = sheetgpt_here("run", "Mike moves.<|endoftext|>Mike", "--special", "--json")
    assert tokens_of(done) == ["Mike", " moves", ".", "<|endoftext|>", "Mike"]
    done = sheetgpt_here("loss", "Mike moves.<|endoftext|>Mike", "--special")
    assert (done.code, done.err) == (0, "")
    (tmp_path / "text.txt").write_text("Mike moves.<|endoftext|>Mike")
    assert sheetgpt_here("loss", "--file", tmp_path / "text.txt").err.startswith("<|endoftext|> is read as the letters")


def test_a_changed_cell_keeps_the_tokens(weights):
    done = sheetgpt_here(
        "run", PROMPT, "--weights", weights, "--special", "--set", "block_0_step_7[0,-1,2]=0", "--json"
    )
    assert tokens_of(done) == SPECIAL


@pytest.mark.parametrize("formulas", [False, True])
def test_a_dump_is_resumed_with_the_same_tokens(weights, tmp_path, formulas):
    trace = load_model(weights).run(PROMPT, special=True)
    path = trace.to_excel(tmp_path / "run.xlsx", formulas=formulas)
    found = resume(path)
    assert found.changes == []
    assert found.before.token_ids == trace.token_ids
    if not formulas:
        assert "special" not in json.loads(sheetgpt_here("run", "ab", "--weights", weights, "--json").out)


@pytest.mark.office
def test_the_live_workbook_computes_them(weights, tmp_path, recalculate):
    model = load_model(weights)
    for name, prompt in (("special", PROMPT), ("letters", "[PAD]the<|im start|>1")):
        trace = model.run(prompt, special=True)
        path = recalculate(trace.to_excel(tmp_path / f"{name}.xlsx", formulas=True))
        live = open_side(str(path))
        assert live.token_ids == list(trace.token_ids)
        for stage in ("block_0_step_7", "logits"):
            expected = trace.array(stage).reshape(live.read(stage).numbers.shape)
            np.testing.assert_allclose(live.read(stage).numbers, expected, rtol=1e-9, atol=1e-12)
