"""The page of `explore` when something comes in between: the same run again, another prompt, a server that is gone."""

from __future__ import annotations

import numpy as np
import pytest

import explore_pages as pages
from explore_pages import PROMPT
from sheetgpt import load_model
from sheetgpt.explore.export import export
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer

pytestmark = pytest.mark.browser

OTHER = "Anna is slow. She works"
MODEL = load_model()
TRACE = MODEL.run(PROMPT)


def logits(explorer):
    return pages.matrix_of(explorer.page, "logits")


def test_where_a_number_comes_from_stays_when_the_same_run_is_asked_for_again(explorer):
    explorer.go("block_0_step_4[5,52]")
    explorer.page.press("#prompt", "Enter")
    explorer.settle()
    assert explorer.page.locator(".where-from .terms tbody tr").count() > 5


def test_undo_does_not_bring_the_old_prompts_cells_to_a_new_prompt(explorer):
    explorer.edit("block_0_step_7[0,5,2]", "0")
    explorer.page.keyboard.press("Control+z")
    explorer.settle()
    explorer.prompt(OTHER)
    assert explorer.page.locator("[aria-label=redo]").is_disabled()
    assert explorer.page.locator("[aria-label=undo]").is_disabled()


def test_changed_weights_stay_with_another_prompt_and_can_be_undone(explorer):
    explorer.edit("model_wte[305,3]", "1.25")
    explorer.prompt(OTHER)
    before = MODEL.run(OTHER)
    expected = MODEL.run_edited(before, ["model_wte[305,3]=1.25"])
    np.testing.assert_allclose(logits(explorer), expected.array("logits"), rtol=1e-9, atol=1e-9)
    explorer.page.click("[aria-label=undo]")
    explorer.settle()
    np.testing.assert_allclose(logits(explorer), before.array("logits"), rtol=1e-9, atol=1e-9)


def test_many_changes_one_after_the_other(explorer):
    """More than are kept."""
    explorer.page.evaluate(
        """async () => {
            const { state } = sheetgpt;
            for (let i = 0; i < 40; i++) {
                state.set([{ cell: { stage: "block_1_step_15", row: 5, column: i }, value: i }]);
                while (state.busy.value) await new Promise(done => setTimeout(done, 5));
            }
        }"""
    )
    sets = [f"block_1_step_15[5,{i}]={i}" for i in range(40)]
    np.testing.assert_allclose(logits(explorer), MODEL.run_edited(TRACE, sets).array("logits"), rtol=1e-9, atol=1e-9)
    explorer.go("block_0_step_3[0,0]")
    assert explorer.value == pytest.approx(TRACE.array("block_0_step_3")[0, 0], rel=1e-11)


def test_a_typed_text_that_is_no_number_does_not_move_to_another_cell(served):
    served.go("block_0_step_7[0,5,2]")
    served.page.click(".main-sheet .cell.at")
    served.page.keyboard.press("F2")
    served.page.fill(".overlay", "half")
    served.page.click(".main-sheet .grid-row:nth-of-type(3) .cell >> nth=0")
    assert served.address == "block_0_step_7[0,5,2]"
    served.page.fill(".overlay", "0.5")
    served.page.keyboard.press("Enter")
    served.settle()
    assert served.page.locator(".changes .edit .link").all_inner_texts() == ["block_0_step_7[0,5,2]"]


def test_the_value_box_types_over_too_and_keeps_the_focus(served):
    served.go("block_0_step_7[0,5,2]")
    served.page.click("#value-box")
    assert served.page.evaluate("document.activeElement.id") == "value-box"
    served.page.fill("#value-box", "0.25")
    served.page.keyboard.press("Enter")
    served.settle()
    assert served.page.locator(".changes .edit").count() == 1


def test_nothing_is_pasted_into_a_sheet_that_is_not_shown(served):
    served.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    served.page.evaluate("navigator.clipboard.writeText('1\\t2')")
    served.page.click(".views >> text=Generate")
    served.page.keyboard.press("Control+v")
    served.settle()
    assert served.page.evaluate("sheetgpt.state.edits.value.length") == 0


def test_a_wrong_link_leaves_a_page_that_works(addresses, chromium):
    with pages.opened(chromium, f"{addresses['served']}#%") as found:
        assert found.answer == TRACE.predicted_token


def test_a_server_that_is_gone_is_said_to_be_and_asked_again(served):
    served.page.route("**/run", lambda route: route.abort())
    served.page.fill("#prompt", OTHER)
    served.page.wait_for_selector(".complaint.page")
    assert "what is loaded can still be read" in served.complaint
    assert served.answer == TRACE.predicted_token
    served.page.unroute("**/run")
    served.page.wait_for_selector(".complaint.page", state="detached", timeout=10_000)
    served.settle()
    assert served.answer == MODEL.run(OTHER).predicted_token


