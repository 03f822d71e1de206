"""A Hugging Face folder: `config.json`, `model.safetensors` (whole or sharded) or `pytorch_model.bin`, and token files.

Here: which settings make a GPT-2, and where the tensors lie in safetensors files. Pickled ones belong in `pickled`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.convert import pickled, state, tokens
from sheetgpt.convert.checkpoint import (
    Checkpoint,
    Stored,
    Tensor,
    TensorCheckpoint,
    gather,
    origin_of,
    read_json,
    whole,
)
from sheetgpt.convert.names import HUGGINGFACE, their_names
from sheetgpt.convert.peek import beginning, names_in_zip
from sheetgpt.convert.strangers import refuse_foreign
from sheetgpt.errors import ConvertError
from sheetgpt.files import foreign
from sheetgpt.files.tensors import located
from sheetgpt.models.config import Config

CONFIG, SAFETENSORS, PICKLED = "config.json", "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"  # behind the name of a model in several files
MODEL_TYPE = "gpt2"
PART = re.compile(r".*-(\d{5})-of-(\d{5})\.\w+")  # the name of one file of a model in several
DEFAULTS = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
# setting -> (the values that GPT-2 has, the first being the default; why another one can't be converted)
SETTINGS: dict[str, tuple[tuple[Any, ...], str]] = {
    "activation_function": (("gelu_new", "gelu_pytorch_tanh", "gelu_fast"), "sheetgpt computes gelu_new"),
    "scale_attn_weights": ((True,), "GPT-2 divides attention scores by the root of the head size"),
    "scale_attn_by_inverse_layer_idx": ((False,), "GPT-2 scales attention the same in every layer"),
    "layer_norm_epsilon": ((1e-5,), "GPT-2 and the reference use 1e-05"),
    "add_cross_attention": ((False,), "GPT-2 only looks at its own text"),
    "pruned_heads": (({}, None), "GPT-2 has all its heads"),
    "quantization_config": ((None,), "only exact numbers can be converted: get the model that is not quantized"),
}


def recognises(path: Path) -> bool:
    """Is it such a folder, or a file of one?"""
    if path.is_dir():
        return (path / CONFIG).is_file()
    if path.name.endswith(INDEX):
        return True
    if pickled.recognises(path):
        return path.name == PICKLED and path.with_name(CONFIG).is_file()
    return (path.suffix == ".safetensors" or is_safetensors(path)) and names_in_zip(path) is None


def open_path(path: Path, n_head: int | None = None) -> Checkpoint:
    """A folder, or the one file that is named, whatever lies beside it.

    Raises ConvertError naming the setting, file or tensor that is not GPT-2's.
    """
    folder = path if path.is_dir() else path.parent
    about, remarks = folder / CONFIG, list[str]()
    settings = read_json(about) if about.is_file() else None
    config = None if settings is None else config_of(settings, about)
    tensors, files = tensors_in(folder, remarks) if path.is_dir() else tensors_of(path, remarks)
    found = state.language_model(tensors, path, remarks)
    if config is None:
        config = state.inferred_config(found, {}, n_head, path)
    remarks += head_remarks(settings or {}, found)
    names, linear = their_names(HUGGINGFACE, config.n_layer), state.is_linear(found)
    return TensorCheckpoint(
        config=config,
        matrices=gather(path, config, found, names, linear=linear, biases=settings is not None),
        origin=origin_of(*([about] if settings is not None else []), *files, *tokens.files_in(folder)),
        write_tables=tokens.read_folder(folder, config.n_vocab, remarks),
        remarks=remarks,
    )


def head_remarks(settings: Mapping[str, Any], found: Mapping[str, Tensor]) -> list[str]:
    """What to say where the configuration and the file disagree on the language head."""
    if settings.get("tie_word_embeddings", True) or state.HEAD in found:
        return []
    what = f"{CONFIG} says that the language head is not tied to the embeddings, and no {state.HEAD} is there"
    return [f"{what}: the embeddings serve as the head here, where transformers begins with random numbers"]


def config_of(settings: Mapping[str, Any], file: Path) -> Config:
    """The constants; refuses what is not GPT-2, naming the setting."""
    kind = settings.get("model_type")
    if kind != MODEL_TYPE:
        raise ConvertError(f"model_type is {kind!r}; only {MODEL_TYPE!r} can be converted", where=f"{file}:")
    require_gpt2(settings, file)
    given = DEFAULTS | {"n_positions": settings.get("n_ctx", DEFAULTS["n_positions"])} | dict(settings)
    numbers = {name: whole(given, name, None, file) for name in DEFAULTS}
    if given.get("n_inner") not in (None, 4 * numbers["n_embd"]):
        what = f"n_inner is {given['n_inner']!r}, and GPT-2 has 4 n_embd = {4 * numbers['n_embd']}"
        raise ConvertError(what, where=f"{file}:", remedy="this model would run differently")
    if numbers["n_embd"] % numbers["n_head"]:
        what = f"n_embd {numbers['n_embd']} is no multiple of n_head {numbers['n_head']}"
        raise ConvertError(what, where=f"{file}:")
    return Config(
        n_layer=numbers["n_layer"],
        n_head=numbers["n_head"],
        n_embd=numbers["n_embd"],
        n_ctx=numbers["n_positions"],
        n_vocab=numbers["vocab_size"],
    )


def require_gpt2(settings: Mapping[str, Any], file: Path) -> None:
    """Refuse settings by which a model computes otherwise than GPT-2, naming the first."""
    for name, (values, why) in SETTINGS.items():
        if name in settings and settings[name] not in values:
            what = f"{name} is {settings[name]!r}, and {why}"
            raise ConvertError(what, where=f"{file}:", remedy="this model would run differently")


def tensors_in(folder: Path, remarks: list[str]) -> tuple[dict[str, Tensor], list[Path]]:
    """(name -> tensor, the files that hold them), safetensors before pickled ones."""
    for name in (SAFETENSORS, SAFETENSORS + INDEX, PICKLED, PICKLED + INDEX):
        if (folder / name).is_file():
            return tensors_of(folder / name, remarks)
    found = foreign.of_folder(folder)
    if found and found != foreign.SETTINGS:
        what = f"has neither {SAFETENSORS} nor {PICKLED}, it {found.what}"
        raise ConvertError(what, where=folder, remedy=found.remedy)
    remedy = "get the model again"
    raise ConvertError(f"has neither {SAFETENSORS} nor {PICKLED}", where=folder, remedy=remedy)


def tensors_of(file: Path, remarks: list[str]) -> tuple[dict[str, Tensor], list[Path]]:
    """The same of a file, or of the files that an index names."""
    if file.name.endswith(INDEX):
        files = shards(file)
        return {key: tensor for one in files for key, tensor in read_tensors(one, remarks).items()}, files
    part = PART.fullmatch(file.name)
    if part and int(part[2]) > 1:
        what = "is one part of a model in several files"
        raise ConvertError(what, where=file, remedy=f"name its folder, {file.parent}")
    return read_tensors(file, remarks), [file]


def read_tensors(file: Path, remarks: list[str]) -> dict[str, Tensor]:
    """By what the file is; by its name where it is neither."""
    if pickled.recognises(file) or not (is_safetensors(file) or file.suffix == ".safetensors"):
        return pickled.read_tensors(file, remarks)
    return read_safetensors(file)


def is_safetensors(file: Path) -> bool:
    """Does it begin with the length of a header, and the header?"""
    start = beginning(file, 9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < file.stat().st_size


def shards(index: Path) -> list[Path]:
    """The files that an index names; each must lie in the same folder."""
    weight_map = read_json(index).get("weight_map")
    names = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    if not names:
        raise ConvertError("names no files", where=index, remedy="get it again")
    for name in names:
        if Path(name).name != name or name in (".", ".."):
            what = f"names {name!r}, a file outside its folder"
            raise ConvertError(what, where=index, remedy="get the model from a source you trust")
        if not (index.parent / name).is_file():
            raise ConvertError("is missing", where=index.parent / name, remedy="get the model again")
    return [index.parent / name for name in names]


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Where each tensor lies."""
    try:
        places, _ = located(file)
    except ValueError as error:
        refuse_foreign(file)
        raise ConvertError(f"is torn or no safetensors file ({error})", where=file, remedy="get it again") from None
    return {name: Stored(file, place.offset, place.kind, place.shape) for name, place in places.items()}
