"""Finding each stage of a run in a foreign workbook by its numbers: any tab, any offset, transposed or not, by head.

First RUN's own numbers are looked for, then, stage by stage, what the workbook's own numbers lead to. Reading tabs, and
what a map looks like, belongs in `workbook.reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt.diff.diagnosis import read_weights
from sheetgpt.diff.locate.choice import Choice, Found, outermost
from sheetgpt.diff.locate.pattern import Pattern, patterns
from sheetgpt.diff.locate.search import Location, SearchedTab, search
from sheetgpt.diff.locate.trail import Trail, lost_after
from sheetgpt.diff.sides import Side, Weights
from sheetgpt.diff.sides.inferred import own_head, sizes_of
from sheetgpt.errors import DumpError, SheetGPTError
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Axis
from sheetgpt.workbook.reading.maps import COLUMNS, CUTS
from sheetgpt.workbook.reading.open import Workbook, some

KEPT = 30_000_000  # numbers of a workbook that are kept in order to follow it; larger tabs are searched once

NOT_FOLLOWED = "The workbook is not followed"
LOST = "the trail is lost after this stage"

__all__ = ["Found", "Located", "Location", "locate", "map_rows"]


@dataclass(frozen=True)
class Located(Mapping[str, Found | None]):
    """Where each matrix stage of a run stands in a workbook, in causal order; None where it doesn't."""

    found: Mapping[str, Found | None]  #: by stage
    remarks: tuple[str, ...] = ()  #: what else is to be known

    def __getitem__(self, name: str) -> Found | None:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def assumed(self) -> dict[str, str]:
        """Stage -> the mistake with which the workbook computes it."""
        return {name: place.assumed for name, place in self.found.items() if place and place.assumed}


def locate(
    run: Side,
    book: Workbook,
    *,
    tabs: Sequence[str] = (),
    first: bool = False,
    weights: Weights = None,
    progress: Callable[[str], object] | None = None,
) -> Located:
    """Where each matrix stage of the run stands in the workbook.

    tabs: look only in these. first: of places that fit equally take the first instead of refusing.
    weights: with which the workbook is followed, matrices or a folder; by default the folder that RUN's manifest names.
    Raises DumpError where places fit equally and differ, where RUN is of another prompt, or where nothing is found.
    """
    sizes = sizes_of([run])
    run.check(sizes)
    matrices = matrices_of(run, sizes)
    tabs = tabs or book.tabs
    cells, places = read_tabs(book, tabs, list(wanted(sizes, matrices)), progress)
    require_same_prompt(places, run, book, sizes)
    everywhere = [place for there in places.values() for place in there]
    whole = [place for place in everywhere if place.head is None]
    choice = Choice(book.tabs, sizes.config.n_head, everywhere)
    trail, remarks = trail_of(run, sizes, cells, weights)
    found: dict[str, Found | None] = {}
    for name, own in matrices.items():
        place = choice.found(name, outermost(places.get(name, []), whole))
        if trail is not None:
            place = trail.find(sizes.steps[name], place, own, choice)
        if place is not None:
            choice.take(place)
            if trail is not None:
                trail.hold(place)
        found[name] = place
    kept = [one.name for one in cells]
    large = [tab for tab in tabs if tab not in kept]
    if large and not all(found.values()):
        remarks.append(f"Too large to be followed, searched for RUN's own numbers only: {some(large)}")
    return checked(found, run, book, sizes, remarks, first=first)


def matrices_of(run: Side, sizes: Sizes) -> dict[str, np.ndarray]:
    """The run's matrix stages in our layout, in causal order."""
    matrices = {}
    for step in sizes.steps:
        if not step.is_text and run.has(step.name):
            matrix = sizes.fitted(step.name, run.read(step.name).numbers)
            if matrix is None:
                raise DumpError(f"{step.name} has a shape that doesn't fit the other stages", where=f"{run.label}:")
            matrices[step.name] = matrix
    return matrices


def wanted(sizes: Sizes, matrices: Mapping[str, np.ndarray]) -> Iterator[Pattern]:
    for name, matrix in matrices.items():
        yield from patterns(sizes, name, matrix)


