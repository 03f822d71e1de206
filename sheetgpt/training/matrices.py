"""The matrices of a training step: what each is, to which stage or weight it belongs, and its name made from both.

`d_NAME` is a gradient, `new_NAME` a weight after the step; from the second step on `step_2_` stands before names.
Nowhere else are such names made or read. The numbers come from `step`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sheetgpt.models.step import Axis, Step, Weight

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
    NUDGED_LOSS = "nudged_loss", "nudged", f"loss if {NUDGE_SHOWN} more"
    NUDGED_SLOPE = "nudged_slope", "slope", f"(nudged - loss) / {NUDGE_SHOWN}"

    def __init__(self, form: str, title: str, words: str):
        self.form, self.title, self.words = form, title, words

    def name_of(self, of: str) -> str:
        """The name of such a matrix, of a stage or weight.

        >>> What.GRADIENT.name_of("logits"), What.NEW.name_of("model_wte"), What.STAGE.name_of("logits")
        ('d_logits', 'new_model_wte', 'logits')
        """
        return self.form.format(of)


@dataclass(frozen=True)
class StepMatrix:
    """One matrix of a training step and all that may be asked of it."""

    what: What
    of: str  # the stage or weight that it belongs to
    about: Step | Weight
    numbers: np.ndarray

    @property
    def name(self) -> str:
        return self.what.name_of(self.of)

    @property
    def step(self) -> Step | None:
        """The step of the stage that it belongs to."""
        return self.about if isinstance(self.about, Step) else None

    @property
    def is_gradient(self) -> bool:
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
        return self.step.title if self.step and self.what is What.STAGE else self.what.title

    @property
    def words(self) -> str:
        return self.step.words if self.step and self.what is What.STAGE else self.what.words

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


def are_of_training(names: Collection[str]) -> bool:
    """Do these names belong to a training step? Then some matrix stands there as it was and as it became.

    >>> are_of_training({"model_wte", "d_model_wte", "new_model_wte"}), are_of_training({"model_wte", "logits"})
    (True, False)
    """
    return any(What.NEW.name_of(name) in names for name in names)
