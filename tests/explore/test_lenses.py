"""The lenses beside the sheet: each table is the lens's own, cell by cell, and leads to the stages it speaks of."""

from __future__ import annotations

import numpy as np
import pytest

import explore_pages as pages
from models import write_random_model
from sheetgpt import lens, load_model
from sheetgpt.errors import LensError, SheetGPTError, StageError
from sheetgpt.explore import lenses
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer
from sheetgpt.lens.stream import stream_of
from sheetgpt.models.config import Config
from sheetgpt.models.step import Role
from sheetgpt.run.edit import parse

pytestmark = pytest.mark.browser

PROMPT, SECOND = "Mike is quick. He moves", "Mike is slow. He moves"
MODEL = load_model()
TRACE, OTHER = MODEL.run(PROMPT), MODEL.run(SECOND)
LENSES = {
    "logit lens": ("Logit lens", {}, lambda: lens.logit_lens(TRACE).report()),
    "logit lens of a token": (
        "Logit lens",
        {"token": "·quickly", "sublayers": True},
        lambda: lens.logit_lens(TRACE, " quickly", sublayers=True).report(),
    ),
    "attribution": ("Attribution", {}, lambda: lens.attribute(TRACE).report()),
    "attribution against a token": (
        "Attribution",
        {"token": "·quickly", "against": "·slowly", "by_token": True},
        lambda: lens.attribute(TRACE, " quickly", " slowly").report(by_token=True),
    ),
    "ablation": ("Ablation", {}, lambda: lens.ablate(TRACE).report()),
    "ablation of a piece": (
        "Ablation",
        {"token": "·sadly", "what": "block_1 head 2"},
        lambda: lens.ablate(TRACE, " sadly", what="block_1 head 2").report(),
    ),
    "patch": ("Patch", {"second": SECOND}, lambda: lens.patch(OTHER, TRACE).report()),
    "patch the other way round": (
        "Patch",
        {"second": SECOND, "clean": True, "stage": "block_*_step_8", "metric": "logit ·quickly"},
        lambda: lens.patch(TRACE, OTHER, "block_*_step_8", "logit  quickly").report(),
    ),
}


@pytest.fixture(scope="module")
def addresses(page_built, tmp_path_factory):
    """Where the page is, of the embedded model and of one without a residual stream."""
    folder = tmp_path_factory.mktemp("lenses")
    write_random_model(folder / "bigram", Config(1, 1, 1, 8, 6, model="bigram"))
    bigram = load_model(folder / "bigram")
    with (
        pages.serving(Explorer(MODEL, Asked(PROMPT))) as served,
        pages.serving(Explorer(bigram, Asked(ids=(0, 1)))) as streamless,
    ):
        yield {"served": served, "streamless": streamless}


@pytest.fixture
def explorer(addresses, chromium):
    with pages.opened(chromium, addresses["served"]) as found:
        yield found


def settle(explorer):
    """Until the lens has looked."""
    explorer.page.wait_for_timeout(600)  # it waits for the next key
    explorer.settle()
    explorer.page.wait_for_selector(".lens-tables[aria-busy=false], .lens .complaint")


def hold(explorer, title, **options):
    """A lens over the run, with these options."""
    explorer.page.click(".views >> text=Lenses")
    explorer.page.click(f".lens [role=radio] >> text={title}")
    for name, value in options.items():
        if value is True:
            explorer.page.check(f".lens-fields label.check >> text={CHECKS[name]}")
        else:
            explorer.page.fill(f".lens-fields [name={name}]", value)
    settle(explorer)


CHECKS = {"sublayers": "after attention", "by_token": "by token", "clean": "other way round"}


def tables_of(explorer):
    """What the tables on the page hold, with every digit: (title, row labels, cells)."""
    found = explorer.page.eval_on_selector_all(
        ".lens-table",
        """all => all.map(one => [
            one.querySelector("h2").textContent,
            [...one.querySelectorAll("tbody tr")].map(row => [...row.querySelectorAll("th")].map(th => th.textContent)),
            [...one.querySelectorAll("tbody tr")].map(row =>
                [...row.querySelectorAll("td")].map(td => td.dataset.value ?? null))])""",
    )
    return [(title, rows, cells) for title, rows, cells in found]


def same(seen, cell):
    """Is this the cell that the page has?"""
    if isinstance(cell, int | float):
        return seen is not None and abs(float(seen) - cell) <= 1e-12 * max(1, abs(cell))
    return seen == cell


