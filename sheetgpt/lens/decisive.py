"""The attention weight that decides: of the last token's weights the one without which another token is predicted.

Each candidate is set to 0 and the run goes on from there. Where the cell lies in a workbook belongs in `sheets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from sheetgpt.lens.changes import logits_after
from sheetgpt.models.step import Step
from sheetgpt.run.trace import Trace, probabilities

WORK = 1.5e10  # weights times tokens in all runs: a second or two. Beyond it only the likeliest cells are tried
FEWEST = 8  # cells that are tried in any case
CELLS_AT_ONCE = 20_000_000  # of the stages of the runs in memory together


class Cell(NamedTuple):
    """One attention weight of the last token."""

    stage: str
    head: int
    key: int


@dataclass(frozen=True)
class Ablation:
    """One attention weight set to 0, and the answer that follows."""

    stage: str
    head: int
    query: int
    key: int
    row: str  # the token that looks
    column: str  # the token that it looks at
    weight: float  # before
    answer: str
    probability: float
    new_answer: str
    new_probability: float  # of the old answer

    @property
    def changes(self) -> bool:
        """Is another token predicted?"""
        return self.answer != self.new_answer

    @property
    def edit(self) -> str:
        """What `run --set` takes."""
        return f"{self.stage}[{self.head},{self.query},{self.key}]=0"

    @property
    def place(self) -> str:
        return f'{self.stage}, head {self.head}, row "{self.row}", column "{self.column}"'

    @property
    def effect(self) -> str:
        then = f'the answer becomes "{self.new_answer}"' if self.changes else f'the answer stays "{self.answer}"'
        shares = f"{percent(self.probability)} -> {percent(self.new_probability)}"
        return f'{then} ("{self.answer}": {shares}); the row no longer adds up to 1'

    @property
    def sentence(self) -> str:
        return f"Type 0 into {self.place}: {self.effect}."


def percent(share: float) -> str:
    """Three digits.

    >>> percent(0.99671), percent(0.0381), percent(0.00001)
    ('99.7 %', '3.81 %', 'less than 0.01 %')
    """
    return f"{100 * share:.3g} %" if share >= 1e-4 else "less than 0.01 %"


def decisive(trace: Trace, blocks: range | None = None) -> Ablation | None:
    """The attention weight of the last token that the answer hangs on most; None where it hangs on none.

    The one after which the answer is another and the old one is least probable; where no single weight changes the
    answer, the one that moves its probability most. In large models only the likeliest are tried, see `likeliest`.
    blocks: only those of these blocks.
    """
    cells = [cell for cell in last_cells(trace) if blocks is None or trace.step(cell.stage).block in blocks]
    if not cells or trace.weights is None:
        return None
    best = min(ablations(trace, likeliest(trace, cells, most_runs(trace))), key=rank)
    return best if best.changes or best.new_probability != best.probability else None


def rank(one: Ablation) -> tuple[bool, float]:
    """Sorts ablations, the one that changes most first."""
    return not one.changes, one.new_probability if one.changes else -abs(one.new_probability - one.probability)


def last_cells(trace: Trace) -> list[Cell]:
    """Every attention weight of the last token."""
    keys, heads = range(len(trace.token_ids)), range(trace.config.n_head)
    names = [step.name for step in trace.steps if step.by_head and step.op.shares]
    return [Cell(name, head, key) for name in names for head in heads for key in keys]


def most_runs(trace: Trace) -> int:
    """How many cells are tried at most."""
    weights = sum(weight.shape[0] * weight.shape[1] for weight in trace.sizes.weights.values())
    return max(FEWEST, int(WORK / (weights * len(trace.token_ids))))


def likeliest(trace: Trace, cells: Sequence[Cell], most: int) -> list[Cell]:
    """Those that add most to what their head passes on: the weight times the length of the value that it weighs.

    subtle: the weight alone would choose first tokens: heads with nothing to do look there, and find short values.
    """
    if len(cells) <= most:
        return list(cells)
    lengths = {name: value_lengths(trace, trace.step(name)) for name in {cell.stage for cell in cells}}
    found = sorted(cells, key=lambda cell: -weight_of(trace, cell) * lengths[cell.stage][cell.key, cell.head])
    return found[:most]


def value_lengths(trace: Trace, step: Step) -> np.ndarray:  # [T, H]
    """How long each token's value is in each head: of what is read together with the weights."""
    reader = next(trace.steps.readers(step.name))
    values = next(trace.array(name) for name in reader.inputs if name != step.name)
    return np.asarray(np.linalg.norm(values.reshape(len(values), trace.config.n_head, -1), axis=-1))


def weight_of(trace: Trace, cell: Cell) -> float:
    return float(trace.array(cell.stage)[-1, column_of(trace, cell)])


def column_of(trace: Trace, cell: Cell) -> int:
    return cell.head * len(trace.token_ids) + cell.key


# ------------------------------------------------------------------------------------------------ runs


def ablations(trace: Trace, cells: Iterable[Cell]) -> Iterator[Ablation]:
    """What follows from each cell set to 0. Cells of one stage go through the rest of the model together."""
    at_once = max(1, CELLS_AT_ONCE // sum(matrix.size for matrix in trace.arrays.values()))
    best = trace.predictions(1)[0]
    for stage, grouped in groupby(sorted(cells), attrgetter("stage")):
        found = list(grouped)
        for some in (found[start : start + at_once] for start in range(0, len(found), at_once)):
            for cell, shares in zip(some, shares_without(trace, stage, some), strict=True):
                yield Ablation(
                    *(stage, cell.head, len(trace.token_ids) - 1, cell.key),
                    *(trace.tokens[-1], trace.tokens[cell.key], weight_of(trace, cell)),
                    *(best.token, best.probability),
                    *(trace.labels.vocabulary()[int(shares.argmax())], float(shares[best.id])),
                )


def shares_without(trace: Trace, stage: str, cells: Sequence[Cell]) -> np.ndarray:  # -> [cells, n_vocab]
    """Each token's probability to come next, for each cell set to 0."""
    matrices = np.repeat(trace.array(stage)[None], len(cells), axis=0)
    for number, cell in enumerate(cells):
        matrices[number, -1, column_of(trace, cell)] = 0
    return probabilities(logits_after(trace, stage, matrices)[..., -1])
