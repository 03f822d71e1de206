"""Operations done wrong: each takes the right operation and its inputs, and gives what a port with the mistake gets.

Which steps each belongs to, and what it is called, stands in `mistakes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.models.step import Step

Function = Callable[..., np.ndarray]  # (the right operation, *inputs) -> the wrong matrix
MaskOf = Callable[[np.ndarray], np.ndarray]

# ------------------------------------------------------------------------------------------------ rows


def exact_gelu(_op: ops.Op, x: np.ndarray) -> np.ndarray:
    erf = np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2)) if x.size else x
    out: np.ndarray = 0.5 * x * (1 + erf.astype(x.dtype))
    return out


def gelu(cubic: float) -> Function:
    """GELU with another constant before its cube."""

    def value(_op: ops.Op, x: np.ndarray) -> np.ndarray:
        out: np.ndarray = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + x.dtype.type(cubic) * x**3)))
        return out

    return value


def of_first_row(op: ops.Op, x: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Each row as if its input were row 0."""
    return op.value(np.repeat(x[:1], len(x), axis=0), *others)


def fixed_bias(rows: int | None = None) -> Function:
    """The bias's first cell in place of every one, in the first rows only or in all."""

    def value(op: ops.Op, x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
        made = np.array(op.value(x, w, bias))
        made[:rows] = op.value(x[:rows], w, np.full_like(bias, bias[0, 0]))
        return made

    return value


def turned(weight: np.ndarray) -> np.ndarray:  # [m, n] -> [m, n]
    """The numbers of a buffer that holds the transpose, taken as they stand."""
    return np.ascontiguousarray(weight).reshape(weight.shape[::-1]).T


def normalised_sum(op: ops.Op, a: np.ndarray, b: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Layer norm after the residual."""
    return ops.ScaleShift().value(ops.Normalize().value(op.value(a, b)), gain, bias)


def normalize(
    *, epsilon: float = ops.LAYER_NORM_EPSILON, sample: bool = False, outside: bool = False, centred: bool = True
) -> Function:
    """Layer normalisation with other constants: [T, d] -> [T, d]."""

    def value(_op: ops.Op, x: np.ndarray) -> np.ndarray:
        middle = x - x.mean(-1, keepdims=True) if centred else x
        count = x.shape[-1] - (1 if sample else 0)
        variance = np.square(middle).sum(-1, keepdims=True) / max(count, 1)
        small = x.dtype.type(epsilon)
        out: np.ndarray = middle / (np.sqrt(variance) + small if outside else np.sqrt(variance + small))
        return out

    return value


# ------------------------------------------------------------------------------------------------ attention


def scores(*, scale: Callable[[Any, int], float] | None = None, mask_of: MaskOf | None = None) -> Function:
    """Attention scores with another scale or mask: [T, d], [T, d], [T, T] -> [T, H T]."""

    def value(op: Any, queries: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
        masks = mask if mask_of is None else mask_of(mask).astype(mask.dtype)
        plain, width = op.value(queries, keys, np.zeros_like(mask)), keys.shape[-1]
        scaled = plain if scale is None else plain * queries.dtype.type(op.scale(width) * scale(op, width))
        masked: np.ndarray = scaled + np.tile(masks, op.n_head)
        return masked

    return value


def shifted(by: int) -> MaskOf:
    """A mask that hides what lies more than `by` tokens ahead."""

    def mask(square: np.ndarray) -> np.ndarray:
        rows, columns = np.indices(square.shape)
        return np.where(columns > rows + by, ops.MASKED, 0.0)

    return mask


def zero_where_masked(op: Any, queries: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
    plain = op.value(queries, keys, np.zeros_like(mask))
    masked: np.ndarray = np.where(ops.masked_cells(np.tile(mask, op.n_head)), plain.dtype.type(0), plain)
    return masked


def times_infinity(op: Any, queries: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask as a matrix of 0 and 1, times -inf: 0 times -inf is NaN."""
    plain = op.value(queries, keys, np.zeros_like(mask))
    times = np.where(ops.masked_cells(mask), -np.inf, np.nan).astype(plain.dtype)
    hidden: np.ndarray = plain + np.tile(times, op.n_head)
    return hidden


def nothing(rows: np.ndarray) -> np.ndarray:
    return np.zeros_like(rows)


def of_the_one_before(rows: np.ndarray) -> np.ndarray:
    """Each token's row is that of the token before; the first one's is 0."""
    return np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])


