"""The page of `explore` in a browser, as a person uses it: served by a server, and as a file without one."""

from __future__ import annotations

import functools
import http.server
import json
import threading

import numpy as np
import pytest

import explore_pages as pages
from explore_pages import PROMPT
from sheetgpt import load_model
from sheetgpt.explore import guard
from sheetgpt.explore.export import export
from sheetgpt.explore.runs import Asked
from sheetgpt.models.step import Role

pytestmark = pytest.mark.browser

MODEL = load_model()
TRACE = MODEL.run(PROMPT)
SETS = ["block_0_step_7[0,5,2]=0", "block_0_step_4[5,52]=-2.5", "model_wte[305,3]=1.25"]
NEAR = {"served": 1e-12, "file": 1e-9}


def edited(*sets, trace=TRACE):
    return MODEL.run_edited(trace, sets)


def test_a_typed_prompt_is_answered_as_by_run(explorer):
    explorer.prompt("Anna is slow. She works")
    assert explorer.answer == MODEL.run("Anna is slow. She works").predicted_token


def test_a_prompt_that_is_wrong_is_refused_in_the_commands_words_and_the_old_run_stays(explorer):
    explorer.prompt("")
    assert "the prompt is empty" in explorer.complaint
    assert explorer.answer == TRACE.predicted_token
    explorer.prompt("a " * 100)
    assert "the model's context holds 64" in explorer.complaint


def test_the_sheet_shows_each_number_of_the_run(explorer):
    for stage in ("block_1_step_7", "block_0_step_4", "triangle_matrix"):
        explorer.go(f"{stage}[0,0]")
        seen = explorer.numbers()
        assert len(seen) > 30
        array = TRACE.array(stage)
        assert {at: pages.shown(array[at]) for at in seen} == seen


@pytest.mark.parametrize("stage", [step.name for step in TRACE.steps.computed if not step.is_text][::5])
def test_the_value_of_a_chosen_cell_is_the_runs(served, stage):
    row, column = np.array(TRACE.array(stage).shape) - 1
    served.go(f"{stage}[{row},{column}]")
    assert served.value == pytest.approx(TRACE.array(stage)[row, column], rel=1e-11)


@pytest.mark.parametrize("text", ["block_1_step_7[0,-1,2]", "block_1_step_7[5,2]", "model_wte[305,3]", "logits[7]"])
def test_the_name_box_goes_where_the_command_line_does(served, text):
    from sheetgpt.lens.addresses import address
    from sheetgpt.lens.addresses import parse as parse_address

    served.go(text)
    region = parse_address(text, TRACE)
    assert served.address == address(region, TRACE)
    assert served.value == pytest.approx(TRACE.matrix(region.stage)[region.cell], rel=1e-11)


def test_the_name_box_goes_to_a_cell_of_the_live_workbook(served):
    served.go("block_0_step_4[5,52]")
    there = served.page.inner_text(".words span")
    served.go("logits[0]")
    served.go(there)
    assert served.address == "block_0_step_4[5,52]"


def test_every_stage_follows_from_changed_cells_as_from_set(explorer, kind):
    for text in SETS:
        explorer.edit(*text.split("="))
    expected = edited(*SETS)
    for step in TRACE.steps.computed:
        if not step.is_text:
            found = pages.matrix_of(explorer.page, step.name)
            np.testing.assert_allclose(found, expected.array(step.name), rtol=NEAR[kind], atol=NEAR[kind])
    assert explorer.answer == expected.predicted_token


