"""Of the places that a stage fits, the ones that are taken for it: one for the whole, or one for each head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt.diff.locate.search import EXACTLY, NEARLY, Location
from sheetgpt.models import heads
from sheetgpt.models.sizes import Sizes
from sheetgpt.workbook.grid import Area

BETTER = 100  # times nearer than the right formula: what a mistake must be where neither stands exactly


@dataclass(frozen=True)
class Found:
    """Where a stage stands: one place, or one a head, in the order of the heads."""

    stage: str  #: the stage's name
    places: tuple[Location, ...]  #: one place, or one a head
    note: str = ""  #: what else is to be known of it
    assumed: str = ""  #: the mistake with which the workbook computes it, where it is not RUN's own
    rivals: tuple[Location, ...] = ()  #: places that fit as well, with other numbers
    is_whole: bool = True  #: is all of the stage there, and not only some heads?

    @property
    def fit(self) -> str:
        """Nearly, where some heads are missing."""
        exact = self.is_whole and all(place.fit == EXACTLY for place in self.places)
        return EXACTLY if exact else NEARLY

    @property
    def area(self) -> Area:
        """The first place's cells."""
        return self.places[0].area

    @property
    def areas(self) -> list[Area]:
        """The cells of every place."""
        return [place.area for place in self.places]

    @property
    def transposed(self) -> bool:
        """Does it stand there with rows and columns exchanged?"""
        return self.places[0].transposed

    @property
    def largest(self) -> float:
        """The largest difference from RUN's numbers, of the cells that are within the tolerance."""
        return max(place.largest for place in self.places)

    @property
    def off(self) -> int:
        """How many cells are beyond the tolerance."""
        return sum(place.off for place in self.places)

    def matrix(self, sizes: Sizes) -> np.ndarray | None:  # [rows, columns]
        """The workbook's own numbers, in our layout [rows, columns]; None where some heads are missing."""
        if not self.is_whole:
            return None
        if self.places[0].head is None:
            return sizes.fitted(self.stage, self.places[0].numbers)
        return heads.side_by_side(np.stack([place.numbers for place in self.places]))

    def exceeds(self, other: Found | None) -> bool:
        """Does it fit better? A mistake must be much nearer than the right formula, or stand exactly."""
        if other is None:
            return True
        mine, its = ((f.is_whole, f.fit == EXACTLY, -f.off) for f in (self, other))
        if mine != its:
            return mine > its
        if bool(self.assumed) == bool(other.assumed):
            return self.largest < other.largest
        return self.largest * BETTER < other.largest if self.assumed else self.largest <= other.largest * BETTER


class Choice:
    """Chooses places for one stage after the other; what one stage has taken, another takes only where it must."""

    def __init__(self, tabs: Sequence[str], n_head: int, places: Iterable[Location] = ()):
        """places: where RUN's numbers stand."""
        self.tabs, self.n_head = tabs, n_head
        self.own = {place.area: place.stage for place in places if place.fit == EXACTLY}
        self.taken: set[Area] = set()

    def found(self, stage: str, places: Sequence[Location], assumed: str = "") -> Found | None:
        """The whole stage where it stands somewhere, else its heads; None where there are no places."""
        whole = self._picked(stage, [place for place in places if place.head is None])
        pieces = [self._picked(stage, [p for p in places if p.head == head]) for head in range(self.n_head)]
        there = [piece for piece in pieces if piece is not None]
        by_head = self._joined(stage, there) if there else None
        if whole is None or (by_head is not None and by_head.exceeds(whole)):
            whole = by_head
        return whole and replace(whole, assumed=assumed)

    def take(self, found: Found) -> None:
        self.taken |= set(found.areas)

    def is_free(self, place: Location) -> bool:
        """Has no other stage taken it, nor do RUN's own numbers of another stage stand there?"""
        return place.area not in self.taken and self.own.get(place.area, place.stage) == place.stage

    def _picked(self, stage: str, places: Sequence[Location]) -> Found | None:
        """The best of places for one matrix: of exact copies the first that no other stage has taken."""
        best = sorted(best_fitting(places), key=self._order)
        if not best:
            return None
        free = [place for place in best if place.area not in self.taken] or best
        copies = [place for place in best if is_copy(place, free[0])]
        note = f"{len(copies)} equal places, in the workbook's order" if len(copies) > 1 else ""
        rivals = [place for place in best if not is_copy(place, free[0])]
        return Found(stage, (free[0],), note, rivals=(free[0], *rivals) if rivals else ())

    def _joined(self, stage: str, there: Sequence[Found]) -> Found:
        places = tuple(piece.places[0] for piece in there)
        is_whole = len(places) == self.n_head
        note = "" if is_whole else f"{heads_in_words([place.head for place in places])} only"
        rivals = next((piece.rivals for piece in there if piece.rivals), ())
        notes = [note, next((piece.note for piece in there if piece.note), "")]
        return Found(stage, places, "; ".join(filter(None, notes)), rivals=rivals, is_whole=is_whole)

    def _order(self, place: Location) -> tuple[int, int, int]:
        return self.tabs.index(place.area.tab), place.area.row, place.area.column


def heads_in_words(some: Sequence[int | None]) -> str:
    """Heads as a person says them.

    >>> heads_in_words([0]), heads_in_words([0, 2])
    ('head 0', 'heads 0, 2')
    """
    return f"head{'s' if len(some) > 1 else ''} {', '.join(map(str, some))}"


def is_copy(one: Location, other: Location) -> bool:
    """Do two places hold the same numbers, as far as their fit tells?"""
    same = (one.off, one.largest) == (other.off, other.largest)
    return (one.fit == other.fit == EXACTLY) or (same and np.array_equal(one.numbers, other.numbers, equal_nan=True))


def outermost(places: Sequence[Location], others: Collection[Location]) -> list[Location]:
    """Places inside a larger stage's place (the queries in step 4) count only where a stage has no others."""
    free = [
        place for place in places if not any(o.stage != place.stage and contains(o.area, place.area) for o in others)
    ]
    return free or list(places)


def contains(outer: Area, inner: Area) -> bool:
    larger = outer.rows * outer.columns > inner.rows * inner.columns
    return (
        larger
        and outer.tab == inner.tab
        and outer.row <= inner.row
        and outer.column <= inner.column
        and inner.row + inner.rows <= outer.row + outer.rows
        and inner.column + inner.columns <= outer.column + outer.columns
    )


def best_fitting(places: Sequence[Location]) -> list[Location]:
    """The best place, and those that fit as well: exact before near, few blank cells before many, then the nearest."""
    if not places:
        return []
    exact = [place for place in places if place.fit == EXACTLY] or places
    fewest = min((place.off, place.blank) for place in exact)
    close = [place for place in exact if (place.off, place.blank) == fewest]
    nearest = min(place.largest for place in close)
    return [place for place in close if place.fit == EXACTLY or place.largest <= 2 * nearest]
