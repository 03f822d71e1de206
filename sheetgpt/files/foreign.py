"""What a file or folder is that is none of ours, by its first bytes and its names; and what makes ours of it.

Nothing is read beyond that: whether a checkpoint holds GPT-2 belongs in `convert`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

BEGINNING = 4096  # bytes
MANY = 200  # entries of a folder that are looked at
DEEPEST = 3  # folders in folders
UNPACK = "unpack it, then name what was in it"
GET_WEIGHTS = "get the model's model.safetensors"
LOADED = "load it with its own library, and save the model as safetensors"
NAME_FOLDER = "name the folder that holds the model"
CONVERT = "first `sheetgpt convert-weights {path} DEST`"
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # bytes that no text holds
OURS = ("model_wte.csv", "constants.csv")


@dataclass(frozen=True)
class Foreign:
    """What something is, as an error says it behind its name, and what to do. convertible: by `convert-weights`."""

    what: str
    remedy: str
    convertible: bool = False


# how a file begins -> what it is, what to do
STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, not the file that it stands for",
        "run `git lfs pull` in its folder, or download the file",
    ),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras and TensorFlow write it", f"{GET_WEIGHTS}, or {LOADED}"),
    (b"%PDF", "is a PDF", NAME_FOLDER),
    (b"MZ", "is a program for Windows", NAME_FOLDER),
    (b"\x7fELF", "is a program", NAME_FOLDER),
    (b"\x89PNG", "is an image (PNG)", NAME_FOLDER),
    (b"\xff\xd8\xff", "is an image (JPEG)", NAME_FOLDER),
    (b"GIF8", "is an image (GIF)", NAME_FOLDER),
    (b"\x1f\x8b", "is packed by gzip", UNPACK),
    (b"BZh", "is packed by bzip2", UNPACK),
    (b"\xfd7zXZ\0", "is packed by xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", UNPACK),
    (b"Rar!", "is a RAR archive", UNPACK),
    (b"\x93NUMPY", "is one array of NumPy", "write all matrices to one npz, by the names of the CSV folder"),
    (b"PAR1", "is a Parquet file", NAME_FOLDER),
    (b"ARROW1", "is an Arrow file", NAME_FOLDER),
    (b"SQLite format 3", "is a SQLite database", NAME_FOLDER),
    (b"\xd0\xcf\x11\xe0", "is a document of an old Office program", "save it as xlsx"),
    *(
        (magic, "is a GGML file, the format before GGUF", "convert the original model to GGUF, or name the original")
        for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg")
    ),
)
TORCHSCRIPT = Foreign(
    "is a TorchScript archive, a program with its weights",
    "save its weights alone: torch.save(torch.jit.load(FILE).state_dict(), 'model.pt')",
)
ADAPTER = Foreign(
    "is an adapter (LoRA), changes to a model and no model",
    "merge it into its model first: merge_and_unload() of peft, then save_pretrained()",
)
TOKENIZER = Foreign("holds a tokenizer and no weights", "name the folder or file that holds the weights")
SETTINGS = Foreign("holds settings and no weights", NAME_FOLDER)
TRAINING = Foreign(
    "holds the state of a training (optimizer, random numbers) and no weights", "name the folder that holds its model"
)
ONNX = Foreign("is an ONNX model", f"{GET_WEIGHTS}, from which it was exported")
TFLITE = Foreign("is a TFLite model", f"{GET_WEIGHTS}, from which it was exported")
HTML = Foreign("is a web page (HTML), saved in place of the file", "download the file itself")
XML = Foreign("is a page (XML), saved in place of the file", "download the file itself")
SAVED_MODEL = Foreign("is a SavedModel of TensorFlow", f"{GET_WEIGHTS}, or {LOADED}")
FLAX = Foreign("is a Flax model (msgpack)", f"{GET_WEIGHTS}, or load it with from_flax=True and save_pretrained()")
# a file's name -> what it is, where its content doesn't tell
NAMES: tuple[tuple[str, Foreign], ...] = (
    (r"adapter_(model|config)\.\w+", ADAPTER),
    (r"(tokenizer(_config)?|vocab|encoder|added_tokens|special_tokens_map)\.json|merges\.txt|vocab\.bpe", TOKENIZER),
    (r"[\w.-]+\.index\.json", Foreign("is an index of weights", "name the folder that holds the files it names")),
    (r"(optimizer|scheduler|rng_state\w*|scaler|training_args)\.(pt|pth|bin)|trainer_state\.json", TRAINING),
    (r"[\w.-]+\.json", SETTINGS),
    (r"[\w.-]+\.onnx(_data)?", ONNX),
    (r"saved_model\.pb|[\w.-]+\.pb", SAVED_MODEL),
    (r"[\w.-]+\.msgpack", FLAX),
    (
        r"[\w.-]+\.data-\d+-of-\d+",
        Foreign("is one part of a TensorFlow checkpoint", "name its folder, or the file that ends in .index"),
    ),
    (r"[\w.-]+\.meta", Foreign("is the graph of a TensorFlow checkpoint", "name its folder")),
    (r"[\w.-]+\.(csv|tsv)", Foreign("is a table, and a model is a folder of such", "name the folder")),
    (r"[\w.-]+\.(txt|md|py|ipynb|log|ya?ml|toml)", Foreign("is a text and no model", NAME_FOLDER)),
)


def of_path(path: Path) -> Foreign | None:
    """What a file or folder is; None where it is nothing known, or ours."""
    try:
        return of_folder(path) if path.is_dir() else of_file(path) if path.is_file() else None
    except OSError:
        return None


# ------------------------------------------------------------------------------------------------ files


def of_file(path: Path) -> Foreign | None:
    start = beginning(path)
    return of_start(start, path) or of_zip(path) or of_checkpoint(start, path) or of_name(path.name, start)


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGINNING)


def of_start(start: bytes, path: Path) -> Foreign | None:
    """By the first bytes alone: what no name can contradict."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    is_onnx = start[:1] == b"\x08" and (b"pytorch" in start[:64] or b"onnx" in start[:256] or path.suffix == ".onnx")
    kinds = (
        (text.startswith((b"<!doctype html", b"<html", b"<head")), HTML),
        (text.startswith(b"<?xml"), XML),
        (start[257:262] == b"ustar", Foreign("is a tar archive", UNPACK)),
        (start[4:8] == b"TFL3", TFLITE),
        (is_onnx, ONNX),
        *((start.startswith(magic), Foreign(what, remedy)) for magic, what, remedy in STARTS),
    )
    return next((found for fits, found in kinds if fits), None)


