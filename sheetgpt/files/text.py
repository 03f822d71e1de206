"""Text from files and from standard input: UTF-8, character by character as it stands there.

Here too: lines, a number with its noun, whole numbers as a person types them, and what separates the cells of a CSV
that any program may have saved.
"""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import TextError

BYTE_ORDER_MARK = "\ufeff"
SEPARATORS = ",;\t"
STDIN = "-"  # as a file is typed


def separator_of(first_line: str) -> str:
    """What separates the cells of a CSV: the comma where it holds no other, as a comma may be a decimal one.

    >>> separator_of("0,5;1,25"), separator_of("name,value"), separator_of("1")
    (';', ',', ',')
    """
    return next((mark for mark in SEPARATORS[1:] if mark in first_line), SEPARATORS[0])


def counted(count: int, what: str) -> str:
    """A number with its noun.

    >>> counted(1, "prompt"), counted(1200, "prompt")
    ('1 prompt', '1,200 prompts')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def split_lines(text: str) -> list[str]:
    r"""The text between line ends of any kind; after a last one stands an empty line.

    >>> split_lines("a\r\n\nb\rc\n")
    ['a', '', 'b', 'c', '']
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def whole_numbers(text: str) -> list[int]:
    """Those between commas or spaces. Raises ValueError where something else stands there.

    >>> whole_numbers("3,1, 2")
    [3, 1, 2]
    """
    return [int(part) for part in text.replace(",", " ").split()]


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark. Raises TextError where it is missing or not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TextError(f"can't be read ({error.strerror})", where=path, remedy="give a text file") from None
    return decoded(data, str(path)).removeprefix(BYTE_ORDER_MARK)


def read_corpus(path: Path) -> str:
    """The text of a file to learn from. Raises TextError where it holds no text, too."""
    text = read_text(path)
    if not text.strip():
        raise TextError("is empty", where=path, remedy="give a text to learn from")
    return text


def decoded(data: bytes, name: str) -> str:
    """Bytes as text. Raises TextError that names the byte where they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TextError(f"is not UTF-8 at byte {error.start + 1}", where=name, remedy="convert it to UTF-8") from None
