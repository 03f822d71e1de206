"""The graph of scalar Values: numbers that remember what they were made of, and one loop that runs it backwards.

Any operation of `ops` computes on arrays of Values as on arrays of numbers, so a model's graph comes from the same list
of steps; nothing here knows of models. It is for looking at, on small models: every number is a Python object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Node", "Value"]


class Value:
    """A number, the operation and the children that made it, and the slope along each child (Karpathy's micrograd)."""

    __slots__ = ("children", "data", "gradient", "operation", "slopes")

    def __init__(
        self, data: float, operation: str = "", children: tuple[Value, ...] = (), slopes: tuple[float, ...] = ()
    ) -> None:
        self.data, self.operation, self.children, self.slopes = float(data), operation, children, slopes
        self.gradient = 0.0

    def __repr__(self) -> str:
        return f"Value({self.data})"

    def __add__(self, given: Value | float) -> Value:
        other = as_value(given)
        return Value(self.data + other.data, "+", (self, other), (1.0, 1.0))

    def __mul__(self, given: Value | float) -> Value:
        other = as_value(given)
        return Value(self.data * other.data, "*", (self, other), (other.data, self.data))

    def __truediv__(self, given: Value | float) -> Value:
        other = as_value(given)
        quotient = self.data / other.data
        return Value(quotient, "/", (self, other), (1 / other.data, -quotient / other.data))

    def __sub__(self, given: Value | float) -> Value:
        other = as_value(given)
        return Value(self.data - other.data, "-", (self, other), (1.0, -1.0))

    def __neg__(self) -> Value:
        return Value(-self.data, "negative", (self,), (-1.0,))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Value | float) -> Value:
        return as_value(other) - self

    def __rtruediv__(self, other: Value | float) -> Value:
        return as_value(other) / self

    # what numpy asks of a number in an array: np.exp(array of Values) calls exp of each

    def exp(self) -> Value:
        """The exponential; numpy calls it for each Value of an array."""
        power = math.exp(self.data)
        return Value(power, "exp", (self,), (power,))

    def log(self) -> Value:
        """The natural logarithm."""
        return Value(math.log(self.data), "ln", (self,), (1 / self.data,))

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        found = math.tanh(self.data)
        return Value(found, "tanh", (self,), (1 - found * found,))

    def sqrt(self) -> Value:
        """The square root."""
        root = math.sqrt(self.data)
        return Value(root, "sqrt", (self,), (0.5 / root,))

    def conjugate(self) -> Value:
        """Itself, as it is real; numpy's products ask for it."""
        return self

    def __lt__(self, other: Value | float) -> bool:
        return self.data < as_value(other).data

    def __gt__(self, other: Value | float) -> bool:
        return self.data > as_value(other).data

    def __le__(self, other: Value | float) -> bool:
        return self.data <= as_value(other).data

    def __ge__(self, other: Value | float) -> bool:
        return self.data >= as_value(other).data

    def backward(self, upstream: float = 1.0) -> list[Value]:
        """Fill in the gradient of everything that this Value is made of; the nodes in the order of their making."""
        nodes = in_order(self)
        for node in nodes:
            node.gradient = 0.0
        self.gradient = upstream
        for node in reversed(nodes):
            for child, slope in zip(node.children, node.slopes, strict=True):
                child.gradient += slope * node.gradient
        return nodes


def as_value(number: Value | float) -> Value:
    return number if isinstance(number, Value) else Value(number, "constant")


def in_order(last: Value) -> list[Value]:
    """Every node that `last` is made of, children before parents, without recursion: graphs are deep."""
    done: dict[int, Value] = {}
    stack: list[tuple[Value, bool]] = [(last, False)]
    while stack:
        node, children_are_done = stack.pop()
        if id(node) in done:
            continue
        if children_are_done:
            done[id(node)] = node
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node.children)]
    return list(done.values())


def to_values(matrix: np.ndarray) -> np.ndarray:
    """An array of Values with these numbers, each a node without children."""
    made = np.empty(matrix.shape, object)
    made.ravel()[:] = [Value(number, "given") for number in matrix.ravel().tolist()]
    return made


@dataclass(frozen=True)
class Node:
    """One row of the graph's table. Children are rows by their number."""

    node: int  #: the row's number
    name: str  #: of a weight's cell; empty elsewhere
    operation: str  #: that made it
    children: tuple[int, ...]  #: the rows that it was made of
    value: float  #: the number
    slopes: tuple[float, ...]  #: along each child
    gradient: float  #: of the last node along this one


def table(nodes: Iterable[Value], names: dict[int, str]) -> Iterator[Node]:
    """The graph as a table; `names` tells what a node (by its id()) is called."""
    numbers: dict[int, int] = {}
    for number, node in enumerate(nodes):
        numbers[id(node)] = number
        children = tuple(numbers[id(child)] for child in node.children)
        name = names.get(id(node), "")
        yield Node(number, name, node.operation, children, node.data, node.slopes, node.gradient)
