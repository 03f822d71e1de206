"""nanoGPT's and minGPT's checkpoints: Linear layers store [out, in], biases may be missing, the head may be its own.

What a pickled file holds belongs in `pickled`; this is about the layout and where the constants are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.convert import huggingface, pickled, state, tokens
from sheetgpt.convert.checkpoint import Checkpoint, TensorCheckpoint, gather, origin_of, read_json
from sheetgpt.convert.names import HUGGINGFACE, their_names
from sheetgpt.errors import ConvertError
from sheetgpt.files import foreign

CHECKPOINTS = ("ckpt.pt", "model.pt")  # nanoGPT's and minGPT's own names
SETTINGS = ("model_args", "config", "args", "model_config", "hyper_parameters", "hparams", "cfg")
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
    remarks: list[str] = []
    loaded = pickled.load(file, remarks)
    tensors = state.state_in(loaded, remarks)
    if tensors is None:
        refuse_others(loaded, file)
        what = "holds no tensors by name, so it is no checkpoint of nanoGPT or minGPT"
        raise ConvertError(what, where=file, remedy="name another file")
    found = state.language_model(tensors, file, remarks)
    settings, linear = settings_of(loaded, file), state.is_linear(found)
    if settings.get("model_type") == huggingface.MODEL_TYPE:
        huggingface.require_gpt2(settings, file)
    config = state.inferred_config(found, settings, n_head, file)
    if linear and "model_args" in state.as_mapping(loaded):
        remarks.append(GELU)
    beside = file.with_name("config.json")
    return TensorCheckpoint(
        config=config,
        matrices=gather(file, config, found, their_names(HUGGINGFACE, config.n_layer), linear=linear, biases=False),
        origin=origin_of(file, *([beside] if beside.is_file() else []), *tokens.files_in(file.parent)),
        write_tables=tokens.read_folder(file.parent, config.n_vocab, remarks),
        remarks=remarks,
    )


def refuse_others(loaded: object, file: Path) -> None:
    """Say what a file without a model's tensors holds, where it is known."""
    held = state.as_mapping(loaded)
    if foreign.of_name(file.name) == foreign.TRAINING or "param_groups" in held or "last_epoch" in held:
        raise ConvertError(foreign.TRAINING.what, where=file, remedy=foreign.TRAINING.remedy)


def settings_of(loaded: object, file: Path) -> Mapping[str, Any]:
    """What the checkpoint, or `config.json` beside it, says of the model."""
    for name in SETTINGS:
        found = state.as_mapping(state.as_mapping(loaded).get(name))
        for settings in (found, *map(state.as_mapping, found.values())):
            if "n_head" in settings:
                return settings
    beside = file.with_name("config.json")
    if beside.is_file():
        settings = read_json(beside)
        model = settings.get("model")
        return model if isinstance(model, Mapping) else settings
    return {}
