"""One random model in every form that `convert-weights` reads: all give the same files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from checkpoints import (
    HALVES,
    MATRICES,
    checkpoint_with_a_settings_object,
    contents,
    csv_folder,
    csv_zip,
    fault,
    flat_csv_zip,
    gguf,
    mingpt,
    nanogpt,
    nanogpt_file,
    npz,
    openai,
    openai_index,
    packed_npz,
    pickled_as_in_2019,
    pickled_file_of_a_folder,
    pickled_folder,
    pickled_shards,
    safetensors_folder,
    write_csvs,
    write_fault,
)
from models import SMALL, random_matrices
from sheetgpt.convert import open_source, write
from sheetgpt.weights.folder import write_weights

WITHOUT_TORCH = [safetensors_folder, openai, openai_index, gguf, npz, packed_npz, csv_folder, csv_zip, flat_csv_zip]
WITH_TORCH = [
    pickled_folder,
    pickled_file_of_a_folder,
    pickled_shards,
    pickled_as_in_2019,
    nanogpt,
    nanogpt_file,
    checkpoint_with_a_settings_object,
    mingpt,
]


def check_same(make, tmp_path):
    expected = contents(write_csvs(tmp_path / "expected", MATRICES))
    write(open_source(str(make(tmp_path / "source"))), tmp_path / "csv")
    got = contents(tmp_path / "csv")
    assert sorted(got) == sorted(expected)
    assert got == expected


@pytest.mark.parametrize("make", WITHOUT_TORCH)
def test_every_source_gives_the_same_files(make, tmp_path):
    check_same(make, tmp_path)


@pytest.mark.oracle
@pytest.mark.parametrize("make", WITH_TORCH)
def test_every_pickled_source_gives_the_same_files(make, tmp_path, monkeypatch):
    source = make(tmp_path / "source")
    monkeypatch.setitem(sys.modules, "torch", None)  # PyTorch writes these files; reading them does without
    check_same(lambda _: source, tmp_path)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_gguf_of_half_precision_is_read_exactly(kind, tmp_path):
    if kind == "F16":
        stored = HALVES
        exact = {name: matrix.astype(np.float32) for name, matrix in HALVES.items()}
    else:
        exact = {name: (m.view(np.uint32) >> 16 << 16).view(np.float32) for name, m in MATRICES.items()}
        stored = exact
    write(open_source(str(gguf(tmp_path / "source", stored, kind))), tmp_path / "csv")
    assert contents(tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", exact))


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_nothing_known_is_refused(tmp_path, data):
    (tmp_path / "thing.bin").write_bytes(data)
    assert fault(tmp_path / "thing.bin").startswith("SOURCE ")


def test_a_folder_that_is_nothing_known_is_refused(tmp_path):
    assert fault(tmp_path).startswith(
        "SOURCE holds nothing that can be converted: name a hub id (openai-community/gpt2)"
    )


@pytest.mark.parametrize("source", ["./nothing/here/at all", "C:\\nothing", "a/b/c"])
def test_a_path_that_does_not_exist_is_told(source):
    assert fault(source).startswith("SOURCE does not exist: name a hub id (openai-community/gpt2)")


def test_a_source_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(self, *_args, **_options):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "m.npz").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    assert fault(tmp_path / "m.npz") == "SOURCE cannot be read: Permission denied"


def test_models_that_do_not_fit_their_constants_are_refused(tmp_path):
    write_weights(tmp_path / "model", SMALL, random_matrices(SMALL))
    (tmp_path / "model" / "constants.csv").write_text("n_layer,2\nn_head,3\nn_embd,12\nn_ctx,17\nn_vocab,40\n")
    assert "model_wpe.csv is 16 x 12, not 17 x 12: get it again" in write_fault(tmp_path / "model", tmp_path / "csv")
