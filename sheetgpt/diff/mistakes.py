"""The known mistakes of ports, as data: to which steps each applies and what it makes of them.

A mistake is of an operation, so the operation's type says where it may happen; which of its steps, a predicate on the
step and its list says, never a name. A new one is a row in `MISTAKES`. `diagnosis` recomputes a stage with each, tests
inject each into a run. The wrong operations stand in `wrong_ops`, where they happen in `wrong_places`; nothing here
knows of tolerances or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from sheetgpt import ops
from sheetgpt.diff import wrong_ops
from sheetgpt.diff.computation import Changed
from sheetgpt.diff.wrong_places import (
    Applies,
    OtherInputs,
    after_block,
    before_norm,
    by_token,
    cut_in_columns,
    everywhere,
    from_number,
    hidden_state,
    in_mlp,
    in_part,
    its_own,
    keys_queries,
    last_row,
    numbered,
    of_block,
    only,
    residual_from,
    swapped_weights,
    unnormalised,
    weights_of_block,
    weights_of_norm,
    with_norm,
)
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Part, Step, Steps


@dataclass(frozen=True)
class Mistake:
    """A way to get a stage wrong.

    op: the operation that is done wrong.
    function: the right operation and the inputs in, the wrong matrix out.
    inputs: the inputs that it takes, others where that is the mistake; None where there are none such.
    applies: to which steps of the operation.
    """

    name: str
    op: type[ops.Op] | tuple[type[ops.Op], ...]
    function: wrong_ops.Function
    inputs: OtherInputs = its_own
    applies: Applies = everywhere
    blocks: int = 1  # that it takes together

    def change(self, step: Step, steps: Steps) -> Step | None:
        """The step done wrong; None where the mistake doesn't apply to it."""
        if not isinstance(step.op, self.op) or not self.applies(step, steps):
            return None
        inputs = self.inputs(step, steps)
        op = cast("ops.Op", Mistaken(step.op, self.function))
        return None if inputs is None else replace(step, op=op, inputs=inputs)


@dataclass(frozen=True)
class Mistaken:
    """An operation done wrong: it has a value and no other view."""

    right: ops.Op
    function: wrong_ops.Function

    def value(self, *inputs: np.ndarray) -> np.ndarray:
        return self.function(self.right, *inputs)

    def __getattr__(self, name: str) -> Any:
        """What the right operation is besides: its number of heads, say."""
        if name.startswith("__") or name == "right":
            raise AttributeError(name)
        return getattr(self.right, name)


def right_value(op: ops.Op, *inputs: np.ndarray) -> np.ndarray:
    """The right operation; its inputs are what is wrong."""
    return op.value(*inputs)


def width(rows: np.ndarray) -> Any:
    return rows.dtype.type(math.sqrt(rows.shape[-1]))


# ------------------------------------------------------------------------------------------------ the list

MIXED_UP = "q, k, v in another order"
INTERLEAVED = "heads interleaved instead of blocked"
RESIDUAL = "residual from the wrong place"
WRONG_AXIS = "softmax over the wrong axis"
NO_FINAL_NORM = "ln_f missing"
OTHER_ROW = "logits from another row"
NO_POSITIONS = "position embeddings left out"
NO_BIAS = "bias left out"
TRANSPOSED = "weight transposed"  # a buffer that holds [out, in], taken for [in, out]: no shape tells
NO_MASK, LATE_MASK, STRICT_MASK = "mask missing", "mask shifted by one", "mask strict"


STALE = "stale cache: each token's own"
OF_BEFORE = "are those of the token before"
IN_HEAD = in_part(Part.HEAD)
SCALE = "scale 1/sqrt(head size) missing"
SCALE_OF_WIDTH = "scale 1/sqrt(n_embd) instead of 1/sqrt(head size)"
SCALE_WITHOUT_ROOT = "scale 1/(head size) instead of 1/sqrt(head size)"
ORDERS = (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)  # of queries, keys, values
OTHER_ENDS = (10, 2), (10, 3), (16, 1), (16, 9), (16, 11), (16, 12)  # a residual, the step that is added instead

