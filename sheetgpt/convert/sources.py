"""Where a checkpoint may come from: one tuple; the first source that recognises a folder or file opens it.

What recognises and opens one stands in the module named after it. A model on the hub becomes a folder first, in `hub`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sheetgpt.convert import csvs, gguf, huggingface, npz, tensorflow, torch_checkpoint, workbook
from sheetgpt.convert.checkpoint import Checkpoint
from sheetgpt.convert.strangers import refuse_foreign
from sheetgpt.errors import ConvertError

__all__ = ["SOURCES", "Source", "source_of"]


@dataclass(frozen=True)
class Source:
    """One kind of checkpoint, a folder or a file."""

    what: str  #: its kind, in words
    #: is this folder or file one? Asks names and a file's first bytes, never its numbers
    recognises: Callable[[Path], bool]
    #: opens it; int: the number of heads, where the checkpoint doesn't hold it
    open: Callable[[Path, int | None], Checkpoint]


# subtle: the order decides. A GGUF file is one whatever its name, minGPT writes a `config.json` beside its checkpoint,
# and whatever zip no other source knows is taken for an npz
#: every kind of checkpoint; the first that recognises a folder or file opens it
SOURCES = (
    Source("a GGUF file", gguf.recognises, gguf.open_path),
    Source("a nanoGPT or minGPT checkpoint", torch_checkpoint.recognises, torch_checkpoint.open_path),
    Source("a Hugging Face folder", huggingface.recognises, huggingface.open_path),
    Source("a CSV folder or its zip", csvs.recognises, csvs.open_path),
    Source("OpenAI's download", tensorflow.recognises, tensorflow.open_path),
    Source("a workbook with its map", workbook.recognises, workbook.open_path),
    Source("an npz", npz.recognises, npz.open_path),
)
KINDS = ", ".join(["a hub id (openai-community/gpt2)", *(source.what for source in SOURCES[:-1])])
CHOOSE = f"name {KINDS}, or {SOURCES[-1].what}"


def source_of(path: Path) -> Source:
    """The source that recognises a folder or file. Raises ConvertError where none does."""
    for source in SOURCES:
        if source.recognises(path):
            return source
    refuse_foreign(path, unless_convertible=not path.is_dir())
    holds = "holds" if path.is_dir() else "is torn or"
    empty = "" if path.is_dir() or path.stat().st_size else "it is empty; "
    raise ConvertError(f"{holds} nothing that can be converted", where=path, remedy=f"{empty}{CHOOSE}")
