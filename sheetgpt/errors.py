"""What can be wrong with the input, each as one sentence that ends with the way out.

The command line prints the sentence and exits with 2; nothing here knows of click.
"""


class SheetGPTError(Exception):
    """Something is wrong with what the user gave; the message is one line and says what to do."""


class WeightsError(SheetGPTError):
    """A weight folder, or a file in it, is missing, torn, misshapen or not a number."""


class TextError(SheetGPTError):
    """A text file is missing, empty or not UTF-8."""


class TokenizerError(SheetGPTError):
    """A token table is damaged, or a text or id cannot be told in tokens."""


class PromptError(SheetGPTError):
    """A prompt is empty, too long, or holds ids that the model does not have."""


class StageError(SheetGPTError):
    """A stage's name, shape or cell address does not exist in this model or run."""


class ConvertError(SheetGPTError):
    """A checkpoint is not GPT-2, is damaged, or is not safe to read."""


class DumpError(SheetGPTError):
    """A workbook or dump folder cannot be written or read."""
