"""A GGUF file with GPT-2's tensors in F32, F16 or BF16, as llama.cpp's converter writes it.

The `gguf` library reads the metadata; before, the header is walked once, because the library believes any length.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sheetgpt.convert import rules, tokens
from sheetgpt.convert.checkpoint import STORED_AS, Checkpoint, Stored, TensorCheckpoint, gather, origin_of, whole
from sheetgpt.convert.names import GGUF, their_names
from sheetgpt.convert.peek import begins_with
from sheetgpt.errors import ConvertError
from sheetgpt.models.config import Config

MAGIC = b"GGUF"
CONSTANTS = {  # ours -> GGUF's, under the architecture's name
    "n_layer": "gpt2.block_count",
    "n_head": "gpt2.attention.head_count",
    "n_embd": "gpt2.embedding_length",
    "n_ctx": "gpt2.context_length",
}
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of a value's type
STRING, ARRAY = 8, 9
CONTROL, USER_DEFINED = 3, 4  # kinds of tokens
MANY, MOST_AXES, DEEPEST = 100_000, 4, 4


def recognises(path: Path) -> bool:
    return path.is_file() and begins_with(path, MAGIC)


def open_path(file: Path, _n_head: int | None = None) -> Checkpoint:
    """Raises ConvertError naming the setting or tensor that is not GPT-2's."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ConvertError("is a GGUF file", where=file, remedy="first `pip install 'sheetgpt[gguf]'`") from None
    try:
        check_header(file)
        reader = GGUFReader(file)
        settings = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {
            tensor.name: Stored(
                file, int(tensor.data_offset), tensor.tensor_type.name, tuple(int(size) for size in tensor.shape[::-1])
            )
            for tensor in reader.tensors
        }
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise ConvertError(f"is torn or no GGUF file ({error})", where=file, remedy="get it again") from None
    require_gpt2(settings, tensors, file)
    if "token_embd.weight" not in tensors:
        raise ConvertError("has no token_embd.weight", where=file, remedy="get the whole model again")
    config = config_of(settings, tensors["token_embd.weight"].shape[0], file)
    remarks: list[str] = []
    return TensorCheckpoint(
        config=config,
        matrices=gather(file, config, tensors, their_names(GGUF, config.n_layer), linear=True),
        origin=origin_of(file),
        write_tables=tables_of(file, settings, config.n_vocab, remarks),
        remarks=remarks,
    )


def require_gpt2(settings: Mapping[str, Any], tensors: Mapping[str, Stored], file: Path) -> None:
    """Refuse other models, and numbers that were rounded."""
    kind = settings.get("general.architecture")
    if kind != "gpt2":
        raise ConvertError(f"general.architecture is {kind!r}; only 'gpt2' can be converted", where=f"{file}:")
    rounded = sorted({tensor.dtype for tensor in tensors.values()} - set(STORED_AS))
    if rounded:
        what = f"is quantized ({', '.join(rounded)})"
        raise ConvertError(what, where=file, remedy="only exact numbers can be converted: get it as F32, F16 or BF16")


def config_of(settings: Mapping[str, Any], n_vocab: int, file: Path) -> Config:
    numbers: dict[str, Any] = {ours: whole(settings, theirs, None, file) for ours, theirs in CONSTANTS.items()}
    inner = settings.get("gpt2.feed_forward_length", 4 * numbers["n_embd"])
    if inner != 4 * numbers["n_embd"]:
        raise ConvertError(f"gpt2.feed_forward_length is {inner}, and GPT-2 has 4 n_embd", where=f"{file}:")
    epsilon = settings.get("gpt2.attention.layer_norm_epsilon", 1e-5)
    if abs(epsilon - 1e-5) > 1e-11:  # it is stored as float32
        what = f"gpt2.attention.layer_norm_epsilon is {epsilon:g}, and GPT-2 uses 1e-05"
        raise ConvertError(what, where=f"{file}:")
    return Config(**numbers, n_vocab=n_vocab)


def tables_of(file: Path, settings: Mapping[str, Any], n_vocab: int, remarks: list[str]) -> tokens.Write | None:
    kind, listed = settings.get("tokenizer.ggml.model"), settings.get("tokenizer.ggml.tokens")
    merges = settings.get("tokenizer.ggml.merges")
    if kind != "gpt2" or not isinstance(listed, list) or not isinstance(merges, list):
        remarks.append(f"no byte-level BPE as GPT-2's in the file: {tokens.BY_IDS}")
        return None
    if strange := rules.strange_gguf(settings):
        remarks.append(f"{strange}, and GPT-2's tokenizer doesn't: {tokens.BY_IDS}")
        return None
    try:
        pairs = [tokens.pair(file, number, merge.split(" ")) for number, merge in enumerate(merges, start=1)]
        return tokens.tables(file, found_in(settings, listed, pairs), n_vocab, remarks)
    except ConvertError as error:
        return tokens.Fault(error)


def found_in(settings: Mapping[str, Any], listed: list[Any], merges: tokens.Merges) -> tokens.Found:
    """The table, and which of its tokens are special or were added."""
    kinds = settings.get("tokenizer.ggml.token_type")
    kinds = kinds if isinstance(kinds, list) and len(kinds) == len(listed) else []
    found = tokens.Found(merges, {token: i for i, token in enumerate(listed)}, says_all=bool(kinds))
    for i, kind in enumerate(kinds):
        if kind in (CONTROL, USER_DEFINED):
            tokens.add(found, {"content": listed[i], "special": kind == CONTROL}, i)
    return found


def check_header(file: Path) -> None:
    """Walk over the header. Raises ValueError where a count or length leads out of the file."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        if opened.read(4) != MAGIC:
            raise ValueError("no GGUF")
        if number(opened, 4) not in (2, 3):
            raise ValueError("another version than 2 and 3, or big-endian")
        n_tensors, n_settings = number(opened, 8), number(opened, 8)
        if max(n_tensors, n_settings) > MANY:
            raise ValueError("absurdly many tensors or settings")
        for _ in range(n_settings):
            skip(opened, size, number(opened, 8))
            skip_value(opened, size, number(opened, 4))
        for _ in range(n_tensors):
            skip(opened, size, number(opened, 8))
            axes = number(opened, 4)
            if axes > MOST_AXES:
                raise ValueError(f"a tensor of {axes} axes")
            skip(opened, size, 8 * axes + 12)


def skip_value(opened: BinaryIO, size: int, kind: int, depth: int = 0) -> None:
    if kind in SCALAR_BYTES:
        skip(opened, size, SCALAR_BYTES[kind])
    elif kind == STRING:
        skip(opened, size, number(opened, 8))
    elif kind == ARRAY and depth < DEEPEST:
        inner, count = number(opened, 4), number(opened, 8)
        if count * SCALAR_BYTES.get(inner, 8) > size:
            raise ValueError("an absurdly long list")
        for _ in range(0 if inner in SCALAR_BYTES else count):
            skip_value(opened, size, inner, depth + 1)
        skip(opened, size, count * SCALAR_BYTES.get(inner, 0))
    else:
        raise ValueError("a value of an unknown type")


def number(opened: BinaryIO, width: int) -> int:
    data = opened.read(width)
    if len(data) < width:
        raise ValueError("it ends in its header")
    return int.from_bytes(data, "little")


def skip(opened: BinaryIO, size: int, count: int) -> None:
    if opened.tell() + count > size:
        raise ValueError("a length leads out of the file")
    opened.seek(count, 1)
