"""Each prediction's penalty, from the scores or from the probabilities, given the token that came (`targets`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    Cells,
    GradientReference,
    Gradients,
    InputFormulas,
    Op,
    Piece,
    Reference,
    Shape,
    Terms,
    by_cells,
)
from sheetgpt.ops.terms import entry, number, one, softmax_terms


@dataclass(frozen=True)
class Penalty(Op):
    """What every penalty is: one number a prediction, and a way back to the probability of the token that came.

    That way is exp(-penalty), the inverse of the -ln by which all but the plainest penalty count. All take [...,
    n_vocab, R] and targets [..., R], and give [..., 1, R].
    """

    piece = Piece.COLUMN
    in_short: ClassVar[str] = "-ln p"  #: what it is of p, the probability of the token that came

    def probability(self, penalty: float) -> float:
        """The probability of the token that came, 0 to 1, that a penalty says."""
        return math.exp(-penalty)

    def probability_formula(self, penalty: str) -> str:
        """The same as a formula over the penalty's address."""
        return f"EXP(-{penalty})"

    def shape(self, x: Shape, targets: Shape) -> Shape:  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        """[..., n_vocab, R], [..., R] -> [..., 1, R]."""
        return *x[:-2], 1, x[-1]


def at_targets(x: Array, targets: Array) -> Array:  # [..., n_vocab, R], [..., R] -> [..., 1, R]
    return np.take_along_axis(x, targets[..., None, :], -2)


def spread_at_targets(d_out: Array, targets: Array, shape: Shape) -> Array:
    """Zeros but at each prediction's target: gradients [..., 1, R], targets [..., R] -> [..., n_vocab, R]."""
    spread = np.zeros(shape, d_out.dtype)
    np.put_along_axis(spread, targets[..., None, :], d_out, -2)
    return spread


def target(cell: Cell, targets: Array) -> tuple[Cells, ...]:
    """The target of a penalty, as what chooses its number."""
    found = entry(targets, 1, cell[1]).cells
    return (found,) if found else ()


@dataclass(frozen=True)
class LogLoss(Penalty):
    """-ln of the probability that the scores give to the token that came, in nats (PyTorch's `cross_entropy`): scores
    [..., n_vocab, R], targets [..., R] -> [..., 1, R].
    """

    def value(self, logits: Array, targets: Array) -> Array:  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        highest = logits.max(-2, keepdims=True)
        log_total = highest + np.log(np.exp(logits - highest).sum(-2, keepdims=True))
        return log_total - at_targets(logits, targets)

    def formula(self, logits: Reference, targets: Reference) -> str:
        column = logits.part
        return f"LN(SUM(EXP({column}-MAX({column}))))+MAX({column})-INDEX({column},{targets.part}+1)"

    def gradient(self, d_out: Array, out: Array, logits: Array, targets: Array) -> Gradients:
        # the penalty rises by each token's probability and falls by 1 for the token that came
        log_total = out + at_targets(logits, targets)
        d_logits = np.exp(logits - log_total)
        np.put_along_axis(d_logits, targets[..., None, :], at_targets(d_logits, targets) - 1, -2)
        d_logits *= d_out
        return d_logits, None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, logits: GradientReference, targets: GradientReference
    ) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            # the penalty is ln(sum of exp(logits)) - the target's logit, so this is the token's probability
            chosen = f"INDEX({logits.column(column)},{targets.cell(0, column)}+1)"
            probability = f"EXP({logits.cell(row, column)}-{out.cell(0, column)}-{chosen})"
            return f"{d_out.cell(0, column)}*({probability}-IF({targets.cell(0, column)}={row},1,0))"

        return [by_cells(logits, cell), None]

    def terms(self, cell: Cell, logits: Array, targets: Array) -> Terms:
        chosen, column = number(logits, 0, int(targets[cell[1]]), cell[1]), (0, cell[1], len(logits), 1)
        share = softmax_terms(chosen, logits, column)
        made, greatest = share.sum, share.numbers["greatest"]
        value = np.log(share.numbers["denominator"].value) + greatest.value - chosen.value
        numbers = {"chosen": chosen, "greatest": greatest}
        return Terms(float(value), "ln({sum}) + {greatest} - {chosen}", numbers, made, target(cell, targets), "chosen")

    def dependents(self, number: int, cell: Cell, logits: Array, targets: Array) -> list[Box]:
        return one(0, cell[1])


@dataclass(frozen=True)
class Missed(Penalty):
    """1 minus the probability of the token that came, the plainest penalty: probabilities [..., n_vocab, R], targets
    [..., R] -> [..., 1, R].
    """

    in_short = "1 - p"

    def value(self, probabilities: Array, targets: Array) -> Array:  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        return 1 - at_targets(probabilities, targets)

    def formula(self, probabilities: Reference, targets: Reference) -> str:
        return f"1-INDEX({probabilities.part},{targets.part}+1)"

    def gradient(self, d_out: Array, out: Array, probabilities: Array, targets: Array) -> Gradients:
        return spread_at_targets(-d_out, targets, probabilities.shape), None

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        probabilities: GradientReference,
        targets: GradientReference,
    ) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            return f"IF({targets.cell(0, column)}={row},-{d_out.cell(0, column)},0)"

        return [by_cells(probabilities, cell), None]

    def probability(self, penalty: float) -> float:
        return 1 - penalty

    def probability_formula(self, penalty: str) -> str:
        return f"1-{penalty}"

    def terms(self, cell: Cell, probabilities: Array, targets: Array) -> Terms:
        chosen = number(probabilities, 0, int(targets[cell[1]]), cell[1])
        return Terms(1 - chosen.value, "1 - {chosen}", {"chosen": chosen}, chosen_by=target(cell, targets))

    def dependents(self, number: int, cell: Cell, probabilities: Array, targets: Array) -> list[Box]:
        return one(0, cell[1]) if number == 1 or targets[cell[1]] == cell[0] else []


@dataclass(frozen=True)
class Surprise(Penalty):
    """-ln of the probability of the token that came, in nats: probabilities [..., n_vocab, R], targets [..., R] ->
    [..., 1, R].
    """

    def value(self, probabilities: Array, targets: Array) -> Array:  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        return -np.log(at_targets(probabilities, targets))

    def formula(self, probabilities: Reference, targets: Reference) -> str:
        return f"-LN(INDEX({probabilities.part},{targets.part}+1))"

    def gradient(self, d_out: Array, out: Array, probabilities: Array, targets: Array) -> Gradients:
        slope = -d_out / at_targets(probabilities, targets)
        return spread_at_targets(slope, targets, probabilities.shape), None

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        probabilities: GradientReference,
        targets: GradientReference,
    ) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            slope = f"-{d_out.cell(0, column)}/{probabilities.cell(row, column)}"
            return f"IF({targets.cell(0, column)}={row},{slope},0)"

        return [by_cells(probabilities, cell), None]

    def terms(self, cell: Cell, probabilities: Array, targets: Array) -> Terms:
        chosen = number(probabilities, 0, int(targets[cell[1]]), cell[1])
        return Terms(-float(np.log(chosen.value)), "-ln({chosen})", {"chosen": chosen}, chosen_by=target(cell, targets))

    def dependents(self, number: int, cell: Cell, probabilities: Array, targets: Array) -> list[Box]:
        return one(0, cell[1]) if number == 1 or targets[cell[1]] == cell[0] else []
