"""The way back: a CSV folder becomes a Hugging Face folder that `transformers` loads, with the same float32 numbers.

One matrix at a time is read (through the cache) and written; `config.json` comes last, so that an interruption leaves
no folder that looks whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.bpe import END_OF_TEXT, Tokenizer
from sheetgpt.bpe.added import ADDED_FILE, FLAGS
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.bpe.words import ALPHABET
from sheetgpt.convert.huggingface import CONFIG, MODEL_TYPE, SAFETENSORS
from sheetgpt.convert.names import HUGGINGFACE, their_names
from sheetgpt.errors import ConvertError
from sheetgpt.files.atomic import write_file
from sheetgpt.files.cache import Cache
from sheetgpt.files.journal import unfinished
from sheetgpt.models.config import Config
from sheetgpt.models.gpt2 import LM_HEAD
from sheetgpt.models.kinds import Shape, matrix_shapes, weights_of
from sheetgpt.models.step import Weight
from sheetgpt.ops import LAYER_NORM_EPSILON
from sheetgpt.weights.folder import named_folder, read_config, require_files, weights_errors
from sheetgpt.weights.progress import Counter, Progress
from sheetgpt.weights.shapes import require_shape

__all__ = ["Written", "to_safetensors"]

OTHER_POSITIONS = {
    "rotary": "turns queries and keys by their position",
    "sinusoidal": "adds waves that are computed, not learned",
}
SPACE = "Ġ"  # how these files spell a space
ALIGNMENT = 8


@dataclass(frozen=True)
class Written:
    """What a Hugging Face folder holds now."""

    config: Config  #: the model's constants
    shapes: dict[str, Shape]  #: (rows, columns) of every matrix, by our names
    tokenizer: bool  #: are there token files?
    remarks: list[str]  #: what a person should know of it


def to_safetensors(
    folder: str | Path, dest: Path, *, tokenizer: bool = True, force: bool = False, progress: Progress | None = None
) -> Written:
    """Write the model. `progress` counts numbers.

    Raises ConvertError where Hugging Face's GPT-2 can't be this model, or DEST holds one already, unless `force`.
    """
    folder = named_folder(folder)
    with weights_errors(folder):
        config = read_config(folder)
        untied = (folder / f"{LM_HEAD}.csv").exists()
        shapes = matrix_shapes(config, untied)
        require_files(folder, shapes)
    if config.model != MODEL_TYPE:
        what = f"is a {config.model} model, and Hugging Face's folder would say that it is a GPT-2"
        raise ConvertError(what, where=folder)
    if config.position in OTHER_POSITIONS:
        what, does = f"has {config.position} positions", OTHER_POSITIONS[config.position]
        theirs = "Hugging Face's GPT-2 only looks positions up in a learned table"
        raise ConvertError(what, where=folder, remedy=f"it {does}, and {theirs}; no file can say that")
    if not force and any((dest / name).exists() for name in (CONFIG, SAFETENSORS)):
        remedy = "name another folder, or give --force to replace it"
        raise ConvertError("holds a model already", where=dest, remedy=remedy)
    tables: dict[str, str] = {}
    special = None
    if tokenizer and (folder / TOKENS_FILE).exists():
        tables, special = token_files(folder, config)
    with unfinished(dest):
        (dest / CONFIG).unlink(missing_ok=True)
        for name, text in tables.items():
            write_file(dest / name, [text.encode()])
        numbers = safetensors(folder, config, untied=untied, progress=progress)
        write_file(dest / SAFETENSORS, numbers)  # type: ignore[arg-type]  # a file takes views of bytes, too
        about = settings(config, untied=untied, special=special)
        write_file(dest / CONFIG, [json.dumps(about, indent=2).encode() + b"\n"])
    remarks = [] if tables else ["no token files: transformers runs it by token ids"]
    return Written(config, shapes, bool(tables), remarks)


def settings(config: Config, *, untied: bool, special: int | None) -> dict[str, Any]:
    """`config.json`, in Hugging Face's names."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": MODEL_TYPE,
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


def safetensors(
    folder: Path, config: Config, *, untied: bool, progress: Progress | None
) -> Iterator[bytes | memoryview]:
    """A safetensors file: the header's length, the header, the numbers of each tensor.

    The `safetensors` library wants all tensors in memory before it writes the first.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    weights, names, end = weights_of(config, untied=untied), tensor_names(config), 0
    for name, weight in weights.items():
        start, end = end, end + 4 * weight.shape[0] * weight.shape[1]
        header[names[name]] = {"dtype": "F32", "shape": tensor_shape(weight), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    cache, counter = Cache(folder, np.float32), Counter(end // 4, progress)
    for name, weight in weights.items():
        csv = folder / f"{name}.csv"
        copy = cache.get(csv)
        matrix = cache.read(csv) if copy is None else copy
        require_shape(csv, matrix.shape, weight.shape)
        yield matrix.astype("<f4", copy=False).data.cast("B")
        counter.advance(matrix.size)


def tensor_names(config: Config) -> dict[str, str]:
    """Our name -> a Hugging Face tensor's."""
    theirs = their_names(HUGGINGFACE, config.n_layer)
    return {ours: name if ours == LM_HEAD else f"transformer.{name}" for ours, name in theirs.items()}


def tensor_shape(weight: Weight) -> list[int]:
    return [weight.shape[1]] if weight.is_vector else list(weight.shape)


def token_files(folder: Path, config: Config) -> tuple[dict[str, str], int | None]:
    """(`vocab.json`, `merges.txt` and what `transformers` wants to know beside them; the id of the end of text)."""
    tokenizer = Tokenizer.read(folder)
    merges, scores = tokenizer.merges, list(tokenizer.scores.values())
    if len(set(scores)) != len(scores):
        what = "gives two merges the same score, and Hugging Face's table only knows an order"
        remedy = "give each its own, or give --no-tokenizer"
        raise ConvertError(what, where=folder / MERGES_FILE, remedy=remedy)
    special = next((token.id for token in tokenizer.added if token.text == END_OF_TEXT), None)
    about: dict[str, Any] = {"tokenizer_class": "GPT2Tokenizer"}
    about |= {"model_max_length": config.n_ctx, "add_prefix_space": False}
    about |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), None if special is None else END_OF_TEXT)
    if (folder / ADDED_FILE).exists():
        about["added_tokens_decoder"] = {
            str(token.id): {"content": token.text} | {name: getattr(token, name) for name in FLAGS}
            for token in tokenizer.added
        }
    lines = ["#version: 0.2", *(f"{spelled(left)} {spelled(right)}" for left, right in merges), ""]
    files = {
        "vocab.json": json.dumps(vocabulary(tokenizer), ensure_ascii=False),
        "merges.txt": "\n".join(lines),
        "tokenizer_config.json": json.dumps(about, indent=2),
    }
    return files, special


def vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    """Token -> id as these files have it: what was added stands for itself, unless a merge makes it as well."""
    made = {*ALPHABET, *(left + right for left, right in tokenizer.merges)}
    added = {token.id: token.text for token in tokenizer.added if tokenizer.tokens[token.id] not in made}
    return {added.get(i, spelled(token)): i for i, token in enumerate(tokenizer.tokens)}


def spelled(token: str) -> str:
    return token.replace(" ", SPACE)
