"""GPT-2 with another name for every stage: whoever knows a stage by its name, and not by its step, is found out.

Two models of the same steps and weights, `plain` and `strange`; register them with `monkeypatch.setitem(config.MODELS,
...)` for each of their names, as `registered` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from string import ascii_lowercase

from sheetgpt.model import Model
from sheetgpt.models import config, gpt2
from sheetgpt.models.kinds import Kind
from sheetgpt.models.step import Step
from sheetgpt.weights.folder import Weights

STAGES = [step.name for step in gpt2.training_steps(gpt2.steps(config.Config(2, 1, 2, 1, 1)))]
NAMES = {name: f"moon_{ascii_lowercase[i // 26]}{ascii_lowercase[i % 26]}" for i, name in enumerate(STAGES)}
STAGE = re.compile(rf"(?<!\w)({'|'.join(NAMES)})(?=_head_\d|(?![\w!]))")  # and no tab


def renamed(steps: Iterable[Step]) -> list[Step]:
    """The same list under strange names."""
    return [
        replace(
            step,
            name=in_strange_words(step.name),
            title=in_strange_words(step.title),
            words=in_strange_words(step.words),
            inputs=tuple(map(in_strange_words, step.inputs)),
        )
        for step in steps
    ]


def in_strange_words(text: str) -> str:
    """A text or formula with strange names for those of stages.

    >>> in_strange_words("MMULT(block_0_step_7_head_1,token_embeddings)+my_logits")
    'MMULT(moon_ao_head_1,moon_ad)+my_logits'
    """
    return STAGE.sub(lambda found: NAMES[found[1]], text)


def strange_steps(*given, **options) -> list[Step]:
    return renamed(gpt2.steps(*given, **options))


def strange_training_steps(made: Iterable[Step]) -> list[Step]:
    return renamed(gpt2.training_steps(list(made)))


kind = partial(Kind, weights=gpt2.weights, first_weight=gpt2.first_weight, defaults=gpt2.KINDS[0].defaults)
KINDS = (
    kind("plain", gpt2.steps, training_steps=gpt2.training_steps),
    kind("strange", strange_steps, training_steps=strange_training_steps),
)


def registered(monkeypatch) -> None:
    for one in KINDS:
        monkeypatch.setitem(config.MODELS, one.name, __name__)


def called(name: str, model: Model) -> Model:
    """The same weights and tokenizer as a model of that name."""
    weights = model.weights
    return Model(
        Weights(dict(weights), replace(weights.config, model=name), weights.folder, weights.dtype), model.tokenizer
    )
