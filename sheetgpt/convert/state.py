"""A PyTorch model's tensors by name, as programs save them -> GPT-2's by Hugging Face's names.

Here: names that wrappers put before the model's own are taken off, what is beside the language model is read past with
a remark, the layout and the constants are inferred from shapes. Files belong in `huggingface` and `pickled`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sheetgpt.convert.checkpoint import Tensor
from sheetgpt.convert.peek import listed
from sheetgpt.convert.standins import Attributes, Strided
from sheetgpt.convert.strangers import refuse_strangers
from sheetgpt.errors import ConvertError
from sheetgpt.models.config import Config

# torch.compile, parallel training and checkpointing of activations wrap a model, or any module in it
WRAPPER = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
STATES = ("model", "state_dict", "model_state_dict", "module", "net", "weights")  # where checkpoints keep tensors
DEEPEST = 20  # modules in modules
EMBEDDINGS, HEAD, TRUNK = "wte.weight", "lm_head.weight", "transformer."
BUFFERS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias|mask|tril)")  # the causal mask that some programs store
# heads beside the language model's: of classifiers, of questions' answers, of values and rewards
OTHER_HEAD = re.compile(r"(\w*_)?heads?|score|classifier|qa_outputs|\w*(value|reward|critic)\w*")


def language_model(tensors: Mapping[str, Tensor], source: Path | str, remarks: list[str]) -> dict[str, Tensor]:
    """The tensors by the names that they have in a bare GPT-2. Raises ConvertError where two models are in one file.

    What stands outside the wrapped model, and other heads than the language model's, can't change its logits.
    """
    bare = unwrapped(tensors, source)
    refuse_strangers(bare, source)
    trunk = trunk_of(bare, source)
    model = trunk.removesuffix(TRUNK)
    kept: dict[str, Tensor] = {}
    beside: list[str] = []
    for name, tensor in bare.items():
        inner = name.removeprefix(trunk) if name.startswith(trunk) else name.removeprefix(model)
        if BUFFERS.fullmatch(inner):
            continue
        if not name.startswith(model) or is_other_head(inner, tensor, bare.get(f"{trunk}{EMBEDDINGS}")):
            beside.append(name)
        elif kept.setdefault(inner, tensor) != tensor:
            what = f"holds {inner} twice, with other numbers"
            raise ConvertError(what, where=source, remedy="save one model alone")
    if beside:
        remarks.append(f"no part of the language model, left out: {listed(beside)}")
    return kept


def unwrapped(tensors: Mapping[str, Tensor], source: Path | str) -> dict[str, Tensor]:
    """The tensors without the names of wrappers."""
    bare: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if bare.setdefault(WRAPPER.sub("", name), tensor) != tensor:
            what = f"holds {WRAPPER.sub('', name)} twice, in a wrapper and outside of it"
            raise ConvertError(what, where=source, remedy="save one model alone")
    return bare


def trunk_of(names: Iterable[str], source: Path | str) -> str:
    """What stands before the names of GPT-2's blocks and embeddings: `transformer.` or nothing, behind a wrapper.

    >>> trunk_of(["model.transformer.wte.weight", "model.lm_head.weight"], "")
    'model.transformer.'
    """
    found = {name.removesuffix(EMBEDDINGS) for name in names if f".{name}".endswith(f".{EMBEDDINGS}")}
    if len(found) > 1:
        what = f"holds {len(found)} models: {listed(sorted(found))}"
        raise ConvertError(what, where=source, remedy="save one of them alone")
    return found.pop() if found else TRUNK


def is_other_head(name: str, tensor: Tensor, embeddings: Tensor | None) -> bool:
    """Is it another head than the language model's? One that has the embeddings' shape may be that one, misnamed."""
    first = name.partition(".")[0]
    return (
        OTHER_HEAD.fullmatch(first) is not None
        and first != HEAD.partition(".")[0]
        and not (embeddings is not None and tuple(tensor.shape) == tuple(embeddings.shape))
    )


def is_linear(state: Mapping[str, Tensor]) -> bool:
    """Are matrices stored as [out, in], as PyTorch's Linear has them?"""
    attention = state.get("h.0.attn.c_attn.weight")
    return attention is not None and len(attention.shape) == 2 and attention.shape[0] == 3 * attention.shape[1]