def stale_keys(of: Callable[[np.ndarray], np.ndarray]) -> Function:
    """Scores where each token's own key was not yet in the cache, but other rows were."""

    def value(op: Any, queries: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
        scored = np.array(op.value(queries, keys, mask))
        own = np.arange(len(scored))
        stale = op.value(queries, of(keys), mask).reshape(len(scored), op.n_head, -1)
        scored.reshape(len(scored), op.n_head, -1)[own, :, own] = stale[own, :, own]
        return scored

    return value


def stale_values(of: Callable[[np.ndarray], np.ndarray]) -> Function:
    """Attended values where each token's own value was not yet in the cache, but other rows were."""

    def value(op: Any, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        own = np.zeros_like(weights)
        apart, every = (x.reshape(len(weights), op.n_head, -1) for x in (own, weights))
        at = np.arange(len(weights))
        apart[at, :, at] = every[at, :, at]
        mixed: np.ndarray = op.value(weights - own, values) + op.value(own, of(values))
        return mixed

    return value


def softmax_unshifted(op: Any, x: np.ndarray) -> np.ndarray:
    """Powers that overflow, where float32 or float64 does."""
    grouped = x.reshape(len(x), op.groups, -1)
    powers = np.exp(grouped)
    shares: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return shares.reshape(x.shape)


def softmax_over(axis: int | tuple[int, ...]) -> Function:
    """Softmax of [query, head, key] over other axes than the last: [T, H T] -> [T, H T]."""

    def value(op: Any, x: np.ndarray) -> np.ndarray:
        grouped = x.reshape(len(x), op.groups, -1)
        powers = np.exp(grouped - grouped.max(axis, keepdims=True))
        shares: np.ndarray = powers / powers.sum(axis, keepdims=True)
        return shares.reshape(x.shape)

    return value


# ------------------------------------------------------------------------------------------------ order


def thirds(*order: int) -> Function:
    """A product whose thirds of the columns stand in another order: queries, keys, values."""

    def value(op: ops.Op, *inputs: np.ndarray) -> np.ndarray:
        parts = np.split(op.value(*inputs), 3, axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1)

    return value


def next_slice(by: int) -> Function:
    """Another slice of the columns than the right one."""
    return lambda op, x: replace(op, index=(op.index + by) % op.count).value(x)


def thirds_per_head(n_head: int) -> Function:
    """Queries, keys, values taken as if each head held its own three: [T, H 3 s] -> [T, H s]."""
    return lambda op, x: x.reshape(len(x), n_head, op.count, -1)[:, :, op.index].reshape(len(x), -1)


def query_bias(heads: Sequence[int], n_head: int) -> Function:
    """Queries, keys, values of some heads with the queries' bias."""

    def value(op: ops.Op, x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
        thirds = np.array(bias).reshape(3, n_head, -1)
        thirds[1:, list(heads)] = thirds[:1, list(heads)]
        return op.value(x, w, thirds.reshape(bias.shape))

    return value


def without_head(head: int) -> Function:
    """Attended values of which one head stays 0."""

    def value(op: Any, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        mixed = np.array(op.value(weights, values))
        mixed.reshape(len(mixed), op.n_head, -1)[:, head] = 0
        return mixed

    return value


def strided(x: np.ndarray, n_head: int) -> np.ndarray:  # [T, H s], head h in columns h, h + H, ... -> blocked
    return x.reshape(len(x), -1, n_head).swapaxes(-1, -2).reshape(x.shape)


def scores_of_strided(op: Any, queries: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scored: np.ndarray = op.value(strided(queries, op.n_head), strided(keys, op.n_head), mask)
    return scored


def mix_of_strided(op: Any, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = op.value(weights, strided(values, op.n_head))
    return mixed


def strided_mix(op: Any, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    return strided(op.value(weights, values), values.shape[-1] // op.n_head)


def unmerged(op: Any, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The heads' results written under each other instead of side by side: [T, H T], [T, d] -> [T, d]."""
    right = op.value(weights, values)
    return ops.split_heads(right, op.n_head).reshape(right.shape)


# ------------------------------------------------------------------------------------------------ the language head


def row(number: int) -> Function:
    return lambda _op, x: x[[number]]


def log_probabilities(op: ops.Op, *inputs: np.ndarray) -> np.ndarray:
    logits = op.value(*inputs)
    out: np.ndarray = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    return out


def from_row(number: int, chain: Sequence[Step], first: str) -> Function:
    """What a chain of steps makes of another row: (block output, what else its steps take, in order) -> the last one's.

    first: the name that the row has in the first step's inputs.
    """

    def value(_op: ops.Op, x: np.ndarray, *others: np.ndarray) -> np.ndarray:
        made, rest = x[[number]], iter(others)
        for step, before in linked(chain, first):
            made = step.op.value(*[made if name == before else next(rest) for name in step.inputs])
        return made

    return value


def other_inputs(chain: Sequence[Step], first: str) -> list[str]:
    """What else the steps of a chain take than each other's stages."""
    return [name for step, before in linked(chain, first) for name in step.inputs if name != before]


def linked(chain: Sequence[Step], first: str) -> Iterator[tuple[Step, str]]:
    """Each step and the name of what it takes from the one before."""
    return zip(chain, [first, *(step.name for step in chain[:-1])], strict=True)
