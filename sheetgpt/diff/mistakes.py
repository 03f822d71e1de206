"""The known mistakes of ports, as data beside the operations: to which one each applies and what it makes of it.

A new one is a row in `MISTAKES`. `diagnosis` recomputes a stage with each, tests inject each into a run. Nothing here
knows of tolerances or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt import ops
from sheetgpt.models.gpt2 import Step
from sheetgpt.models.sizes import Setting


@dataclass(frozen=True)
class Mistake:
    """A way to get a stage wrong.

    function: the right operation and the inputs in, the wrong matrix out.
    inputs: names of other inputs than the step's, where that is the mistake; None where it doesn't apply to the step.
    """

    name: str
    op: type[ops.Op]
    function: Callable[..., np.ndarray]
    inputs: Callable[[Step, Setting], tuple[str, ...] | None] | None = None
    stages: tuple[str, ...] = ()  # the steps it applies to, all of the operation where empty

    def change(self, step: Step, setting: Setting) -> Step | None:
        """The step done wrong; None where the mistake doesn't apply to it."""
        if not isinstance(step.op, self.op) or (self.stages and kind(step) not in self.stages):
            return None
        inputs = self.inputs(step, setting) if self.inputs else step.inputs
        return None if inputs is None else replace(step, op=Mistaken(step.op, self.function), inputs=inputs)


@dataclass(frozen=True)
class Mistaken:
    """An operation done wrong: it has a value and no other view."""

    right: ops.Op
    function: Callable[..., np.ndarray]

    def value(self, *inputs: np.ndarray) -> np.ndarray:
        return self.function(self.right, *inputs)


def kind(step: Step) -> str:
    """A step's name without its block.

    >>> from sheetgpt.models.config import Config
    >>> from sheetgpt.models.gpt2 import gpt2
    >>> [kind(step) for step in gpt2(Config(1, 1, 2, 4, 3))[5:8]]
    ['triangle_matrix', 'step_1', 'step_2']
    """
    return step.name.removeprefix(f"block_{step.block}_")


# ------------------------------------------------------------------------------------------------ the wrong operations


def exact_gelu(_op, x):
    erf = np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2)) if x.size else x
    return 0.5 * x * (1 + erf.astype(x.dtype))


def normalize(*, epsilon=ops.LAYER_NORM_EPSILON, sample=False, outside=False, centred=True):
    """Layer normalisation with other constants: [T, d] -> [T, d]."""

    def value(_op, x):
        middle = x - x.mean(-1, keepdims=True) if centred else x
        count = x.shape[-1] - (1 if sample else 0)
        variance = np.square(middle).sum(-1, keepdims=True) / max(count, 1)
        small = x.dtype.type(epsilon)
        return middle / (np.sqrt(variance) + small if outside else np.sqrt(variance + small))

    return value


def scores(op, queries, keys, mask, *, scale=None, mask_of=None):
    """Attention scores with another scale or mask: [T, d], [T, d], [T, T] -> [T, H T]."""
    masks = mask if mask_of is None else mask_of(mask).astype(mask.dtype)
    plain = op.value(queries, keys, np.zeros_like(mask))
    if scale is not None:
        plain = plain * queries.dtype.type(op.scale(keys.shape[-1]) * scale(op, keys.shape[-1]))
    return plain + np.tile(masks, op.n_head)


def shifted(by: int) -> Callable[[np.ndarray], np.ndarray]:
    """A mask that hides what lies more than `by` tokens ahead."""

    def mask(square):
        rows, columns = np.indices(square.shape)
        return np.where(columns > rows + by, ops.MASKED, 0.0)

    return mask


def strided(x: np.ndarray, n_head: int) -> np.ndarray:  # [T, H s], head h in columns h, h + H, ... -> blocked
    return x.reshape(len(x), -1, n_head).swapaxes(-1, -2).reshape(x.shape)


def thirds_per_head(n_head: int):
    """Queries, keys, values taken as if each head held its own three: [T, H 3 s] -> [T, H s]."""
    return lambda op, x: x.reshape(len(x), n_head, 3, -1)[:, :, op.index].reshape(len(x), -1)


def softmax_over(axis: int | tuple[int, ...]):
    """Softmax of [query, head, key] over other axes than the last: [T, H T] -> [T, H T]."""

    def value(op, x):
        grouped = x.reshape(len(x), op.groups, -1)
        powers = np.exp(grouped - grouped.max(axis, keepdims=True))
        return (powers / powers.sum(axis, keepdims=True)).reshape(x.shape)

    return value


