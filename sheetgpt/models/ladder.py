"""The ladder of models, each a list of steps: die, softmax, bigram, mlp, attention; and GPT-2, whose list is `steps`'.

Each rung adds one idea to the one before. Stages and weights that a rung shares with GPT-2 have GPT-2's names. How a
rung is trained is `train`'s business, what its constants mean stands in `matrix_shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sheetgpt import ops
from sheetgpt.models.config import Config
from sheetgpt.models.gpt2 import Step, block_steps, embedding_steps, gpt2, position_steps, with_penalties

HIDDEN = 4  # times n_embd: the width of the mlp's hidden layer
COLUMN = {"rows": "vocabulary", "columns": "logit"}


@dataclass(frozen=True)
class Defaults:
    """The constants and settings with which a rung is trained unless others are given."""

    n_layer: int = 1
    n_head: int = 1
    n_embd: int = 1
    n_ctx: int = 32
    steps: int = 1000
    batch: int = 32
    learning_rate: float = 0.01
    min_learning_rate: float = 1e-4
    warmup: int = 0
    weight_decay: float = 0.0
    optimizer: str = "adamw"
    gradient: str = "backprop"


DEFAULTS = {
    "die": Defaults(steps=100, learning_rate=0.2, min_learning_rate=0.2, optimizer="sgd", gradient="numeric"),
    "softmax": Defaults(steps=500, learning_rate=1.0, min_learning_rate=1.0, optimizer="sgd"),
    "bigram": Defaults(learning_rate=0.1),
    "mlp": Defaults(n_embd=8, n_ctx=3),
    "attention": Defaults(n_embd=16),
    "gpt2": Defaults(2, 4, 64, 64, 2000, 32, 3e-3, 1e-4, 100, 0.1),
}


def model_steps(config: Config, *, untied: bool = False, every_row: bool = False) -> list[Step]:
    """The steps of the model that the constants name, in order.

    every_row: predict after every token, as training does, instead of only after the last.
    """
    if config.model == "gpt2":
        return gpt2(config, untied=untied, every_row=every_row)
    tokens = [step for step in embedding_steps() if step.rows == "text"]
    steps = tokens + RUNGS[config.model](config, every_row)
    if not every_row:
        words = "the greatest logit, its token id, its token"
        steps.append(Step("predicted_token", "predicted token", ops.BestToken(), ("logits",), words, "text", "text"))
    return steps


def training_steps(config: Config, *, untied: bool = False) -> list[Step]:
    """The steps of a model that predicts after every token, up to each prediction's penalty (`targets` given)."""
    steps = model_steps(config, untied=untied, every_row=True)
    if config.model == "die":
        steps = [step for step in steps if step.name != "logits"]  # of use where the die is rolled
    if config.model not in ("die", "softmax"):
        return with_penalties(steps)
    text = {"rows": "text", "columns": "tokens"}
    inputs, named = ("probabilities", "targets"), "probability of the token that came"
    loss, words = (ops.Missed(), f"1 - {named}") if config.model == "die" else (ops.Surprise(), f"-ln({named})")
    return [*steps, Step("penalties", "penalties", loss, inputs, words, **text)]


def matrix_shapes(config: Config) -> dict[str, tuple[int, int]]:
    """The name of every matrix of a rung below GPT-2 -> its (rows, columns).

    The mlp looks at the last n_ctx tokens; die, softmax and bigram have no use for n_embd and n_ctx.
    """
    n, d = config.n_vocab, config.n_embd
    wide = HIDDEN * d
    return {
        "die": {"model_logits": (n, 1)},
        "softmax": {"model_logits": (n, 1)},
        "bigram": {"model_wte": (n, n)},
        "mlp": {
            "model_wte": (n, d),
            "model_mlp_c_fc_w": (config.n_ctx * d, wide),
            "model_mlp_c_fc_b": (1, wide),
            "model_mlp_out": (n, wide),
        },
        "attention": {
            "model_wte": (n, d),
            **({"model_wpe": (config.n_ctx, d)} if config.position == "learned" else {}),
            "model_h0_attn_c_attn_w": (d, 3 * d),
            "model_h0_attn_c_attn_b": (1, 3 * d),
        },
    }[config.model]


