"""Files of named arrays with a manifest inside: .npz, .safetensors and .json, written whole and read with care.

Which arrays, their names and shapes are `fixtures`' business. In every format the manifest stands in the same file:
an .npz holds its JSON text as the array `manifest` (bytes), a .safetensors as metadata, a .json under the same key.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - an exception's name

import numpy as np

from sheetgpt import decimals
from sheetgpt.errors import DumpError

MANIFEST = "manifest"
DAMAGED = (  # an encrypted or unknown compression is a RuntimeError, an absurd shape a MemoryError
    *(OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, OverflowError, MemoryError),
    *(BadZipFile, ZlibError),
)
NOT_FINITE = {b"-inf": b'"-Infinity"', b"inf": b'"Infinity"', b"NaN": b'"NaN"'}  # JSON has no numbers for them
TORCH = "torch."  # how llm-viz begins a type's name


@dataclass(frozen=True)
class Arrays(Mapping):
    """A file's arrays by name, each read when it is asked for, and its manifest, empty where it has none."""

    path: Path
    readers: Mapping  # name -> a function that reads it
    manifest: Mapping

    def __iter__(self):
        return iter(self.readers)

    def __len__(self):
        return len(self.readers)

    def __contains__(self, name: object) -> bool:  # subtle: a mapping's own would read the array
        return name in self.readers

    def __getitem__(self, name: str) -> np.ndarray:
        """Raises DumpError where the array is damaged, holds no numbers, or is not what the manifest says it is."""
        about = next((about for about in self.manifest.get("arrays", ()) if about["name"] == name), None)
        try:
            array = np.asarray(self.readers[name]())
            typed = array.astype(about["dtype"], copy=False) if about else array  # JSON doesn't tell types
        except DAMAGED as error:
            raise DumpError(f"{self.path}, {name} is damaged ({one_line(error)}): write the file again") from None
        if typed.dtype.kind not in "fiub":
            raise DumpError(f"{self.path}, {name} holds {typed.dtype}, not numbers: write float32 or float64")
        if about and checksum(typed) != about["sha256"]:
            raise DumpError(
                f"{self.path}, {name} has changed since it was written: write it again, or drop the manifest"
            )
        return typed


def one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def checksum(array: np.ndarray) -> str:
    """SHA-256 of the numbers' bytes: little-endian, rows first."""
    return sha256(little_endian(array)).hexdigest()


def little_endian(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


# ------------------------------------------------------------------------------------------------ writing


def save(path: Path, arrays: Mapping[str, np.ndarray], manifest: Mapping, convention: str) -> Path:
    """Write a file, all or nothing, in the format of its suffix. Raises DumpError where it can't be."""
    write = FORMATS[require_suffix(path)][0]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file, arrays, manifest, convention)
        temporary.replace(path)
    except OSError as error:
        raise DumpError(f"can't write {path} ({error.strerror or error}): choose another file") from None
    finally:
        if temporary.exists():
            temporary.unlink()
    return path


def require_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DumpError(f"{path} ends in {suffix or 'nothing'}: fixtures are written as {', '.join(FORMATS)}")
    return suffix


def save_npz(file: BinaryIO, arrays, manifest, _convention) -> None:
    text = np.frombuffer(manifest_text(manifest), np.uint8)
    np.savez(file, **arrays, **{MANIFEST: text})


def save_safetensors(file: BinaryIO, arrays, manifest, _convention) -> None:
    from safetensors.numpy import save as as_bytes

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    file.write(as_bytes(contiguous, metadata={MANIFEST: manifest_text(manifest).decode()}))


def save_json(file: BinaryIO, arrays, manifest, convention) -> None:
    """Readable numbers, rows under each other; WebGPT's and llm-viz's own forms where their names are used."""
    about = dict(manifest)
    before, after = b"{\n", b"\n}\n"
    if convention == "webgpt":  # its reader wants a shape and numbers of every key
        about = {"shape": [0], "data": [], **about}
        before, after = b"[{\n", b"\n}]\n"
    file.write(before + json_key(MANIFEST) + manifest_text(about))
    if convention == "llm-viz":
        file.write(b",\n" + json_key("config") + json.dumps(llm_viz_config(manifest["constants"])).encode())
    file.writelines(b",\n" + json_key(name) + json_array(array, convention) for name, array in arrays.items())
    file.write(after)


def json_key(name: str) -> bytes:
    return json.dumps(name).encode() + b": "


def manifest_text(manifest: Mapping) -> bytes:
    """A line a key, and a line an item of its lists."""
    lines = []
    for name, value in manifest.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f" {json.dumps(name)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}").encode()


