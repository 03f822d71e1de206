"""A run on the spot as a side: typed as `run:PROMPT` or, from token ids, as `run-ids:3,1,2`; a trace in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from sheetgpt.diff.sides.side import Held, Options, Side
from sheetgpt.diff.texts import Table
from sheetgpt.dump import manifest
from sheetgpt.errors import PromptError
from sheetgpt.models.kinds import Known, weights_of
from sheetgpt.run.trace import Trace

RUN, RUN_IDS = "run:", "run-ids:"
LONGEST_ID = 18  # digits: more than any table needs
NO_WEIGHTS: Mapping[str, np.ndarray] = {}


class RunSide(Side):
    """A run's trace. Its weights, [rows, columns] each by name, are there too, for a side that holds some."""

    def __init__(self, trace: Trace, weights: Mapping[str, np.ndarray] | None = None, label: str = "run"):
        known = Known(dict(trace.steps.by_name), weights_of(trace.config, untied=True))
        super().__init__(label, [name for name in trace if is_table(trace, name)], known, manifest(trace))
        self.trace, self._weights = trace, NO_WEIGHTS if weights is None else weights

    @classmethod
    def recognises(cls, text: str) -> bool:
        return text.startswith((RUN, RUN_IDS))

    @classmethod
    def open(cls, text: str, options: Options) -> Self:
        from sheetgpt.model import load_model

        ids = ids_in(text) if text.startswith(RUN_IDS) else None
        model = load_model(options.weights, options.dtype)
        trace = model.run(text.removeprefix(RUN)) if ids is None else model.run(token_ids=ids)
        return cls(trace, model.weights, text)

    def has(self, name: str) -> bool:
        return name in self.names or name in self._weights

    def read(self, name: str) -> Held:
        array = self._weights[name] if name in self._weights else self.trace.array(name)
        return Held(array.astype(np.float64, copy=False), lambda row, column: f"{name}[{row},{column}]", blanks=False)

    def table(self, name: str) -> Table:
        return self.trace.text_table(name)


def ids_in(text: str, prefix: str = RUN_IDS) -> list[int]:
    """The token ids of a side that is typed as such. Raises PromptError.

    >>> ids_in("run-ids:3,1, 2")
    [3, 1, 2]
    """
    parts = text.removeprefix(prefix).replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) <= LONGEST_ID for part in parts):
        raise PromptError(f"takes whole numbers such as {prefix}3,1,2, not {text!r}", where=prefix)
    return [int(part) for part in parts]


def is_table(trace: Trace, name: str) -> bool:
    return trace.step(name).is_text or trace.array(name).ndim == 2
