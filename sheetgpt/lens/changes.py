"""What follows from a changed stage of a run, in which others may have been set: those stay as they were set.

Which stage a lens changes, and to what, belongs in `ablation` and `patching`.
"""

from __future__ import annotations

from collections import ChainMap

import numpy as np

from sheetgpt.models.step import Role, Step
from sheetgpt.run.follow import follow
from sheetgpt.run.forward import Matrices
from sheetgpt.run.trace import Trace


def weights_of(trace: Trace) -> Matrices:
    """The weights that the run computed with: the model's, save for those that were set."""
    weights: Matrices = trace.weights or {}
    set_ones = {name: matrix for name, matrix in trace.overrides.items() if name in weights}
    return ChainMap(set_ones, weights) if set_ones else weights  # type: ignore[arg-type] # it is only read


def unset_steps(trace: Trace) -> list[Step]:
    """The steps that the run computed."""
    return [step for step in trace.steps if step.name not in trace.overrides]


def logits_after(trace: Trace, stage: str, runs: np.ndarray) -> np.ndarray:  # [B, rows, columns] -> [B, n_vocab, 1]
    """The logits that follow from each of these matrices of a stage."""
    logits = trace.steps.name(Role.LOGITS)
    made = follow(unset_steps(trace), weights_of(trace), trace.arrays, {stage: runs}, (logits,), trace.dtype)[logits]
    return np.broadcast_to(made, (len(runs), *made.shape[-2:]))  # one for all where a stage on the way was set
