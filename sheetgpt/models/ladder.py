"""The ladder of models below GPT-2: die, softmax, bigram, mlp, attention; each adds one idea to the one before.

Each is a list of steps and its weights. Stages and weights that a rung shares with GPT-2 have GPT-2's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.models import gpt2, reasons
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import Defaults, Kind
from sheetgpt.models.step import Axis, Step, Use, Weight

HIDDEN = 4  # times n_embd: the width of the mlp's hidden layer
FIRST_DEVIATION = 0.2  # of weights before training: no layer norm makes up for small numbers
SCORES = "model_logits"  # the weights of die and softmax
CAME = "probability of the token that came"

# (constants, predict after every token?) -> the steps between tokens and answer
Rung = Callable[[Config, bool], list[Step]]


def steps(rung: Rung, config: Config, *, untied: bool = False, every_row: bool = False) -> list[Step]:  # noqa: ARG001
    made = [*gpt2.token_steps(), *rung(config, every_row)]
    return made if every_row else [*made, gpt2.predicted_token()]


def by_token(
    name: str, title: str, op: ops.Op, inputs: tuple[str, ...], words: str, why: str, *, every_row: bool
) -> Step:
    """A column with a row a token of the vocabulary; one a position where predictions follow every token."""
    return Step(name, title, op, inputs, words, why, Axis.VOCABULARY, Axis.TOKENS if every_row else Axis.LOGIT)


def spread_scores(every_row: bool) -> tuple[ops.Op, tuple[str, ...], str]:
    """The same scores at every position, or at the last alone."""
    if every_row:
        return ops.Spread(), (SCORES, "final_tokens"), f"{SCORES} at every position"
    return ops.Copy(), (SCORES,), SCORES


# ------------------------------------------------------------------------------------------------ the rungs


def die(_config: Config, every_row: bool) -> list[Step]:
    scores = by_token("scores", "the die's weights", *spread_scores(every_row), reasons.DIE, every_row=every_row)
    words, why = "each of the plain weights divided by their sum", reasons.SHARES
    shares = by_token("probabilities", "probabilities", ops.Shares(), ("scores",), words, why, every_row=every_row)
    logits = gpt2.logits(ops.Log(), ("probabilities",), "ln(probabilities)", reasons.LOGS, every_row=every_row)
    return [scores, shares, logits]


def softmax(_config: Config, every_row: bool) -> list[Step]:
    words, why = "exp(logits) / sum of exp(logits)", reasons.EXP
    return [
        gpt2.logits(*spread_scores(every_row), reasons.FREE, every_row=every_row),
        by_token("probabilities", "probabilities", ops.SoftmaxColumns(), ("logits",), words, why, every_row=every_row),
    ]


def bigram(_config: Config, every_row: bool) -> list[Step]:
    words = "last_hidden_state, turned: the token's row is its logits"
    return [
        gpt2.token_embeddings(),
        gpt2.last_row("token_embeddings", reasons.ONE, every_row=every_row),
        gpt2.logits(ops.Turn(), ("last_hidden_state",), words, reasons.TABLE, every_row=every_row),
    ]


def mlp(config: Config, every_row: bool) -> list[Step]:
    words = f"the rows of the last {config.n_ctx} tokens side by side, the oldest first"
    window = ops.Window(config.n_ctx)
    linear = ("context", "model_mlp_c_fc_w", "model_mlp_c_fc_b")
    return [
        gpt2.token_embeddings(),
        Step("context", "the last tokens' embeddings", window, ("token_embeddings",) * 2, words, reasons.WINDOW),
        Step("mlp_hidden", "MLP: hidden layer", ops.Linear(), linear, "context @ w + b", reasons.PATTERNS),
        Step("mlp_gelu", "MLP: GELU", ops.Gelu(), ("mlp_hidden",), gpt2.GELU.format("mlp_hidden"), reasons.GELU),
        gpt2.last_row("mlp_gelu", reasons.WINDOW_S_LAST, every_row=every_row),
        gpt2.scored("model_mlp_out", "last_hidden_state", every_row=every_row),
    ]


def attention(config: Config, every_row: bool) -> list[Step]:
    """GPT-2's block without layer norms, output projection and MLP."""
    b = gpt2.Block(0, config.n_head)
    return [
        gpt2.token_embeddings(),
        *gpt2.position_steps(config.position),
        gpt2.causal_mask(),
        b.step(1, "block input", ops.Copy(), ("position_embeddings",), "position_embeddings", reasons.INPUT),
        b.linear(4, "queries, keys, values", 1, "attn_c_attn", reasons.THREE),
        *b.split(4),
        *b.attention(config.position),
        b.residual(10, "residual after attention", 8, 1, reasons.ADDED),
        gpt2.last_row(b.name(10), reasons.LAST, every_row=every_row),
        gpt2.scored(gpt2.WTE, "last_hidden_state", every_row=every_row),
    ]