def inferred_config(state: Mapping[str, Tensor], settings: Mapping[str, Any], n_head: int | None, file: Path) -> Config:
    """The constants, from the shapes; how many heads there are is in no shape."""

    def shape(name: str) -> tuple[int, int]:
        if name not in state or len(state[name].shape) != 2:
            what = f"has no {name}, so it is no checkpoint of nanoGPT or minGPT"
            raise ConvertError(what, where=file, remedy="name another file")
        rows, columns = state[name].shape
        return rows, columns

    n_vocab, n_embd = shape(EMBEDDINGS)
    shape("h.0.attn.c_attn.weight")
    blocks = [int(found[1]) for found in (re.match(r"h\.(\d+)\.", name) for name in state) if found]
    heads = n_head or settings.get("n_head")
    if not isinstance(heads, int) or heads < 1:
        what = f"does not tell how many heads its n_embd of {n_embd} is split into"
        raise ConvertError(what, where=file, remedy="give --n-head N")
    if n_embd % heads:
        what = f"{heads} heads do not divide its n_embd of {n_embd}"
        raise ConvertError(what, where=f"{file}:", remedy="give another --n-head")
    n_ctx = shape("wpe.weight")[0]
    return Config(n_layer=max(blocks) + 1, n_head=heads, n_embd=n_embd, n_ctx=n_ctx, n_vocab=n_vocab)


def state_in(loaded: object, remarks: list[str]) -> dict[str, Tensor] | None:
    """The tensors by name among what a checkpoint holds, where programs keep them; None where there are none."""
    if is_module(loaded):
        return dict(module_tensors(loaded))
    loaded = as_mapping(loaded)
    others = [name for name in loaded if name not in STATES]
    for place in (*STATES, None, *others):
        if tensors := tensors_at(loaded, place):
            rest = [repr(name) for name in loaded if name != place and tensors_at(loaded, name)]
            if place is not None and rest:
                remarks.append(f"the model is what the file holds as {place!r}; not read: {listed(rest)}")
            return tensors
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Strided)}
    return tensors if tensors and len(tensors) == len(loaded) else None


def as_mapping(loaded: object) -> Mapping[Any, Any]:
    """What a checkpoint holds by name; nothing where it is another kind of object."""
    held = loaded.__dict__ if isinstance(loaded, Attributes) else loaded
    return held if isinstance(held, Mapping) else {}


def is_module(loaded: object) -> bool:
    """Is it a whole model, not its tensors alone?"""
    return isinstance(loaded, Attributes) and "_parameters" in loaded.__dict__ and "_modules" in loaded.__dict__


def module_tensors(module: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a model and of the modules in it, by the names that its state has."""
    held = as_mapping(module)
    for group in ("_parameters", "_buffers"):
        for name, tensor in as_mapping(held.get(group)).items():
            if isinstance(tensor, Strided):
                yield f"{prefix}{name}", tensor
    if depth < DEEPEST:
        for name, inner in as_mapping(held.get("_modules")).items():
            yield from module_tensors(inner, f"{prefix}{name}.", depth + 1)


def tensors_at(loaded: Mapping[Any, Any], place: object) -> dict[str, Tensor]:
    """The tensors by name in one place of a checkpoint, or in the checkpoint itself (None); none where no matrix is.

    Counters and settings that stand among them are left out.
    """
    state = loaded if place is None else loaded.get(place)
    if is_module(state):
        return dict(module_tensors(state))
    state = as_mapping(state)
    tensors: dict[str, Tensor] = {str(name): value for name, value in state.items() if isinstance(value, Strided)}
    return tensors if any(len(tensor.shape) == 2 for tensor in tensors.values()) else {}
