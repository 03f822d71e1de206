"""microgpt, Andrej Karpathy's smallest GPT (2026), as one list of steps and its weights.

GPT-2's order with four things left plain: each row is divided by its root mean square, without gain (also the
embeddings, before the first block, and nothing before the head); no biases; ReLU for GELU; a language head of its own.
Stages and weights that it shares with GPT-2 have GPT-2's names and numbers.
"""

from __future__ import annotations

from functools import partial

from sheetgpt import ops
from sheetgpt.models import gpt2, reasons
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import Defaults, Kind
from sheetgpt.models.step import Axis, Part, Step, Use, Weight

FIRST_DEVIATION = 0.08  # of every matrix before training
RMS = f"{{0}} / sqrt(mean of {{0}}^2 + {ops.LAYER_NORM_EPSILON_TEXT})"
NORMALISED = "normalised_embeddings"


class Block(gpt2.Block):
    """Makes the steps of one block, without gains and biases."""

    def rms(self, number: int, title: str, of: int) -> Step:
        return self.step(number, title, ops.NormalizeRms(), (self.name(of),), RMS.format(f"step {of}"), reasons.NORMAL)

    def project(self, number: int, title: str, of: int, weight: str, why: str) -> Step:
        inputs = (self.name(of), *self.weights(f"{weight}_w"))
        return self.step(number, title, ops.Project(), inputs, f"step {of} @ w", why)


def block_steps(config: Config, block: int, block_input: str) -> list[Step]:
    b = Block(block, config.n_head)
    return [
        b.step(1, "block input", ops.Copy(), (block_input,), block_input, reasons.INPUT),
        b.rms(2, "RMS norm 1", of=1),
        b.project(4, "queries, keys, values", 2, "attn_c_attn", reasons.THREE),
        *b.split(4),
        *b.attention(config.position),
        b.project(9, "attention output", 8, "attn_c_proj", reasons.OUTPUT),
        b.residual(10, "residual after attention", 9, 1, reasons.ADDED),
        b.rms(11, "RMS norm 2", of=10),
        b.project(13, "MLP: hidden layer", 11, "mlp_c_fc", reasons.HIDDEN),
        b.step(14, "MLP: ReLU", ops.Relu(), (b.name(13),), "the greater of step 13 and 0", reasons.GELU),
        b.project(15, "MLP: output", 14, "mlp_c_proj", reasons.MLP_OUTPUT),
        b.residual(16, "residual after MLP", 15, 10, reasons.ADDED_AGAIN),
    ]


def steps(config: Config, *, untied: bool = True, every_row: bool = False) -> list[Step]:  # noqa: ARG001
    """The steps of a microgpt with these constants, in order. every_row: predict after every token."""
    normal = gpt2.embedded(
        NORMALISED,
        "embeddings, normalised",
        ops.NormalizeRms(),
        ("position_embeddings",),
        RMS.format("position_embeddings"),
        reasons.NORMAL,
    )
    made, block_input = [*gpt2.embedding_steps(config.position), normal], NORMALISED
    for block in range(config.n_layer):
        made += block_steps(config, block, block_input)
        block_input = made[-1].name
    made.append(gpt2.last_row(block_input, reasons.LAST, every_row=every_row))
    made.append(gpt2.scored(gpt2.LM_HEAD, "last_hidden_state", every_row=every_row))
    return made if every_row else [*made, gpt2.predicted_token()]


def block_weights(block: int, d: int) -> dict[str, Weight]:
    shapes = {
        "attn_c_attn": (d, 3 * d),
        "attn_c_proj": (d, d),
        "mlp_c_fc": (d, gpt2.MLP_WIDTH * d),
        "mlp_c_proj": (gpt2.MLP_WIDTH * d, d),
    }
    return {
        f"model_h{block}_{name}_w": Weight(shape, Use.LINEAR, part=Part.BLOCK, block=block)
        for name, shape in shapes.items()
    }


def weights(config: Config, *, untied: bool = True) -> dict[str, Weight]:  # noqa: ARG001
    """Every matrix by name, in the files' order."""
    head = gpt2.table(config.n_vocab, config.n_embd, Axis.VOCABULARY, Part.HEAD)
    made = {gpt2.WTE: gpt2.table(config.n_vocab, config.n_embd, Axis.VOCABULARY), **gpt2.position_table(config)}
    for block in range(config.n_layer):
        made |= block_weights(block, config.n_embd)
    return {**made, gpt2.LM_HEAD: head}


KINDS = (
    Kind(
        "microgpt",
        steps,
        weights,
        gpt2.training_steps,
        partial(gpt2.first_weight, deviation=FIRST_DEVIATION),
        Defaults(n_layer=1, n_head=4, n_embd=16, n_ctx=16),
    ),
)
