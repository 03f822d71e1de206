"""One random model as every kind of checkpoint that `convert-weights` reads, for its tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sheetgpt.bpe import write_tables
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.convert.checkpoint import LINEAR, their_name
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import LM_HEAD, write_weights

CONFIG = Config(n_layer=2, n_head=3, n_embd=12, n_ctx=16, n_vocab=262)
MERGES = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("Ċ", "Ċ"), ("é", "Ġ")]
TOKENS = [*(letter.replace(" ", "Ġ") for letter in ALPHABET), *(a + b for a, b in MERGES), "<|endoftext|>"]
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
    tensors = {}
    for name, matrix in matrices.items():
        theirs = their_name(name, 0, "h.{}.")
        vector = name.endswith(("_b", "_g"))
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
    from safetensors.numpy import save_file

    write_token_files(write_settings(folder, **changes))
    save_file(huggingface_tensors(matrices, prefix), folder / "model.safetensors", metadata={"format": "pt"})
    return folder