# ------------------------------------------------------------------------------------------------ weights


def score_weights(config: Config, *, untied: bool = False) -> dict[str, Weight]:  # noqa: ARG001
    """Of die and softmax, which have no use for n_embd and n_ctx."""
    return {SCORES: Weight((config.n_vocab, 1), Use.SCORES, Axis.VOCABULARY)}


def bigram_weights(config: Config, *, untied: bool = False) -> dict[str, Weight]:  # noqa: ARG001
    return {gpt2.WTE: gpt2.table(config.n_vocab, config.n_vocab, Axis.VOCABULARY)}


def mlp_weights(config: Config, *, untied: bool = False) -> dict[str, Weight]:  # noqa: ARG001
    """The mlp looks at the last n_ctx tokens."""
    d, wide = config.n_embd, HIDDEN * config.n_embd
    return {
        gpt2.WTE: gpt2.table(config.n_vocab, d, Axis.VOCABULARY),
        **gpt2.linear("model_mlp_c_fc", config.n_ctx * d, wide),
        "model_mlp_out": Weight((config.n_vocab, wide), Use.SCORES, Axis.VOCABULARY),
    }


def attention_weights(config: Config, *, untied: bool = False) -> dict[str, Weight]:  # noqa: ARG001
    d = config.n_embd
    return {
        gpt2.WTE: gpt2.table(config.n_vocab, d, Axis.VOCABULARY),
        **gpt2.position_table(config),
        **gpt2.linear("model_h0_attn_c_attn", d, 3 * d, **gpt2.in_block(0)),
    }


def first_share(weight: Weight, _config: Config, rng: np.random.Generator) -> np.ndarray:
    """Of the die: plain division wants numbers above 0."""
    return rng.uniform(0.5, 1.5, weight.shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------ learning


def with_penalties(op: ops.Op, words: str, why: str, made: Sequence[Step]) -> list[Step]:
    """The steps up to the probabilities, and each prediction's penalty: logits made of those are of no use here."""
    probabilities = next(number for number, step in enumerate(made) if step.op.shares)
    return [*made[: probabilities + 1], gpt2.penalties(op, made[probabilities].name, words, why)]


first_weight = partial(gpt2.first_weight, deviation=FIRST_DEVIATION)


def rung(name: str, written: str, made: Rung, weights: Any, defaults: Defaults, **about: Any) -> Kind:
    learn: dict[str, Any] = {"training_steps": gpt2.training_steps, "first_weight": first_weight}
    return Kind(name, partial(steps, made), weights, defaults=defaults, written=written, **{**learn, **about})


KINDS = (
    rung(
        "die",
        "The die",
        die,
        score_weights,
        Defaults(steps=100, learning_rate=0.2, min_learning_rate=0.2, optimizer="sgd", gradient="numeric"),
        training_steps=partial(with_penalties, ops.Missed(), f"1 - {CAME}", reasons.MISSED),
        first_weight=first_share,
        attends=False,
        plain_shares=True,
    ),
    rung(
        "softmax",
        "Softmax",
        softmax,
        score_weights,
        Defaults(steps=500, learning_rate=1.0, min_learning_rate=1.0, optimizer="sgd"),
        training_steps=partial(with_penalties, ops.Surprise(), f"-ln({CAME})", reasons.SURPRISE),
        attends=False,
    ),
    rung("bigram", "Bigram", bigram, bigram_weights, Defaults(learning_rate=0.1), attends=False),
    rung("mlp", "MLP", mlp, mlp_weights, Defaults(n_embd=8, n_ctx=3), attends=False),
    rung("attention", "Attention", attention, attention_weights, Defaults(n_embd=16)),
)