def test_what_changed_is_marked_and_what_did_not_is_not(explorer):
    explorer.edit("block_0_step_7[0,5,2]", "0")
    assert explorer.page.locator(".main-sheet .cell.typed").count() == 1
    explorer.go("block_1_step_7[0,0,0]")
    expected, old = edited("block_0_step_7[0,5,2]=0").array("block_1_step_7"), TRACE.array("block_1_step_7")
    marked = explorer.page.eval_on_selector_all(
        ".main-sheet .cell.changed", "cells => cells.map(c => c.parentElement.getAttribute('aria-rowindex') - 4)"
    )
    assert set(marked) == {5}
    glyphs = explorer.page.locator(".main-sheet .cell.changed .glyph").all_inner_texts()
    assert glyphs[0] == ("▲" if expected[5, 0] > old[5, 0] else "▼")


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_numbers_that_overflow_are_shown_as_changed(explorer):
    explorer.edit("block_0_step_3[0,0]", "1e308")
    infos = explorer.page.evaluate(
        "() => [...sheetgpt.state.run.value.stages.values()].map(one => [one.name, String(one.change?.largest)])"
    )
    expected = edited("block_0_step_3[0,0]=1e308")
    gone = [name for name, _ in infos if not np.isfinite(expected.array(name)[0]).all()]
    assert dict(infos)[TRACE.steps.name(Role.LOGITS)] == "Infinity"
    assert {name: size for name, size in infos if name in gone and size != "Infinity"} == {}
    travelled = explorer.page.evaluate("() => sheetgpt.state.run.value.travel.map(one => String(one.largest_change))")
    assert travelled[-1] == "Infinity"
    explorer.go(f"{TRACE.steps.name(Role.LOGITS)}[0,0]")
    assert explorer.page.locator(".main-sheet .cell.changed").count()


def test_a_weight_has_statistics_and_a_scale_that_a_typed_cell_does_not_move(explorer):
    name, weight = "model_wte", MODEL.weights["model_wte"]
    explorer.go(f"{name}[1,1]")
    explorer.page.wait_for_selector(".statistics")
    shown = explorer.page.inner_text(".statistics").replace("−", "-")
    for number in (weight.min(), weight.mean(), weight.max(), weight.std()):
        assert f"{number:.3f}" in shown
    assert explorer.page.locator(".statistics .histogram rect").count() == 40
    ends, colours = explorer.page.inner_text(".legend"), cell_colours(explorer)
    explorer.edit(f"{name}[0,0]", "1000")
    assert explorer.page.inner_text(".legend") == ends
    assert cell_colours(explorer)[1:] == colours[1:]


def cell_colours(explorer):
    return explorer.page.eval_on_selector_all(".main-sheet .cell", "cells => cells.map(cell => cell.style.background)")


def test_the_predicted_token_is_laid_out_as_by_run_before_and_after_a_change(explorer):
    name, setting = TRACE.steps.name(Role.PREDICTION), "block_1_step_15[5,0]=40"
    for trace in (TRACE, edited(setting)):
        explorer.go(name)
        rows = [row.split("\t") for row in explorer.page.inner_text(".texts table").replace("·", " ").split("\n")]
        (said, logit), *others = trace.text_table(name)
        assert [said, pytest.approx(logit, rel=1e-9)] == [rows[0][0], float(rows[0][1])]
        assert rows[1:] == [[one, str(other)] for one, other in others]
        explorer.edit(*setting.split("="))


def test_undo_redo_and_the_original_number_back(explorer):
    explorer.edit("block_0_step_7[0,5,2]", "0.5")
    after = explorer.answer, explorer.page.inner_text(".top .answer span")
    explorer.page.keyboard.press("Control+z")
    explorer.settle()
    assert explorer.page.locator(".cell.typed").count() == 0
    explorer.page.keyboard.press("Control+y")
    explorer.settle()
    assert (explorer.answer, explorer.page.inner_text(".top .answer span")) == after
    explorer.go("block_0_step_7[0,5,2]")
    assert explorer.value == 0.5
    explorer.page.click(".main-sheet .cell.at")
    explorer.page.keyboard.press("Delete")
    explorer.settle()
    assert explorer.value == pytest.approx(TRACE.array("block_0_step_7")[5, 2], rel=1e-11)


