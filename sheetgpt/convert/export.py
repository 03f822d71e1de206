"""The way back: a CSV folder becomes a Hugging Face folder that `transformers` loads, with the same float32 numbers.

One matrix at a time is read (through the cache) and written; `config.json` comes last, so that an interruption leaves
no folder that looks whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.bpe import END_OF_TEXT
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE, read_tables
from sheetgpt.config import Config
from sheetgpt.convert.checkpoint import their_name
from sheetgpt.convert.huggingface import BLOCK, CONFIG, SAFETENSORS
from sheetgpt.errors import ConvertError
from sheetgpt.files.atomic import write_file
from sheetgpt.files.cache import Cache
from sheetgpt.files.journal import unfinished
from sheetgpt.ops import LAYER_NORM_EPSILON
from sheetgpt.weights import LM_HEAD, Progress, matrix_shapes, read_config, require_files, require_shape, told

POSITIONS = {
    "rotary": "turns queries and keys by their position",
    "sinusoidal": "adds waves that are computed, not learned",
}
SPACE = "Ġ"  # how these files spell a space
ALIGNMENT = 8


@dataclass(frozen=True)
class Written:
    """What a Hugging Face folder holds now."""

    config: Config
    shapes: dict[str, tuple[int, int]]
    tokenizer: bool
    remarks: list[str]


def to_safetensors(
    folder: Path, dest: Path, *, tokenizer: bool = True, force: bool = False, progress: Progress | None = None
) -> Written:
    """Write the model. `progress` is told of numbers.

    Raises ConvertError where Hugging Face's GPT-2 can't be this model, or DEST holds one already, unless `force`.
    """
    with told(folder):
        config = read_config(folder)
        untied = (folder / f"{LM_HEAD}.csv").exists()
        shapes = matrix_shapes(config, untied)
        require_files(folder, shapes)
    if config.model != "gpt2":
        raise ConvertError(
            f"{folder} is a {config.model} model, and Hugging Face's folder would say that it is a GPT-2"
        )
    if config.position != "learned":
        raise ConvertError(
            f"{folder} has {config.position} positions: it {POSITIONS[config.position]}, and Hugging Face's GPT-2 only "
            "looks positions up in a learned table; no file can say that"
        )
    if not force and any((dest / name).exists() for name in (CONFIG, SAFETENSORS)):
        raise ConvertError(f"{dest} holds a model already: name another folder, or give --force to replace it")
    tables, special = {}, None
    if tokenizer and (folder / TOKENS_FILE).exists():
        tables, special = token_files(folder, config)
    with unfinished(dest):
        (dest / CONFIG).unlink(missing_ok=True)
        for name, text in tables.items():
            write_file(dest / name, [text.encode()])
        write_file(dest / SAFETENSORS, safetensors(folder, shapes, progress))
        about = settings(config, untied=untied, special=special)
        write_file(dest / CONFIG, [json.dumps(about, indent=2).encode() + b"\n"])
    remarks = [] if tables else ["no token files: transformers runs it by token ids"]
    return Written(config, shapes, bool(tables), remarks)


def settings(config: Config, *, untied: bool, special: int | None) -> dict:
    """`config.json`, in Hugging Face's names."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_positions": config.n_ctx,
        "n_ctx": config.n_ctx,
        "vocab_size": config.n_vocab,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": LAYER_NORM_EPSILON,
        "tie_word_embeddings": not untied,
        "bos_token_id": special,
        "eos_token_id": special,
        "torch_dtype": "float32",
    }


def safetensors(folder: Path, shapes: dict[str, tuple[int, int]], progress: Progress | None) -> Iterator[bytes]:
    """A safetensors file: the header's length, the header, the numbers of each tensor.

    The `safetensors` library wants all tensors in memory before it writes the first.
    """
    header: dict = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * shape[0] * shape[1]
        header[tensor_name(name)] = {"dtype": "F32", "shape": tensor_shape(name, shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    cache, done = Cache(folder, np.float32), 0
    for name, shape in shapes.items():
        csv = folder / f"{name}.csv"
        matrix = cache.get(csv)
        matrix = cache.read(csv) if matrix is None else matrix
        require_shape(csv, matrix.shape, shape)
        yield memoryview(matrix.astype("<f4", copy=False)).cast("B")
        done += matrix.size
        if progress:
            progress(done, end // 4)


def tensor_name(name: str) -> str:
    theirs = their_name(name, 0, BLOCK)
    return theirs if name == LM_HEAD else f"transformer.{theirs}"


def tensor_shape(name: str, shape: tuple[int, int]) -> list[int]:
    return [shape[1]] if name.endswith(("_b", "_g")) else list(shape)


def token_files(folder: Path, config: Config) -> tuple[dict[str, str], int | None]:
    """(`vocab.json`, `merges.txt` and what `transformers` wants to know beside them; the id of the end of text)."""
    merges, tokens, scores = read_tables(folder)
    if len(set(scores)) != len(scores):
        raise ConvertError(
            f"{folder / MERGES_FILE} gives two merges the same score, and Hugging Face's table only knows an order: "
            "give each its own, or give --no-tokenizer"
        )
    special = tokens.index(END_OF_TEXT) if END_OF_TEXT in tokens else None
    about = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": config.n_ctx, "add_prefix_space": False}
    about |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), None if special is None else END_OF_TEXT)
    lines = ["#version: 0.2", *(f"{spelled(left)} {spelled(right)}" for left, right in merges), ""]
    files = {
        "vocab.json": json.dumps({spelled(token): i for i, token in enumerate(tokens)}, ensure_ascii=False),
        "merges.txt": "\n".join(lines),
        "tokenizer_config.json": json.dumps(about, indent=2),
    }
    return files, special


def spelled(token: str) -> str:
    return token.replace(" ", SPACE)
