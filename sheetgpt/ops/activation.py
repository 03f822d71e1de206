"""What bends a hidden layer, cell by cell: GPT-2's GELU, and the plainer ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt, tanh

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    GradientReference,
    Gradients,
    InputFormulas,
    Op,
    Reference,
    Shape,
    Terms,
    in_one,
)
from sheetgpt.ops.terms import number, one

GELU_CUBIC = 0.044715  #: of x^3 in the tanh approximation of GELU (Hendrycks and Gimpel 2016), as GPT-2 has it
GELU_SLOPE = sqrt(2 / pi)  #: sqrt(2 / pi), in the same approximation
GELU_SLOPE_TEXT = "SQRT(2/PI())"


@dataclass(frozen=True)
class Gelu(Op):
    """GPT-2's activation, [..., T, n] -> the same: x times the normal distribution's cumulative function, approximated
    by tanh (Hendrycks and Gimpel 2016; PyTorch's `gelu(approximate="tanh")`).
    """

    def value(self, x: Array) -> Array:  # [..., T, n] -> [..., T, n]
        out = x * x
        out *= GELU_SLOPE * GELU_CUBIC
        out += GELU_SLOPE
        out *= x
        np.tanh(out, out=out)
        out += 1
        out *= x
        out *= 0.5
        return out

    def formula(self, x: Reference) -> str:
        return f"0.5*{x}*(1+{self.tanh_text(x)})"

    @staticmethod
    def tanh_text(x: Reference | GradientReference) -> str:
        """The tanh in the formula, of a whole matrix or of a part."""
        return f"TANH({GELU_SLOPE_TEXT}*({x}+{GELU_CUBIC}*{x}^3))"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        # in the forward pass this was 0.5 x (1 + t), t = tanh(u), u = GELU_SLOPE (x + GELU_CUBIC x^3)
        # so the slope is 0.5 (1 + t) (1 + x (1 - t) du), du = GELU_SLOPE (1 + 3 GELU_CUBIC x^2)
        slope = x * x
        slope *= GELU_SLOPE * GELU_CUBIC
        t = slope + GELU_SLOPE
        t *= x
        np.tanh(t, out=t)
        slope *= 3
        slope += GELU_SLOPE
        slope *= x
        slope -= slope * t
        slope += 1
        t += 1
        slope *= t
        slope *= 0.5
        slope *= d_out
        return (slope,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        t, du = self.tanh_text(x), f"{GELU_SLOPE_TEXT}*(1+3*{GELU_CUBIC}*{x}^2)"
        return [in_one(x, f"{d_out}*(0.5*(1+{t})+0.5*{x}*(1-{t}^2)*{du})")]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found = number(x, 0, *cell)
        cube = found.value * found.value * found.value  # subtle: ** raises where that is infinite
        t = tanh(GELU_SLOPE * (found.value + GELU_CUBIC * cube))
        formula = f"0.5 * {{x}} * (1 + tanh(sqrt(2 / pi) * ({{x}} + {GELU_CUBIC} * {{x}}^3)))"
        return Terms(0.5 * found.value * (1 + t), formula, {"x": found})

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        return one(*cell)


@dataclass(frozen=True)
class Relu(Op):
    """What is above 0 stays, all else becomes 0: [..., T, n] -> the same."""

    def value(self, x: Array) -> Array:  # [..., T, n] -> [..., T, n]
        return np.maximum(x, 0)

    def formula(self, x: Reference) -> str:
        return f"IF({x}>0,{x},0)"  # subtle: MAX would be one number for the whole matrix

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return (np.where(x > 0, d_out, 0),)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        return [in_one(x, f"IF({x}>0,{d_out},0)")]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found = number(x, 0, *cell)
        return Terms(max(found.value, 0), "max({x}, 0)", {"x": found})

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        return one(*cell)
