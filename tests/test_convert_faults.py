"""Checkpoints that are malicious, torn or not GPT-2: refused in one line, and nothing is run."""

import collections
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from checkpoints import CONFIG, contents, linear_tensors, write_csvs, write_settings
from conftest import require
from models import SMALL, random_matrices
from sheetgpt.convert import csvs, open_source, pickled, tensorflow, write
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights
from test_convert_sources import MODEL_ARGS, csv_zip, gguf, nanogpt, npz, openai

MATRICES = random_matrices(CONFIG)


def fault(source, **options):
    with pytest.raises(SheetGPTError) as error:
        open_source(str(source), **options)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(source), "SOURCE")


def write_fault(source, folder):
    with pytest.raises(SheetGPTError) as error:
        write(open_source(str(source)), folder)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(source), "SOURCE")


# pickles


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def torch_zip(file, data, **entries):
    """A file in PyTorch's zip format with any pickle in it."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return file


@pytest.mark.parametrize("where", ["ckpt.pt", "hf/pytorch_model.bin", "legacy.pt"])
def test_a_malicious_pickle_is_refused_and_nothing_is_run(tmp_path, where):
    loot = tmp_path / "loot"
    evil = pickle.dumps({"model": Evil(f"touch {loot}")}, protocol=2)
    file = tmp_path / where
    if where == "legacy.pt":
        file.write_bytes(pickled.LEGACY_START + b"." + evil * 4)
    elif where == "ckpt.pt":
        torch_zip(file, evil)
    else:
        write_settings(file.parent)
        torch_zip(file, evil)
    source = file.parent if where.startswith("hf") else file
    message = fault(source).replace(f"SOURCE/{file.name}", "SOURCE")
    assert message == (
        f"SOURCE asks to run {os.system.__module__}.system, no part of a model's weights: nothing was run; "
        "get the model as safetensors, from a source you trust"
    )
    assert not loot.exists()
    pickle.loads(evil)
    assert loot.exists()  # it would have


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.__init__"),
        ("sheetgpt.convert.pickled", "load"),
        ("numpy", "load"),
        ("torch", "FloatStorage.__class__"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_no_other_name_is_known(tmp_path, module, name, protocol):
    if protocol == 2:
        code = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R."
    else:
        code = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(s)]) + s.encode() for s in (module, name)) + b"\x93)R."
    assert f"asks to run {module}.{name}, no part of a model's weights" in fault(torch_zip(tmp_path / "m.pt", code))


def test_a_settings_class_is_never_its_own(tmp_path):
    """Names of settings classes give an object that does nothing, whatever module they name."""
    code = b"\x80\x02cos\nNamespace\n)\x81}X\x06\x00\x00\x00n_headK\x05sb."
    loaded = pickled.load(torch_zip(tmp_path / "m.pt", code))
    assert type(loaded) is pickled.Record
    assert loaded.n_head == 5


def storage(count, kind="FloatStorage", key="0"):
    key_code = b"X" + struct.pack("<I", len(key)) + key.encode()
    kind_code = b"ctorch\n" + kind.encode() + b"\n"
    return (
        b"(X\x07\x00\x00\x00storage"
        + kind_code
        + key_code
        + b"X\x03\x00\x00\x00cpuJ"
        + struct.pack("<i", count)
        + b"tQ"
    )


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(start, shape, strides, **of_storage):
    shape_code, strides_code = (b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (shape, strides))
    given = storage(of_storage.pop("count", 16), **of_storage) + number(start) + shape_code + strides_code + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + given + b"tR"


def state(code):
    return b"\x80\x02}X\x01\x00\x00\x00w" + code + b"s."


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (tensor(0, (4, 4), (4, 1)), None),
        (tensor(0, (4, 4), (1, 4)), None),
        (tensor(12, (2, 2), (2, 1)), None),
        (tensor(0, (5, 4), (4, 1)), "a tensor lies outside its storage"),
        (tensor(16, (1,), (1,)), "a tensor lies outside its storage"),
        (tensor(0, (1 << 40, 1 << 40), (0, 0)), "is 1099511627776 x 1099511627776"),
        (tensor(0, (4, 4), (1 << 60, 1)), "a tensor lies outside its storage"),
        (tensor(-4, (2, 2), (2, 1)), "a tensor is damaged: get it again"),
        (tensor(0, (2, 2), (-2, 1)), "a tensor is damaged: get it again"),
        (tensor(0, (2, 2), (1,)), "a tensor is damaged: get it again"),
        (tensor(0, (4, 4), (4, 1), count=17), "a tensor is longer than its place in the file: get it again"),
        (tensor(0, (4, 4), (4, 1), count=-1), "a tensor lies outside its storage"),
        (tensor(0, (4, 4), (4, 1), key="1"), "is torn or damaged (KeyError): get it again"),
        (tensor(0, (4, 2), (2, 1), count=8, kind="LongStorage"), "holds whole numbers where weights should be"),
        (tensor(0, (4, 4), (4, 1), kind="ComplexFloatStorage"), "asks to run torch.ComplexFloatStorage"),
    ],
)
def test_a_tensor_never_reaches_out_of_its_storage(tmp_path, code, message):
    numbers = np.arange(16, dtype="<f4")
    file = torch_zip(tmp_path / "m.pt", state(code), **{"data/0": numbers.tobytes(), "secret": b"x" * 100})

    def read():
        got = pickled.read_tensors(file)["w"]
        if np.prod([float(size) for size in got.shape]) > 1e6:  # `gather` holds shapes against the constants first
            raise SheetGPTError(f"{file} is {' x '.join(map(str, got.shape))}")
        return got.read()

    if message is None:
        assert read().size in (4, 16)
        assert set(read().ravel()) <= set(numbers)
    else:
        with pytest.raises(SheetGPTError) as error:
            read()
        assert message in str(error.value)
        assert str(file) in str(error.value)


def test_a_tensor_cannot_be_changed_after_it_was_checked(tmp_path):
    change = b"}X\x07\x00\x00\x00strides" + number(-400) + b"\x85sb"
    file = torch_zip(tmp_path / "m.pt", state(tensor(0, (4,), (1,)) + change), **{"data/0": bytes(64)})
    assert fault(file) == "SOURCE: it changes an object that is no plain data: get it again"


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02(((((((",
        b"\x80\x02\x8d" + struct.pack("<Q", 1 << 62) + b"x.",  # a text longer than any memory
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b".",
        b"\x80\x02Nr\xff\xff\xff\xff.",  # a place far out in the reader's memory
        b"\x80\x02]" + b"q\x00h\x00a" * 3 + b".",
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02K\x01K\x02R.",
        b"garbage",
    ],
)
def test_a_damaged_pickle_is_one_line(tmp_path, code):
    assert fault(torch_zip(tmp_path / "m.pt", code)).startswith("SOURCE")


def test_a_compressed_or_headless_zip_is_refused(tmp_path):
    file = tmp_path / "m.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    assert fault(file) == "SOURCE: it is compressed or absurdly large, as PyTorch never writes it: get it again"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", state(tensor(0, (2,), (1,))))
        archive.writestr("a/byteorder", "big")
    assert fault(file) == "SOURCE: its numbers are big-endian; save it on another machine: get it again"


def test_a_file_of_other_things_is_refused(tmp_path):
    assert fault(torch_zip(tmp_path / "m.pt", pickle.dumps([1, 2], 2))) == (
        "SOURCE holds no tensors by name, so it is no checkpoint of nanoGPT or minGPT: name another file"
    )
    ordered = pickle.dumps(collections.OrderedDict(a=1), 2)
    assert "holds no tensors by name" in fault(torch_zip(tmp_path / "m.pt", ordered))
    write_settings(tmp_path / "hf")
    torch_zip(tmp_path / "hf" / "pytorch_model.bin", ordered)
    assert fault(tmp_path / "hf") == (
        "SOURCE/pytorch_model.bin holds other things than tensors by name: get the model again"
    )


@pytest.mark.oracle
@pytest.mark.parametrize("legacy", [True, False])
def test_a_torn_pytorch_file_is_refused_wherever_it_ends(tmp_path, legacy):
    torch = require("torch", "oracle")
    folder = nanogpt(tmp_path / "source")
    if legacy:
        state = {name: torch.from_numpy(t) for name, t in linear_tensors(MATRICES).items()}
        checkpoint = {"model": state, "model_args": MODEL_ARGS}
        torch.save(checkpoint, folder / "ckpt.pt", _use_new_zipfile_serialization=False)
    data = (folder / "ckpt.pt").read_bytes()
    for keep in [*range(0, len(data), len(data) // 23), len(data) - 1]:
        (folder / "ckpt.pt").write_bytes(data[:keep])
        assert "SOURCE" in fault(folder / "ckpt.pt")


@pytest.mark.oracle
def test_heads_that_a_checkpoint_does_not_tell_are_asked_for(tmp_path):
    folder = nanogpt(tmp_path / "source", model_args={}, config={})
    message = "SOURCE/ckpt.pt does not tell how many heads its n_embd of 12 is split into: give --n-head N"
    assert fault(folder) == message
    assert open_source(str(folder), n_head=4).config.n_head == 4
    assert fault(folder, n_head=5) == "SOURCE/ckpt.pt: 5 heads do not divide its n_embd of 12: give another --n-head"


@pytest.mark.oracle
def test_a_checkpoint_without_biases_gets_zeros_and_a_padded_vocabulary_stays(tmp_path):
    torch = require("torch", "oracle")
    matrices = {name: m for name, m in MATRICES.items() if not name.endswith("_b")}
    matrices["model_wte"] = np.vstack([matrices["model_wte"], np.full((2, 12), 0.5, np.float32)])
    state = {name: torch.from_numpy(t) for name, t in linear_tensors(matrices).items()}
    folder = nanogpt(tmp_path / "source", model=state, model_args=MODEL_ARGS | {"bias": False, "vocab_size": 264})
    checkpoint = open_source(str(folder))
    assert any("2 of 264 ids have no token in vocab.json: padding" in remark for remark in checkpoint.remarks)
    assert any("nanoGPT computes GELU exactly" in remark for remark in checkpoint.remarks)
    config = Config(2, 3, 12, 16, 264)
    write(checkpoint, tmp_path / "csv")
    zeros = {name: np.zeros_like(m) for name, m in MATRICES.items() if name.endswith("_b")}
    write_weights(tmp_path / "expected", config, matrices | zeros)
    expected = contents(tmp_path / "expected")
    assert {name: data for name, data in contents(tmp_path / "csv").items() if "bpe" not in name} == expected


@pytest.mark.oracle
def test_an_untied_head_of_a_checkpoint_is_kept(tmp_path):
    torch = require("torch", "oracle")
    matrices = random_matrices(CONFIG, untied=True)
    state = {name: torch.from_numpy(t) for name, t in linear_tensors(matrices).items()}
    write(open_source(str(nanogpt(tmp_path / "source", model=state))), tmp_path / "csv")
    assert contents(tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", matrices))


# OpenAI's download


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


# GGUF


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "llama"}, "SOURCE: general.architecture is 'llama'; only 'gpt2' can be converted"),
        ({"inner": 40}, "SOURCE: gpt2.feed_forward_length is 40, and GPT-2 has 4 n_embd"),
        ({"epsilon": 1e-6}, "SOURCE: gpt2.attention.layer_norm_epsilon is 1e-06, and GPT-2 uses 1e-05"),
    ],
)
def test_gguf_that_is_not_gpt2_is_refused(tmp_path, changes, message):
    assert fault(gguf(tmp_path / "source", **changes)) == message


def test_gguf_with_another_tokenizer_runs_by_token_ids(tmp_path):
    checkpoint = open_source(str(gguf(tmp_path / "source", tokenizer="llama")))
    assert checkpoint.write_tables is None
    assert checkpoint.remarks == ["no byte-level BPE as GPT-2's in the file: the model runs by --token-ids"]


def test_a_torn_gguf_file_is_refused_wherever_it_ends(tmp_path):
    file = gguf(tmp_path / "source")
    data = file.read_bytes()
    for keep in [*range(4, len(data), len(data) // 29), len(data) - 1]:
        file.write_bytes(data[:keep])
        assert fault(file).startswith(("SOURCE is torn or no GGUF file (", "SOURCE is torn: it ends before"))


def gguf_header(n_tensors=0, settings=b"", n_settings=0):
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_settings) + settings + bytes(64)


KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    "data",
    [
        gguf_header(n_tensors=1 << 62),
        gguf_header(n_settings=1 << 62),
        gguf_header(settings=struct.pack("<Q", 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IQ", 8, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IIQ", 9, 0, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IIQ", 9, 8, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 40, n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 99), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 1 << 31), n_tensors=1),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    ],
)
def test_absurd_gguf_headers_are_refused_at_once(tmp_path, data):
    (tmp_path / "m.gguf").write_bytes(data)
    assert fault(tmp_path / "m.gguf").startswith("SOURCE is torn or no GGUF file (")


# npz


def npz_of(tmp_path, **arrays):
    np.savez(tmp_path / "m.npz", **arrays)
    return tmp_path / "m.npz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_wte": None}, "SOURCE lacks the matrix model_wte: an npz holds a model's matrices by our names"),
        ({"n_head": None}, "SOURCE does not tell how many heads its n_embd of 12 is split into: give --n-head N"),
        (
            {"model_h0_ln_1_g": None},
            "SOURCE lacks model_h0_ln_1_g: it is torn, or its configuration",
        ),
        ({"model_wpe": np.zeros((16, 12), int)}, "SOURCE: model_wpe.npy holds int64, not float16, float32, float64"),
        ({"model_wpe": np.zeros((16, 12), object)}, "SOURCE: model_wpe.npy "),
        ({"extra": np.zeros(3)}, "SOURCE holds 'extra', which GPT-2 does not have"),
        (
            {"model_ln_f_b": np.zeros(13)},
            "SOURCE: model_ln_f_b is 13, not 1 x 12: its configuration",
        ),
    ],
)
def test_an_npz_that_is_no_model_is_refused(tmp_path, changes, message):
    arrays = {**MATRICES, "n_head": 3} | changes
    assert message in fault(npz_of(tmp_path, **{name: array for name, array in arrays.items() if array is not None}))


def test_an_npz_without_heads_has_the_references(tmp_path):
    config = Config(1, 2, 128, 4, 8)
    assert open_source(str(npz_of(tmp_path, **random_matrices(config)))).config == config


def test_an_npz_of_half_precision_and_doubles_is_exact(tmp_path):
    mixed = {
        name: m.astype(np.float16) if name.endswith("_b") else m.astype(np.float64) / 3 for name, m in MATRICES.items()
    }
    write(open_source(str(npz_of(tmp_path, n_head=3, **mixed))), tmp_path / "csv")
    exact = {name: m.astype(np.float32) if name.endswith("_b") else m for name, m in mixed.items()}
    assert contents(tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", exact, tokenizer=False))


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 20), (3, 3)])
def test_an_absurd_shape_in_an_npz_is_refused_before_memory_is_reserved(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("model_wte.npy", header.getvalue() + bytes(16))
    assert "model_wte.npy is torn, or its header says an absurd shape" in fault(tmp_path / "m.npz")


def test_a_torn_npz_is_refused(tmp_path):
    file = npz(tmp_path / "source")
    data = file.read_bytes()
    for keep in (0, 3, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:keep])
        assert "SOURCE is torn or nothing that can be converted" in fault(file)
    file.write_bytes(data[:3000] + bytes(8) + data[3008:])
    assert "is damaged at model_" in write_fault(file, tmp_path / "csv")


# the reference's zip


def zip_of(tmp_path, entries):
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return tmp_path / "m.zip"


@pytest.mark.parametrize(
    "name", ["../evil.csv", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil", "a\\..\\..\\evil"]
)
def test_a_zip_with_a_path_outside_its_folder_is_refused(tmp_path, name):
    folder = write_csvs(tmp_path / "model", MATRICES)
    file = zip_of(tmp_path, [*contents(folder).items(), (name, "x")])
    with zipfile.ZipFile(file) as archive:
        assert name.replace("\\", "/") in [entry.filename.replace("\\", "/") for entry in archive.infolist()]
    assert "a path outside its folder: get it from a better source" in fault(file)


def test_a_zip_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csvs, "LARGE", 1 << 20)
    file = zip_of(tmp_path, [("model_wte.csv", b"0," * (1 << 22))])
    assert fault(file) == "SOURCE says that it unpacks to 0 GB: get it from a better source"


def test_files_in_a_zip_are_named_when_they_lack_or_are_wrong(tmp_path):
    files = contents(write_csvs(tmp_path / "model", MATRICES))
    without = [item for item in files.items() if item[0] != "model_h1_ln_2_b.csv"]
    assert fault(zip_of(tmp_path, without)) == "SOURCE lacks model_h1_ln_2_b.csv: get it again"
    twice = [*files.items(), ("other/model_wpe.csv", b"1\n")]
    assert fault(zip_of(tmp_path, twice)) == "SOURCE holds model_wpe.csv twice: get it from a better source"
    without = [item for item in files.items() if item[0] != "vocab_bpe.csv"]
    assert fault(zip_of(tmp_path, without)) == "SOURCE lacks vocab_bpe.csv: get it again"
    wrong = files | {"model_wpe.csv": b"1,2\n"}
    assert write_fault(zip_of(tmp_path, wrong.items()), tmp_path / "csv") == (
        "SOURCE/model_wpe.csv is 1 x 2, not 16 x 12: get it again"
    )
    wrong = files | {"model_wpe.csv": files["model_wpe.csv"][:-1] + b",x\n"}
    message = write_fault(zip_of(tmp_path, wrong.items()), tmp_path / "csv2")
    assert message.startswith("SOURCE/model_wpe.csv, row 16, column 13 holds 'x', which is no number")
    file = csv_zip(tmp_path / "source")
    data = bytearray(file.read_bytes())
    place = data.find(b"model_wte.csv", 200) + 400
    data[place : place + 8] = bytes(8)
    file.write_bytes(data)
    assert "is damaged or locked (" in write_fault(file, tmp_path / "csv3")


def test_the_references_zip_has_no_constants_and_gets_them(tmp_path):
    config = Config(n_layer=1, n_head=2, n_embd=128, n_ctx=4, n_vocab=6)
    matrices = random_matrices(config)
    write_weights(tmp_path / "model", config, matrices)
    expected = contents(tmp_path / "model")
    excel = {
        name: b"\xef\xbb\xbf" + data.replace(b"\n", b",\r\n")
        for name, data in expected.items()
        if name != "constants.csv"
    }
    checkpoint = open_source(str(zip_of(tmp_path, excel.items())))
    assert checkpoint.remarks == [
        "no token files: the model runs by --token-ids",
        "no constants.csv: told by the shapes, 2 heads of 64 as the reference has them",
    ]
    write(checkpoint, tmp_path / "csv")
    assert contents(tmp_path / "csv") == expected


def test_decimals_are_copied_as_they_stand(tmp_path):
    folder = write_csvs(tmp_path / "model", MATRICES)
    text = (folder / "model_wpe.csv").read_text()
    longer = "0.12345678901234567890123" + text[text.index(",") :]
    (folder / "model_wpe.csv").write_text(longer)
    write(open_source(str(folder)), tmp_path / "csv")
    assert (tmp_path / "csv" / "model_wpe.csv").read_text() == longer


# anything


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_nothing_known_is_refused(tmp_path, data):
    (tmp_path / "thing.bin").write_bytes(data)
    assert fault(tmp_path / "thing.bin").startswith("SOURCE ")


def test_a_folder_that_is_nothing_known_is_refused(tmp_path):
    assert fault(tmp_path).startswith(
        "SOURCE holds nothing that can be converted: name a hub id (openai-community/gpt2)"
    )


@pytest.mark.parametrize("source", ["./nothing/here/at all", "C:\\nothing", "a/b/c"])
def test_a_path_that_does_not_exist_is_told(source):
    assert fault(source).startswith("SOURCE does not exist: name a hub id (openai-community/gpt2)")


def test_a_source_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(self, *_args, **_options):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "m.npz").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    assert fault(tmp_path / "m.npz") == "SOURCE cannot be read: Permission denied"


def test_models_that_do_not_fit_their_constants_are_refused(tmp_path):
    write_weights(tmp_path / "model", SMALL, random_matrices(SMALL))
    (tmp_path / "model" / "constants.csv").write_text("n_layer,2\nn_head,3\nn_embd,12\nn_ctx,17\nn_vocab,40\n")
    assert "model_wpe.csv is 16 x 12, not 17 x 12: get it again" in write_fault(tmp_path / "model", tmp_path / "csv")