def test_what_is_no_number_is_refused_and_stays(served):
    served.go("block_0_step_7[0,5,2]")
    served.page.click(".main-sheet .cell.at")
    served.page.keyboard.press("F2")
    served.page.fill(".overlay", "half")
    served.page.keyboard.press("Enter")
    assert '"half" is no number' in served.complaint
    assert served.page.input_value(".overlay") == "half"


def test_the_copied_command_makes_the_same_run(served, tmp_path):
    from command_line import sheetgpt_here

    served.edit("block_0_step_7[0,5,2]", "0.25")
    served.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    served.page.click("text=Copy command")
    command = served.page.evaluate("navigator.clipboard.readText()")
    assert command == f'sheetgpt run "{PROMPT}" --set "block_0_step_7[0,5,2]=0.25"'
    done = sheetgpt_here("run", PROMPT, "--set", "block_0_step_7[0,5,2]=0.25", "--json", cwd=tmp_path)
    assert json.loads(done.out)["predictions"][0]["token"] == served.answer


def test_a_selection_is_copied_with_every_digit_and_pasted_as_one_change(served):
    served.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    served.go("block_0_step_4[1,2]")
    served.page.click(".main-sheet .cell.at")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "Control+c"):
        served.page.keyboard.press(key)
    served.settle()
    text = served.page.evaluate("navigator.clipboard.readText()")
    array = TRACE.array("block_0_step_4")
    assert [[float(one) for one in line.split("\t")] for line in text.split("\n")] == array[1:3, 2:4].tolist()
    served.page.evaluate("navigator.clipboard.writeText('1.5\\t-2\\n0\\t3e-2\\n')")
    served.page.keyboard.press("Control+v")
    served.settle()
    sets = [
        f"block_0_step_4[{row},{column}]={value}"
        for (row, column), value in {(1, 2): 1.5, (1, 3): -2, (2, 2): 0, (2, 3): 0.03}.items()
    ]
    found = pages.matrix_of(served.page, "logits")
    np.testing.assert_allclose(found, edited(*sets).array("logits"), rtol=1e-12, atol=1e-12)
    served.page.keyboard.press("Control+z")
    served.settle()
    assert served.page.locator(".cell.typed").count() == 0


def test_keys_move_as_in_a_spreadsheet(served):
    served.go("block_0_step_4[1,2]")
    served.page.click(".main-sheet .cell.at")
    for key, at in [
        ("ArrowDown", "2,2"),
        ("ArrowRight", "2,3"),
        ("Control+ArrowRight", "2,191"),
        ("Home", "2,0"),
        ("Control+End", "5,191"),
        ("Control+Home", "0,0"),
        ("End", "0,191"),
        ("Enter", "1,191"),
    ]:
        served.page.keyboard.press(key)
        assert served.address == f"block_0_step_4[{at}]", key
    served.page.keyboard.press("Alt+ArrowDown")
    assert served.address.startswith("block_0_step_5")


def test_where_a_number_comes_from_is_what_explain_says(explorer):
    from sheetgpt.lens import explain

    explorer.go("block_0_step_4[5,52]")
    rows = explorer.page.locator(".where-from .terms tbody tr")
    expected = explain(TRACE, "block_0_step_4[5,52]", top=12)
    texts = [rows.nth(i).locator("td").nth(3).inner_text() for i in range(12)]
    assert texts == [pages.shown(term.value) for term in expected.terms[:12]]
    explorer.page.keyboard.press("[")
    explorer.settle()
    assert explorer.address.startswith("block_0_step_3[5,")


def test_the_formula_is_the_live_workbooks(explorer):
    explorer.go("block_0_step_4[5,52]")
    formula = explorer.page.inner_text(".formula")
    assert "=MMULT(block_0_step_3,model_h0_attn_c_attn_w)+model_h0_attn_c_attn_b" in formula


