"""One random model in every form that `convert-weights` reads: all give the same files."""

import io
import sys
import zipfile
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
from sheetgpt.convert.pickled import LEGACY_START
from sheetgpt.convert.sources import SOURCES, source_of
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


def zip_with(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, "x")
    return data.getvalue()


GGUF, TORCH, HF, CSVS, OPENAI, BOOK, NPZ = (source.what for source in SOURCES)


@pytest.mark.parametrize(
    ("name", "data", "beside", "what"),
    [
        ("model.gguf", b"GGUF", (), GGUF),
        ("model.safetensors", b"GGUF", ("config.json",), GGUF),
        ("ckpt.pt", b"GGUF" + zip_with("a/data.pkl"), (), GGUF),
        ("any", LEGACY_START, (), TORCH),
        ("any", LEGACY_START + zip_with("model_wte.csv"), (), TORCH),
        ("any", zip_with("a/data.pkl"), ("config.json",), TORCH),
        ("pytorch_model.bin", zip_with("a/data.pkl"), (), TORCH),
        ("pytorch_model.bin", zip_with("a/data.pkl"), ("config.json",), HF),
        ("pytorch_model.bin", LEGACY_START, ("config.json",), HF),
        ("pytorch_model.bin", zip_with("model_wte.csv"), ("config.json",), CSVS),
        ("model.safetensors", b"", (), HF),
        ("model.safetensors", LEGACY_START, ("config.json",), TORCH),
        ("model.safetensors", zip_with("x"), ("config.json",), NPZ),
        ("any", zip_with("a/b/model_wte.csv"), (), CSVS),
        ("model.index", b"hello", (), OPENAI),
        ("model.index", zip_with("x"), (), NPZ),
        ("m.npz", zip_with("model_wte.npy"), (), NPZ),
        ("book.xlsx", zip_with("[Content_Types].xml"), (), BOOK),
        ("", b"", ("ckpt.pt", "config.json", "model_wte.csv"), TORCH),
        ("", b"", ("model.pt", "config.json"), TORCH),
        ("", b"", ("config.json", "model_wte.csv", "model.index"), HF),
        ("", b"", ("model_wte.csv", "model.index"), CSVS),
        ("", b"", ("model.index", "model.safetensors"), OPENAI),
    ],
)
def test_content_decides_before_a_name_and_the_order_of_the_sources_decides_the_rest(
    tmp_path, name, data, beside, what
):
    for other in beside:
        (tmp_path / other).write_bytes(b"x")
    if name:
        (tmp_path / name).write_bytes(data)
    assert source_of(tmp_path / name).what == what


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
