"""GPT-2 as one list of steps: each has a name, a title, an operation, and its inputs by name.

Everything else reads this list: the forward run, the cached decoder, the backward pass, the workbook with and without
live formulas, `--set`, `diff`, the documentation. Names are the reference's; inside a block they carry its number.
Running the list is `forward`'s business, where a stage stands in a workbook is `workbook.layout`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from sheetgpt import ops
from sheetgpt.models.config import Config

TOKEN_STAGES = ("separated_into_words", "prompt_to_tokens", "final_tokens")  # made by `bpe`, not by matrices
INPUTS = ("final_tokens", "positions")  # what a run is given: token ids [..., T] and their positions [T]


@dataclass(frozen=True)
class Step:
    """One stage of the pipeline and how it is made.

    rows and columns name what the matrix's two axes count: `frames` makes their labels.
    """

    name: str
    title: str
    op: ops.Op
    inputs: tuple[str, ...]
    words: str  # the formula as a person would say it
    rows: str = "tokens"  # "tokens" | "last token" | "vocabulary" | "text"
    columns: str = "dimensions"  # "dimensions" | "keys" | "heads x keys" | "logit" | "text"
    block: int | None = None


def gpt2(config: Config, *, untied: bool = False, every_row: bool = False) -> list[Step]:
    """The steps of a GPT-2 with these constants, in order.

    untied: the language head has a matrix of its own (`model_lm_head`) instead of the token embeddings.
    every_row: predict after every token, as training does, instead of only after the last.
    """
    last_block_output = f"block_{config.n_layer - 1}_step_16"
    steps = embedding_steps(config.position)
    block_input = "position_embeddings"
    for block in range(config.n_layer):
        steps += block_steps(config, block, block_input)
        block_input = f"block_{block}_step_16"
    return steps + head_steps(last_block_output, "model_lm_head" if untied else "model_wte", every_row=every_row)


def position_steps(position: str) -> list[Step]:
    """How a token's row learns where it stands; rotary positions come later, in every block."""
    name, title = "position_embeddings", "token + position embeddings"
    if position == "sinusoidal":
        words = "sine and cosine of position / 10000^(pair of dimensions / n_embd)"
        inputs = ("token_embeddings", "positions")
        table = Step("position_table", "position table: sines and cosines", ops.Sinusoids(), inputs, words)
        inputs = ("token_embeddings", "position_table")
        return [table, Step(name, title, ops.Add(), inputs, "token_embeddings + position_table")]
    if position == "rotary":
        words = "token_embeddings (positions turn queries and keys in each block)"
        return [Step(name, "token embeddings", ops.Copy(), ("token_embeddings",), words)]
    words = "token_embeddings + row (position) of wpe"
    return [Step(name, title, ops.AddRows(), ("token_embeddings", "model_wpe", "positions"), words)]


def embedding_steps(position: str = "learned") -> list[Step]:
    text, given = {"rows": "text", "columns": "text"}, ops.Given()
    return [
        Step("separated_into_words", "words", given, ("prompt",), "the prompt, cut by GPT-2's pattern", **text),
        Step(
            "prompt_to_tokens",
            "merges, pass by pass",
            given,
            ("separated_into_words", "vocab_bpe"),
            "in each word the pair with the best score merges first",
            **text,
        ),
        Step(
            "final_tokens",
            "tokens and their ids",
            given,
            ("prompt_to_tokens", "bpe_token_ids"),
            "each remaining piece is a token; its row in the token table is its id",
            **text,
        ),
        Step(
            "token_embeddings",
            "token embeddings",
            ops.TakeRows(),
            ("model_wte", "final_tokens"),
            "row (token id) of wte",
        ),
        *position_steps(position),
        Step(
            "triangle_matrix",
            "causal mask",
            ops.CausalMask(),
            ("positions", "positions"),
            "0 where a token may look, -1e10 where it would look ahead",
            columns="keys",
        ),
    ]