def dotted(text):
    return text.replace(" ", "·")


@pytest.mark.parametrize("name", LENSES)
def test_each_table_is_the_lenss_own_cell_by_cell(explorer, name):
    title, options, report = LENSES[name]
    hold(explorer, title, **options)
    found, wanted = tables_of(explorer), report().tables
    assert len(found) == len(wanted)
    for (heading, rows, cells), table in zip(found, wanted, strict=True):
        assert dotted(heading) == dotted(table.title)
        assert [[dotted(one) for one in row] for row in rows] == [
            [dotted(str(one)) for one in label] for label in table.row_labels()
        ]
        assert all(map(all, [map(same, *lines) for lines in zip(cells, table.cells(), strict=True)]))
        assert [len(row) for row in cells] == [table.frame.shape[1]] * len(table.frame)


def test_tokens_are_shown_with_their_spaces(explorer):
    hold(explorer, "Logit lens")
    assert explorer.page.inner_text(".lens-table tbody td >> nth=1") == "·is"
    hold(explorer, "Patch", second=SECOND)
    assert "·slow/·quick" in explorer.page.inner_text(".lens-table thead >> nth=0")


def test_notes_and_facts_are_the_commands(explorer):
    hold(explorer, "Attribution")
    report = lens.attribute(TRACE).report()
    seen = explorer.page.inner_text(".lens-tables")
    assert all(note in seen for note in report.notes)
    assert f"logit {report.facts['logit']:.6g}" in " ".join(seen.split())


# ------------------------------------------------------------------------------------------------ where rows lead


def test_a_row_leads_to_the_stage_it_speaks_of_and_the_lens_stays(explorer):
    hold(explorer, "Attribution")
    report = lens.attribute(TRACE).report()
    for i, source in enumerate(report.tables[1].frame["source"].head(4)):
        row = explorer.page.locator(".lens-table >> nth=1 >> tbody tr").nth(i)
        row.locator("th button").click()
        explorer.settle()
        assert explorer.address.startswith(f"{source}[")
        assert "here" in row.get_attribute("class")
    assert explorer.page.locator(".lens-table").count() == len(report.tables)


def test_a_cell_leads_to_the_piece_that_was_taken_out(explorer):
    hold(explorer, "Ablation")
    explorer.page.click(".lens-table >> nth=0 >> tbody tr >> nth=1 >> td >> nth=2")
    explorer.settle()
    width = MODEL.config.n_embd // MODEL.config.n_head
    assert explorer.address == f"block_1_step_8[5,{2 * width}]"
    assert explorer.page.inner_text(".lens-table >> nth=0 >> td.at") == explorer.page.inner_text(
        ".lens-table >> nth=0 >> tbody tr >> nth=1 >> td >> nth=2"
    )


def test_the_chosen_stage_is_marked_in_the_lens_that_opens_beside_it(explorer):
    explorer.go("block_0_step_13[0,0]")
    explorer.page.click(".lens-links >> text=Ablation")
    settle(explorer)
    assert explorer.address.startswith("block_0_step_13")
    assert explorer.page.locator(".lens-table >> nth=0 >> tr.here th").all_inner_texts() == ["0"]


@pytest.mark.parametrize("name", ["lens", "attribute", "ablate", "patch"])
def test_every_place_is_a_cell_of_the_run_and_links_are_stages_or_weights(name):
    options = {"by_token": "1", "sublayers": "1"}
    for table in lenses.tables(TRACE, name, options, lambda: OTHER):
        assert len(table["links"]) == len(table["rows"]) == len(table["places"]) == len(table["cells"])
        for link in filter(None, table["links"]):
            assert link in TRACE.sizes.shapes
        for stage, row, column in (place for line in table["places"] for place in line if place):
            rows, columns = TRACE.matrix(stage).shape
            assert 0 <= row < rows
            assert 0 <= column < columns


def test_columns_of_the_logit_lens_are_stages_of_the_stream():
    table = lenses.tables(TRACE, "lens", {"sublayers": "1"}, lambda: OTHER)[0]
    stream = stream_of(TRACE)
    assert [place[0] for place in table["places"][0]] == [
        stream.start.name,
        *(write.after.name for write in stream.writes),
    ]


