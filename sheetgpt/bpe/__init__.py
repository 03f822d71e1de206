"""Text and tokens: byte-pair encoding by a merge table, every pass on record; learning the table."""

from typing import TYPE_CHECKING, Any

from sheetgpt.bpe.tables import write_tables
from sheetgpt.bpe.tokenizer import END_OF_TEXT, MergeTrace, Tokenizer, merge_passes

if TYPE_CHECKING:
    from sheetgpt.bpe.learning import learn as learn

__all__ = ["END_OF_TEXT", "MergeTrace", "Tokenizer", "learn", "merge_passes", "write_tables"]


def __getattr__(name: str) -> Any:
    """`learn` is imported when it is asked for: few commands learn a table."""
    if name == "learn":
        from sheetgpt.bpe.learning import learn

        return learn
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
