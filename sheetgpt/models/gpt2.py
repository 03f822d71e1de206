"""GPT-2: its list of steps, and its weights.

Everything else reads this list: the forward run, the cached decoder, the backward pass, the workbook with and without
live formulas, `--set`, `diff`, the documentation. Names are the reference's; inside a block they carry its number.
Smaller models are in `ladder`; which list a model has is decided in `kinds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.models import reasons
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import Defaults, Kind
from sheetgpt.models.step import POSITIONS, TARGETS, Axis, Part, Role, Step, Use, Weight

FIRST_DEVIATION = 0.02  # of every matrix before training, as OpenAI drew them
MLP_WIDTH = 4  # times n_embd
WTE, WPE, LM_HEAD = "model_wte", "model_wpe", "model_lm_head"
NORMALISED = f"({{}} - mean) / sqrt(variance + {ops.LAYER_NORM_EPSILON_TEXT})"
GELU = f"0.5 x (1 + tanh(sqrt(2 / pi) (x + {ops.GELU_CUBIC} x^3))), x = {{}}"


def steps(config: Config, *, untied: bool = False, every_row: bool = False) -> list[Step]:
    """The steps of a GPT-2 with these constants, in order.

    untied: the language head has a matrix of its own (`model_lm_head`) instead of the token embeddings.
    every_row: predict after every token, as training does, instead of only after the last.
    """
    made, block_input = embedding_steps(config.position), "position_embeddings"
    for block in range(config.n_layer):
        made += block_steps(config, block, block_input)
        block_input = made[-1].name
    return made + head_steps(block_input, LM_HEAD if untied else WTE, every_row=every_row)


# ------------------------------------------------------------------------------------------------ embeddings


def token_steps() -> list[Step]:
    """From the prompt to token ids."""
    text: dict[str, Any] = {"rows": Axis.TEXT, "columns": Axis.TEXT}
    given = ops.Given()
    return [
        Step(
            "separated_into_words",
            "words",
            given,
            ("prompt",),
            "the prompt, cut by GPT-2's pattern",
            "tokens never reach from one word into the next, so each word is cut into tokens by itself",
            part=Part.WORDS,
            role=Role.WORDS,
            **text,
        ),
        Step(
            "prompt_to_tokens",
            "merges, pass by pass",
            given,
            ("separated_into_words", "vocab_bpe"),
            "in each word the pair with the best score merges first",
            "the score says how early a pair was learned: what text is full of came first, so common words stay whole",
            part=Part.WORDS,
            role=Role.MERGES,
            **text,
        ),
        Step(
            "final_tokens",
            "tokens and their ids",
            given,
            ("prompt_to_tokens", "bpe_token_ids"),
            "each remaining piece is a token; its row in the token table is its id",
            "the model calculates with numbers, so each token goes by the number of its row",
            part=Part.EMBEDDINGS,
            role=Role.TOKENS,
            **text,
        ),
    ]


def embedded(
    name: str, title: str, op: ops.Op, inputs: tuple[str, ...], words: str, why: str, columns: Axis = Axis.DIMENSIONS
) -> Step:
    return Step(name, title, op, inputs, words, why, columns=columns, part=Part.EMBEDDINGS)


def token_embeddings() -> Step:
    words, why = (
        "row (token id) of wte",
        reasons.ROW,
    )
    return embedded("token_embeddings", "token embeddings", ops.TakeRows(), (WTE, "final_tokens"), words, why)


def position_steps(position: str) -> list[Step]:
    """How a token's row learns where it stands; rotary positions come later, in every block."""
    name, title = "position_embeddings", "token + position embeddings"
    why = "the same word says something else in another place, so each position adds its own row"
    if position == "sinusoidal":
        words = f"sine and cosine of position / {ops.POSITION_BASE}^(pair of dimensions / n_embd)"
        inputs = ("token_embeddings", POSITIONS)
        pattern = "waves of many lengths give each position a pattern of its own, with nothing to learn"
        table = embedded("position_table", "position table: sines and cosines", ops.Sinusoids(), inputs, words, pattern)
        inputs = ("token_embeddings", "position_table")
        return [table, embedded(name, title, ops.Add(), inputs, "token_embeddings + position_table", why)]
    if position == "rotary":
        words = "token_embeddings (positions turn queries and keys in each block)"
        later = "here a token has the same numbers wherever it stands: positions come in where tokens are compared"
        return [embedded(name, "token embeddings", ops.Copy(), ("token_embeddings",), words, later)]
    words = "token_embeddings + row (position) of wpe"
    return [embedded(name, title, ops.AddRows(), ("token_embeddings", WPE, POSITIONS), words, why)]


