"""`explain`: a number of a run from its inputs, and on to where its largest term comes from; the difference of two.

What an explanation shows is in `explained`, which cells enter in `cells`, what an operation's terms are in `ops`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sheetgpt import ops
from sheetgpt.lens.addresses import Region, address, label, label_within, parse, region_of, split
from sheetgpt.lens.cells import terms_of, value_at
from sheetgpt.lens.explained import MOST_TERMS, Explanation, Term, closed, in_order, short
from sheetgpt.models.step import Role, Step
from sheetgpt.run.trace import Trace

SAME = {"float64": 1e-9, "float32": 1e-3}  # of the larger: a cell that is as its inputs make it
Sides = tuple[Region | None, Region | None]


def explain(trace: Trace, text: str, *, depth: int = 0, top: int = MOST_TERMS) -> Explanation:
    """What makes a cell of a run, or the difference of two; depth: how often to go on with the largest term.

    Raises StageError where the address names no number of the run.
    """
    regions = [parse(one, trace) for one in split(text)]
    made = of_difference if len(regions) == 2 else of_cell
    found, source = made(trace, *regions, top=top)
    return followed(trace, found, source, depth)


def followed(trace: Trace, found: Explanation, source: Region | None, depth: int) -> Explanation:
    """With what its source comes from, as deep as was asked for."""
    if depth <= 0 or source is None:
        return found
    below, further = of_cell(trace, source, top=found.top)
    return replace(found, below=followed(trace, below, further, depth - 1))


def of_cell(trace: Trace, region: Region, *, top: int) -> tuple[Explanation, Region | None]:
    """A cell explained, and the cell to go on with."""
    step = trace.steps.by_name.get(region.stage)
    if step is None:
        return of_weight(trace, region), None
    if step.role is Role.PREDICTION:
        return of_prediction(trace, step, top=top)
    terms = terms_of(trace, region)
    summands, added = in_order_with(summed(trace, step, terms), addends(trace, step, terms))
    found = Explanation(
        address(region, trace),
        value_at(trace, region),
        step.title,
        label(region, trace),
        step.words,
        terms.in_names,
        terms.in_numbers(short),
        numbers(trace, step, terms),
        summands,
        added,
        heads_of(step, terms),
        total_of(terms),
        adds_all(terms),
        was_set(trace, region, terms),
        top=top,
    )
    return found, source_of(trace, step, terms, [*summands, *added])


def was_set(trace: Trace, region: Region, terms: ops.Terms) -> tuple[str, ...]:
    """Where a cell is not what its inputs make: a note that says so."""
    value, near = value_at(trace, region), SAME[trace.dtype.name]
    if region.stage not in trace.overrides or abs(terms.value - value) <= near * max(1.0, abs(value)):
        return ()
    return (f"{address(region, trace)} was set: its inputs make {short(terms.value)}.",)


# ------------------------------------------------------------------------------------------------ terms as rows


def cells_of(trace: Trace, step: Step, cells: ops.Cells | None) -> Region | None:
    return None if cells is None else region_of(step.inputs[cells.input], cells.box, trace)


def known(*regions: Region | None) -> tuple[Region, ...]:
    return tuple(one for one in regions if one is not None)


def numbers(trace: Trace, step: Step, terms: ops.Terms) -> tuple[Term, ...]:
    """The numbers of the formula, but for what is added."""
    return tuple(
        Term(name.replace("_", " "), one.value, cells=known(cells_of(trace, step, one.cells)))
        for name, one in terms.numbers.items()
        if not one.addend
    )


def addends(trace: Trace, step: Step, terms: ops.Terms) -> list[Term]:
    """What is added besides the summands of a sum; where there is no sum, by the stages' names."""
    found = []
    for name, one in terms.numbers.items():
        if one.addend:
            cell = cells_of(trace, step, one.cells)
            title = cell.stage if cell is not None and terms.sum is None else name
            found.append(Term(title, one.value, cells=known(cell)))
    return found