OF_EMBEDDINGS = (
    Mistake("token ids one too high", ops.TakeRows, lambda _op, table, ids: table[ids + 1]),
    Mistake("token ids one too low", ops.TakeRows, lambda _op, table, ids: table[ids - 1]),
    Mistake("embedding times sqrt(n_embd)", ops.TakeRows, lambda _op, table, ids: table[ids] * width(table)),
    Mistake("embedding times sqrt(n_embd)", ops.AddRows, lambda _op, x, table, at: x * width(x) + table[at]),
    Mistake(TRANSPOSED, ops.TakeRows, lambda _op, table, ids: wrong_ops.turned(table)[ids]),
    Mistake("positions starting at one", ops.AddRows, lambda _op, x, table, at: x + table[at + 1]),
    Mistake(NO_POSITIONS, ops.AddRows, lambda _op, x, _table, _at: x),
    Mistake(NO_POSITIONS, ops.Add, lambda _op, x, _table: x, applies=in_part(Part.EMBEDDINGS)),
    Mistake(NO_MASK, ops.CausalMask, lambda op, a, b: 0 * op.value(a, b)),
    Mistake(LATE_MASK, ops.CausalMask, lambda op, a, b: wrong_ops.shifted(1)(op.value(a, b))),
    Mistake(STRICT_MASK, ops.CausalMask, lambda op, a, b: wrong_ops.shifted(-1)(op.value(a, b))),
)
OF_ROWS = (
    Mistake("sample variance", ops.Normalize, wrong_ops.normalize(sample=True)),
    Mistake("epsilon 1e-6", ops.Normalize, wrong_ops.normalize(epsilon=1e-6)),
    Mistake("epsilon 1e-12", ops.Normalize, wrong_ops.normalize(epsilon=1e-12)),
    Mistake("epsilon outside the root", ops.Normalize, wrong_ops.normalize(outside=True)),
    Mistake("mean not subtracted (RMSNorm)", ops.Normalize, wrong_ops.normalize(centred=False)),
    Mistake("no epsilon", ops.Normalize, wrong_ops.normalize(epsilon=0.0)),
    Mistake("layer norm left out", ops.Normalize, lambda _op, x: x, applies=in_part(Part.BLOCK)),
    Mistake("layer norm left out", ops.ScaleShift, lambda _op, x, _gain, _bias: x, before_norm, in_part(Part.BLOCK)),
    Mistake("layer norm after the residual instead of before", ops.Add, wrong_ops.normalised_sum, with_norm),
    *(
        Mistake("another layer norm's gain and bias", ops.ScaleShift, right_value, weights_of_norm(which))
        for which in (0, 1)
    ),
    Mistake("gain twice", ops.ScaleShift, lambda _op, x, gain, bias: x * gain * gain + bias),
    Mistake("bias twice", ops.ScaleShift, lambda _op, x, gain, bias: x * gain + 2 * bias),
    Mistake("bias twice", ops.Linear, lambda _op, x, w, bias: x @ w + 2 * bias),
    Mistake("gain and bias left out", ops.ScaleShift, lambda _op, x, _gain, _bias: x),
    Mistake("gain left out", ops.ScaleShift, lambda _op, x, _gain, bias: x + bias),
    Mistake(NO_BIAS, ops.ScaleShift, lambda _op, x, gain, _bias: x * gain),
    Mistake(NO_BIAS, ops.Linear, lambda _op, x, w, _bias: x @ w),
    Mistake(TRANSPOSED, ops.Linear, lambda op, x, w, b: op.value(x, wrong_ops.turned(w), b)),
    Mistake(TRANSPOSED, ops.ScoreTokens, lambda op, table, x: op.value(wrong_ops.turned(table), x)),
    Mistake("last term of the product left out", ops.Linear, lambda op, x, w, b: op.value(x[:, :-1], w[:-1], b)),
    Mistake("last term of the product left out", ops.ScoreTokens, lambda op, t, x: op.value(t[:, :-1], x[:, :-1])),
)
OF_SPREADSHEETS = (
    *(
        Mistake("a range fixed by $ (row 0 of its input for every row)", op, wrong_ops.of_first_row, applies=by_token)
        for op in (ops.Linear, ops.Gelu, ops.ScaleShift)
    ),
    Mistake("a bias fixed by $ (its first cell for all of row 0)", ops.Linear, wrong_ops.fixed_bias(rows=1)),
    Mistake("a bias fixed by $ (its first cell everywhere)", ops.Linear, wrong_ops.fixed_bias()),
)
OF_ORDER = (
    *(Mistake(MIXED_UP, ops.Linear, wrong_ops.thirds(*order), applies=cut_in_columns) for order in ORDERS),
    *(Mistake(MIXED_UP, ops.Columns, wrong_ops.next_slice(by)) for by in (1, 2)),
    Mistake(MIXED_UP, ops.AttentionScores, lambda op, k, q, mask: op.value(k, q, mask), keys_queries),
    Mistake(INTERLEAVED, ops.Columns, lambda op, x: x[:, op.index :: op.count]),
    Mistake(INTERLEAVED, ops.AttentionScores, wrong_ops.scores_of_strided),
    Mistake(INTERLEAVED, ops.AttentionMix, wrong_ops.mix_of_strided),
    Mistake(INTERLEAVED, ops.AttentionMix, wrong_ops.strided_mix),
    Mistake(INTERLEAVED, ops.AttentionMix, wrong_ops.unmerged),
)
OF_ATTENTION = (
    Mistake(SCALE, ops.AttentionScores, wrong_ops.scores(scale=lambda _op, _d: 1.0)),
    Mistake(SCALE_OF_WIDTH, ops.AttentionScores, wrong_ops.scores(scale=lambda _op, d: 1 / math.sqrt(d))),
    Mistake(SCALE_WITHOUT_ROOT, ops.AttentionScores, wrong_ops.scores(scale=lambda op, d: 1 / (d // op.n_head))),
    Mistake(NO_MASK, ops.AttentionScores, wrong_ops.scores(mask_of=np.zeros_like)),
    Mistake(LATE_MASK, ops.AttentionScores, wrong_ops.scores(mask_of=wrong_ops.shifted(1))),
    Mistake(STRICT_MASK, ops.AttentionScores, wrong_ops.scores(mask_of=wrong_ops.shifted(-1))),
    Mistake("masked scores set to 0", ops.AttentionScores, wrong_ops.zero_where_masked),
    Mistake("mask upside down", ops.AttentionScores, wrong_ops.scores(mask_of=np.transpose)),
    Mistake("mask times -inf", ops.AttentionScores, wrong_ops.times_infinity),
    Mistake(f"{STALE} keys are 0", ops.AttentionScores, wrong_ops.stale_keys(wrong_ops.nothing)),
    Mistake(f"{STALE} keys {OF_BEFORE}", ops.AttentionScores, wrong_ops.stale_keys(wrong_ops.of_the_one_before)),
    Mistake(f"{STALE} values are 0", ops.AttentionMix, wrong_ops.stale_values(wrong_ops.nothing)),
    Mistake(f"{STALE} values {OF_BEFORE}", ops.AttentionMix, wrong_ops.stale_values(wrong_ops.of_the_one_before)),
    Mistake("softmax without its maximum", ops.Softmax, wrong_ops.softmax_unshifted),
    Mistake("mask of -10,000", ops.AttentionScores, wrong_ops.scores(mask_of=lambda mask: mask * 1e-6)),
    *(Mistake(WRONG_AXIS, ops.Softmax, wrong_ops.softmax_over(axis)) for axis in (0, 1, (1, 2))),
)
OF_RESIDUALS_AND_MLP = (
    Mistake("parallel MLP: it takes what attention takes", ops.Linear, right_value, from_number(3), in_mlp),
    Mistake("parallel MLP: it takes what attention takes", ops.Normalize, right_value, from_number(1), in_mlp),
    Mistake("residual left out", ops.Add, lambda _op, made, _before: made, applies=in_part(Part.BLOCK)),
    *(
        Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(other), numbered(number))
        for number, other in OTHER_ENDS
    ),
    Mistake("exact (erf) GELU", ops.Gelu, wrong_ops.exact_gelu),
    *(
        Mistake(f"GELU with {constant} instead of {ops.GELU_CUBIC}", ops.Gelu, wrong_ops.gelu(constant))
        for constant in (0.0447, 0.04715, 0.4715, 0.044)
    ),
    Mistake("GELU without the cube", ops.Gelu, wrong_ops.gelu(0.0)),
    Mistake("sigmoid GELU", ops.Gelu, lambda _op, x: x / (1 + np.exp(-1.702 * x))),
    Mistake("ReLU instead of GELU", ops.Gelu, lambda _op, x: np.maximum(x, 0)),
)
OF_THE_HEAD = (
    Mistake(NO_FINAL_NORM, ops.Normalize, lambda _op, x: x, applies=IN_HEAD),
    Mistake(NO_FINAL_NORM, ops.ScaleShift, lambda _op, x: x, hidden_state, IN_HEAD),
    Mistake(NO_FINAL_NORM, ops.ScoreTokens, lambda op, table, x: op.value(table, x), unnormalised),
    Mistake("log-probabilities instead of logits", ops.ScoreTokens, wrong_ops.log_probabilities),
)
MISTAKES = (*OF_EMBEDDINGS, *OF_ROWS, *OF_SPREADSHEETS, *OF_ORDER, *OF_ATTENTION, *OF_RESIDUALS_AND_MLP, *OF_THE_HEAD)


def known_mistakes(sizes: Sizes) -> list[Mistake]:
    """The list, and those that depend on the run: how many heads, which row the logits come from."""
    split = Mistake(INTERLEAVED, ops.Columns, wrong_ops.thirds_per_head(sizes.config.n_head))
    per_run = (*of_heads(sizes.config.n_head), *of_blocks(sizes.config.n_layer))
    return [*MISTAKES, split, *per_run, *other_rows(sizes.steps, range(sizes.n_tokens - 1))]


def made_on(way: Sequence[Step], mistakes: Sequence[Mistake], steps: Steps) -> Iterator[tuple[str, Changed]]:
    """(mistake, the changed steps) for each that may happen on a way: wherever it may, then at each step alone."""
    for mistake in mistakes:
        changes = {step.name: change for step in way if (change := mistake.change(step, steps))}
        if changes and len({change.block for change in changes.values()}) >= mistake.blocks:
            yield mistake.name, changes
        if len(changes) > 1 == mistake.blocks:
            yield from ((mistake.name, {name: change}) for name, change in changes.items())


def of_heads(n_head: int) -> list[Mistake]:
    """Mistakes of some heads: each one, the first ones, all."""
    some = {tuple(range(count)) for count in range(1, n_head + 1)} | {(head,) for head in range(n_head)}
    found = []
    for heads in sorted(some, key=lambda some: (len(some) != n_head, some)):
        which = "" if len(heads) == n_head else f" in head{'s' if len(heads) > 1 else ''} {', '.join(map(str, heads))}"
        bias = wrong_ops.query_bias(heads, n_head)
        found.append(Mistake(f"keys and values with the query's bias{which}", ops.Linear, bias, applies=cut_in_columns))
        if len(heads) == 1 and n_head > 1:
            found.append(Mistake(f"head {heads[0]} never written", ops.AttentionMix, wrong_ops.without_head(heads[0])))
    return found


def of_blocks(n_layer: int) -> list[Mistake]:
    """Mistakes that take another block's matrices."""
    found = []
    for block in range(n_layer):
        found.append(Mistake(f"block {block}'s residual", ops.Add, right_value, of_block(block)))
        weights = weights_of_block(block)
        found += [Mistake(weights_name(block), op, right_value, weights) for op in (ops.Linear, ops.ScaleShift)]
    for block in range(-1, n_layer - 2):
        output = "the embeddings" if block < 0 else f"block {block}'s output"
        name = f"block left out: it takes {output}"
        found.append(Mistake(name, ops.Copy, right_value, after_block(block)))
    return found


def weights_name(block: int) -> str:
    """What it is called where another block takes this one's weights."""
    return f"block {block}'s weights"


def of_whole_blocks(n_layer: int) -> list[Mistake]:
    """Mistakes that no single step shows: all of another block's weights, and two blocks each with the other's."""
    both = (ops.Linear, ops.ScaleShift)
    every = [Mistake(weights_name(block), both, right_value, weights_of_block(block)) for block in range(n_layer)]
    swapped = [
        Mistake(f"blocks {i} and {j} are swapped", both, right_value, swapped_weights(i, j), blocks=2)
        for i in range(n_layer)
        for j in range(i + 1, n_layer)
    ]
    return [*swapped, *every]


def other_rows(steps: Steps, rows: Sequence[int]) -> list[Mistake]:
    """The language head's stages from another row of the last block's output than the last one."""
    first = last_row(steps)
    if first is None:
        return []
    found = [Mistake(OTHER_ROW, ops.LastRow, wrong_ops.row(row)) for row in rows]
    chain: list[Step] = []
    for step in steps:
        made = chain[-1].name if chain else first.name
        if made in step.inputs and not step.is_text:
            chain.append(step)
            taken = (first.inputs[0], *wrong_ops.other_inputs(chain, first.name))
            found += [other_row(step, row, tuple(chain), first.name, taken) for row in rows]
    return found


def other_row(step: Step, row: int, chain: tuple[Step, ...], first: str, taken: tuple[str, ...]) -> Mistake:
    function = wrong_ops.from_row(row, chain, first)
    return Mistake(OTHER_ROW, type(step.op), function, lambda _step, _steps: taken, only(step))
