"""`sheetgpt convert-weights`: what it prints, what it refuses to overwrite, interruptions, and the way back."""

import json
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import CONFIG, TOKENS, contents, write_csvs, write_huggingface
from command_line import KILLED_WHILE_WRITING, sheetgpt
from conftest import require
from models import random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.convert import convert, open_source, write
from sheetgpt.convert.export import to_safetensors
from sheetgpt.errors import ConvertError, SheetGPTError
from sheetgpt.files import decimals
from sheetgpt.files.journal import UNFINISHED
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import load_weights, write_weights

MATRICES = random_matrices(CONFIG)


@pytest.fixture
def source(tmp_path):
    return write_huggingface(tmp_path / "hf", MATRICES)


@pytest.fixture
def expected(tmp_path):
    return contents(write_csvs(tmp_path / "expected", MATRICES))


def test_the_command_says_what_it_wrote_and_what_to_try(source, tmp_path):
    done = sheetgpt("convert-weights", source, tmp_path / "csv")
    numbers = sum(matrix.size for matrix in MATRICES.values())
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"Wrote {tmp_path}/csv: 28 matrices, {numbers:,} numbers\n"
        f'Try: sheetgpt run "Mike is quick. He moves" --weights {tmp_path}/csv\n'
    )
    assert sheetgpt("run", "the the", "--weights", tmp_path / "csv").code == 0


def test_json_holds_the_constants_and_remarks(source, tmp_path):
    done = sheetgpt("convert-weights", source, tmp_path / "csv", "--no-tokenizer", "--json")
    assert json.loads(done.out) == {
        "folder": str(tmp_path / "csv"),
        "constants": dict(CONFIG.rows()),
        "matrices": 28,
        "numbers": sum(matrix.size for matrix in MATRICES.values()),
        "tokenizer": False,
        "remarks": [],
    }
    assert not (tmp_path / "csv" / "vocab_bpe.csv").exists()


@pytest.mark.parametrize("what", ["a model", "constants", "tokens"])
def test_a_folder_that_holds_a_model_is_not_overwritten(source, tmp_path, expected, what):
    folder = tmp_path / "csv"
    other = random_matrices(Config(1, 1, 4, 2, 3))
    write_weights(folder, Config(1, 1, 4, 2, 3), other)
    if what == "constants":
        (folder / "model_wte.csv").unlink()
    if what == "tokens":
        for path in folder.iterdir():
            path.unlink()
        (folder / "bpe_token_ids.csv").write_text("a,0\n")
    before = contents(folder)
    done = sheetgpt("convert-weights", source, folder)
    assert done.error == f"{folder} holds a model already: name another folder, or give --force to replace it"
    assert contents(folder) == before
    assert sheetgpt("convert-weights", source, folder, "--force").code == 0
    assert contents(folder) == expected


def test_replacing_a_model_leaves_nothing_of_it(source, tmp_path):
    folder = tmp_path / "csv"
    config = Config(3, 1, 4, 2, 300)
    write_csvs(folder, MATRICES)
    write_weights(folder, config, random_matrices(config, untied=True))
    convert(str(source), folder, tokenizer=False, force=True)
    assert {name: data for name, data in contents(folder).items() if "bpe" in name or "lm_head" in name} == {}
    assert list(load_weights(folder)) == list(MATRICES)


def test_source_and_destination_must_differ(tmp_path):
    folder = write_csvs(tmp_path / "csv", MATRICES)
    with pytest.raises(ConvertError, match="csv is source and destination at once: name another folder"):
        convert(str(folder), folder / ".." / "csv", force=True)


def test_a_destination_that_is_a_file_is_one_line(source, tmp_path):
    (tmp_path / "file").write_text("")
    assert sheetgpt("convert-weights", source, tmp_path / "file").error == (
        f"{tmp_path}/file cannot be written: File exists"
    )


KILLED = f"{KILLED_WHILE_WRITING}from sheetgpt import cli; cli.main(sys.argv[1:])"


def test_a_killed_conversion_looks_unfinished_and_the_next_one_goes_on(source, tmp_path, expected, monkeypatch):
    folder = tmp_path / "csv"
    killed = subprocess.run([sys.executable, "-c", KILLED, "12", "convert-weights", source, folder], check=False)
    assert killed.returncode == -9
    assert (folder / UNFINISHED).exists()
    message = f"{folder} is unfinished, writing it was interrupted: run the command that writes it again"
    assert sheetgpt("run", "the", "--weights", folder).error == message
    written = []
    text = decimals.to_text
    monkeypatch.setattr(decimals, "to_text", lambda matrix: written.append(1) or text(matrix))
    convert(str(source), folder)
    assert len(written) == 28 - 11
    assert contents(folder) == expected


def test_another_source_does_not_go_on_with_what_was_interrupted(source, tmp_path):
    folder = tmp_path / "csv"
    subprocess.run([sys.executable, "-c", KILLED, "12", "convert-weights", source, folder], check=False)
    matrices = random_matrices(CONFIG, seed=1)
    other = write_huggingface(tmp_path / "other", matrices)
    message = f"{folder} holds an unfinished model from another source: give --force to replace it"
    assert sheetgpt("convert-weights", other, folder).error == message
    convert(str(other), folder, force=True)
    assert contents(folder) == contents(write_csvs(tmp_path / "wanted", matrices))


