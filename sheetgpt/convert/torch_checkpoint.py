"""nanoGPT's and minGPT's checkpoints: Linear layers store [out, in], biases may be missing, the head may be its own.

What a pickled file holds belongs in `pickled`; this is about the layout and where the constants are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.convert import huggingface, pickled, tokens
from sheetgpt.convert.checkpoint import Checkpoint, Tensor, TensorCheckpoint, gather, origin_of, read_json
from sheetgpt.convert.names import HUGGINGFACE, their_names
from sheetgpt.errors import ConvertError
from sheetgpt.models.config import Config

CHECKPOINTS = ("ckpt.pt", "model.pt")  # nanoGPT's and minGPT's own names
STATES = ("model", "state_dict", "model_state_dict")  # where checkpoints keep their tensors
SETTINGS = ("model_args", "config", "args")
PREFIX = re.compile(r"(_orig_mod\.|module\.|transformer\.)*")  # of torch.compile, of parallel training, of the model
GELU = (
    "nanoGPT computes GELU exactly since 2023, GPT-2 and sheetgpt by the tanh formula: "
    "a model trained with the exact one gives slightly other logits here"
)


def recognises(path: Path) -> bool:
    if path.is_dir():
        return checkpoint_in(path) is not None
    return pickled.recognises(path) and not huggingface.recognises(path)


def checkpoint_in(folder: Path) -> Path | None:
    return next((folder / name for name in CHECKPOINTS if (folder / name).is_file()), None)


def open_path(path: Path, n_head: int | None) -> Checkpoint:
    return open_file(checkpoint_in(path) or path, n_head)


def open_file(file: Path, n_head: int | None) -> Checkpoint:
    """Raises ConvertError naming what is missing or is not GPT-2's."""
    loaded = pickled.load(file)
    state = {
        PREFIX.sub("", name, count=1): tensor
        for name, tensor in tensors_of(loaded, file).items()
        if not name.endswith(huggingface.BUFFERS)
    }
    settings = settings_of(loaded, file)
    config, linear = config_of(state, settings, n_head, file)
    remarks = [GELU] if linear and isinstance(loaded, Mapping) and "model_args" in loaded else []
    beside = file.with_name("config.json")
    return TensorCheckpoint(
        config=config,
        matrices=gather(file, config, state, their_names(HUGGINGFACE, config.n_layer), linear=linear, biases=False),
        origin=origin_of(file, *([beside] if beside.is_file() else []), *tokens.files_in(file.parent)),
        write_tables=tokens.read_folder(file.parent, config.n_vocab, remarks),
        remarks=remarks,
    )


def tensors_of(loaded: object, file: Path) -> Mapping[str, Tensor]:
    if isinstance(loaded, Mapping):
        for state in [*(loaded.get(name) for name in STATES), loaded]:
            if isinstance(state, Mapping) and state and all(isinstance(t, pickled.Strided) for t in state.values()):
                return {str(name): tensor for name, tensor in state.items()}
    what = "holds no tensors by name, so it is no checkpoint of nanoGPT or minGPT"
    raise ConvertError(what, where=file, remedy="name another file")


def settings_of(loaded: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """What the checkpoint, or minGPT's `config.json` beside it, says of the model."""
    for name in SETTINGS:
        found = loaded.get(name)
        found = found.__dict__ if isinstance(found, pickled.Attributes) else found
        if isinstance(found, Mapping) and "n_head" in found:
            return found
    beside = file.with_name("config.json")
    if beside.is_file():
        settings = read_json(beside)
        model = settings.get("model")
        return model if isinstance(model, Mapping) else settings
    return {}


def config_of(
    state: Mapping[str, Tensor], settings: Mapping[str, Any], n_head: int | None, file: Path
) -> tuple[Config, bool]:
    """(the constants, inferred from the shapes; are matrices stored as [out, in]?)"""

    def shape(name: str) -> tuple[int, int]:
        if name not in state or len(state[name].shape) != 2:
            what = f"has no {name}, so it is no checkpoint of nanoGPT or minGPT"
            raise ConvertError(what, where=file, remedy="name another file")
        rows, columns = state[name].shape
        return rows, columns

    n_vocab, n_embd = shape("wte.weight")
    attention = shape("h.0.attn.c_attn.weight")
    blocks = [int(found[1]) for found in (re.match(r"h\.(\d+)\.", name) for name in state) if found]
    heads = n_head or settings.get("n_head")
    if not isinstance(heads, int) or heads < 1:
        what = f"does not tell how many heads its n_embd of {n_embd} is split into"
        raise ConvertError(what, where=file, remedy="give --n-head N")
    if n_embd % heads:
        what = f"{heads} heads do not divide its n_embd of {n_embd}"
        raise ConvertError(what, where=f"{file}:", remedy="give another --n-head")
    config = Config(n_layer=max(blocks) + 1, n_head=heads, n_embd=n_embd, n_ctx=shape("wpe.weight")[0], n_vocab=n_vocab)
    return config, tuple(attention) == (3 * n_embd, n_embd)