def causal_mask() -> Step:
    words = f"0 where a token may look, {ops.MASKED_TEXT} where it would look ahead"
    why = "a token may not see what comes after it: that is what the model learns to predict"
    return embedded("triangle_matrix", "causal mask", ops.CausalMask(), (POSITIONS, POSITIONS), words, why, Axis.KEYS)


def embedding_steps(position: str = "learned") -> list[Step]:
    return [*token_steps(), token_embeddings(), *position_steps(position), causal_mask()]


# ------------------------------------------------------------------------------------------------ blocks


class Block:
    """Makes the steps of one block: their names, numbers and weights."""

    def __init__(self, block: int, n_head: int):
        self.block, self.n_head = block, n_head

    def name(self, step: int | str) -> str:
        return f"block_{self.block}_step_{step}"

    def weights(self, *parts: str) -> tuple[str, ...]:
        return tuple(f"model_h{self.block}_{part}" for part in parts)

    def step(
        self,
        number: int,
        title: str,
        op: ops.Op,
        inputs: Sequence[str],
        words: str,
        why: str,
        columns: Axis = Axis.DIMENSIONS,
        *,
        suffix: str = "",
    ) -> Step:
        name = self.name(f"{number}{suffix}")
        place: dict[str, Any] = {"part": Part.BLOCK, "block": self.block, "number": number}
        return Step(name, title, op, tuple(inputs), words, why, columns=columns, **place)

    def split(self, of: int) -> list[Step]:
        """Queries, keys and values: the thirds of a step's columns."""
        found = []
        for third, (ordinal, (what, why)) in enumerate(
            zip(("first", "second", "last"), reasons.SPLIT.items(), strict=True)
        ):
            words, op, axis = f"{ordinal} third of step {of}'s columns", ops.Columns(third, 3), Axis.HEADS_BY_DIMENSIONS
            found.append(self.step(5, what, op, (self.name(of),), words, why, axis, suffix=f"_{what}"))
        return found

    def rotated(self) -> list[Step]:
        """Queries and keys turned by their positions."""
        words = f"each pair of a head's columns turned by position / {ops.POSITION_BASE}^(pair / head size)"
        return [
            self.step(
                5,
                f"{what}, rotated",
                ops.Rotate(self.n_head),
                (self.name(f"5_{what}"), POSITIONS),
                words,
                reasons.ROTATED,
                Axis.HEADS_BY_DIMENSIONS,
                suffix=f"_{what}_rotated",
            )
            for what in ("queries", "keys")
        ]

    def attention(self, position: str) -> list[Step]:
        """Scores, weights, and the values that they mix."""
        turned = "_rotated" if position == "rotary" else ""
        queries, keys, values = (self.name(f"5_{what}") for what in (f"queries{turned}", f"keys{turned}", "values"))
        scores = "head by head: queries @ keys^T / sqrt(head size) + mask"
        mix = (self.name(7), values)
        return [
            *(self.rotated() if turned else []),
            self.step(
                6,
                "attention scores",
                ops.AttentionScores(self.n_head),
                (queries, keys, "triangle_matrix"),
                scores,
                reasons.SCORES,
                Axis.HEADS_BY_KEYS,
            ),
            self.step(
                7,
                "attention weights",
                ops.Softmax(self.n_head),
                (self.name(6),),
                "head by head: softmax of each row",
                reasons.WEIGHTS,
                Axis.HEADS_BY_KEYS,
            ),
            self.step(
                8,
                "attended values",
                ops.AttentionMix(self.n_head),
                mix,
                "head by head: step 7 @ values",
                "each token collects the values of the tokens it looks at, in those shares",
                Axis.HEADS_BY_DIMENSIONS,
            ),
        ]

    def linear(self, number: int, title: str, of: int, weight: str, why: str) -> Step:
        inputs = (self.name(of), *self.weights(f"{weight}_w", f"{weight}_b"))
        return self.step(number, title, ops.Linear(), inputs, f"step {of} @ w + b", why)

    def norm(self, number: int, which: int, of: int) -> list[Step]:
        """A layer norm in two steps."""
        title = f"layer norm {which}"
        gain_bias = (self.name(number), *self.weights(f"ln_{which}_g", f"ln_{which}_b"))
        words = NORMALISED.format(f"step {of}")
        return [
            self.step(number, f"{title}: normalise", ops.Normalize(), (self.name(of),), words, reasons.NORMAL),
            self.step(
                number + 1,
                f"{title}: gain, bias",
                ops.ScaleShift(),
                gain_bias,
                f"step {number} * gain + bias",
                reasons.GAIN,
            ),
        ]

    def residual(self, number: int, title: str, made: int, before: int, why: str) -> Step:
        inputs = (self.name(made), self.name(before))
        return self.step(number, title, ops.Add(), inputs, f"step {made} + step {before}", why)