def test_a_large_sheet_holds_only_the_cells_in_view(served):
    served.go("logits[0]")
    served.go("model_wte[0,0]")
    assert served.page.locator(".main-sheet .cell").count() < 1500
    served.page.eval_on_selector(".main-sheet .grid", "grid => grid.scrollTo(2000, 9000)")
    served.settle()
    seen = served.numbers()
    array = MODEL.weights["model_wte"]
    assert min(row for row, _ in seen) > 400
    assert {at: pages.shown(float(array[at])) for at in seen} == seen


def test_logits_are_shown_by_falling_value_or_by_id(explorer):
    explorer.go("logits[0,0]")
    values, best = TRACE.array("logits")[:, 0], TRACE.ranking()[1]
    explorer.page.keyboard.press("Control+g")
    explorer.page.fill("#name-box", f"logits[{best[0]}]")
    explorer.page.keyboard.press("Enter")
    explorer.settle()
    seen = explorer.numbers()
    assert [seen[place, 0] for place in range(10)] == [pages.shown(values[i]) for i in best[:10]]
    explorer.page.click(".main-sheet .cell.at")
    explorer.page.keyboard.press("ArrowDown")
    assert explorer.address == f"logits[{best[1]},0]"
    explorer.page.click("text=by id")
    explorer.go("logits[0,0]")
    seen = explorer.numbers()
    assert [seen[row, 0] for row in range(10)] == [pages.shown(value) for value in values[:10]]


def test_two_tabs_do_not_disturb_each_other(addresses, chromium):
    with pages.opened(chromium, addresses["served"]) as one, pages.opened(chromium, addresses["served"]) as other:
        one.edit("block_0_step_7[0,5,2]", "0")
        other.prompt("Anna is slow. She works")
        assert other.page.locator(".cell.typed").count() == 0
        assert other.answer == MODEL.run("Anna is slow. She works").predicted_token
        assert one.page.locator(".changes .edit").count() == 1


def test_the_browsers_way_back_leads_to_the_stage_before(explorer):
    explorer.go("block_0_step_4[5,52]")
    explorer.go("logits[7]")
    explorer.page.go_back()
    assert explorer.address == "block_0_step_4[5,52]"
    assert "#block_0_step_4[5,52]" in explorer.page.url


def test_a_saved_workbook_holds_the_changed_run(served, tmp_path):
    import openpyxl

    served.edit("block_0_step_7[0,5,2]", "0.25")
    with served.page.expect_download() as download:
        served.page.click("text=Workbook")
    download.value.save_as(tmp_path / "run.xlsx")
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    name = book.defined_names["block_0_step_7"]
    tab, area = next(iter(name.destinations))
    cells = [[cell.value for cell in row] for row in book[tab][area]]
    np.testing.assert_allclose(np.array(cells, float), edited("block_0_step_7[0,5,2]=0.25").array("block_0_step_7"))


# ------------------------------------------------------------------------------------------------ generation


def test_a_fixed_target_picks_what_generate_does(explorer):
    from sheetgpt.generate.sample import Sampling, candidates

    explorer.prompt("Mike is quick. He")
    explorer.page.click(".views >> text=Generate")
    explorer.page.wait_for_selector(".candidates tr.picked")
    explorer.page.fill("input[type=range] >> nth=0", "0.8")
    explorer.page.fill("input[type=range] >> nth=1", "12")
    explorer.page.fill("input[type=range] >> nth=3", "0.5118")
    found = candidates(MODEL.run("Mike is quick. He").array("logits")[:, -1], Sampling(0.8, 12))
    index = int(np.searchsorted(found.cumulative, 0.5118, side="right"))
    picked = explorer.page.locator(".candidates tr.picked td").all_inner_texts()
    assert picked[0] == str(index + 1)
    assert picked[5] == f"{found.cumulative[index]:.4f}"
    token = MODEL.token(int(found.ids[index]))
    explorer.page.keyboard.press("Enter")
    explorer.settle()
    assert explorer.page.input_value("#prompt") == f"Mike is quick. He{token}"
    explorer.page.keyboard.press("Backspace")
    explorer.settle()
    assert explorer.page.input_value("#prompt") == "Mike is quick. He"


