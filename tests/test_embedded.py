"""The model that ships: small, right about what it never saw, and what its README says of it."""

from __future__ import annotations

import re

import pytest

from embedded_figures import figures
from sheetgpt.weights.folder import embedded_folder, load_weights

ONE_PERSON = ["names of the corpus", *(f"own names of {n} token{'s'[: n > 1]}" for n in (1, 2, 3, 4))]


@pytest.fixture(scope="module")
def measured():
    return figures()


def test_the_references_prompt_is_completed_with_near_certainty(measured):
    assert measured["probability of ' quickly' after 'Mike is quick. He moves'"] > 0.9


@pytest.mark.parametrize("kind", ONE_PERSON)
def test_names_and_pairs_that_were_held_out_are_completed_by_the_rule(measured, kind):
    assert measured[kind] >= 0.95


def test_the_csvs_take_at_most_3_mb_and_the_context_holds_at_least_64_tokens(measured):
    assert measured["size of the CSVs in MB"] <= 3
    assert load_weights(embedded_folder()).config.n_ctx >= 64


def test_the_readme_states_the_figures_as_they_are(measured):
    text = (embedded_folder() / "README.md").read_text(encoding="utf-8")
    stated = {name: float(value) for name, value in re.findall(r"^([^\n|:]+.*): (\d\.\d{4})$", text, re.MULTILINE)}
    assert stated == {name: round(value, 4) for name, value in measured.items()}