def of_zip(path: Path) -> Foreign | None:
    names = names_in_zip(path)
    return None if names is None else of_names_in_zip(names, path)


def of_names_in_zip(names: list[str], path: Path) -> Foreign:
    files = {PurePosixPath(name).name for name in names}
    if "data.pkl" in files:
        return TORCHSCRIPT if is_torchscript(names) else convertible("is a PyTorch file", path)
    if "model_wte.csv" in files:
        return convertible("is a zip of a CSV folder", path)
    if "[Content_Types].xml" in files or "mimetype" in files:
        kinds = {"xl": "an Excel workbook", "word": "a Word document", "ppt": "a PowerPoint presentation"}
        found = [what for folder, what in kinds.items() if any(name.startswith(f"{folder}/") for name in names)]
        remedy = "name the folder that holds the weights"
        if found[:1] == [kinds["xl"]]:
            remedy += ", or convert weights in its cells: sheetgpt convert-weights BOOK.xlsx DEST --map WEIGHTS.csv"
        return Foreign(f"is {found[0] if found else 'an Office document'}", remedy)
    if any(name.endswith(".weights.h5") for name in files):
        return Foreign("is a Keras model", f"{GET_WEIGHTS}, or {LOADED}")
    if files and all(name.endswith(".npy") for name in files):
        return convertible("is an npz", path)
    inside = next(iter(sorted(files)), None)
    return Foreign(f"is a zip{f' of other things, such as {inside}' if inside else ', and empty'}", UNPACK)


def is_torchscript(names: Iterable[str]) -> bool:
    """Do these names in a PyTorch file belong to a program?"""
    return any(re.match(r"[^/]+/code/", name) for name in names)