def test_a_refused_change_leaves_the_run_and_the_changes_before_it(served):
    served.edit("block_0_step_7[0,5,2]", "0.5")
    before = logits(served)
    served.page.evaluate(
        """() => { const { state } = sheetgpt;
            state.set([{ cell: { stage: "block_0_step_4", row: 5, column: 9999 }, value: 1 }]) }"""
    )
    served.settle()
    assert "9999" in served.complaint
    assert served.page.evaluate("sheetgpt.state.edits.value.map(one => one.text)") == ["block_0_step_7[0,5,2]=0.5"]
    assert np.array_equal(logits(served), before)


def test_special_tokens_are_read_as_on_the_command_line(chromium, page_built, tmp_path):
    text = "<|endoftext|>Mike is"
    for special in (False, True):
        asked = Asked(text, special=special)
        ids = MODEL.run(text, special=special).token_ids
        file = export(MODEL, asked, tmp_path / "page.html").as_uri()
        with pages.serving(Explorer(MODEL, asked)) as address:
            for place in (address, file):
                with pages.opened(chromium, place) as found:
                    assert found.page.evaluate("sheetgpt.state.run.value.ids") == ids


def test_two_quick_accepts_take_one_token_and_another_prompt_has_nothing_to_take_back(served):
    served.prompt("Mike is quick. He")
    served.page.click(".views >> text=Generate")
    served.page.wait_for_selector(".candidates tr.picked")
    served.page.click(".generate-text")
    served.page.keyboard.press("Enter")
    served.page.keyboard.press("Enter")
    served.settle()
    assert served.page.evaluate("sheetgpt.state.run.value.ids.length") == 6
    served.prompt(OTHER)
    served.page.keyboard.press("Escape")
    served.page.click(".generate-text")
    served.page.keyboard.press("Backspace")
    served.settle()
    assert served.page.input_value("#prompt") == OTHER


def test_quick_fingers_lose_no_digit(served):
    served.go("block_0_step_7[0,5,2]")
    served.page.click(".main-sheet .cell.at")
    served.page.keyboard.type("-12.5e-1")
    served.page.keyboard.press("Enter")
    served.settle()
    assert served.page.evaluate("sheetgpt.state.edits.value.map(one => one.text)") == ["block_0_step_7[0,5,2]=-1.25"]


@pytest.mark.parametrize(
    "address",
    ["block_1_step_7[0,0,7]", "block_1_step_7[4,0,0]", "block_1_step_7[0,6,0]", "model_wte[592,0]", "nope[0,0]"],
)
def test_an_address_that_is_none_is_refused(served, address):
    served.go("block_0_step_4[5,52]")
    served.go(address)
    assert "There is no cell" in served.complaint
    served.page.keyboard.press("Escape")
    assert "block_0_step_4" in served.page.url


def test_while_a_prompt_is_refused_the_old_run_can_be_changed_and_undone(explorer):
    explorer.prompt("")
    explorer.edit("block_0_step_7[0,5,2]", "0.5")
    expected = MODEL.run_edited(TRACE, ["block_0_step_7[0,5,2]=0.5"])
    np.testing.assert_allclose(logits(explorer), expected.array("logits"), rtol=1e-9, atol=1e-9)
    explorer.page.keyboard.press("Control+z")
    explorer.settle()
    np.testing.assert_allclose(logits(explorer), TRACE.array("logits"), rtol=1e-9, atol=1e-9)


def test_the_keyboard_leads_out_of_the_sheet_and_the_prompt(served):
    served.go("block_0_step_7[0,5,2]")
    served.page.click(".main-sheet .cell.at")
    for _ in range(4):
        served.page.keyboard.press("Shift+Tab")
    assert served.page.evaluate("document.activeElement.closest('.heading, .way, .top') !== null")
    assert served.page.evaluate("sheetgpt.state.edits.value.length") == 0
    served.page.focus("#prompt")
    served.page.keyboard.press("Control+g")
    assert served.page.evaluate("document.activeElement.id") == "name-box"


def test_the_list_of_keys_holds_the_focus_and_gives_it_back(served):
    served.page.click(".main-sheet .cell.at")
    served.page.keyboard.press("?")
    for _ in range(3):
        served.page.keyboard.press("Tab")
        assert served.page.evaluate("document.activeElement.closest('dialog, body') !== null")
    served.page.keyboard.press("Escape")
    served.page.wait_for_selector("dialog", state="detached")
    assert served.page.evaluate("document.activeElement.classList.contains('grid')")
