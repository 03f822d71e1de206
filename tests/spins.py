"""What is typed on the tab of picks, and what its table and pick must be then: those of `generate.sample`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sheetgpt.generate.sample import Sampling, candidates, pick_index
from sheetgpt.sheets.live import picks
from sheetgpt.sheets.live.labels import ALL_RANKS

INPUT = {name: f"B{row}" for row, (name, _) in enumerate(picks.INPUTS, start=picks.INPUT_ROW + 1)}


@dataclass(frozen=True)
class Spin:
    """What is typed on the tab."""

    temperature: float = 1
    top_k: int | None = None
    top_p: float | None = None
    random: float = 0.5


SPINS = (
    Spin(),
    Spin(random=0.0),
    Spin(random=1 - 1e-9),
    Spin(temperature=0, random=0.9),
    Spin(temperature=0, top_k=3, random=0.9),
    Spin(temperature=0.3, random=0.7),
    Spin(temperature=5, random=0.77),
    Spin(temperature=0.001, random=0.99),
    Spin(top_k=1, random=0.99),
    Spin(top_k=7, random=0.93),
    Spin(top_k=4_000, random=0.6),
    Spin(top_p=0.001, random=0.99),
    Spin(top_p=1, random=0.999),
    Spin(top_p=0.8, random=0.95),
    Spin(temperature=1.7, top_k=20, top_p=0.6, random=0.89),
)


def drawn(count: int) -> list[Spin]:
    """Spins at random, each option in half of them."""
    rng = np.random.default_rng(16)
    return [
        Spin(
            temperature=round(float(rng.uniform(0.05, 3)), 3),
            top_k=int(rng.integers(1, 45)) if rng.random() < 0.5 else None,
            top_p=round(float(rng.uniform(0.05, 1)), 3) if rng.random() < 0.5 else None,
            random=float(rng.random()),
        )
        for _ in range(count)
    ]


def require_pick(rows: list[list], logits: np.ndarray, spin: Spin) -> None:
    """The tab's table and pick are `generate`'s. rows: of the tab, as a program computed it."""
    limit = None if len(logits) <= ALL_RANKS else 10
    kept = min(spin.top_k or len(logits), limit or len(logits))
    found = candidates(logits, Sampling(spin.temperature, kept, spin.top_p))
    greedy = spin.temperature == 0
    index = 0 if greedy else pick_index(found.probabilities, spin.random)
    table = rows[picks.HEAD_ROW + 1 :][: limit or len(logits)]
    count = len(table)
    assert rows[picks.MESSAGE][1] in ("", None) or np.isnan(rows[picks.MESSAGE][1])
    assert [row[picks.ID] for row in table] == found.ids[:count].tolist()
    for column, expected in (
        (picks.LOGIT, found.logits),
        (picks.SCALED, found.scaled),
        (picks.PROBABILITY, found.probabilities),
        (picks.CUMULATIVE, found.cumulative),
    ):
        assert [row[column] for row in table] == pytest.approx(expected[:count].tolist(), rel=1e-9, abs=1e-15)
    assert [row[picks.BY_K] == "yes" for row in table] == found.kept_by_top_k[:count].tolist()
    assert [row[picks.BY_P] == "yes" for row in table] == found.kept_by_top_p[:count].tolist()
    assert [row[picks.IS_PICKED] for row in table] == ["yes" if i == index else "no" for i in range(count)]
    assert rows[picks.PICKED][1] == index + 1
    assert rows[picks.TOKEN][1] == f"#{found.ids[index]}"
    assert rows[picks.SHARE][1] == pytest.approx(found.probabilities[index])
