"""A run on the spot as a side: a prompt typed as `run:PROMPT`, or a trace in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from sheetgpt.diff.sides.side import Held, Options, Side
from sheetgpt.diff.texts import Table
from sheetgpt.dump import manifest
from sheetgpt.models.kinds import Known, weights_of
from sheetgpt.run.trace import Trace

RUN = "run:"
NO_WEIGHTS: Mapping[str, np.ndarray] = {}


class RunSide(Side):
    """A run's trace. Its weights are there too, for a side that holds some."""

    def __init__(self, trace: Trace, weights: Mapping[str, np.ndarray] | None = None, label: str = "run"):
        known = Known(dict(trace.steps.by_name), weights_of(trace.config, untied=True))
        super().__init__(label, [name for name in trace if is_table(trace, name)], known, manifest(trace))
        self.trace, self._weights = trace, NO_WEIGHTS if weights is None else weights

    @classmethod
    def recognises(cls, text: str) -> bool:
        return text.startswith(RUN)

    @classmethod
    def open(cls, text: str, options: Options) -> Self:
        from sheetgpt.model import load_model

        model = load_model(options.weights, options.dtype)
        return cls(model.run(text.removeprefix(RUN)), model.weights, text)

    def has(self, name: str) -> bool:
        return name in self.names or name in self._weights

    def read(self, name: str) -> Held:
        array = self._weights[name] if name in self._weights else self.trace.array(name)
        return Held(array.astype(np.float64), lambda row, column: f"{name}[{row},{column}]")

    def table(self, name: str) -> Table:
        return self.trace.text_table(name)


def is_table(trace: Trace, name: str) -> bool:
    return trace.step(name).is_text or trace.array(name).ndim == 2
