"""Two folders of many prompts' runs side by side: which prompts diverge, where first, and why.

Each prompt is compared as two single sides are, and what is said of it there is said of it here.
"""

from sheetgpt.diff.many.compare import Gathered, Outcome, Total, compare
from sheetgpt.diff.many.folders import Folder, is_many, open_folder

__all__ = ["Folder", "Gathered", "Outcome", "Total", "compare", "is_many", "open_folder"]
