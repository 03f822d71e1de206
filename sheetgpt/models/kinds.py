"""What a model is by its name: its steps, its weights, how it learns. A model is one file that holds its `KINDS`.

`config.MODELS` says which file. Here too what readers ask of any model: the lists that follow from its constants, and
which names belong to a stage or weight of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Protocol

import numpy as np

from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.models.step import Step, Steps, Weight

__all__ = ["Known", "has_last_position", "matrix_shapes", "model_steps", "training_steps", "weights_of"]

Shape = tuple[int, int]
MOST_BLOCKS = 1000  # that a stage's name is believed to count


class StepsOf(Protocol):
    """A model's steps from its constants. untied, every_row: as in `model_steps`."""

    def __call__(self, config: Config, *, untied: bool = ..., every_row: bool = ...) -> list[Step]: ...


class WeightsOf(Protocol):
    """A model's weights from its constants, in the files' order."""

    def __call__(self, config: Config, *, untied: bool = ...) -> dict[str, Weight]: ...


@dataclass(frozen=True)
class Defaults:
    """The constants and settings with which a model is trained unless others are given."""

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


@dataclass(frozen=True)
class Kind:
    """A model by its name."""

    name: str
    steps: StepsOf
    weights: WeightsOf
    training_steps: Callable[[Sequence[Step]], list[Step]]  # of those that predict after every token
    first_weight: Callable[[Weight, Config, np.random.Generator], np.ndarray]
    defaults: Defaults
    attends: bool = True  # a token's position matters to it, and its context ends
    plain_shares: bool = False  # its weights are parts of a sum: they stay above 0, and nudging each is shown
    written: str = ""  # its name as headings have it, where that is another

    @property
    def title(self) -> str:
        return self.written or self.name


def kind(name: str) -> Kind:
    """The model of that name."""
    found: Sequence[Kind] = import_module(MODELS[name]).KINDS
    return next(one for one in found if one.name == name)


def kind_of(config: Config) -> Kind:
    return kind(config.model)


def model_steps(config: Config, *, untied: bool = False, every_row: bool = False) -> Steps:
    """The steps of the model that the constants name, in order.

    untied: the language head has a matrix of its own.
    every_row: predict after every token, as training does, instead of only after the last.
    """
    return Steps(kind_of(config).steps(config, untied=untied, every_row=every_row))


def training_steps(config: Config, *, untied: bool = False) -> Steps:
    """The steps of a model that predicts after every token, up to each prediction's penalty (`targets` given)."""
    found = kind_of(config)
    return Steps(found.training_steps(found.steps(config, untied=untied, every_row=True)))


def weights_of(config: Config, *, untied: bool = False) -> dict[str, Weight]:
    """What each weight matrix is, by name, in the files' order."""
    return kind_of(config).weights(config, untied=untied)


def matrix_shapes(config: Config, untied: bool = False) -> dict[str, Shape]:
    """The name of every matrix -> its (rows, columns), in the files' order.

    >>> list(matrix_shapes(Config(1, 1, 4, 8, 16)).items())[:2]
    [('model_wte', (16, 4)), ('model_wpe', (8, 4))]
    """
    return {name: weight.shape for name, weight in weights_of(config, untied=untied).items()}


def has_last_position(config: Config) -> bool:
    """Do positions end with the table, at n_ctx? Else a longer context can be read, if less well."""
    return config.position == "learned" and kind_of(config).attends


# ------------------------------------------------------------------------------------------------ names of any model


@dataclass(frozen=True)
class Known:
    """The stages and weights of every model of ours with so many blocks: what each name stands for."""

    stages: dict[str, Step]  #: by name
    weights: dict[str, Weight]  #: by name

    def __contains__(self, name: object) -> bool:
        return name in self.stages or name in self.weights

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are known, in their order."""
        return [name for name in names if name in self]

    def unnumbered(self, names: Iterable[str]) -> dict[str, Step]:
        """Those that stand for a stage of some block, as the reference's page has it -> the stage in one of them."""
        found = {step.without_block: step for step in self.stages.values() if step.block is not None}
        return {name: found[name] for name in names if name in found and name not in self}

    def count_blocks(self, names: Iterable[str]) -> int:
        """The number of blocks that these names tell of, at least 1."""
        found = (self.stages.get(name) or self.weights.get(name) for name in names)
        return 1 + max((one.block for one in found if one is not None and one.block is not None), default=0)


def known_names(names: Collection[str]) -> Known:
    """What names stand for that may be those of stages and weights. GPT-2's come first where models share one."""
    numbers = [int(number) for name in names for number in re.findall(r"\d{1,6}", name)]
    n_layer = min(MOST_BLOCKS, 1 + max(numbers, default=0))
    while _known(n_layer).count_blocks(names) == n_layer < MOST_BLOCKS:  # names need not hold their block's number
        n_layer += 1
    return _known(n_layer)


@cache
def _known(n_layer: int) -> Known:
    stages: dict[str, Step] = {}
    weights: dict[str, Weight] = {}
    small = Config(n_layer, 1, 2, 1, 1)
    for model in reversed(MODELS):
        for position in POSITIONS:
            config = replace(small, model=model, position=position)
            weights |= weights_of(config, untied=True)
            stages |= {step.name: step for step in model_steps(config)}
    return Known(stages, weights)


def likeliest(names: Collection[str]) -> tuple[str, str]:
    """The model and the kind of positions whose stages and weights hold most of these names; of equals GPT-2's."""
    small = Config(known_names(names).count_blocks(names), 1, 2, 1, 1)
    found = [replace(small, model=model, position=position) for model in reversed(MODELS) for position in POSITIONS]
    best = max(found, key=lambda config: len(names_of(config) & set(names)))
    return best.model, best.position


def names_of(config: Config) -> set[str]:
    return {*model_steps(config).by_name, *weights_of(config, untied=True)}
