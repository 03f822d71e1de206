"""A published checkpoint becomes a CSV folder.

Here: which module reads a source, and how a folder is written so that an interruption leaves none that looks whole.
Each kind of source is the business of its own module; the way back, to safetensors, is `export`'s.
"""

from __future__ import annotations

import re
from pathlib import Path

from sheetgpt.bpe_tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.config import CONSTANTS_FILE
from sheetgpt.convert.checkpoint import Checkpoint
from sheetgpt.errors import ConvertError
from sheetgpt.unfinished import UNFINISHED, read_journal, unfinished
from sheetgpt.weights import WTE, Progress

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
KINDS = (
    "a hub id (openai-community/gpt2), a Hugging Face folder, a nanoGPT or minGPT checkpoint, OpenAI's download, "
    "a GGUF file, a CSV folder or its zip, or an npz"
)


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
    from sheetgpt.convert import huggingface, torch_checkpoint

    for name in torch_checkpoint.CHECKPOINTS:  # minGPT writes a config.json of its own beside it
        if (folder / name).is_file():
            return torch_checkpoint.open_file(folder / name, n_head)
    if (folder / huggingface.CONFIG).exists():
        return huggingface.open_folder(folder)
    raise ConvertError(f"{folder} holds nothing that can be converted: name {KINDS}")


def open_file(file: Path, n_head: int | None) -> Checkpoint:
    from sheetgpt.convert import pickled, torch_checkpoint

    with file.open("rb") as opened:
        start = opened.read(16)
    if start.startswith((b"PK", pickled.LEGACY_START)):
        return torch_checkpoint.open_file(file, n_head)
    raise ConvertError(f"{file} is nothing that can be converted: name {KINDS}")


def write(checkpoint: Checkpoint, folder: Path, *, force: bool = False, progress: Progress | None = None) -> None:
    """Write the CSV folder; where the same was interrupted before, go on. `progress` is told of numbers.

    Raises ConvertError where the folder holds another model, unless `force`.
    """
    require_room(folder, checkpoint.origin, force=force)
    with unfinished(folder, checkpoint.origin) as journal:
        for name in (MERGES_FILE, TOKENS_FILE):
            (folder / name).unlink(missing_ok=True)
        if checkpoint.tokenizer:
            checkpoint.write_tables(folder)
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
