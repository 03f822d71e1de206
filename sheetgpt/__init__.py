"""GPT-2 as a spreadsheet.

>>> from sheetgpt import load_model
>>> trace = load_model().run("Mike is quick. He moves")
>>> trace["predicted_token"].iloc[2, 1]
' quickly'
"""

from sheetgpt.errors import SheetGPTError

__all__ = ["SheetGPTError", "load_model"]


def __getattr__(name):
    if name == "load_model":  # imported late: numpy would otherwise slow `sheetgpt --help`
        from sheetgpt.model import load_model

        return load_model
    raise AttributeError(f"module 'sheetgpt' has no attribute {name!r}")