def test_patches_speak_of_the_cells_that_were_put_there():
    """The other run's numbers in those cells bring back what the table says."""
    table = lenses.tables(TRACE, "patch", {"stage": "block_1_step_8"}, lambda: OTHER)[0]
    measure, width = lens.patch(OTHER, TRACE).metric, MODEL.config.n_embd // MODEL.config.n_head
    clean, corrupt = (measure.of(trace.role(Role.LOGITS)) for trace in (OTHER, TRACE))
    for places, cells in zip(table["places"], table["cells"], strict=True):
        for (stage, row, column), cell in zip(places, cells, strict=True):
            patched = TRACE.array(stage).copy()
            patched[row, column : column + width] = OTHER.array(stage)[row, column : column + width]
            found = measure.of(MODEL.run(PROMPT, overrides={stage: patched}).role(Role.LOGITS))
            assert (found - corrupt) / (clean - corrupt) == pytest.approx(cell, abs=1e-9)


# ------------------------------------------------------------------------------------------------ changes, errors


def test_a_lens_looks_at_the_changed_run(explorer):
    explorer.edit("block_0_step_16[5,0]", "9")
    hold(explorer, "Logit lens")
    edited = MODEL.run_edited(TRACE, [parse("block_0_step_16[5,0]=9", TRACE.sizes)])
    wanted = lens.logit_lens(edited).report().tables[1].cells()
    _, _, cells = tables_of(explorer)[1]
    np.testing.assert_allclose(np.array(cells, float), np.array(wanted), rtol=0, atol=1e-12)


def test_a_changed_weight_is_changed_in_the_second_prompts_run_too(explorer):
    sets = ["model_wpe[5,3]=2", "block_0_step_16[0,0]=1"]
    edits = [parse(text, TRACE.sizes) for text in sets]
    explorer.edit("model_wpe[5,3]", "2")
    explorer.edit("block_0_step_16[0,0]", "1")
    hold(explorer, "Patch", second=SECOND, metric="logit ·quickly")
    first, second = MODEL.run_edited(TRACE, edits), MODEL.run_edited(OTHER, edits[:1])
    wanted = lens.patch(second, first, metric="logit  quickly").report().tables
    for (_, _, cells), table in zip(tables_of(explorer), wanted, strict=True):
        np.testing.assert_allclose(np.array(cells, float), np.array(table.cells()), rtol=0, atol=1e-12)


def sentence(ask):
    with pytest.raises(SheetGPTError) as found:
        ask()
    return str(found.value)


def test_what_a_lens_refuses_is_said_in_the_commands_sentence(explorer):
    hold(explorer, "Patch", second="Mike is")
    assert explorer.complaint == sentence(lambda: lens.patch(MODEL.run("Mike is"), TRACE))
    hold(explorer, "Attribution", token="quicklyish")
    assert explorer.complaint == sentence(lambda: lens.attribute(TRACE, "quicklyish"))
    explorer.page.fill(".lens-fields [name=token]", "")
    settle(explorer)
    assert explorer.page.locator(".lens .complaint").count() == 0


def test_a_slow_lens_shows_that_it_is_waited_for(explorer):
    held, bar = [], explorer.page.locator(".lens .waiting")
    explorer.page.route("**/lens/**", lambda route: held.append(route))  # noqa: PLW0108 - Playwright counts arguments
    explorer.page.click(".views >> text=Lenses")
    explorer.page.wait_for_function("() => document.querySelector('.lens .waiting').dataset.on === 'true'")
    held[0].continue_()
    settle(explorer)
    assert bar.get_attribute("data-on") == "false"
    assert explorer.page.locator(".lens-table").count() == 4


def test_a_model_without_a_residual_stream_says_so(addresses, chromium):
    with pages.opened(chromium, addresses["streamless"]) as explorer:
        hold(explorer, "Ablation")
        assert "no blocks that write to a residual stream" in explorer.complaint


@pytest.mark.parametrize("text", ["1,x", "1.5"])
def test_ids_that_are_none_are_refused(text):
    with pytest.raises(SheetGPTError, match="whole numbers"):
        lenses.prompt_in({"second_ids": text})


def test_there_are_four_lenses():
    with pytest.raises(StageError, match="no lens"):
        lenses.tables(TRACE, "neighbours", {}, lambda: OTHER)
    with pytest.raises(LensError):
        lenses.tables(TRACE, "patch", {}, lambda: TRACE)
