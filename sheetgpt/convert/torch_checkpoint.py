"""nanoGPT's and minGPT's checkpoints: Linear layers store [out, in], biases may lack, the head may be its own.

What a pickled file holds is told by `pickled`; this is about the names, the layout and where the constants are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sheetgpt.convert import pickled, tokens
from sheetgpt.convert.checkpoint import Checkpoint, Tensor, gather, origin_of, read_json, their_name
from sheetgpt.convert.huggingface import BLOCK, BUFFERS
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


def open_file(file: Path, n_head: int | None) -> Checkpoint:
    """Raises ConvertError naming what is missing or is not GPT-2's."""
    loaded = pickled.load(file)
    state = {
        PREFIX.sub("", name, count=1): tensor
        for name, tensor in tensors_of(loaded, file).items()
        if not name.endswith(BUFFERS)
    }
    settings = settings_of(loaded, file)
    config, linear = config_of(state, settings, n_head, file)
    remarks = [GELU] if linear and isinstance(loaded, Mapping) and "model_args" in loaded else []
    beside = file.with_name("config.json")
    return Checkpoint(
        config,
        gather(file, config, state, lambda name: their_name(name, 0, BLOCK), linear=linear, biases=False),
        origin_of(file, *([beside] if beside.is_file() else []), *tokens.files_in(file.parent)),
        tokens.read_folder(file.parent, config.n_vocab, remarks),
        remarks,
    )


def tensors_of(loaded, file: Path) -> Mapping[str, Tensor]:
    if isinstance(loaded, Mapping):
        for state in [*(loaded.get(name) for name in STATES), loaded]:
            if isinstance(state, Mapping) and state and all(isinstance(t, pickled.Strided) for t in state.values()):
                return {str(name): tensor for name, tensor in state.items()}
    raise ConvertError(
        f"{file} holds no tensors by name, so it is no checkpoint of nanoGPT or minGPT: name another file"
    )


def settings_of(loaded: Mapping, file: Path) -> Mapping:
    """What the checkpoint, or minGPT's `config.json` beside it, says of the model."""
    for name in SETTINGS:
        found = loaded.get(name)
        found = found.__dict__ if isinstance(found, pickled.Record) else found
        if isinstance(found, Mapping) and "n_head" in found:
            return found
    beside = file.with_name("config.json")
    if beside.is_file():
        settings = read_json(beside)
        model = settings.get("model")
        return model if isinstance(model, Mapping) else settings
    return {}


def config_of(state: Mapping[str, Tensor], settings: Mapping, n_head: int | None, file: Path) -> tuple[Config, bool]:
    """(the constants, told by the shapes; are matrices stored as [out, in]?)"""

    def shape(name: str) -> tuple[int, int]:
        if name not in state or len(state[name].shape) != 2:
            raise ConvertError(f"{file} lacks {name}, so it is no checkpoint of nanoGPT or minGPT: name another file")
        return state[name].shape

    n_vocab, n_embd = shape("wte.weight")
    attention = shape("h.0.attn.c_attn.weight")
    blocks = [int(found[1]) for found in (re.match(r"h\.(\d+)\.", name) for name in state) if found]
    heads = n_head or settings.get("n_head")
    if not isinstance(heads, int) or heads < 1:
        raise ConvertError(f"{file} does not tell how many heads its n_embd of {n_embd} is split into: give --n-head N")
    if n_embd % heads:
        raise ConvertError(f"{file}: {heads} heads do not divide its n_embd of {n_embd}: give another --n-head")
    config = Config(n_layer=max(blocks) + 1, n_head=heads, n_embd=n_embd, n_ctx=shape("wpe.weight")[0], n_vocab=n_vocab)
    return config, tuple(attention) == (3 * n_embd, n_embd)