# ------------------------------------------------------------------------------------------------ the rungs


def _die(_config, every_row):
    words = "each of the plain weights divided by their sum"
    return [
        _spread("scores", "the die's weights", every_row),
        Step("probabilities", "probabilities", ops.Shares(), ("scores",), words, **COLUMN),
        Step("logits", "logits", ops.Log(), ("probabilities",), "ln(probabilities)", **COLUMN),
    ]


def _softmax(_config, every_row):
    words = "exp(logits) / sum of exp(logits)"
    return [
        _spread("logits", "logits", every_row),
        Step("probabilities", "probabilities", ops.SoftmaxColumns(), ("logits",), words, **COLUMN),
    ]


def _bigram(_config, every_row):
    words = "last_hidden_state, turned: the token's row is its logits"
    turn = Step("logits", "logits", ops.Turn(), ("last_hidden_state",), words, **COLUMN)
    return [_embeddings(), _last("token_embeddings", every_row), turn]


def _mlp(config, every_row):
    context, words = "context", f"the rows of the last {config.n_ctx} tokens side by side, the oldest first"
    linear = ("context", "model_mlp_c_fc_w", "model_mlp_c_fc_b")
    gelu = "0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), x = mlp_hidden"
    return [
        _embeddings(),
        Step(context, "the last tokens' embeddings", ops.Window(config.n_ctx), ("token_embeddings",) * 2, words),
        Step("mlp_hidden", "MLP: hidden layer", ops.Linear(), linear, "context @ w + b"),
        Step("mlp_gelu", "MLP: GELU", ops.Gelu(), ("mlp_hidden",), gelu),
        _last("mlp_gelu", every_row),
        _score("model_mlp_out"),
    ]


def _attention(config, every_row):
    """GPT-2's block without layer norms, output projection and MLP."""
    mask = [step for step in embedding_steps() if step.name == "triangle_matrix"]
    block = {step.name.removeprefix("block_0_step_"): step for step in block_steps(config, 0, "position_embeddings")}
    weights = block["4"].inputs[1:]
    block["4"] = replace(block["4"], inputs=("block_0_step_1", *weights), words="step 1 @ w + b")
    block["10"] = replace(block["10"], inputs=("block_0_step_8", "block_0_step_1"), words="step 8 + step 1")
    steps = [block[number] for number in block if number in {"1", "4", "6", "7", "8", "10"} or number.startswith("5_")]
    head = [_last("block_0_step_10", every_row), _score("model_wte")]
    return [_embeddings(), *position_steps(config.position), *mask, *steps, *head]


RUNGS = {"die": _die, "softmax": _softmax, "bigram": _bigram, "mlp": _mlp, "attention": _attention}


def _embeddings() -> Step:
    words = "row (token id) of wte"
    return Step("token_embeddings", "token embeddings", ops.TakeRows(), ("model_wte", "final_tokens"), words)


def _spread(name: str, title: str, every_row: bool) -> Step:
    if every_row:
        inputs = ("model_logits", "final_tokens")
        return Step(name, title, ops.Spread(), inputs, "model_logits at every position", **COLUMN)
    return Step(name, title, ops.Copy(), ("model_logits",), "model_logits", **COLUMN)


def _last(stage: str, every_row: bool) -> Step:
    op, rows = (ops.Copy(), "tokens") if every_row else (ops.LastRow(), "last token")
    return Step("last_hidden_state", "last hidden state", op, (stage,), f"last row of {stage}", rows)


def _score(table: str) -> Step:
    words = f"{table.removeprefix('model_')} @ last_hidden_state^T"
    return Step("logits", "logits", ops.ScoreTokens(), (table, "last_hidden_state"), words, **COLUMN)