def block_steps(config: Config, block: int, block_input: str) -> list[Step]:
    """The sixteen steps of one transformer block: attention (1 to 10), then the MLP (11 to 16)."""
    b = Block(block, config.n_head)
    return [
        b.step(1, "block input", ops.Copy(), (block_input,), block_input, reasons.INPUT),
        *b.norm(2, 1, of=1),
        b.linear(4, "queries, keys, values", 3, "attn_c_attn", reasons.THREE),
        *b.split(4),
        *b.attention(config.position),
        b.linear(9, "attention output", 8, "attn_c_proj", reasons.OUTPUT),
        b.residual(10, "residual after attention", 9, 1, reasons.ADDED),
        *b.norm(11, 2, of=10),
        b.linear(13, "MLP: hidden layer", 12, "mlp_c_fc", reasons.HIDDEN),
        b.step(14, "MLP: GELU", ops.Gelu(), (b.name(13),), GELU.format("step 13"), reasons.GELU),
        b.linear(15, "MLP: output", 14, "mlp_c_proj", reasons.MLP_OUTPUT),
        b.residual(16, "residual after MLP", 15, 10, reasons.ADDED_AGAIN),
    ]


# ------------------------------------------------------------------------------------------------ the language head


def last_row(stage: str, why: str, *, every_row: bool) -> Step:
    op, rows = (ops.Copy(), Axis.TOKENS) if every_row else (ops.LastRow(), Axis.LAST_TOKEN)
    return Step("last_hidden_state", "last hidden state", op, (stage,), f"last row of {stage}", why, rows)


def logits(op: ops.Op, inputs: tuple[str, ...], words: str, why: str, *, every_row: bool) -> Step:
    columns = Axis.TOKENS if every_row else Axis.LOGIT
    return Step("logits", "logits", op, inputs, words, why, Axis.VOCABULARY, columns, Part.LOGITS, role=Role.LOGITS)


def scored(table: str, stage: str, *, every_row: bool) -> Step:
    """The logits: every row of a table times the stage."""
    words = f"{table.removeprefix('model_')} @ {stage}^T"
    why = "the better a token's row fits what the model is looking for, the higher the token's score"
    return logits(ops.ScoreTokens(), (table, stage), words, why, every_row=every_row)


def predicted_token() -> Step:
    words = "the greatest logit, its token id, its token"
    return Step(
        "predicted_token",
        "predicted token",
        ops.BestToken(),
        ("logits",),
        words,
        "the best score wins; to write on, put the token behind the prompt and begin again",
        Axis.TEXT,
        Axis.TEXT,
        role=Role.PREDICTION,
    )


def head_steps(block_output: str, embeddings: str, *, every_row: bool) -> list[Step]:
    rows = Axis.TOKENS if every_row else Axis.LAST_TOKEN
    words = NORMALISED.format("last_hidden_state")
    normal = Step(
        "last_layernorm",
        "final layer norm: normalise",
        ops.Normalize(),
        ("last_hidden_state",),
        words,
        "every prompt is judged on the same scale",
        rows,
    )
    scaled = Step(
        "predicted_embedding",
        "final layer norm: gain, bias",
        ops.ScaleShift(),
        ("last_layernorm", "model_ln_f_g", "model_ln_f_b"),
        "last_layernorm * gain + bias",
        "what the next token's row should look like, as far as the model can say",
        rows,
    )
    head = [last_row(block_output, reasons.LAST, every_row=every_row), normal, scaled]
    head.append(scored(embeddings, "predicted_embedding", every_row=every_row))
    return head if every_row else [*head, predicted_token()]


