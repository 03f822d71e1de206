"""Ports as tests make them: how they compute, how they write their numbers, and what their rounding hides."""

from __future__ import annotations

import numpy as np

from sheetgpt.diff.sides import ArraysSide
from sheetgpt.run.forward import forward

UNSEEN = 20  # times what a printing's unit hides: mistakes that move a stage by less can't be told from rounding


def printed(form):
    """As a port prints its float32 numbers."""
    return lambda array: np.array([float(form % x) for x in array.ravel().tolist()]).reshape(array.shape)


# how a port computes: dtype, weights as float32; how it writes; what is seen
PORTS = {
    "float64": ("float64", False, lambda array: array),
    "JavaScript, float32 weights under double arithmetic": ("float64", True, lambda array: array),
    "float32": ("float32", False, lambda array: array),
    "%.9g": ("float32", False, printed("%.9g")),
    "%.8e": ("float32", False, printed("%.8e")),
    "%g": ("float32", False, printed("%g")),
    "%.6f": ("float32", False, printed("%.6f")),
    "3 decimals": ("float64", False, lambda array: np.round(array, 3)),
    "2 decimals": ("float64", False, lambda array: np.round(array, 2)),
}
UNITS = {"float64": 1e-12, "JavaScript, float32 weights under double arithmetic": 1e-12, "3 decimals": 1e-3,
         "2 decimals": 1e-2}  # fmt: skip
FLOAT32_UNIT = 5e-6


def arrays_of(good, model, steps, port):
    """The stages as numbers, as a port computes them."""
    dtype, is_single, _ = PORTS[port]
    weights = {
        name: model.weights[name].astype("float32" if is_single else dtype).astype(dtype) for name in model.weights
    }
    with np.errstate(all="ignore"):  # a port's NaN
        made = forward(steps, weights, good.steps.inputs(good.token_ids), dtype=dtype)
    return {name: array for name, array in made.items() if name in good.sizes.shapes}


def write(arrays, port, path, only=lambda _name: True):
    np.savez(path, **{name: PORTS[port][2](array) for name, array in arrays.items() if only(name)})
    return ArraysSide(path)
