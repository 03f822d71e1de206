"""One random model as every kind of checkpoint that `convert-weights` reads, for its tests."""

from __future__ import annotations

import json
import shutil
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from conftest import require
from models import random_matrices
from sheetgpt.bpe import write_tables
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.convert import open_source, write
from sheetgpt.convert.names import GGUF, HUGGINGFACE, their_names
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.config import Config
from sheetgpt.models.gpt2 import LM_HEAD
from sheetgpt.weights.folder import write_weights

CONFIG = Config(n_layer=2, n_head=3, n_embd=12, n_ctx=16, n_vocab=262)
MERGES = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("Ċ", "Ċ"), ("é", "Ġ")]
TOKENS = [*(letter.replace(" ", "Ġ") for letter in ALPHABET), *(a + b for a, b in MERGES), "<|endoftext|>"]
LINEAR = ("_attn_w", "_proj_w", "_fc_w")  # the ends of names whose matrices PyTorch's Linear stores as [out, in]
VECTORS = ("_b", "_g")  # and of those that others hold as vectors
SETTINGS = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 3,
    "n_embd": 12,
    "n_positions": 16,
    "n_ctx": 16,
    "vocab_size": 262,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-05,
}


def ours(token: str) -> str:
    return token.replace("Ġ", " ")


def write_csvs(folder: Path, matrices: dict[str, np.ndarray], *, tokenizer: bool = True) -> Path:
    """What every conversion must give."""
    write_weights(folder, CONFIG, matrices)
    if tokenizer:
        write_tables(folder, [(ours(a), ours(b)) for a, b in MERGES], [ours(token) for token in TOKENS])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def huggingface_tensors(matrices: dict[str, np.ndarray], prefix: str = "transformer.") -> dict[str, np.ndarray]:
    """By Hugging Face's names, biases as vectors."""
    tensors, names = {}, their_names(HUGGINGFACE, CONFIG.n_layer)
    for name, matrix in matrices.items():
        theirs = names[name]
        vector = name.endswith(VECTORS)
        tensors[theirs if name == LM_HEAD else prefix + theirs] = matrix[0] if vector else matrix
    return tensors


def linear_tensors(matrices: dict[str, np.ndarray], prefix: str = "transformer.") -> dict[str, np.ndarray]:
    """By nanoGPT's names, in its layout."""
    stored = {name: matrix.T if name.endswith(LINEAR) else matrix for name, matrix in matrices.items()}
    return {name: np.ascontiguousarray(tensor) for name, tensor in huggingface_tensors(stored, prefix).items()}


def write_settings(folder: Path, **changes) -> Path:
    folder.mkdir(exist_ok=True)
    settings = {name: value for name, value in (SETTINGS | changes).items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def write_token_files(folder: Path, vocabulary: str = "vocab.json", merges: str = "merges.txt") -> Path:
    (folder / vocabulary).write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in MERGES), ""]
    (folder / merges).write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_huggingface(folder: Path, matrices: dict[str, np.ndarray], prefix: str = "transformer.", **changes) -> Path:

    write_token_files(write_settings(folder, **changes))
    save_file(huggingface_tensors(matrices, prefix), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_shards(folder, tensors, count=3):
    names = [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    weight_map = {}
    for i, name in enumerate(names):
        part = dict(list(tensors.items())[i::count])
        save_file(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def fault(source, **options) -> str:
    """Why a source is refused, in one line."""
    with pytest.raises(SheetGPTError) as error:
        open_source(str(source), **options)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(source), "SOURCE")


def write_fault(source, folder) -> str:
    """Why writing it is refused, in one line."""
    with pytest.raises(SheetGPTError) as error:
        write(open_source(str(source)), folder)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(source), "SOURCE")


# ------------------------------------------------------------------------------------------------ each kind of source

TENSORFLOW = Path(__file__).parent / "data" / "tensorflow"
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
MATRICES = random_matrices(CONFIG)
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
    names = their_names(GGUF, CONFIG.n_layer)
    for name, matrix in (matrices | {"model_lm_head": matrices["model_wte"]}).items():
        stored = np.ascontiguousarray(matrix.T) if name.endswith(LINEAR) else matrix
        stored = stored[0] if name.endswith(VECTORS) else stored
        if kind == "BF16":
            stored = library.quants.quantize(stored, library.GGMLQuantizationType.BF16)
            writer.add_tensor(names[name], stored, raw_dtype=library.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(names[name], stored)
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
