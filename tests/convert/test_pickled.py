"""Pickled files that are malicious or torn: refused in one line, and nothing is run."""

import collections
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from checkpoints import (
    MATRICES,
    MODEL_ARGS,
    fault,
    linear_tensors,
    nanogpt,
    write_fault,
    write_settings,
)
from conftest import require
from sheetgpt.convert import open_source, pickled, write
from sheetgpt.errors import SheetGPTError


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
        ("subprocess", "Popen"),
        ("code", "InteractiveInterpreter"),
        ("pathlib", "os"),
        ("numpy.random.mtrand", "seed"),
        ("transformers", "pipeline"),
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
    assert type(loaded) is pickled.Attributes
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
@pytest.mark.parametrize("place", [0, 0.4, 0.9999])
def test_numbers_that_do_not_fit_their_checksum_are_refused(tmp_path, place):
    file = nanogpt(tmp_path / "nano") / "ckpt.pt"
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        (entry,) = [one for one in archive.infolist() if one.filename.endswith("data/0")]
    names = struct.unpack("<HH", data[entry.header_offset + 26 : entry.header_offset + 30])
    begin = entry.header_offset + 30 + sum(names)
    data[begin + int(place * entry.file_size)] ^= 4
    file.write_bytes(data)
    assert write_fault(file, tmp_path / "dest") == (
        "SOURCE is damaged: a tensor's numbers don't fit their checksum: get it again"
    )


@pytest.mark.oracle
def test_a_checksum_that_was_left_out_is_none(tmp_path):
    file = nanogpt(tmp_path / "nano") / "ckpt.pt"
    data, at = bytearray(file.read_bytes()), 0
    with zipfile.ZipFile(file) as archive:
        numbers = [entry.CRC for entry in archive.infolist() if "/data/" in entry.filename]
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        if int.from_bytes(data[at + 16 : at + 20], "little") in numbers:
            data[at + 16 : at + 20] = bytes(4)
        at += 4
    file.write_bytes(data)
    write(open_source(str(file)), tmp_path / "dest")


@pytest.mark.oracle
@pytest.mark.parametrize(("at_byte", "value"), [(8, 9), (6, 137), (10, 99)])
def test_a_zip_with_parts_that_are_encrypted_or_of_an_unknown_kind_is_refused(tmp_path, at_byte, value):
    file = nanogpt(tmp_path / "nano") / "ckpt.pt"
    data, at = bytearray(file.read_bytes()), 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + at_byte] = value
        at += 4
    file.write_bytes(data)
    assert fault(file).startswith("SOURCE")


@pytest.mark.oracle
@pytest.mark.parametrize("times", [2, 10**6])
def test_a_tensor_whose_numbers_stand_for_more_is_refused(tmp_path, times):
    torch = require("torch", "oracle")
    file = nanogpt(tmp_path / "nano") / "ckpt.pt"
    state = torch.load(file, weights_only=False)
    name = next(name for name in state["model"] if name.endswith("wpe.weight"))
    state["model"][name] = torch.zeros(1, 12).expand(times, 12)
    torch.save(state, file)
    assert write_fault(file, tmp_path / "dest") == (
        "SOURCE holds a tensor with more numbers than are stored: save it again with contiguous tensors"
    )
