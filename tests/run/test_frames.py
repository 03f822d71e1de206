"""Labels that fit a stage, and the refusal of those that don't."""

from __future__ import annotations

import pytest

from sheetgpt.errors import StageError
from sheetgpt.models.step import Axis, Step
from sheetgpt.ops import Copy
from sheetgpt.run.frames import Labels


def test_labels_that_do_not_fit_are_refused():
    labels = Labels(["a", " b"], 2, lambda: ["a", " b"])
    step = Step("s", "t", Copy(), (), "")
    assert labels.rows(step, 2).flat() == ["0 a", "1  b"]
    with pytest.raises(StageError, match="s has 3 rows but 2 labels"):
        labels.rows(step, 3)
    with pytest.raises(StageError, match="s has 9 rows but 2 labels"):
        labels.rows(Step("s", "t", Copy(), (), "", rows=Axis.VOCABULARY), 9)
