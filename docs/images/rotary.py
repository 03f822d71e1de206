"""The picture of docs/positions.md: what turns with rotary positions, from the embedded rotary model's own numbers.

    python docs/images/rotary.py docs/images/rotary.png

Two pairs of columns of one head, each a plane: the query of ` moves` and the key of ` quick`, as `block_0_step_5` has
them (grey), and turned by their positions (`..._rotated`) where the sentence begins at position 0 and at position 20.
"""

import sys

import matplotlib as mpl
import numpy as np

from sheetgpt import load_model

mpl.use("Agg")
from matplotlib import pyplot as plt

HEAD, PAIRS = 0, (0, 1)
ASIDE, SENTENCE = "It is late.", "Mike is quick. He moves"
QUERY, KEY = -1, -4  # ` moves` and ` quick`, from the end
COLOURS = {"query": "#c0392b", "key": "#2471a3"}


def pairs(trace, what: str, row: int, pair: int, *, turned: bool) -> tuple[np.ndarray, int]:
    """(the two numbers of a pair of the head's columns, the row's position)."""
    size = trace.config.head_size
    matrix = trace.arrays[f"block_0_step_5_{what}{'_rotated' if turned else ''}"]
    first = HEAD * size + 2 * pair
    return matrix[row, first : first + 2], len(trace.token_ids) + row


def main(target: str) -> None:
    model = load_model("rotary")
    far = model.run(" ".join([*[ASIDE] * 5, SENTENCE]))
    traces = [model.run(SENTENCE), far]
    figure, axes = plt.subplots(2, 2, figsize=(9, 9))
    for row, pair in enumerate(PAIRS):
        for column, trace in enumerate(traces):
            draw(axes[row][column], trace, pair)
    figure.suptitle("Rotary positions: each pair of columns turns with the position; what lies between doesn't", y=0.98)
    figure.tight_layout()
    figure.savefig(target, dpi=110, metadata={"Software": None})


def draw(axis, trace, pair: int) -> None:
    """One plane: both arrows before they turn, and after."""
    ends = []
    for what, row, word in (("queries", QUERY, "moves"), ("keys", KEY, "quick")):
        colour = COLOURS["query" if what == "queries" else "key"]
        for turned in (False, True):
            (x, y), position = pairs(trace, what, row, pair, turned=turned)
            label = f"{what[:-1] if what == 'keys' else 'query'} of ' {word}', position {position}" if turned else None
            arrow(axis, x, y, colour if turned else "#bbbbbb", label)
            ends.append(max(abs(x), abs(y)))
    limit = 1.25 * max(ends)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axis.axhline(0, color="#dddddd", lw=0.8, zorder=0)
    axis.axvline(0, color="#dddddd", lw=0.8, zorder=0)
    angle = 1 / 10000 ** (2 * pair / trace.config.head_size)
    axis.set_title(f"columns {2 * pair} and {2 * pair + 1} of head {HEAD}: {np.degrees(angle):.3g} degrees a token")
    axis.legend(loc="lower right", fontsize=8)


def arrow(axis, x: float, y: float, colour: str, label: str | None) -> None:
    axis.annotate("", xy=(x, y), xytext=(0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2})
    axis.plot([], [], color=colour, lw=2, label=label)


if __name__ == "__main__":
    main(sys.argv[1])
