"""OpenAI's own download: a TensorFlow checkpoint (`model.ckpt.index`, `.data-*`) and `hparams.json`; no TensorFlow.

The index is a sorted table as LevelDB writes it: blocks of keys and values, some behind others' prefixes, and a footer
that says where the block of blocks lies. A value is a protocol buffer that holds a tensor's type, shape, shard, place
and size. See tensorflow/core/util/tensor_bundle and table_format.txt for the layout.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.convert import tokens
from sheetgpt.convert.checkpoint import (
    STORED_AS,
    Checkpoint,
    Stored,
    TensorCheckpoint,
    gather,
    origin_of,
    read_json,
    whole,
)
from sheetgpt.convert.names import OPENAI, their_names
from sheetgpt.convert.peek import names_in_zip
from sheetgpt.errors import ConvertError
from sheetgpt.models.config import Config

INDEX, HPARAMS = ".index", "hparams.json"
FOOTER_BYTES, TABLE_MAGIC = 48, 0xDB4775248B80FB57
TRAILER_BYTES = 5  # behind each block: how it is compressed, and a checksum
PLAIN, SNAPPY = 0, 1
LONGEST_INDEX = 1 << 26
TYPES = {1: "F32", 2: "F64", 14: "BF16", 19: "F16"}  # DataType in types.proto
OTHER_TENSORS = re.compile(r"global_step|.*/Adam(_1)?|beta[12]_power")  # what training keeps beside the weights
Message = dict[int, list[Any]]  # of a protocol buffer: field -> its values, whole numbers or bytes
CONSTANTS = ("n_layer", "n_head", "n_embd", "n_ctx", "n_vocab")
CRC32C_POLYNOMIAL, CRC32C_MASK = 0x82F63B78, 0xA282EAD8


def recognises(path: Path) -> bool:
    if path.is_dir():
        return index_in(path) is not None
    return path.suffix == INDEX and names_in_zip(path) is None


def index_in(folder: Path) -> Path | None:
    """The checkpoint that a folder holds; where it holds several, the one of most steps."""
    steps = {file: [int(part) for part in re.findall(r"\d+", file.name)] for file in folder.glob(f"*{INDEX}")}
    return max(steps, key=steps.__getitem__, default=None)


def open_path(path: Path, _n_head: int | None = None) -> Checkpoint:
    """Raises ConvertError naming what is torn, missing or not GPT-2's."""
    index = (index_in(path) if path.is_dir() else None) or path
    settings_file = index.with_name(HPARAMS)
    if not settings_file.is_file():
        remedy = "it tells the model's constants; get the whole download again"
        raise ConvertError("is missing", where=settings_file, remedy=remedy)
    settings = read_json(settings_file)
    constants: dict[str, Any] = {name: whole(settings, name, None, settings_file) for name in CONSTANTS}
    config = Config(**constants)
    tensors = {name: tensor for name, tensor in read_bundle(index).items() if not OTHER_TENSORS.fullmatch(name)}
    shards = sorted({tensor.file for tensor in tensors.values()})
    remarks: list[str] = []
    return TensorCheckpoint(
        config=config,
        matrices=gather(index, config, tensors, their_names(OPENAI, config.n_layer)),
        origin=origin_of(index, settings_file, *shards, *tokens.files_in(index.parent)),
        write_tables=tokens.read_folder(index.parent, config.n_vocab, remarks),
        remarks=remarks,
    )


def read_bundle(index: Path) -> dict[str, Stored]:
    """Where each tensor of a checkpoint lies."""
    if index.stat().st_size > LONGEST_INDEX:
        raise ConvertError("is absurdly large for an index", where=index, remedy="get it again")
    try:
        entries = dict(read_table(index.read_bytes()))
        header = read_message(entries.pop(b""))  # BundleHeaderProto: 1 number of shards, 2 endianness
        shards, big_endian = header.get(1, [0])[0], header.get(2, [0])[0]
        tensors = {key.decode(): read_entry(index, read_message(value), shards) for key, value in entries.items()}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ConvertError(f"is torn or no TensorFlow index ({error})", where=index, remedy="get it again") from None
    if big_endian:
        raise ConvertError("its numbers are big-endian; save it on another machine", where=f"{index}:")
    return tensors