def in_order_with(summands: Sequence[Term], added: Sequence[Term]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Both, each the largest first, with shares of both; what is added alone is what is summed."""
    if not summands:
        return in_order(added), ()
    ordered, names = in_order([*summands, *added]), {term.label for term in added}
    return tuple(one for one in ordered if one.label not in names), tuple(one for one in ordered if one.label in names)


def summed(trace: Trace, step: Step, terms: ops.Terms) -> list[Term]:
    """The summands of a sum; their labels are those of the cells of a stage, rather than of a weight."""
    if terms.sum is None:
        return []
    left, right = sides_of(trace, step, terms.sum)
    labelled = left if left is not None and (right is None or left.stage in trace.steps.by_name) else right
    assert labelled is not None
    values, lefts = terms.sum.values.tolist(), terms.sum.left.values.tolist()
    rights = [None] * len(values) if terms.sum.right is None else terms.sum.right.values.tolist()
    return [
        Term(label_within(labelled, i, trace), values[i], lefts[i], rights[i], cells=at(i, left, right))
        for i in range(len(values))
    ]


def at(number: int, *sides: Region | None) -> tuple[Region, ...]:
    return tuple(side.at(number) for side in sides if side is not None)


def sides_of(trace: Trace, step: Step, made: ops.Sum) -> Sides:
    """The cells on the left and on the right of all summands."""
    right = None if made.right is None else cells_of(trace, step, made.right.cells)
    return cells_of(trace, step, made.left.cells), right


def heads_of(step: Step, terms: ops.Terms) -> tuple[str, str, str]:
    """What the columns of the table are: stages and weights by name."""
    if terms.sum is None:
        return "left", "right", "value"
    sides = (terms.sum.left, terms.sum.right)
    left, right = (step.inputs[side.cells.input] if side and side.cells else "right" for side in sides)
    return left, right, terms.sum.what


def parts_of(formula: str) -> set[str]:
    return set(formula.split(" + "))


def adds_all(terms: ops.Terms) -> bool:
    """Is the cell the sum of its summands and of what is added, and of nothing else?"""
    names = {f"{{{name}}}" for name, one in terms.numbers.items() if one.addend}
    return parts_of(terms.formula) == names | ({"{sum}"} if terms.sum is not None else set())


def total_of(terms: ops.Terms) -> float | None:
    """The sum that the table ends with; None where there is nothing to add."""
    if adds_all(terms):
        return terms.value
    return terms.sum.total if terms.sum is not None and len(terms.sum.values) > 1 else None


def source_of(trace: Trace, step: Step, terms: ops.Terms, added: Iterable[Term]) -> Region | None:
    """The cell to go on with: what the operation names, the largest term's, or any; None where all are given."""
    named = terms.numbers[terms.source].cells if terms.source else None
    largest = sorted(added, key=lambda term: -abs(term.value))
    others = (cells_of(trace, step, one.cells) for one in terms.numbers.values() if not one.addend)
    chosen = [cells_of(trace, step, named), *(cell for term in largest for cell in term.cells), *others]
    return first_computed(trace, chosen)


def first_computed(trace: Trace, regions: Iterable[Region | None]) -> Region | None:
    """The first single cell of a stage that is computed."""
    steps = trace.steps.computed.by_name
    return next((one for one in regions if one is not None and one.is_cell and one.stage in steps), None)


# ------------------------------------------------------------------------------------------------ special cells


def of_weight(trace: Trace, region: Region) -> Explanation:
    """A weight is given: who reads it is all there is to say."""
    readers = ", ".join(step.name for step in trace.steps.readers(region.stage))
    changed = ("Cells of it were set.",) if region.stage in trace.overrides else ()
    words, notes = "learned, not computed", (f"Read by {readers}.", *changed)
    return Explanation(str(region), value_at(trace, region), "weight", label(region, trace), words, "", "", notes=notes)


def of_prediction(trace: Trace, step: Step, *, top: int) -> tuple[Explanation, Region | None]:
    """The best logits, with their probabilities as shares."""
    logits, (probabilities, order) = step.inputs[0], trace.ranking()
    cells = [Region(logits, i, 0) for i in order[:top].tolist()]
    best = tuple(
        Term(label(cell, trace), value_at(trace, cell), share=float(probabilities[cell.row]), cells=(cell,))
        for cell in cells
    )
    found = Explanation(
        step.name,
        value_at(trace, Region(step.name, 0, 0)),
        step.title,
        f'"{trace.predicted_token}"',
        step.words,
        f"max({logits})",
        f"max({', '.join(short(term.value) for term in best[:3])}, ...)",
        terms=best,
        heads=("left", "right", "logit"),
        notes=("Shares are probabilities, by a softmax of all logits.",),
        top=top,
    )
    return found, cells[0]


# ------------------------------------------------------------------------------------------------ differences


def of_difference(trace: Trace, left: Region, right: Region, *, top: int) -> tuple[Explanation, Region | None]:
    """One cell minus another: term by term where both are sums of as many products, else as the two numbers."""
    one, other = (of_cell(trace, region, top=top)[0] for region in (left, right))
    value, merged = one.value - other.value, merged_terms(one, other) if left.stage == right.stage else None
    apart = Term(one.address, one.value, cells=(left,)), Term(f"- {other.address}", -other.value, cells=(right,))
    found = Explanation(
        f"{one.address} - {other.address}",
        value,
        f"difference, {one.title}" if left.stage == right.stage else "difference",
        f"{one.label} minus {other.label}",
        "",
        "left - right" if merged is None else f"the difference, term by term, of each: {one.formula}",
        f"{short(one.value)} - {closed(other.value)}",
        terms=in_order(apart) if merged is None else merged[0],
        addends=() if merged is None else merged[1],
        heads=("left", "right", "value") if merged is None else difference_heads(one, other),
        total=value,
        adds_all=True,
        notes=(*one.notes, *other.notes) if left.stage in trace.steps.by_name else (),
        top=top,
    )
    terms = sorted((*found.terms, *found.addends), key=lambda term: -abs(term.value))
    return found, first_computed(trace, (cell for term in terms for cell in term.cells))


def merged_terms(one: Explanation, other: Explanation) -> tuple[tuple[Term, ...], tuple[Term, ...]] | None:
    """The differences of the products and of what is added, where both are sums of those alone; else None."""
    both = (one, other)
    if not all(found.adds_all and found.terms and found.terms[0].right is not None for found in both):
        return None
    others = {term.label: term for term in (*other.terms, *other.addends)}
    if {term.label for term in (*one.terms, *one.addends)} != set(others):
        return None
    terms, added = ([merged(term, others[term.label]) for term in found] for found in (one.terms, one.addends))
    return in_order_with(terms, added)


def merged(one: Term, other: Term) -> Term:
    """The difference of two products: of what they share, times the difference of the other side.

    Where they share neither side, the products are the sides.
    """
    value, shared = one.value - other.value, tuple(cell for cell in one.cells if cell in other.cells)
    if one.left is None or one.right is None or other.left is None or other.right is None:
        return Term(one.label, value, cells=shared)
    if not shared:
        return Term(one.label, value, one.value, other.value, cells=(*one.cells, *other.cells))
    is_left = one.cells[0] in shared
    left = one.left if is_left else one.left - other.left
    right = one.right - other.right if is_left else one.right
    return Term(one.label, value, left, right, cells=shared)


def difference_heads(one: Explanation, other: Explanation) -> tuple[str, str, str]:
    """What the columns hold: a side that both share as it is, of the other the difference."""
    first = one.terms[0]
    second = next(term for term in other.terms if term.label == first.label)
    shared = [cell in second.cells for cell in first.cells]
    if not any(shared):
        return f"{one.heads[2]} of the first", f"{one.heads[2]} of the second", "difference"
    left, right, what = one.heads
    return (left, f"{right}, difference", what) if shared[0] else (f"{left}, difference", right, what)
