"""A published checkpoint becomes a CSV folder.

Here: how a folder is written so that an interruption leaves none that looks whole. Which module reads a source is in
`sources`, what every source ends in is in `checkpoint`; the way back, to safetensors, is in `export`.
"""

from __future__ import annotations

import re
from pathlib import Path

from sheetgpt.bpe.added import ADDED_FILE
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE, read_tables
from sheetgpt.convert import workbook
from sheetgpt.convert.checkpoint import Checkpoint
from sheetgpt.convert.sources import CHOOSE, source_of
from sheetgpt.convert.tokens import Fault
from sheetgpt.errors import ConvertError
from sheetgpt.files.journal import UNFINISHED, read_journal, unfinished
from sheetgpt.models.config import CONSTANTS_FILE
from sheetgpt.models.gpt2 import WTE
from sheetgpt.weights.folder import named_folder
from sheetgpt.weights.progress import Progress

__all__ = ["convert", "open_source", "write"]

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def convert(
    source: str,
    folder: Path,
    *,
    revision: str | None = None,
    n_head: int | None = None,
    map_file: Path | None = None,
    tokenizer: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> Checkpoint:
    """Open a source and write it as a CSV folder; what was written. See `open_source` and `write`.

    Raises ConvertError where the source is none, is damaged or isn't safe to read, or is the destination.
    """
    path = named_folder(source)
    if folder.exists() and path.exists() and folder.samefile(path):
        what = "is source and destination at once"
        raise ConvertError(what, where=folder, remedy="name another folder")
    checkpoint = open_source(source, revision=revision, n_head=n_head, map_file=map_file, tokenizer=tokenizer)
    write(checkpoint, folder, force=force, progress=progress)
    return checkpoint


def open_source(
    source: str,
    *,
    revision: str | None = None,
    n_head: int | None = None,
    map_file: Path | None = None,
    tokenizer: bool = True,
) -> Checkpoint:
    """Find out what a source is, and open it; nothing but headers is read yet.

    revision: of a model on the hub. n_head: for checkpoints that don't say how many heads they have. map_file: where
    weights stand in a workbook. tokenizer: is the token table wanted? Raises ConvertError where no source is
    recognised, or it is damaged, no GPT-2, or not safe to read.
    """
    path = named_folder(source)
    if not path.is_dir() and not path.is_file():
        if not HUB_ID.fullmatch(source):
            raise ConvertError("does not exist", where=source, remedy=CHOOSE)
        from sheetgpt.convert import hub

        path = hub.download(source, revision)
    try:
        if map_file is not None:
            checkpoint = workbook.open_mapped(path, n_head, map_file)
        else:
            checkpoint = source_of(path).open(path, n_head)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise ConvertError(what, where=error.filename or path) from None
    if not tokenizer:
        checkpoint.write_tables = None
    elif isinstance(checkpoint.write_tables, Fault):
        raise checkpoint.write_tables.error
    return checkpoint


def write(checkpoint: Checkpoint, folder: Path, *, force: bool = False, progress: Progress | None = None) -> None:
    """Write the CSV folder; where the same was interrupted before, go on. `progress` counts numbers.

    Raises ConvertError where the folder holds another model, unless `force`.
    """
    require_room(folder, checkpoint.origin, force=force)
    with unfinished(folder, checkpoint.origin) as journal:
        for name in (MERGES_FILE, TOKENS_FILE, ADDED_FILE):
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
            what = "holds an unfinished model from another source"
            raise ConvertError(what, where=folder, remedy="give --force to replace it")
    elif any((folder / name).exists() for name in (f"{WTE}.csv", CONSTANTS_FILE, TOKENS_FILE)):
        remedy = "name another folder, or give --force to replace it"
        raise ConvertError("holds a model already", where=folder, remedy=remedy)
