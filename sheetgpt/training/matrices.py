"""The matrices of a training step: what each is, to which stage or weight it belongs, and its name made from both.

`d_NAME` is a gradient, `new_NAME` a weight after the step; from the second step on `step_2_` stands before names.
Nowhere else are such names made or read. The numbers come from `step`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sheetgpt.models.config import Config
from sheetgpt.models.kinds import known_names, likeliest, training_steps, weights_of
from sheetgpt.models.step import Axis, Step, Weight

__all__ = ["StepMatrix", "What"]

LOSS = "loss"  # the name of the one number that a step makes smaller, where it is compared
NUDGE_SHOWN = 0.01  # of one weight, where the effect of a nudge is shown


class What(Enum):
    """What a matrix of a training step is: its name's form, its title, how it is made."""

    WEIGHT = "{}", "weights", "before the step"
    STAGE = "{}", "", ""  # a stage has a title of its own
    GRADIENT = "d_{}", "gradient", "how the loss rises with each cell"
    MEAN = "mean_{}", "mean of gradients", "beta1 * before + (1 - beta1) * d"
    SQUARE = "square_{}", "mean of squares", "beta2 * before + (1 - beta2) * d^2"
    NEW = "new_{}", "weights after", "moved against d"
    TARGET_SHARE = "target_share", "came", "share of positions"
    NUDGED_LOSS = "nudged_loss", "nudged loss", f"if it were {NUDGE_SHOWN} more"
    NUDGED_SLOPE = "nudged_slope", "slope", f"rise / {NUDGE_SHOWN}"

    def __init__(self, form: str, title: str, words: str):
        self.form, self.title, self.words = form, title, words

    def name_of(self, of: str) -> str:
        """The name of such a matrix, of a stage or weight.

        >>> What.GRADIENT.name_of("logits"), What.NEW.name_of("model_wte"), What.STAGE.name_of("logits")
        ('d_logits', 'new_model_wte', 'logits')
        """
        return self.form.format(of)


OF_WEIGHTS = (What.GRADIENT, What.MEAN, What.SQUARE, What.NEW)  # and of stages: what a run has not
IN_ORDER = (What.WEIGHT, What.STAGE, What.TARGET_SHARE, What.NUDGED_LOSS, What.NUDGED_SLOPE, *OF_WEIGHTS)


@dataclass(frozen=True)
class StepMatrix:
    """One matrix of a training step and all that may be asked of it."""

    what: What  #: a weight, a stage, a gradient, ...
    of: str  #: the stage or weight that it belongs to
    about: Step | Weight  #: the stage's step, or the weight
    numbers: np.ndarray  #: [rows, columns]

    @property
    def name(self) -> str:
        """Made of what it is and what it belongs to: `d_logits`."""
        return self.what.name_of(self.of)

    @property
    def step(self) -> Step | None:
        """The step of the stage that it belongs to."""
        return self.about if isinstance(self.about, Step) else None

    @property
    def is_gradient(self) -> bool:
        """Is it a gradient?"""
        return self.what is What.GRADIENT

    @property
    def is_share(self) -> bool:
        """Is it a stage whose cells are parts of a whole?"""
        return self.what is What.STAGE and self.step is not None and self.step.op.shares

    @property
    def is_decayed(self) -> bool:
        """Does weight decay pull on it?"""
        return isinstance(self.about, Weight) and not self.about.is_vector

    @property
    def title(self) -> str:
        """In plain words."""
        return self.step.title if self.step and self.what is What.STAGE else self.what.title

    @property
    def words(self) -> str:
        """How it is made, as a person would say it."""
        return self.step.words if self.step and self.what is What.STAGE else self.what.words

    @property
    def why(self) -> str:
        """In one sentence, what a stage is good for; empty for what is no stage."""
        return self.step.why if self.step and self.what is What.STAGE else ""

    @property
    def rows(self) -> Axis | None:
        """What its rows count."""
        return self.about.rows

    @property
    def columns(self) -> Axis | None:
        """What its columns count, where that is known."""
        return self.step.columns if self.step else None


# ------------------------------------------------------------------------------------------------ names in files


def in_step(number: int, name: str) -> str:
    """A matrix's name where several steps stand in one place.

    >>> in_step(1, "d_logits"), in_step(2, "d_logits")
    ('d_logits', 'step_2_d_logits')
    """
    return name if number == 1 else f"step_{number}_{name}"


def apart(name: str) -> tuple[int, What, str]:
    """A name taken apart: (the step, what the matrix is, the stage or weight that it belongs to).

    What has the bare name of a stage or weight counts as a stage.

    >>> number, what, of = apart("step_2_new_model_wte")
    >>> number, what.name, of
    (2, 'NEW', 'model_wte')
    """
    found = re.fullmatch(r"step_([1-9]\d{0,8})_(.+)", name)
    number, rest = (int(found[1]), found[2]) if found else (1, name)
    for what in What:
        prefix = what.form.removesuffix("{}")
        if prefix == rest or (prefix and prefix != what.form and rest.startswith(prefix)):
            return number, what, rest.removeprefix(prefix)
    return number, What.STAGE, rest


def are_of_training(names: Collection[str]) -> bool:
    """Do some of these names belong to a training step only: a gradient of a stage or weight, a weight after the step?

    Or some matrix stands there as it was and as it became, in a model that is not known.

    >>> are_of_training({"d_logits"}), are_of_training({"model_wte", "logits"}), are_of_training({"d_model", "x"})
    (True, False, False)
    >>> are_of_training({"d_mine", "new_mine"}), are_of_training({"mine", "new_mine"})
    (False, True)
    """
    taken_apart = [apart(name) for name in names]
    belonging = [of for _, what, of in taken_apart if what in OF_WEIGHTS]
    known = known_names([of for _, _, of in taken_apart]) if belonging else ()
    return any(of in known or of in names for of in belonging)


def in_order(names: Collection[str]) -> list[str]:
    """Names in the order of the data, as a step makes its matrices; of each kind, what no model of ours has comes last.

    >>> in_order(["new_model_wte", "d_model_wte", "step_2_d_logits", "d_logits", "logits", "model_wte"])
    ['model_wte', 'logits', 'd_logits', 'd_model_wte', 'new_model_wte', 'step_2_d_logits']
    """
    taken_apart = {name: apart(name) for name in names}
    place = {of: at for at, of in enumerate(held_in_steps([of for _, _, of in taken_apart.values()]))}

    def key(name: str) -> tuple[int, int, bool, int]:
        number, what, of = taken_apart[name]
        at = place.get(of, 0)
        return number, IN_ORDER.index(what), of not in place, -at if what is What.GRADIENT else at

    return sorted(names, key=key)


def held_in_steps(names: Collection[str]) -> dict[str, Step | Weight]:
    """What training steps hold of the model that has most of these names: weights and stages that are matrices."""
    model, position = likeliest(names)
    config = Config(known_names(names).count_blocks(names), 1, 2, 1, 1, model=model, position=position)
    stages = {name: step for name, step in training_steps(config).by_name.items() if not step.is_text}
    return {**weights_of(config, untied=True), **stages}