def block_steps(config: Config, block: int, block_input: str) -> list[Step]:
    """The sixteen steps of one transformer block: attention (1 to 10), then the MLP (11 to 16)."""
    heads = config.n_head

    def name(step: int | str) -> str:
        return f"block_{block}_step_{step}"

    def weights(*parts: str) -> tuple[str, ...]:
        return tuple(f"model_h{block}_{part}" for part in parts)

    def step(number: int | str, title: str, op: ops.Op, inputs: tuple[str, ...], words: str, **axes: str) -> Step:
        return Step(name(number), title, op, inputs, words, block=block, **axes)

    def from_step(number: int | str, *parts: str) -> tuple[str, ...]:
        return (name(number), *weights(*parts))

    by_head = {"columns": "heads x keys"}
    q, k, v = name("5_queries"), name("5_keys"), name("5_values")
    rotated = []
    if config.position == "rotary":
        words = "each pair of a head's columns turned by position / 10000^(pair / head size)"
        rotated = [
            step(f"5_{what}_rotated", f"{what}, rotated", ops.Rotate(heads), (name(f"5_{what}"), "positions"), words)
            for what in ("queries", "keys")
        ]
        q, k = name("5_queries_rotated"), name("5_keys_rotated")
    return [
        step(1, "block input", ops.Copy(), (block_input,), f"{block_input}"),
        step(2, "layer norm 1: normalise", ops.Normalize(), (name(1),), "(step 1 - mean) / sqrt(variance + 0.00001)"),
        step(3, "layer norm 1: gain, bias", ops.ScaleShift(), from_step(2, "ln_1_g", "ln_1_b"), "step 2 * gain + bias"),
        step(
            4, "queries, keys, values", ops.Linear(), from_step(3, "attn_c_attn_w", "attn_c_attn_b"), "step 3 @ w + b"
        ),
        step("5_queries", "queries", ops.Columns(0, 3), (name(4),), "first third of step 4's columns"),
        step("5_keys", "keys", ops.Columns(1, 3), (name(4),), "second third of step 4's columns"),
        step("5_values", "values", ops.Columns(2, 3), (name(4),), "last third of step 4's columns"),
        *rotated,
        step(
            6,
            "attention scores",
            ops.AttentionScores(heads),
            (q, k, "triangle_matrix"),
            "head by head: queries @ keys^T / sqrt(head size) + mask",
            **by_head,
        ),
        step(7, "attention weights", ops.Softmax(heads), (name(6),), "head by head: softmax of each row", **by_head),
        step(8, "attended values", ops.AttentionMix(heads), (name(7), v), "head by head: step 7 @ values"),
        step(
            9,
            "attention output",
            ops.Linear(),
            from_step(8, "attn_c_proj_w", "attn_c_proj_b"),
            "step 8 @ w + b",
        ),
        step(10, "residual after attention", ops.Add(), (name(9), name(1)), "step 9 + step 1"),
        step(
            11, "layer norm 2: normalise", ops.Normalize(), (name(10),), "(step 10 - mean) / sqrt(variance + 0.00001)"
        ),
        step(
            12, "layer norm 2: gain, bias", ops.ScaleShift(), from_step(11, "ln_2_g", "ln_2_b"), "step 11 * gain + bias"
        ),
        step(13, "MLP: hidden layer", ops.Linear(), from_step(12, "mlp_c_fc_w", "mlp_c_fc_b"), "step 12 @ w + b"),
        step(
            14,
            "MLP: GELU",
            ops.Gelu(),
            (name(13),),
            "0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), x = step 13",
        ),
        step(15, "MLP: output", ops.Linear(), from_step(14, "mlp_c_proj_w", "mlp_c_proj_b"), "step 14 @ w + b"),
        step(16, "residual after MLP", ops.Add(), (name(15), name(10)), "step 15 + step 10"),
    ]


def head_steps(block_output: str, embeddings: str, *, every_row: bool) -> list[Step]:
    rows = {"rows": "tokens" if every_row else "last token"}
    last = ops.Copy() if every_row else ops.LastRow()
    gain_bias = ("last_layernorm", "model_ln_f_g", "model_ln_f_b")
    column = {"rows": "vocabulary", "columns": "logit"}
    steps = [
        Step("last_hidden_state", "last hidden state", last, (block_output,), f"last row of {block_output}", **rows),
        Step(
            "last_layernorm",
            "final layer norm: normalise",
            ops.Normalize(),
            ("last_hidden_state",),
            "(last_hidden_state - mean) / sqrt(variance + 0.00001)",
            **rows,
        ),
        Step(
            "predicted_embedding",
            "final layer norm: gain, bias",
            ops.ScaleShift(),
            gain_bias,
            "last_layernorm * gain + bias",
            **rows,
        ),
        Step(
            "logits",
            "logits",
            ops.ScoreTokens(),
            (embeddings, "predicted_embedding"),
            f"{embeddings.removeprefix('model_')} @ predicted_embedding^T",
            **column,
        ),
    ]
    if not every_row:
        best = "the greatest logit, its token id, its token"
        text = {"rows": "text", "columns": "text"}
        steps.append(Step("predicted_token", "predicted token", ops.BestToken(), ("logits",), best, **text))
    return steps


def with_penalties(steps: list[Step]) -> list[Step]:
    """The steps of a model that predicts after every token, and the penalty of each prediction (`targets` given)."""
    words = "-ln(probability of the token that came)"
    return [*steps, Step("penalties", "penalties", ops.LogLoss(), ("logits", "targets"), words, "text", "tokens")]


def matrix_steps(steps: list[Step]) -> list[Step]:
    """Those that are computed from matrices: all but words, merges and tokens."""
    return [step for step in steps if not isinstance(step.op, ops.Given)]
