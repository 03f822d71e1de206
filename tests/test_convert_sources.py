"""One random model in every form that `convert-weights` reads: all give the same files."""

import json
import shutil
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from checkpoints import (
    CONFIG,
    MERGES,
    TOKENS,
    contents,
    huggingface_tensors,
    linear_tensors,
    write_csvs,
    write_huggingface,
    write_settings,
    write_token_files,
)
from conftest import require
from models import random_matrices
from sheetgpt.convert import open_source, write
from sheetgpt.convert.checkpoint import LINEAR, their_name

TENSORFLOW = Path(__file__).parent / "data" / "tensorflow"
MATRICES = random_matrices(CONFIG)
HPARAMS = {"n_vocab": 262, "n_ctx": 16, "n_embd": 12, "n_head": 3, "n_layer": 2}
MODEL_ARGS = {
    "n_layer": 2,
    "n_head": 3,
    "n_embd": 12,
    "block_size": 16,
    "bias": True,
    "vocab_size": 262,
    "dropout": 0.0,
}
HALVES = {name: matrix.astype(np.float16) for name, matrix in MATRICES.items()}


def torch_tensors(tensors):
    torch = require("torch", "oracle")
    return {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}


def safetensors_folder(folder):
    return write_huggingface(folder, MATRICES)


def pickled_folder(folder):
    torch = require("torch", "oracle")
    write_token_files(write_settings(folder))
    torch.save(torch_tensors(huggingface_tensors(MATRICES)), folder / "pytorch_model.bin")
    return folder


def pickled_file_of_a_folder(folder):
    return pickled_folder(folder) / "pytorch_model.bin"


def pickled_shards(folder):
    torch = require("torch", "oracle")
    write_token_files(write_settings(folder))
    tensors = list(torch_tensors(huggingface_tensors(MATRICES, prefix="")).items())
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for i, name in enumerate(names):
        torch.save(dict(tensors[i::2]), folder / name)
    weight_map = {key: names[i % 2] for i, (key, _) in enumerate(tensors)}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def pickled_as_in_2019(folder):
    torch = require("torch", "oracle")
    write_token_files(write_settings(folder))
    tensors = torch_tensors(huggingface_tensors(MATRICES))
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return folder


def nanogpt(folder, **changes):
    torch = require("torch", "oracle")
    folder.mkdir()
    write_token_files(folder)
    state = torch_tensors(linear_tensors(MATRICES, prefix="_orig_mod.transformer."))
    state["_orig_mod.lm_head.weight"] = state["_orig_mod.transformer.wte.weight"]  # tied: one storage
    for i in range(CONFIG.n_layer):
        state[f"_orig_mod.transformer.h.{i}.attn.bias"] = torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16)
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    checkpoint = {"model": state, "optimizer": optimizer.state_dict(), "model_args": MODEL_ARGS}
    checkpoint |= {"iter_num": 5, "best_val_loss": torch.tensor(1.5), "config": {"out_dir": "out", "compile": True}}
    torch.save(checkpoint | changes, folder / "ckpt.pt")
    return folder


def nanogpt_file(folder):
    return nanogpt(folder) / "ckpt.pt"


def checkpoint_with_a_settings_object(folder):
    """As build-nanogpt writes it: an object of a class that only its own program knows."""
    module = types.ModuleType("their_program")
    module.GPTConfig = type("GPTConfig", (), {"__module__": "their_program"})
    settings = module.GPTConfig()
    settings.__dict__.update(MODEL_ARGS)
    sys.modules["their_program"] = module
    try:
        torch = require("torch", "oracle")
        folder.mkdir()
        state = torch.nn.Module().state_dict() | torch_tensors(linear_tensors(MATRICES))
        torch.save({"model": state, "config": settings, "step": 3}, folder / "model.pt")
    finally:
        del sys.modules["their_program"]
    write_token_files(folder)
    return folder


def mingpt(folder):
    torch = require("torch", "oracle")
    folder.mkdir()
    write_token_files(folder)
    (folder / "config.json").write_text(json.dumps({"system": {}, "model": {"model_type": None, "n_head": 3}}))
    tensors = linear_tensors(MATRICES | {"model_lm_head": MATRICES["model_wte"].copy()})
    torch.save(
        {name: torch.nn.Parameter(tensor) for name, tensor in torch_tensors(tensors).items()}, folder / "model.pt"
    )
    return folder


def openai(folder):
    shutil.copytree(TENSORFLOW, folder)
    (folder / "hparams.json").write_text(json.dumps(HPARAMS))
    return write_token_files(folder, "encoder.json", "vocab.bpe")


def openai_index(folder):
    return openai(folder) / "model.ckpt.index"


def gguf(folder, matrices=MATRICES, kind="F32", **settings):
    """As llama.cpp's converter writes it."""
    library = require("gguf", "test")
    folder.mkdir()
    writer = library.GGUFWriter(folder / "model.gguf", settings.get("architecture", "gpt2"))
    writer.add_block_count(2)
    writer.add_context_length(16)
    writer.add_embedding_length(12)
    writer.add_feed_forward_length(settings.get("inner", 48))
    writer.add_head_count(3)
    writer.add_layer_norm_eps(settings.get("epsilon", 1e-5))
    writer.add_tokenizer_model(settings.get("tokenizer", "gpt2"))
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * 261 + [3])
    writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    for name, matrix in (matrices | {"model_lm_head": matrices["model_wte"]}).items():
        stored = np.ascontiguousarray(matrix.T) if name.endswith(LINEAR) else matrix
        stored = stored[0] if name.endswith(("_b", "_g")) else stored
        if kind == "BF16":
            stored = library.quants.quantize(stored, library.GGMLQuantizationType.BF16)
            writer.add_tensor(their_name(name, 1, "blk.{}."), stored, raw_dtype=library.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(their_name(name, 1, "blk.{}."), stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


def npz(folder):
    folder.mkdir()
    write_token_files(folder)
    arrays = {name: matrix[0] if name.endswith("_b") else matrix for name, matrix in MATRICES.items()}
    np.savez(folder / "model.npz", n_head=3, **arrays)
    return folder / "model.npz"


def packed_npz(folder):
    folder.mkdir()
    write_token_files(folder)
    np.savez_compressed(folder / "model.npz", **dict(CONFIG.rows()), **MATRICES)
    return folder / "model.npz"


def csv_folder(folder):
    return write_csvs(folder, MATRICES)


def csv_zip(folder, inside="gpt2-small-csv/"):
    write_csvs(folder, MATRICES)
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._model_wte.csv", b"\0\5")
        archive.writestr(f"{inside}readme.txt", "the reference's weights")
        for name, data in contents(folder).items():
            archive.writestr(inside + name, data)
    return folder.with_suffix(".zip")


def flat_csv_zip(folder):
    return csv_zip(folder, inside="")


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
