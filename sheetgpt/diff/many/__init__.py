"""Two folders of many prompts' runs side by side: which prompts diverge, where first, and why.

Each prompt is compared as two single sides are, and what is said of it there is said of it here.
"""

from sheetgpt.diff.many.compare import Gathered, Outcome, compare
from sheetgpt.diff.many.folders import is_many, open_folder

__all__ = ["Gathered", "Outcome", "compare", "is_many", "open_folder"]