def penalties(op: ops.Op, stage: str, words: str, why: str) -> Step:
    """How wrong each prediction was (`targets` given)."""
    place: dict[str, Any] = {"part": Part.LOSS, "role": Role.PENALTIES}
    return Step("penalties", "penalties", op, (stage, TARGETS), words, why, Axis.PENALTY, Axis.TOKENS, **place)


def training_steps(made: Sequence[Step]) -> list[Step]:
    """The steps of a model that predicts after every token, up to each prediction's penalty."""
    (scores,) = (step.name for step in made if step.role is Role.LOGITS)
    return [*made, penalties(ops.LogLoss(), scores, "-ln(probability of the token that came)", reasons.SURPRISE)]


# ------------------------------------------------------------------------------------------------ weights


def table(n: int, d: int, rows: Axis, part: Part = Part.EMBEDDINGS) -> Weight:
    """A row for each token or position."""
    return Weight((n, d), Use.TABLE, rows, part)


def position_table(config: Config) -> dict[str, Weight]:
    """wpe, where positions are learned."""
    if config.position != "learned":
        return {}
    return {WPE: table(config.n_ctx, config.n_embd, Axis.POSITIONS)}


def linear(name: str, n_in: int, n_out: int, *, to_residual: bool = False, **place: Any) -> dict[str, Weight]:
    """A matrix [in, out] and its bias."""
    return {
        f"{name}_w": Weight((n_in, n_out), Use.LINEAR, to_residual=to_residual, **place),
        f"{name}_b": Weight((1, n_out), Use.BIAS, **place),
    }


def gain_bias(name: str, d: int, **place: Any) -> dict[str, Weight]:
    return {f"{name}_g": Weight((1, d), Use.GAIN, **place), f"{name}_b": Weight((1, d), Use.BIAS, **place)}


def in_block(block: int) -> dict[str, Any]:
    return {"part": Part.BLOCK, "block": block}


def block_weights(block: int, d: int) -> dict[str, Weight]:
    h, place = f"model_h{block}_", in_block(block)
    return {
        **gain_bias(f"{h}ln_1", d, **place),
        **linear(f"{h}attn_c_attn", d, 3 * d, **place),
        **linear(f"{h}attn_c_proj", d, d, to_residual=True, **place),
        **gain_bias(f"{h}ln_2", d, **place),
        **linear(f"{h}mlp_c_fc", d, MLP_WIDTH * d, **place),
        **linear(f"{h}mlp_c_proj", MLP_WIDTH * d, d, to_residual=True, **place),
    }


def weights(config: Config, *, untied: bool = False) -> dict[str, Weight]:
    """Every matrix by name, in the files' order.

    >>> [(name, weight.shape) for name, weight in list(weights(Config(1, 1, 4, 8, 16)).items())[:3]]
    [('model_wte', (16, 4)), ('model_wpe', (8, 4)), ('model_h0_ln_1_g', (1, 4))]
    """
    d = config.n_embd
    made = {WTE: table(config.n_vocab, d, Axis.VOCABULARY), **position_table(config)}
    for block in range(config.n_layer):
        made |= block_weights(block, d)
    made |= gain_bias("model_ln_f", d)
    return made | ({LM_HEAD: table(config.n_vocab, d, Axis.VOCABULARY, Part.HEAD)} if untied else {})


def first_weight(
    weight: Weight, config: Config, rng: np.random.Generator, deviation: float = FIRST_DEVIATION
) -> np.ndarray:
    """A weight before training: gains 1, biases 0, the rest drawn (what writes to the residual: less)."""
    if weight.use is Use.GAIN:
        return np.ones(weight.shape, np.float32)
    if weight.use is Use.BIAS:
        return np.zeros(weight.shape, np.float32)
    spread = deviation / math.sqrt(2 * config.n_layer) if weight.to_residual else deviation
    return (spread * rng.standard_normal(weight.shape)).astype(np.float32)


KINDS = (
    Kind(
        "gpt2",
        steps,
        weights,
        training_steps,
        first_weight,
        Defaults(2, 4, 64, 64, 2000, 32, 3e-3, 1e-4, 100, 0.1),
        written="GPT-2",
    ),
)