def json_array(array: np.ndarray, convention: str) -> bytes:
    shape = json.dumps(list(array.shape)).encode()
    if convention == "llm-viz":
        about = b'{"shape": %s, "dtype": "%s%s", "data": "%s"}'
        kind = array.dtype.name.encode()
        return about % (shape, TORCH.encode(), kind, base64.b64encode(little_endian(array)))
    numbers = json_numbers(array)
    return b'{"shape": %s, "data": %s}' % (shape, numbers) if convention == "webgpt" else numbers


def json_numbers(array: np.ndarray) -> bytes:
    """Nested lists of the shortest decimals.

    >>> json_numbers(np.float32([[0.1, -np.inf]]))
    b'[[0.1,"-Infinity"]]'
    """
    if array.dtype.kind != "f":
        return json.dumps(array.tolist()).encode()
    parts = decimals.to_lines(array.reshape(-1, array.shape[-1]), allow_nonfinite=True)
    if not np.isfinite(array).all():
        parts = [re.sub(rb"-?inf|NaN", lambda found: NOT_FINITE[found[0]], part) for part in parts]
    parts = [b"[%s]" % part for part in parts]
    for size in reversed(array.shape[:-1]):
        parts = [b"[%s]" % b",\n".join(parts[at : at + size]) for at in range(0, len(parts), size)]
    return parts[0]


def llm_viz_config(constants: Mapping) -> dict:
    """The constants as minGPT calls them, and the batch's size."""
    sizes = {
        "n_layer": "n_layer",
        "n_head": "n_head",
        "n_embd": "n_embd",
        "vocab_size": "n_vocab",
        "block_size": "n_ctx",
    }
    return {"model_type": "gpt2", **{theirs: constants[ours] for theirs, ours in sizes.items()}, "B": 1}


# ------------------------------------------------------------------------------------------------ reading


def load(path: Path) -> Arrays:
    """A file's arrays. Raises DumpError where it can't be read as what its suffix says."""
    read = FORMATS[require_suffix(path)][1]
    try:
        readers, manifest = read(path)
        require_manifest(manifest)
    except DAMAGED as error:
        raise DumpError(f"{path} can't be read as {path.suffix.lower()} ({one_line(error)}): write it again") from None
    except Exception as error:  # safetensors' own class is a plain Exception
        if type(error).__name__ != "SafetensorError":
            raise
        raise DumpError(f"{path} can't be read as .safetensors ({one_line(error)}): write it again") from None
    return Arrays(path, readers, manifest)


def require_manifest(manifest) -> None:
    """Raises ValueError where a file's manifest is not as we write it."""
    if not isinstance(manifest, dict) or (
        manifest and not all({"name", "dtype", "sha256"} <= set(about) for about in manifest.get("arrays", [{}]))
    ):
        raise ValueError("its manifest is none of ours")


def load_npz(path: Path) -> tuple[dict, dict]:
    with ZipFile(path):  # subtle: of a file that is no zip, numpy's own complaint leaves it open
        pass
    file = np.load(path, allow_pickle=False)
    names = list(file.files)
    manifest = {}
    if MANIFEST in names:
        names.remove(MANIFEST)
        manifest = json.loads(file[MANIFEST].tobytes())
    return {name: lambda name=name: file[name] for name in names}, manifest


def load_safetensors(path: Path) -> tuple[dict, dict]:
    from safetensors import safe_open

    file = safe_open(path, framework="numpy")
    manifest = json.loads((file.metadata() or {}).get(MANIFEST, "{}"))
    return {name: lambda name=name: file.get_tensor(name) for name in file.keys()}, manifest  # noqa: SIM118 - no mapping


def load_json(path: Path) -> tuple[dict, dict]:
    content = json.loads(path.read_bytes())
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        raise ValueError("it is no object of arrays by name")  # noqa: TRY004 - of a file's content
    manifest = content.pop(MANIFEST, {})
    held = {name: item for name, item in content.items() if isinstance(item, list) or is_tensor(item)}
    return {name: lambda item=item: array_of(item) for name, item in held.items()}, manifest


def is_tensor(item) -> bool:
    return isinstance(item, dict) and {"shape", "data"} <= set(item)


def array_of(item: list | dict) -> np.ndarray:
    """Nested lists, WebGPT's shape and numbers, or llm-viz's shape, type and base64. Raises ValueError."""
    if isinstance(item, list):
        return np.array(item, np.float64)
    if isinstance(item["data"], str):
        kind = np.dtype(str(item["dtype"]).removeprefix(TORCH)).newbyteorder("<")
        return np.frombuffer(base64.b64decode(item["data"], validate=True), kind).reshape(item["shape"])
    return np.array(item["data"], np.float64).reshape(item["shape"])


FORMATS = {
    ".npz": (save_npz, load_npz),
    ".safetensors": (save_safetensors, load_safetensors),
    ".json": (save_json, load_json),
}
