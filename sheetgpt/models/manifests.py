"""What a manifest may say of a run: each part that is read, its type and its size. Anybody may have written it.

Reading and writing it belongs in `dump`. Parts that nobody reads may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sheetgpt.errors import WeightsError
from sheetgpt.models.config import TEXTS, Config
from sheetgpt.models.kinds import MOST_BLOCKS

LARGEST = 1 << 31  # of a size, an id or a count
NAME = re.compile(r"\w[\w.-]*")  # of a stage or matrix: a file's, never a path
LONGEST_NAME = 200

Fault = str  # what is wrong; empty where nothing is


def fault(about: Mapping[str, Any]) -> Fault:
    """What is wrong with a manifest.

    >>> fault({"dtype": "float32", "stages": [{"name": "logits", "shape": [4, "5"]}]})
    'its stages are none'
    """
    for key, is_sound in PARTS.items():
        if key in about and not is_sound(about[key]):
            return f"its {key} {'are' if key.endswith('s') else 'is'} none"
    return fault_of_constants(about.get("constants", {}))


def fault_of_constants(constants: Mapping[str, Any]) -> Fault:
    """What is wrong with the constants among them; where some are missing, they are not said."""
    names = Config.__dataclass_fields__
    for name, value in constants.items():
        if name in names and not (isinstance(value, str) if name in TEXTS else is_size(value) and value):
            return f"its constant {name} is {str(value)[:20]!r}"
    if constants.get("n_layer", 1) > MOST_BLOCKS:
        return f"it says {constants['n_layer']:,} blocks"
    if all(name in constants for name in names if name not in TEXTS):
        try:
            Config(**{name: value for name, value in constants.items() if name in names})
        except WeightsError as error:
            return error.what
    return ""


# ------------------------------------------------------------------------------------------------ kinds of parts


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME and NAME.fullmatch(value) is not None


def is_shape(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_size, value))


def is_token(value: object) -> bool:
    return isinstance(value, dict) and is_size(value.get("id")) and isinstance(value.get("token"), str)


def is_stage(value: object) -> bool:
    return isinstance(value, dict) and is_name(value.get("name")) and is_shape(value.get("shape"))


def is_number(value: object) -> bool:
    return type(value) in (int, float)


def is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def are(is_one: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(is_one, value))


def is_shapes_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_name, value)) and all(map(is_shape, value.values()))


PARTS: Mapping[str, Callable[[object], bool]] = {
    "prompt": is_text_or_none,
    "text": is_text_or_none,
    "tokens": are(is_token),
    "constants": is_mapping,
    "dtype": is_text,
    "names": is_text,
    "head_layout": is_text,
    "weights": is_text_or_none,
    "overridden": are(is_text),
    "stages": are(is_stage),
    "losses": are(is_number),
    "matrices": is_shapes_by_name,
}