def test_a_source_that_changed_is_another_source(source, tmp_path):
    folder = tmp_path / "csv"
    subprocess.run([sys.executable, "-c", KILLED, "12", "convert-weights", source, folder], check=False)
    matrices = random_matrices(CONFIG, seed=1)
    write_huggingface(source, matrices)
    with pytest.raises(ConvertError, match="unfinished model from another source"):
        convert(str(source), folder)


def test_one_matrix_at_a_time_is_read(source, tmp_path, monkeypatch):
    checkpoint = open_source(str(source))
    alive = []

    class Counted(dict):
        def __getitem__(self, name):
            alive.append(name)
            return checkpoint_matrices[name]

    checkpoint_matrices = checkpoint.matrices
    checkpoint.matrices = Counted.fromkeys(checkpoint_matrices)
    order = []
    monkeypatch.setattr(decimals, "to_text", lambda _: order.append(len(alive)) or iter([b"1\n"]))
    write(checkpoint, tmp_path / "csv")
    assert order == list(range(1, 29))  # the next is read when the one before is written


def test_progress_is_told_of_numbers(source, tmp_path):
    told = []
    convert(str(source), tmp_path / "csv", progress=lambda *given: told.append(given))
    numbers = sum(matrix.size for matrix in MATRICES.values())
    assert told[-1] == (numbers, numbers)


# the way back


@pytest.mark.parametrize("untied", [False, True])
def test_csv_to_safetensors_to_csv_is_bit_exact(tmp_path, untied):
    matrices = random_matrices(CONFIG, untied=untied)
    matrices["model_wpe"][0, :4] = [1e-45, 3.4028235e38, -0.0, 1 / 3]
    folder = write_csvs(tmp_path / "csv", matrices)
    to_safetensors(folder, tmp_path / "hf")
    convert(str(tmp_path / "hf"), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)


def test_the_safetensors_library_reads_what_is_written(tmp_path):
    from safetensors.numpy import load_file

    to_safetensors(write_csvs(tmp_path / "csv", MATRICES), tmp_path / "hf")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    assert len(tensors) == len(MATRICES)
    np.testing.assert_array_equal(tensors["transformer.h.1.mlp.c_fc.weight"], MATRICES["model_h1_mlp_c_fc_w"])
    np.testing.assert_array_equal(tensors["transformer.ln_f.bias"], MATRICES["model_ln_f_b"][0])


@pytest.mark.parametrize("position", ["rotary", "sinusoidal"])
def test_models_with_other_positions_are_refused_with_the_reason(tmp_path, position):
    config = Config(1, 2, 8, 4, 10, position=position)
    write_weights(tmp_path / "csv", config, random_matrices(config))
    done = sheetgpt("convert-weights", tmp_path / "csv", tmp_path / "hf", "--to", "safetensors")
    assert done.error.startswith(f"{tmp_path}/csv has {position} positions: it ")
    assert done.error.endswith("only looks positions up in a learned table; no file can say that")
    assert not (tmp_path / "hf").exists()


def test_the_way_back_does_not_overwrite_and_needs_no_tokenizer(tmp_path):
    folder = write_csvs(tmp_path / "csv", MATRICES, tokenizer=False)
    command = ["convert-weights", folder, tmp_path / "hf", "--to", "safetensors"]
    done = sheetgpt(*command)
    assert (done.code, done.err) == (0, "Note: no token files: transformers runs it by token ids\n")
    assert done.out.startswith("Wrote ")
    assert sorted(contents(tmp_path / "hf")) == ["config.json", "model.safetensors"]
    message = f"{tmp_path}/hf holds a model already: name another folder, or give --force to replace it"
    assert sheetgpt(*command).error == message
    assert sheetgpt(*command, "--force").code == 0


def test_merges_of_equal_score_have_no_order_to_export(tmp_path):
    folder = write_csvs(tmp_path / "csv", MATRICES)
    lines = (folder / "vocab_bpe.csv").read_text().splitlines()
    (folder / "vocab_bpe.csv").write_text("\n".join([*lines[:-1], lines[-1][:-1] + "2"]) + "\n")
    with pytest.raises(SheetGPTError, match="gives two merges the same score"):
        to_safetensors(folder, tmp_path / "hf")
    to_safetensors(folder, tmp_path / "hf", tokenizer=False)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    assert "has no model_wte.csv" in sheetgpt("convert-weights", tmp_path, tmp_path / "hf", "--to", "safetensors").error


@pytest.mark.oracle
@pytest.mark.parametrize("untied", [False, True])
def test_transformers_loads_what_is_exported_and_gives_the_same_logits_and_tokens(tmp_path, untied):
    torch, transformers = require("torch", "oracle"), require("transformers", "oracle")
    folder = write_csvs(tmp_path / "csv", random_matrices(CONFIG, untied=untied))
    to_safetensors(folder, tmp_path / "hf")
    theirs, report = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values())
    ids = random_ids(CONFIG, 12)
    with torch.no_grad():
        logits = theirs.eval()(torch.tensor([ids])).logits[0, -1].numpy()
    ours = load_model(folder, "float32").run(token_ids=ids)
    np.testing.assert_allclose(ours.array("logits").ravel(), logits, atol=1e-4)
    text = "the héllo\n\n theé he"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer(text)["input_ids"] == load_model(folder).tokenizer.encode(text)
    assert tokenizer("<|endoftext|>")["input_ids"] == [TOKENS.index("<|endoftext|>")]
