"""A stage's frame that shows itself in Jupyter. Its HTML belongs in `notebook`, which is imported when it is asked for.

It stays a plain DataFrame with a `_repr_html_` of its own, and no subclass: `assert_frame_equal`, pickles and tools
that look at a type's name take it as any frame, and what is made of it (slices, copies, sums) pandas shows again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ref

from sheetgpt.models.step import Step

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Shown:
    """What a frame is called by as its `_repr_html_`: None where pandas' options say that no HTML is wanted.

    subtle: it holds the frame weakly, so that frame and matrix go as soon as nobody has them; who keeps only the
    method, as `trace[name]._repr_html_()` does for a moment, sees the frame made again.
    """

    frame: ref[pd.DataFrame]
    made: Callable[[], pd.DataFrame]
    step: Step
    n_head: int
    n_columns: int  # when it was made: they aren't divided by heads any more where a person took some out of it
    is_set: bool

    def __call__(self) -> str | None:
        import pandas as pd

        from sheetgpt.notebook import stage

        if not pd.get_option("display.notebook_repr_html"):
            return None
        held = self.frame()
        frame = self.made() if held is None else held
        is_divided = self.step.is_divided and frame.shape[1] == self.n_columns
        return stage.html(frame, self.step, self.n_head if is_divided else 1, is_set=self.is_set)


def shows_itself(made: Callable[[], pd.DataFrame], step: Step, n_head: int, *, is_set: bool) -> pd.DataFrame:
    """The frame that is made, which now knows its step when Jupyter shows it."""
    frame = made()
    shown = Shown(ref(frame), made, step, n_head, frame.shape[1], is_set)
    object.__setattr__(frame, "_repr_html_", shown)
    return frame