def read_tabs(
    book: Workbook, tabs: Sequence[str], wanted: Sequence[Pattern], progress: Callable[[str], object] | None
) -> tuple[list[SearchedTab], dict[str, list[Location]]]:
    """(the tabs whose cells are kept, stage -> the places that RUN's numbers fit)."""
    kept: list[SearchedTab] = []
    found: dict[str, list[Location]] = {}
    for tab in tabs:
        if progress:
            progress(tab)
        cells = SearchedTab(book.tab(tab))
        for place in search(cells, wanted):
            found.setdefault(place.stage, []).append(place)
        if sum(one.count for one in kept) + cells.count <= KEPT:
            kept.append(cells)
    return kept, found


def trail_of(run: Side, sizes: Sizes, cells: Sequence[SearchedTab], weights: Weights) -> tuple[Trail | None, list[str]]:
    """(what follows the workbook, remarks); None where there are no weights to compute with."""
    try:
        matrices = read_weights(weights, run)
    except SheetGPTError as error:
        return None, [f"{NOT_FOLLOWED}: {error}"]
    if not matrices:
        return None, [f"{NOT_FOLLOWED}: {run.label} names no weights (give them by --weights)"]
    untied = not own_head(sizes.config).isdisjoint(matrices)
    return Trail(replace(sizes, untied=untied or sizes.untied), matrices, run.token_ids, cells), []


# ------------------------------------------------------------------------------------------------ what was found


def checked(
    found: Mapping[str, Found | None], run: Side, book: Workbook, sizes: Sizes, remarks: list[str], *, first: bool
) -> Located:
    """The result. Raises DumpError where it is none."""
    there = [place for place in found.values() if place]
    if not there:
        remedy = "give a run of the prompt that the workbook shows"
        raise DumpError(f"holds no stage of {run.label}", where=book.path, remedy=remedy)
    rivals = next((place for place in there if place.rivals), None)
    if rivals and not first:
        where = " and ".join(place.address for place in rivals.rivals[:3])
        remedy = "name the tabs to look in with --tab, or take the first with --first"
        raise DumpError(f"{rivals.stage} fits equally well at {where}", remedy=remedy)
    last, after = lost_after(sizes.steps, found)
    if after and not any(NOT_FOLLOWED in remark for remark in remarks):
        remarks = [*remarks, f"The trail is lost after {last}: of the {after} stages after it none is found"]
        lost = next(place for name, place in found.items() if place and name == last)
        found = {**found, last: replace(lost, note="; ".join(filter(None, (lost.note, LOST))))}
    return Located(found, tuple(remarks))


def require_same_prompt(places: Mapping[str, Sequence[Location]], run: Side, book: Workbook, sizes: Sizes) -> None:
    """Raises DumpError where the same rows are off, whole, wherever RUN's numbers fit: there the token is another."""
    off = [set(place.rows_off) for name, there in places.items() if is_a_row_a_token(sizes, name) for place in there]
    common = set.intersection(*off) if off else set()
    if common:
        rows = some([str(row) for row in sorted(common)], 3)
        what = f"shows another prompt than {run.label}: every stage differs at position {rows}"
        raise DumpError(what, where=book.path, remedy="give a run of the prompt that the workbook shows")


def is_a_row_a_token(sizes: Sizes, name: str) -> bool:
    """Does every number of a row follow from its token? A first row of attention weights is the same for all."""
    step = sizes.step(name)
    return step is not None and step.rows is Axis.TOKENS and step.columns is Axis.DIMENSIONS


def map_rows(found: Mapping[str, Found | None]) -> list[list[object]]:
    """The map's rows with its header, one a place; what was not found is left out."""
    header: list[object] = [*COLUMNS, *CUTS, "fit", "largest_difference", "cells_off", "assumed", "note"]
    return [header] + [
        [
            name,
            p.area.tab,
            p.area.range(),
            "yes" if p.transposed else "no",
            "" if p.head is None else p.head,
            "",
            "",
            p.fit,
            p.largest,
            p.off,
            one.assumed,
            one.note,
        ]
        for name, one in found.items()
        if one
        for p in one.places
    ]
