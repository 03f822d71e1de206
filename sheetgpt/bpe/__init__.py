"""Text and tokens: byte-pair encoding by a merge table, every pass on record; learning the table."""

from typing import TYPE_CHECKING, Any

from sheetgpt.bpe.added import Added
from sheetgpt.bpe.tables import write_tables
from sheetgpt.bpe.tokenizer import END_OF_TEXT, MergeTrace, Tokenizer, merge_passes

if TYPE_CHECKING:
    from sheetgpt.bpe.learning import LearningPass as LearningPass
    from sheetgpt.bpe.learning import learn as learn

__all__ = [
    "END_OF_TEXT",
    "Added",
    "LearningPass",
    "MergeTrace",
    "Tokenizer",
    "learn",
    "merge_passes",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    """`learn` and its passes are imported when they are asked for: few commands learn a table."""
    if name in ("LearningPass", "learn"):
        from sheetgpt.bpe import learning

        return getattr(learning, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