def unmerged(op, weights, values):
    """The heads' results written under each other instead of side by side: [T, H T], [T, d] -> [T, d]."""
    right = op.value(weights, values)
    return ops.split_heads(right, op.n_head).reshape(right.shape)


def thirds(*order: int):
    """A product whose thirds of the columns stand in another order: queries, keys, values."""

    def value(op, x, w, b):
        parts = np.split(op.value(x, w, b), 3, axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1)

    return value


def mix_strided(op, weights, values):
    return op.value(weights, strided(values, op.n_head))


def head_of_row(row: int, stage: str):
    """The language head's stages from another row: block output (and weights) -> one row, or the logits."""
    normalized, scaled = ops.Normalize().value, ops.ScaleShift().value

    def value(_op, *inputs):
        if stage == "logits":
            table, x, gain, bias = inputs
            return ops.ScoreTokens().value(table, scaled(normalized(x[[row]]), gain, bias))
        x, *weights = inputs
        return scaled(normalized(x[[row]]), *weights) if weights else normalized(x[[row]])

    return value


# ------------------------------------------------------------------------------------------------ other inputs


def block_output(step: Step, setting: Setting) -> tuple[str, ...]:
    """The last block's output and the final norm's weights, for a stage of the language head."""
    last = f"block_{setting.config.n_layer - 1}_step_16"
    gain_bias = ("model_ln_f_g", "model_ln_f_b")
    if step.name == "logits":
        return step.inputs[0], last, *gain_bias
    return (last, *gain_bias) if step.name == "predicted_embedding" else (last,)


def residual_from(*numbers: int):
    """The residual's other end: another step of the same block."""

    def inputs(step: Step, _setting: Setting):
        made = step.inputs[0]
        return made, *(f"block_{step.block}_step_{number}" for number in numbers)

    return inputs


def keys_queries(step: Step, _setting: Setting):
    queries, keys, mask = step.inputs
    return keys, queries, mask


def unnormalised(step: Step, _setting: Setting):
    return step.inputs[0], "last_hidden_state"


def hidden_state(_step: Step, _setting: Setting):
    return ("last_hidden_state",)


# ------------------------------------------------------------------------------------------------ the list

MIXED_UP = "q, k, v in another order"
INTERLEAVED = "heads interleaved instead of blocked"
RESIDUAL = "residual from the wrong place"
WRONG_AXIS = "softmax over the wrong axis"
NO_FINAL_NORM = "ln_f missing"
OTHER_ROW = "logits from another row"