def read_entry(index: Path, entry: Message, shards: int) -> Stored:
    """BundleEntryProto: 1 type, 2 shape, 3 shard, 4 offset, 5 size, 7 slices."""
    kind = TYPES.get(entry.get(1, [0])[0], f"number {entry.get(1, [0])[0]} in TensorFlow's list")
    dimensions = read_message(entry.get(2, [b""])[0]).get(2, [])
    shape = tuple(read_message(dimension).get(1, [0])[0] for dimension in dimensions)
    shard, offset, size = (entry.get(field, [0])[0] for field in (3, 4, 5))
    if shard >= shards or 7 in entry:
        raise ValueError("a tensor lies in no shard, or in slices")
    file = index.with_name(f"{index.name.removesuffix(INDEX)}.data-{shard:05}-of-{shards:05}")
    if not file.is_file():
        raise ConvertError("is missing", where=file, remedy="get the whole download again")
    if offset + size > file.stat().st_size:
        raise ConvertError("is torn", where=file, remedy="it ends before its tensors do; get it again")
    if kind in STORED_AS and math.prod(shape) * np.dtype(STORED_AS[kind]).itemsize != size:
        raise ValueError("a tensor's shape does not fit its size")
    return Stored(file, offset, kind, shape)


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a sorted table, in order."""
    footer = data[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != TABLE_MAGIC:
        raise ValueError("no footer")
    place = 0
    for _ in range(2):  # the block of metadata, which is empty, then the block of blocks: offset and size each
        offset, place = read_varint(footer, place)
        size, place = read_varint(footer, place)
    for _, handle in read_block(data, offset, size):
        block_offset, place = read_varint(handle, 0)
        yield from read_block(data, block_offset, read_varint(handle, place)[0])


def read_block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block. An entry: bytes shared with the key before, bytes of its own, bytes of value."""
    stored = data[offset : offset + size + TRAILER_BYTES]
    if len(stored) != size + TRAILER_BYTES:
        raise ValueError("a block lies outside the file")
    kind, checksum = stored[size], int.from_bytes(stored[size + 1 :], "little")
    if mask(crc32c(stored[: size + 1])) != checksum:
        raise ValueError("a checksum does not fit")
    if kind not in (PLAIN, SNAPPY):
        raise ValueError("a block is compressed in an unknown way")
    block = stored[:size] if kind == PLAIN else snappy(stored[:size])
    end = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)  # restart points, and their number
    if end < 0:
        raise ValueError("a block is too short")
    place, key = 0, b""
    while place < end:
        shared, place = read_varint(block, place)
        own, place = read_varint(block, place)
        length, place = read_varint(block, place)
        if shared > len(key) or place + own + length > end:
            raise ValueError("an entry is longer than its block")
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """(number, the place behind it): seven bits a byte, the lowest first.

    >>> read_varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    number = 0
    for count in range(10):
        byte = data[place + count]
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return number, place + count + 1
    raise ValueError("a number is too long")


def read_message(data: bytes) -> Message:
    """A protocol buffer."""
    fields: Message = {}
    place = 0
    value: int | bytes
    while place < len(data):
        tag, place = read_varint(data, place)
        wire = tag & 7
        if wire == 0:
            value, place = read_varint(data, place)
        elif wire in (1, 2, 5):
            length, place = read_varint(data, place) if wire == 2 else ((8 if wire == 1 else 4), place)
            if place + length > len(data):
                raise ValueError("a message is cut off")
            value, place = data[place : place + length], place + length
        else:
            raise ValueError("a message has an unknown type of field")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def snappy(data: bytes) -> bytes:
    """Unpack snappy's format: a length, then runs of bytes and copies of what came before."""
    length, place = read_varint(data, 0)
    if length > LONGEST_INDEX:
        raise ValueError("a block is absurdly large")
    out = bytearray()
    while place < len(data):
        tag = data[place]
        kind, size = tag & 3, tag >> 2
        place += 1
        if kind == 0:  # a run; sizes above 60 stand in the next one to four bytes
            if size >= 60:
                width = size - 59
                size, place = int.from_bytes(data[place : place + width], "little"), place + width
            out += data[place : place + size + 1]
            place += size + 1
        else:
            width = (1, 2, 4)[kind - 1]
            offset, place = int.from_bytes(data[place : place + width], "little"), place + width
            if kind == 1:
                offset, size = offset | (tag >> 5) << 8, (size & 7) + 3
            if not 0 < offset <= len(out):
                raise ValueError("a copy reaches before the beginning")
            for _ in range(size + 1):  # subtle: a copy may reach into itself
                out.append(out[-offset])
        if len(out) > length:
            break
    if len(out) != length:
        raise ValueError("a block is cut off")
    return bytes(out)


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli's polynomial.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = CRC32C_TABLE[(remainder ^ byte) & 0xFF] ^ remainder >> 8
    return remainder ^ 0xFFFFFFFF


def mask(checksum: int) -> int:
    """LevelDB stores checksums turned and shifted, so that the checksum of a checksum is none."""
    return ((checksum >> 15 | checksum << 17) + CRC32C_MASK) & 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ CRC32C_POLYNOMIAL * (remainder & 1)
        table.append(remainder)
    return table


CRC32C_TABLE = _table()
