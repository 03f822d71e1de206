"""A published checkpoint becomes a CSV folder.

Here: which module reads a source, and how a folder is written so that an interruption leaves none that looks whole.
Each kind of source is the business of its own module; the way back, to safetensors, is `export`'s.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE, read_tables
from sheetgpt.config import CONSTANTS_FILE
from sheetgpt.convert.checkpoint import Checkpoint
from sheetgpt.convert.gguf import MAGIC as GGUF_MAGIC
from sheetgpt.convert.pickled import LEGACY_START
from sheetgpt.errors import ConvertError
from sheetgpt.files.journal import UNFINISHED, read_journal, unfinished
from sheetgpt.weights import WTE, Progress

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
KINDS = (
    "a hub id (openai-community/gpt2), a Hugging Face folder, a nanoGPT or minGPT checkpoint, OpenAI's download, "
    "a GGUF file, a CSV folder or its zip, or an npz"
)


def convert(
    source: str,
    folder: Path,
    *,
    revision: str | None = None,
    n_head: int | None = None,
    tokenizer: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> Checkpoint:
    """Open a source and write it as a CSV folder; what was written. See `open_source` and `write`."""
    if folder.exists() and Path(source).exists() and folder.samefile(source):
        raise ConvertError(f"{folder} is source and destination at once: name another folder")
    checkpoint = open_source(source, revision=revision, n_head=n_head)
    if not tokenizer:
        checkpoint.write_tables = None
    write(checkpoint, folder, force=force, progress=progress)
    return checkpoint


def open_source(source: str, *, revision: str | None = None, n_head: int | None = None) -> Checkpoint:
    """Find out what a source is, and open it; nothing but headers is read yet.

    revision: of a model on the hub. n_head: for checkpoints that don't tell how many heads they have.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return open_folder(path, n_head)
        if path.is_file():
            return open_file(path, n_head)
    except OSError as error:
        raise ConvertError(f"{error.filename or path} cannot be read: {error.strerror or error}") from None
    if HUB_ID.fullmatch(source):
        from sheetgpt.convert import hub

        return open_folder(hub.download(source, revision), n_head)
    raise ConvertError(f"{source} does not exist: name {KINDS}")


def open_folder(folder: Path, n_head: int | None) -> Checkpoint:
    from sheetgpt.convert import csvs, huggingface, tensorflow, torch_checkpoint

    for name in torch_checkpoint.CHECKPOINTS:  # minGPT writes a config.json of its own beside it
        if (folder / name).is_file():
            return torch_checkpoint.open_file(folder / name, n_head)
    if (folder / huggingface.CONFIG).is_file():
        return huggingface.open_folder(folder)
    if (folder / f"{WTE}.csv").is_file():
        return csvs.open_folder(folder)
    index = tensorflow.index_in(folder)
    if index:
        return tensorflow.open_index(index)
    raise ConvertError(f"{folder} holds nothing that can be converted: name {KINDS}")


def open_file(file: Path, n_head: int | None) -> Checkpoint:
    from sheetgpt.convert import csvs, gguf, huggingface, npz, tensorflow, torch_checkpoint

    openers = {
        "gguf": lambda: gguf.open_file(file),
        "pickle": lambda: (
            huggingface.open_folder(file.parent)
            if file.name == huggingface.PICKLED and file.with_name(huggingface.CONFIG).is_file()
            else torch_checkpoint.open_file(file, n_head)
        ),
        "tensorflow": lambda: tensorflow.open_index(file),
        "safetensors": lambda: huggingface.open_folder(file.parent),
        "arrays": lambda: npz.open_file(file, n_head),
        "csv": lambda: csvs.open_zip(file),
    }
    kind = kind_of(file)
    if kind not in openers:
        raise ConvertError(f"{file} is torn or nothing that can be converted: name {KINDS}")
    return openers[kind]()


def kind_of(file: Path) -> str:
    """What a file is, told by its first bytes, by what a zip holds, or by its name."""
    with file.open("rb") as opened:
        start = opened.read(len(LEGACY_START))
    if start.startswith(GGUF_MAGIC):
        return "gguf"
    if start == LEGACY_START:
        return "pickle"
    try:
        with zipfile.ZipFile(file) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return {".index": "tensorflow", ".safetensors": "safetensors"}.get(file.suffix, "")
    if "data.pkl" in names:
        return "pickle"
    return "csv" if f"{WTE}.csv" in names else "arrays"


def write(checkpoint: Checkpoint, folder: Path, *, force: bool = False, progress: Progress | None = None) -> None:
    """Write the CSV folder; where the same was interrupted before, go on. `progress` is told of numbers.

    Raises ConvertError where the folder holds another model, unless `force`.
    """
    require_room(folder, checkpoint.origin, force=force)
    with unfinished(folder, checkpoint.origin) as journal:
        for name in (MERGES_FILE, TOKENS_FILE):
            (folder / name).unlink(missing_ok=True)
        if checkpoint.write_tables:
            checkpoint.write_tables(folder)
            read_tables(folder)  # refuses what no run could use
        checkpoint.write_matrices(folder, journal, progress)


def require_room(folder: Path, origin: str, *, force: bool) -> None:
    """Refuse a folder that holds another model, or the beginnings of one."""
    if force or not folder.is_dir():
        return
    if (folder / UNFINISHED).exists():
        if read_journal(folder)[0] != origin:
            raise ConvertError(f"{folder} holds an unfinished model from another source: give --force to replace it")
    elif (folder / f"{WTE}.csv").exists() or (folder / CONSTANTS_FILE).exists() or (folder / TOKENS_FILE).exists():
        raise ConvertError(f"{folder} holds a model already: name another folder, or give --force to replace it")
