"""OpenAI's download: torn, edited or lying files are refused; the published layout is read."""

import json
import struct

import numpy as np
import pytest

from checkpoints import fault, openai
from sheetgpt.convert import tensorflow
from sheetgpt.errors import SheetGPTError


def test_a_torn_or_edited_index_is_refused(tmp_path):
    folder = openai(tmp_path / "source")
    index = folder / "model.ckpt.index"
    data = index.read_bytes()
    for keep in (0, 10, 47, 48, 500, len(data) - 1):
        index.write_bytes(data[:keep])
        assert fault(folder).startswith("SOURCE/model.ckpt.index is torn or no TensorFlow index (")
    for place in range(0, 800, 37):
        index.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert fault(folder).startswith("SOURCE/model.ckpt.index is torn or no TensorFlow index (")


def test_missing_parts_of_openais_download_are_named(tmp_path):
    folder = openai(tmp_path / "source")
    (folder / "hparams.json").rename(folder / "h")
    assert fault(folder) == (
        "SOURCE/hparams.json is missing: it tells the model's constants; get the whole download again"
    )
    (folder / "h").rename(folder / "hparams.json")
    shard = folder / "model.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-4])
    assert fault(folder) == "SOURCE/model.ckpt.data-00000-of-00001 is torn: it ends before its tensors do; get it again"
    shard.unlink()
    assert fault(folder) == "SOURCE/model.ckpt.data-00000-of-00001 is missing: get the whole download again"
    (folder / "hparams.json").write_text(json.dumps({"n_layer": 2}))
    assert fault(folder) == "SOURCE/hparams.json: n_head is None, not a whole number above 0: get the file again"


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(entries, kind=0, pack=lambda data: data):
    """A block of a sorted table, by the published layout."""
    body = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in entries)
    stored = pack(body + struct.pack("<II", 0, 1)) + bytes([kind])
    return stored + struct.pack("<I", tensorflow.mask(tensorflow.crc32c(stored)))


def table(entries, **how):
    data = block(entries, **how)
    empty = block([])
    blocks = block([(b"~", varint(0) + varint(len(data) - 5))])
    place = len(data) + len(empty)
    handles = varint(len(data)) + varint(len(empty) - 5) + varint(place) + varint(len(blocks) - 5)
    return data + empty + blocks + handles.ljust(40, b"\0") + struct.pack("<Q", tensorflow.TABLE_MAGIC)


def snappy_literal(data):
    return varint(len(data)) + b"".join(
        bytes([len(part) - 1 << 2]) + part for part in (data[i : i + 60] for i in range(0, len(data), 60))
    )


def bundle(tmp_path, entry, header=b"\x08\x01", **how):
    index = tmp_path / "m.index"
    index.write_bytes(table([(b"", header), (b"model/wte", entry)], **how))
    (tmp_path / "m.data-00000-of-00001").write_bytes(np.arange(6, dtype="<f4").tobytes())
    return index


ENTRY = b"\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x03\x28\x18"  # float32, 2 x 3, 24 bytes


@pytest.mark.parametrize("how", [{}, {"kind": 1, "pack": snappy_literal}])
def test_a_bundle_by_the_published_layout_is_read_packed_or_not(tmp_path, how):
    got = tensorflow.read_bundle(bundle(tmp_path, ENTRY, **how))
    np.testing.assert_array_equal(got["model/wte"].read(), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x05\x10hello", b"hello"),
        (b"\x0b\x10hello\x09\x05", b"hellohelloh"[:11]),  # kind 1: length 4 + 2, offset 5
        (b"\x08\x00a\x1a\x01\x00", b"a" * 8),  # kind 2: length 7, offset 1: it reaches into itself
        (b"\x08\x00a\x1b\x01\x00\x00\x00", b"a" * 8),
        (b"\x46\xf0\x45" + b"x" * 70, b"x" * 70),  # a run whose length stands in the next byte
    ],
)
def test_snappys_runs_and_copies_are_unpacked(packed, plain):
    assert tensorflow.snappy(packed) == plain


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"\xff\xff\xff\xff\x0f\x00a", "absurdly large"),
        (b"\x05\x10hel", "cut off"),
        (b"\x05\x09\x05", "before the beginning"),
        (b"\x02\x00a\x1a\x01\x00", "cut off"),
    ],
)
def test_damaged_snappy_is_refused(packed, message):
    with pytest.raises(ValueError, match=message):
        tensorflow.snappy(packed)


@pytest.mark.parametrize(
    ("entry", "header", "message"),
    [
        (ENTRY + b"\x18\x01", b"\x08\x01", "a tensor lies in no shard, or in slices"),
        (ENTRY.replace(b"\x08\x03\x28", b"\x08\x04\x28"), b"\x08\x01", "a tensor's shape does not fit its size"),
        (ENTRY + b"\x20\x01", b"\x08\x01", "is torn: it ends before its tensors do"),
        (ENTRY, b"\x08\x01\x10\x01", "its numbers are big-endian"),
        (ENTRY[:-2], b"\x08\x01", "a tensor's shape does not fit its size"),
        (b"\x0b", b"\x08\x01", "a message has an unknown type of field"),
        (b"\x12\xff\x01a", b"\x08\x01", "a message is cut off"),
        (ENTRY, b"\x08\x02", "m.data-00000-of-00002 is missing"),
    ],
)
def test_entries_that_lie_are_refused(tmp_path, entry, header, message):
    index = bundle(tmp_path, entry, header)
    with pytest.raises(SheetGPTError, match=message):
        tensorflow.read_bundle(index)
