"""The gradient view of operations as Excel formulas: the fourth view, for the models of the ladder.

For each operation: the gradient of its result, its result and its inputs in, formulas of each input's gradient out.
Where a matrix goes several ways, its gradients are added piece by piece, so all of them come by rows. What each says is
`ops`' gradient; a test recalculates both. Where the matrices stand is `workbook.training`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sheetgpt import ops
from sheetgpt.ops import GELU_CUBIC, LAYER_NORM_EPSILON_TEXT
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.references import Box, Names, Source

Formulas = Iterator[tuple[Box, str]]  # (row, column, rows, columns) that one formula fills, and the formula


@dataclass(frozen=True)
class Matrix:
    """A named matrix as formulas on a tab refer to it."""

    source: Source
    tab: str
    names: Names  # names that formulas use are added here

    def __str__(self):
        self.names[self.source.name] = self.source.refers_to()
        return self.source.name

    @property
    def rows(self) -> int:
        return self.source.area.rows

    @property
    def columns(self) -> int:
        return self.source.area.columns

    @property
    def whole(self) -> Box:
        return 0, 0, self.rows, self.columns

    def cell(self, row: int, column: int) -> str:
        return self._here(self.source.area.part(row, column, 1, 1))

    def row(self, row: int) -> str:
        return self._here(self.source.area.part(row, rows=1))

    def column(self, column: int) -> str:
        return self._here(self.source.area.part(column=column, columns=1))

    def columns_from(self, column: int, count: int) -> str:
        return self._here(self.source.area.part(column=column, columns=count))

    def part_of_row(self, row: int, column: int, count: int) -> str:
        return self._here(self.source.area.part(row, column, 1, count))

    def cells(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in range(self.rows) for column in range(self.columns))

    def _here(self, area: Area) -> str:
        return area.range() if area.tab == self.tab else area.address()


def copy(_op, d: Matrix, _out, x: Matrix) -> list[Formulas | None]:
    return [iter([(x.whole, f"{d}")])]


def turn(_op, d, _out, x):
    return [iter([(x.whole, f"TRANSPOSE({d})")])]


def spread(_op, d, _out, scores, _ids):
    return [(((row, 0, 1, 1), f"SUM({d.row(row)})") for row in range(scores.rows)), None]


def take_rows(_op, d, _out, table, ids):
    return [(((row, 0, 1, table.columns), f"MMULT(1*({ids}={row}),{d})") for row in range(table.rows)), None]


def window(op, d, _out, _wanted, x):
    def cell(row: int, column: int) -> str:
        places = ((row + back, (op.size - 1 - back) * x.columns + column) for back in range(op.size))
        return "+".join(d.cell(at, place) for at, place in places if at < x.rows)

    return [None, (((row, column, 1, 1), cell(row, column)) for row, column in x.cells())]


def linear(_op, d, _out, x, w, b):
    sums = (((0, column, 1, 1), f"SUM({d.column(column)})") for column in range(b.columns))
    rows = (((row, 0, 1, x.columns), f"MMULT({d.row(row)},TRANSPOSE({w}))") for row in range(x.rows))
    return [rows, iter([(w.whole, f"MMULT(TRANSPOSE({x}),{d})")]), sums]


def gelu(_op, d, _out, x):
    t = f"TANH(SQRT(2/PI())*({x}+{GELU_CUBIC}*{x}^3))"
    slope = f"SQRT(2/PI())*(1+3*{GELU_CUBIC}*{x}^2)"
    return [iter([(x.whole, f"{d}*(0.5*(1+{t})+0.5*{x}*(1-{t}^2)*{slope})")])]


def score_tokens(_op, d, _out, table, x):
    rows = (((row, 0, 1, table.columns), f"MMULT({d.row(row)},{x})") for row in range(table.rows))
    return [rows, iter([(x.whole, f"MMULT(TRANSPOSE({d}),{table})")])]


def add(_op, d, _out, x, y):
    return [(((row, 0, 1, one.columns), d.row(row)) for row in range(one.rows)) for one in (x, y)]


def add_rows(_op, d, _out, x, table, _positions):
    rows = (((row, 0, 1, table.columns), d.row(row) if row < d.rows else "0") for row in range(table.rows))
    return [iter([(x.whole, f"{d}")]), rows, None]


def columns(op, d, _out, x):
    width = x.columns // op.count
    return [iter([((0, op.index * width, x.rows, width), f"{d}")])]


def attention_scores(op, d, _out, queries, keys, _mask):
    size, count = queries.columns // op.n_head, keys.rows

    def by_head(turn: str, other: Matrix) -> Formulas:
        for head in range(op.n_head):
            scores = turn.format(d.columns_from(head * count, count))
            formula = f"MMULT({scores},{other.columns_from(head * size, size)})/SQRT({size})"
            yield (0, head * size, other.rows, size), formula

    return [by_head("{}", keys), by_head("TRANSPOSE({})", queries), None]


def softmax(op, d, out, x):
    width = x.columns // op.groups

    def cell(row: int, column: int) -> str:
        group = row, column // width * width, width
        along = f"SUMPRODUCT({d.part_of_row(*group)},{out.part_of_row(*group)})"
        return f"{out.cell(row, column)}*({d.cell(row, column)}-{along})"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in x.cells())]


def attention_mix(op, d, _out, weights, values):
    size, count = values.columns // op.n_head, values.rows
    heads = [(d.columns_from(head * size, size), head) for head in range(op.n_head)]
    d_weights = (
        ((0, head * count, weights.rows, count), f"MMULT({piece},TRANSPOSE({values.columns_from(head * size, size)}))")
        for piece, head in heads
    )
    d_values = (
        ((0, head * size, count, size), f"MMULT(TRANSPOSE({weights.columns_from(head * count, count)}),{piece})")
        for piece, head in heads
    )
    return [d_weights, d_values]


def scale_shift(_op, d, _out, x, gain, bias):
    products = (((0, i, 1, 1), f"SUMPRODUCT({d.column(i)},{x.column(i)})") for i in range(gain.columns))
    sums = (((0, i, 1, 1), f"SUM({d.column(i)})") for i in range(bias.columns))
    return [iter([(x.whole, f"{d}*{gain}")]), products, sums]


def normalize(_op, d, out, x):
    def row(i: int) -> str:
        along = f"SUMPRODUCT({d.row(i)},{out.row(i)})/{x.columns}"
        deviation = f"SQRT(VARP({x.row(i)})+{LAYER_NORM_EPSILON_TEXT})"
        return f"({d.row(i)}-AVERAGE({d.row(i)})-{out.row(i)}*{along})/{deviation}"

    return [(((i, 0, 1, x.columns), row(i)) for i in range(x.rows))]


def nothing(_op, _d, _out, *inputs):
    return [None] * len(inputs)


def shares(_op, d, out, x):
    def cell(row: int, column: int) -> str:
        along = f"SUMPRODUCT({d.column(column)},{out.column(column)})"
        return f"({d.cell(row, column)}-{along})/SUM({x.column(column)})"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in x.cells())]


def softmax_columns(_op, d, out, x):
    def cell(row: int, column: int) -> str:
        along = f"SUMPRODUCT({d.column(column)},{out.column(column)})"
        return f"{out.cell(row, column)}*({d.cell(row, column)}-{along})"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in x.cells())]


def missed(_op, d, _out, probabilities, targets):
    def cell(row: int, column: int) -> str:
        return f"IF({targets.cell(0, column)}={row},-{d.cell(0, column)},0)"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in probabilities.cells()), None]


def surprise(_op, d, _out, probabilities, targets):
    def cell(row: int, column: int) -> str:
        slope = f"-{d.cell(0, column)}/{probabilities.cell(row, column)}"
        return f"IF({targets.cell(0, column)}={row},{slope},0)"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in probabilities.cells()), None]


def log_loss(_op, d, out, logits, targets):
    def cell(row: int, column: int) -> str:
        # the penalty is ln(sum of exp(logits)) - the target's logit, so this is the token's probability
        chosen = f"INDEX({logits.column(column)},{targets.cell(0, column)}+1)"
        probability = f"EXP({logits.cell(row, column)}-{out.cell(0, column)}-{chosen})"
        return f"{d.cell(0, column)}*({probability}-IF({targets.cell(0, column)}={row},1,0))"

    return [(((row, column, 1, 1), cell(row, column)) for row, column in logits.cells()), None]


GRADIENTS: dict[type[ops.Op], Callable[..., list[Formulas | None]]] = {
    ops.Copy: copy,
    ops.Turn: turn,
    ops.Spread: spread,
    ops.TakeRows: take_rows,
    ops.Window: window,
    ops.Linear: linear,
    ops.Gelu: gelu,
    ops.ScoreTokens: score_tokens,
    ops.Shares: shares,
    ops.SoftmaxColumns: softmax_columns,
    ops.Missed: missed,
    ops.Surprise: surprise,
    ops.LogLoss: log_loss,
    ops.Normalize: normalize,
    ops.ScaleShift: scale_shift,
    ops.Add: add,
    ops.AddRows: add_rows,
    ops.Columns: columns,
    ops.CausalMask: nothing,
    ops.AttentionScores: attention_scores,
    ops.Softmax: softmax,
    ops.AttentionMix: attention_mix,
}


def gradient_formulas(op: ops.Op, d_out: Matrix, out: Matrix, *inputs: Matrix) -> list[Formulas | None]:
    """For each input the formulas of its gradient, None where it has none."""
    return GRADIENTS[type(op)](op, d_out, out, *inputs)