def names_in_zip(path: Path) -> list[str] | None:
    """The names of the files in a zip, with their folders; None where it is no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None


def of_checkpoint(start: bytes, path: Path) -> Foreign | None:
    """Files that `convert-weights` reads, and other pickles."""
    if start.startswith(b"GGUF"):
        return convertible("is a GGUF file", path)
    if re.fullmatch(r"adapter_model\.\w+", path.name):
        return ADAPTER
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return convertible("is a safetensors file", path)
    if start.startswith(b"\x80") and b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" in start[:32]:
        return convertible("is a PyTorch file", path)
    if re.match(rb"\x80[\x02-\x05]", start) and path.suffix != ".msgpack":
        remedy = "save the model's tensors by torch.save or as safetensors"
        return Foreign("is a pickle of other things than PyTorch's", remedy)
    return None


def of_name(name: str, start: bytes = b"") -> Foreign | None:
    """By a name that programs give such files; a text that has none of these is a text all the same."""
    for pattern, found in NAMES:
        if re.fullmatch(pattern, name):
            return found
    return None if CONTROL.search(start) or not is_text(start) else Foreign("is a text and no model", NAME_FOLDER)


def is_text(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return len(start) == BEGINNING and error.start > len(start) - 4
    return bool(start)


def convertible(what: str, path: Path) -> Foreign:
    return Foreign(what, CONVERT.format(path=path), convertible=True)


# ------------------------------------------------------------------------------------------------ folders


def of_folder(folder: Path) -> Foreign | None:
    """By the names of its files, then by what lies in the folders in it."""
    names = {path.name for path, _ in zip(sorted(folder.iterdir()), range(MANY), strict=False)}
    if any(name in names for name in OURS):
        return None
    for found in (*of_names(folder, names), *of_children(folder)):
        return found
    return None


def of_names(folder: Path, names: set[str]) -> Iterator[Foreign]:
    def matching(pattern: str) -> list[str]:
        return sorted(name for name in names if re.fullmatch(pattern, name))

    if matching(r"adapter_(model|config)\.\w+") and not matching(r"(pytorch_)?model[\w.-]*\.(safetensors|bin)"):
        yield ADAPTER
    if "manifest.json" in names and matching(r"block_\d+_step_\d+.*\.csv|final_tokens\.csv"):
        yield Foreign("is the dump of a run", "name the folder of the weights that it was run with")
    if "config.json" in names and matching(r"(pytorch_)?model[\w.-]*\.(safetensors|bin)(\.index\.json)?"):
        yield convertible("is a Hugging Face folder", folder)
    if matching(r"ckpt\.pt|model\.pt"):
        yield convertible("holds a PyTorch checkpoint", folder)
    if matching(r".*\.index"):
        yield convertible("is a TensorFlow checkpoint", folder)
    for what, pattern in (
        ("a GGUF file", r".*\.gguf"),
        ("a safetensors file", r".*\.safetensors"),
        ("a PyTorch file", r"(?!optimizer|scheduler|rng_state|scaler|training_args).*\.(pt|pth|ckpt|bin)"),
        ("an npz", r".*\.npz"),
    ):
        if found := matching(pattern):
            yield Foreign(f"holds {what}", f"name the file: {folder / found[0]}", convertible=True)
    yield from of_other_names(matching)


def of_other_names(matching: Callable[[str], list[str]]) -> Iterator[Foreign]:
    if matching(r"saved_model\.pb"):
        yield SAVED_MODEL
    for what, pattern in (
        ("a Keras or TensorFlow model (HDF5)", r".*\.h5|.*\.keras"),
        ("a Flax model", r".*\.msgpack"),
        ("an ONNX model", r".*\.onnx"),
        ("a TFLite model", r".*\.tflite"),
    ):
        if matching(pattern):
            yield Foreign(f"holds {what}", GET_WEIGHTS)
    if matching(r".*\.index\.json"):
        yield Foreign("holds an index of weights, and not the files that it names", "get these files too")
    if matching(r"(optimizer|scheduler|rng_state\w*|scaler|training_args)\.(pt|pth|bin)|trainer_state\.json"):
        yield TRAINING
    if matching(r"(tokenizer|vocab|encoder)\.json|vocab_bpe\.csv|tokenizer\.model"):
        yield TOKENIZER
    if matching("config.json"):
        yield SETTINGS
    if matching(r".*\.csv"):
        yield Foreign("holds CSVs, and none of them is a model's token embeddings, model_wte.csv", NAME_FOLDER)
    packed = matching(r".*\.(zip|tar|tgz|gz|bz2|xz|zst|7z|rar)")
    if packed:
        yield Foreign(f"holds {packed[0]}, which is packed", UNPACK)


def of_children(folder: Path, depth: int = 1) -> Iterator[Foreign]:
    """Where a folder in it holds a model: that folder."""
    children = [path for path in sorted(folder.iterdir())[:MANY] if path.is_dir()]
    for child in children:
        if any((child / name).is_file() for name in OURS):
            yield Foreign("holds a folder with a model", f"name that folder: {child}", convertible=True)
        names = {path.name for path in list(child.iterdir())[:MANY]}
        if any(found.convertible for found in of_names(child, names)):
            yield Foreign("holds a folder with a model", f"name that folder: {child}", convertible=True)
    if depth < DEEPEST:
        for child in children:
            yield from of_children(child, depth + 1)
