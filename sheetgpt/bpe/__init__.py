"""Text and tokens: byte-pair encoding by a merge table, every pass on record; learning the table."""

from sheetgpt.bpe.learning import learn
from sheetgpt.bpe.tables import write_tables
from sheetgpt.bpe.tokenizer import END_OF_TEXT, MergeTrace, Tokenizer, merge_passes

__all__ = ["END_OF_TEXT", "MergeTrace", "Tokenizer", "learn", "merge_passes", "write_tables"]