MISTAKES: tuple[Mistake, ...] = (
    Mistake("token ids one too high", ops.TakeRows, lambda _op, table, ids: table[ids + 1]),
    Mistake("token ids one too low", ops.TakeRows, lambda _op, table, ids: table[ids - 1]),
    Mistake("positions starting at one", ops.AddRows, lambda _op, x, table, at: x + table[at + 1]),
    Mistake("position embeddings left out", ops.AddRows, lambda _op, x, _table, _at: x),
    Mistake("position embeddings left out", ops.Add, lambda _op, x, _table: x, stages=("position_embeddings",)),
    Mistake("mask missing", ops.CausalMask, lambda op, a, b: 0 * op.value(a, b)),
    Mistake("mask shifted by one", ops.CausalMask, lambda op, a, b: shifted(1)(op.value(a, b))),
    Mistake("mask strict", ops.CausalMask, lambda op, a, b: shifted(-1)(op.value(a, b))),
    Mistake("sample variance", ops.Normalize, normalize(sample=True)),
    Mistake("epsilon 1e-6", ops.Normalize, normalize(epsilon=1e-6)),
    Mistake("epsilon 1e-12", ops.Normalize, normalize(epsilon=1e-12)),
    Mistake("epsilon outside the root", ops.Normalize, normalize(outside=True)),
    Mistake("mean not subtracted", ops.Normalize, normalize(centred=False)),
    Mistake("gain left out", ops.ScaleShift, lambda _op, x, _gain, bias: x + bias),
    Mistake("bias left out", ops.ScaleShift, lambda _op, x, gain, _bias: x * gain),
    Mistake("bias left out", ops.Linear, lambda _op, x, w, _bias: x @ w),
    Mistake("weight transposed", ops.Linear, lambda op, x, w, b: op.value(x, w.T, b)),
    Mistake(MIXED_UP, ops.Linear, thirds(0, 2, 1), stages=("step_4",)),
    Mistake(MIXED_UP, ops.Linear, thirds(1, 0, 2), stages=("step_4",)),
    Mistake(MIXED_UP, ops.Linear, thirds(1, 2, 0), stages=("step_4",)),
    Mistake(MIXED_UP, ops.Linear, thirds(2, 0, 1), stages=("step_4",)),
    Mistake(MIXED_UP, ops.Linear, thirds(2, 1, 0), stages=("step_4",)),
    Mistake(MIXED_UP, ops.Columns, lambda op, x: replace(op, index=(op.index + 1) % 3).value(x)),
    Mistake(MIXED_UP, ops.Columns, lambda op, x: replace(op, index=(op.index + 2) % 3).value(x)),
    Mistake(MIXED_UP, ops.AttentionScores, lambda op, k, q, mask: op.value(k, q, mask), keys_queries),
    Mistake(INTERLEAVED, ops.Columns, lambda op, x: x[:, op.index :: 3]),
    Mistake(
        INTERLEAVED, ops.AttentionScores, lambda op, q, k, m: op.value(strided(q, op.n_head), strided(k, op.n_head), m)
    ),
    Mistake(INTERLEAVED, ops.AttentionMix, mix_strided),
    Mistake(INTERLEAVED, ops.AttentionMix, lambda op, w, v: strided(op.value(w, v), v.shape[-1] // op.n_head)),
    Mistake(INTERLEAVED, ops.AttentionMix, unmerged),
    Mistake("scale 1/sqrt(head size) missing", ops.AttentionScores, lambda *x: scores(*x, scale=lambda _op, _d: 1.0)),
    Mistake(
        "scale 1/sqrt(n_embd) instead of 1/sqrt(head size)",
        ops.AttentionScores,
        lambda *x: scores(*x, scale=lambda _op, d: 1 / math.sqrt(d)),
    ),
    Mistake(
        "scale 1/(head size) instead of 1/sqrt(head size)",
        ops.AttentionScores,
        lambda *x: scores(*x, scale=lambda op, d: 1 / (d // op.n_head)),
    ),
    Mistake("mask missing", ops.AttentionScores, lambda *x: scores(*x, mask_of=np.zeros_like)),
    Mistake("mask shifted by one", ops.AttentionScores, lambda *x: scores(*x, mask_of=shifted(1))),
    Mistake("mask strict", ops.AttentionScores, lambda *x: scores(*x, mask_of=shifted(-1))),
    Mistake("mask of -10,000", ops.AttentionScores, lambda *x: scores(*x, mask_of=lambda mask: mask * 1e-6)),
    Mistake(WRONG_AXIS, ops.Softmax, softmax_over(0)),
    Mistake(WRONG_AXIS, ops.Softmax, softmax_over(1)),
    Mistake(WRONG_AXIS, ops.Softmax, softmax_over((1, 2))),
    Mistake("residual left out", ops.Add, lambda _op, made, _before: made, stages=("step_10", "step_16")),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(2), ("step_10",)),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(3), ("step_10",)),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(1), ("step_16",)),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(9), ("step_16",)),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(11), ("step_16",)),
    Mistake(RESIDUAL, ops.Add, lambda _op, a, b: a + b, residual_from(12), ("step_16",)),
    Mistake("exact (erf) GELU", ops.Gelu, exact_gelu),
    Mistake("sigmoid GELU", ops.Gelu, lambda _op, x: x / (1 + np.exp(-1.702 * x))),
    Mistake("ReLU instead of GELU", ops.Gelu, lambda _op, x: np.maximum(x, 0)),
    Mistake(NO_FINAL_NORM, ops.Normalize, lambda _op, x: x, stages=("last_layernorm",)),
    Mistake(NO_FINAL_NORM, ops.ScaleShift, lambda _op, x: x, hidden_state, ("predicted_embedding",)),
    Mistake(NO_FINAL_NORM, ops.ScoreTokens, lambda op, table, x: op.value(table, x), unnormalised),
    Mistake(
        "log-probabilities instead of logits",
        ops.ScoreTokens,
        lambda op, *x: (y := op.value(*x)) - y.max() - np.log(np.exp(y - y.max()).sum()),
    ),
)


def known_mistakes(setting: Setting) -> list[Mistake]:
    """The list, and those that depend on the run: how many heads, which row the logits come from."""
    split = Mistake(INTERLEAVED, ops.Columns, thirds_per_head(setting.config.n_head))
    others = range(setting.n_tokens - 1)
    head = ("last_layernorm", ops.Normalize), ("predicted_embedding", ops.ScaleShift), ("logits", ops.ScoreTokens)
    rows = [Mistake(OTHER_ROW, ops.LastRow, lambda _op, x, row=row: x[[row]]) for row in others]
    for stage, op in head:
        rows += [Mistake(OTHER_ROW, op, head_of_row(row, stage), block_output, (stage,)) for row in others]
    return [*MISTAKES, split, *rows]
