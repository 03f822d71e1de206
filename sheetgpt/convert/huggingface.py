"""A Hugging Face folder: `config.json`, `model.safetensors` (whole or sharded) or `pytorch_model.bin`, and token files.

Here: which settings make a GPT-2, and where the tensors lie in safetensors files. Pickled ones belong in `pickled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.convert import pickled, tokens
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
from sheetgpt.convert.peek import names_in_zip
from sheetgpt.errors import ConvertError
from sheetgpt.files.tensors import located
from sheetgpt.models.config import Config

CONFIG, SAFETENSORS, PICKLED = "config.json", "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"  # behind the name of a model in several files
MODEL_TYPE = "gpt2"
BUFFERS = (".attn.bias", ".attn.masked_bias")  # the causal mask that older versions stored
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
    if pickled.recognises(path):
        return path.name == PICKLED and path.with_name(CONFIG).is_file()
    return path.suffix == ".safetensors" and names_in_zip(path) is None


def open_path(path: Path, _n_head: int | None = None) -> Checkpoint:
    return open_folder(path if path.is_dir() else path.parent)


def open_folder(folder: Path) -> Checkpoint:
    """Raises ConvertError naming the setting, file or tensor that is not GPT-2's."""
    settings = read_json(folder / CONFIG)
    config = config_of(settings, folder / CONFIG)
    tensors, files = tensors_in(folder)
    kept = {without_prefix(name): tensor for name, tensor in tensors.items() if not name.endswith(BUFFERS)}
    remarks: list[str] = []
    return TensorCheckpoint(
        config=config,
        matrices=gather(folder, config, kept, their_names(HUGGINGFACE, config.n_layer)),
        origin=origin_of(folder / CONFIG, *files, *tokens.files_in(folder)),
        write_tables=tokens.read_folder(folder, config.n_vocab, remarks),
        remarks=remarks,
    )


def config_of(settings: Mapping[str, Any], file: Path) -> Config:
    """The constants; refuses what is not GPT-2, naming the setting."""
    kind = settings.get("model_type")
    if kind != MODEL_TYPE:
        raise ConvertError(f"model_type is {kind!r}; only {MODEL_TYPE!r} can be converted", where=f"{file}:")
    for name, (values, why) in SETTINGS.items():
        if name in settings and settings[name] not in values:
            what = f"{name} is {settings[name]!r}, and {why}"
            raise ConvertError(what, where=f"{file}:", remedy="this model would run differently")
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


def without_prefix(name: str) -> str:
    return name.removeprefix("transformer.")


def tensors_in(folder: Path) -> tuple[dict[str, Tensor], list[Path]]:
    """(name -> tensor, the files that hold them), safetensors before pickled ones."""
    for name, read in ((SAFETENSORS, read_safetensors), (PICKLED, pickled.read_tensors)):
        if (folder / name).is_file():
            return read(folder / name), [folder / name]
        if (folder / (name + INDEX)).is_file():
            files = shards(folder / (name + INDEX))
            return {key: tensor for file in files for key, tensor in read(file).items()}, files
    what = f"has neither {SAFETENSORS} nor {PICKLED}"
    raise ConvertError(what, where=folder, remedy="get the model again")


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
        raise ConvertError(f"is torn or no safetensors file ({error})", where=file, remedy="get it again") from None
    return {name: Stored(file, place.offset, place.kind, place.shape) for name, place in places.items()}