# ------------------------------------------------------------------------------------------------ pages and people


def test_a_page_of_a_model_too_large_for_it_shows_the_run_and_says_that_it_can_not_be_changed(
    page_built, chromium, tmp_path, monkeypatch
):
    from sheetgpt.explore import export as exports

    monkeypatch.setattr(exports, "MOST_COMPUTED", 1000)
    page = export(MODEL, Asked(PROMPT), tmp_path / "page.html")
    with pages.opened(chromium, page.as_uri()) as found:
        found.go("block_1_step_4[5,52]")
        assert found.value == pytest.approx(TRACE.array("block_1_step_4")[5, 52], rel=1e-11)
        found.page.click(".main-sheet .cell.at")
        found.page.keyboard.press("F2")
        assert found.complaint == exports.ONE_RUN
        assert found.answer == TRACE.predicted_token


def test_a_reader_is_told_the_sheet_the_cell_and_the_answer(served):
    served.go("block_1_step_7[0,5,2]")
    grid = served.page.locator(".main-sheet [role=grid]")
    assert (grid.get_attribute("aria-rowcount"), grid.get_attribute("aria-colcount")) == ("9", "25")
    chosen = served.page.locator(f"[id='{grid.get_attribute('aria-activedescendant')}']")
    assert chosen.get_attribute("aria-selected") == "true"
    value = TRACE.array("block_1_step_7")[5, 2]
    assert served.page.inner_text(".spoken") == f"head 0, ·moves looks at ·quick, {value:.12g}"
    assert served.page.get_attribute(".top .answer", "aria-live") == "polite"


def test_the_phone_has_one_column_and_the_dark_page_dark_cells(addresses, chromium):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    with pages.opened(chromium, addresses["served"], **phone) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert found.page.locator(".tabs button").count() >= 4
        ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(18, 24, 29)"


@pytest.fixture
def hostile(chromium, tmp_path):
    """The page of another origin."""
    (tmp_path / "index.html").write_text("<!doctype html><title>hostile</title>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        yield page
        page.close()
        other.shutdown()


def read_by(page, address):
    """What a page gets of the facts, by the ways in which it may ask: (lengths, the server's statuses)."""
    network, asked, answered = page.context.new_cdp_session(page), set(), {}
    network.on(
        "Network.requestWillBeSent", lambda seen: "facts" in seen["request"]["url"] and asked.add(seen["requestId"])
    )
    network.on(
        "Network.responseReceivedExtraInfo", lambda seen: answered.update({seen["requestId"]: seen["statusCode"]})
    )
    network.send("Network.enable")  # where answers are seen that the browser keeps from the page
    read = """async ([address, mode]) => {
        try { return (await (await fetch(address + "facts", { mode })).text()).length } catch { return "refused" }
    }"""
    found = [page.evaluate(read, [address, mode]) for mode in ("cors", "no-cors")]
    for _ in range(100):
        if asked <= answered.keys():
            break
        page.wait_for_timeout(50)
    return found, [answered.get(request) for request in asked]


def test_a_page_of_another_origin_is_refused_though_it_knows_the_address(addresses, hostile):
    found, statuses = read_by(hostile, addresses["served"])
    assert found[0] == "refused"
    assert found[1] in (0, "refused")
    assert statuses == [403, 403]


def test_it_is_the_guard_that_refuses_it(addresses, hostile, monkeypatch):
    """Without it the server would do what another page asks, though the browser hides the answer."""
    monkeypatch.setattr(guard, "is_same_origin", lambda *_headers: True)
    assert read_by(hostile, addresses["served"])[1] == [200, 200]
