"""The view of attention: the wall, the chosen head, what is said of a cell, the pictures that are saved."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import explore_pages as pages
from models import random_ids, write_random_model
from sheetgpt import load_model
from sheetgpt.explore.export import export
from sheetgpt.explore.head_maps import MOST_TOKENS, pooled
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer
from sheetgpt.models.config import Config
from sheetgpt.run.edit import parse

pytestmark = pytest.mark.browser

PROMPT = "Mike is quick. He moves"
MODEL = load_model()
TRACE = MODEL.run(PROMPT)
HEADS = MODEL.config.n_head
SHARES = [step for step in TRACE.steps if step.by_head and step.op.shares]
SET = "block_0_step_7[3,5,2]=0.9"
LONG = Config(n_layer=2, n_head=3, n_embd=12, n_ctx=90, n_vocab=40)
SVG = "{http://www.w3.org/2000/svg}"


def head_of(trace, stage, head):  # -> [T, T]
    tokens = len(trace.token_ids)
    return trace.array(stage)[:, head * tokens : (head + 1) * tokens]


def shown(token):
    return token.replace(" ", "·")


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 12), st.integers(0, 9))
def test_a_pooled_map_holds_the_greatest_of_the_cells_that_share_one(tokens, heads, most, seed):
    matrix = np.random.default_rng(seed).random((tokens, heads * tokens))
    size = min(tokens, most)
    pool = np.array([max(i for i in range(size) if i * tokens // size <= token) for token in range(tokens)])
    found = pooled(matrix, heads, most).reshape(size, heads, size)
    for row, head, key in np.ndindex(found.shape):
        inside = matrix[:, head * tokens : (head + 1) * tokens][np.ix_(pool == row, pool == key)]
        assert found[row, head, key] == inside.max()


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def addresses(page_built, tmp_path_factory):
    """Where the page is: on a server and in a file; with changes; of a model of many tokens; of one without heads."""
    folder = tmp_path_factory.mktemp("attention")
    write_random_model(folder / "long", LONG)
    write_random_model(folder / "bigram", Config(1, 1, 1, 8, 6, model="bigram"))
    long, bigram = load_model(folder / "long"), load_model(folder / "bigram")
    ids = Asked(ids=tuple(random_ids(LONG, 80)))
    with (
        pages.serving(Explorer(MODEL, Asked(PROMPT))) as served,
        pages.serving(Explorer(MODEL, Asked(PROMPT, sets=(SET,)))) as changed,
        pages.serving(Explorer(long, ids)) as many,
        pages.serving(Explorer(bigram, Asked(ids=(0,)))) as headless,
    ):
        yield {
            "served": served,
            "file": export(MODEL, Asked(PROMPT), folder / "page.html").as_uri(),
            "changed": changed,
            "many": many,
            "many in a file": export(long, ids, folder / "long.html").as_uri(),
            "headless": headless,
        }


@pytest.fixture
def attention(addresses, chromium):
    """The view, opened where it is asked for."""
    windows = []

    def show(kind="served"):
        window = pages.opened(chromium, addresses[kind])
        windows.append(window)
        explorer = window.__enter__()
        explorer.page.click(".views >> text=Attention")
        explorer.settle()
        return explorer

    yield show
    for window in windows:
        window.__exit__(None, None, None)


def choose(explorer, block, head):
    explorer.page.click(f"[aria-label^='block {block}, head {head}:']")
    explorer.settle()


def saved(explorer, where, kind):
    """The picture that a button saves."""
    with explorer.page.expect_download() as found:
        explorer.page.click(f"{where} >> text={kind}")
    return found.value.path().read_bytes()


def numbers_in(svg):
    return np.array([float(box.get("data-value")) for box in svg.iter(f"{SVG}rect") if box.get("data-value")])


def texts_in(svg):
    return ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", ["served", "file"])
def test_the_wall_has_every_head_of_every_block(attention, kind):
    labels = attention(kind).page.eval_on_selector_all(".wall [role=radio]", "all => all.map(one => one.ariaLabel)")
    wanted = [
        f"block {step.block}, head {head}: {shown(TRACE.tokens[-1])} looks most at "
        f"{shown(TRACE.tokens[head_of(TRACE, step.name, head)[-1].argmax()])}"
        for step in SHARES
        for head in range(HEADS)
    ]
    assert labels == wanted


def test_each_head_is_painted_in_its_own_shares(attention):
    page = attention().page
    colours = page.eval_on_selector_all(
        ".wall canvas",
        """all => all.map(canvas => {
            const side = canvas.width / 6, context = canvas.getContext("2d");
            return Array.from({ length: 36 }, (_, i) =>
                context.getImageData((i % 6 + 0.5) * side, (Math.floor(i / 6) + 0.5) * side, 1, 1).data[0]);
        })""",
    )
    heads = [head_of(TRACE, step.name, head) for step in SHARES for head in range(HEADS)]
    may = np.tri(6, dtype=bool)
    for seen, head in zip(colours, heads, strict=True):
        reds = np.array(seen).reshape(6, 6)
        np.testing.assert_allclose(reds[may], (255 + head * (0x4F - 255))[may], atol=1)
        assert set(reds[~may]) == {0xF4}


@pytest.mark.parametrize("kind", ["served", "file"])
@pytest.mark.parametrize(("block", "head"), [(0, 2), (1, 3)])
def test_a_saved_head_is_svg_with_the_runs_numbers_and_the_tokens(attention, kind, block, head):
    explorer = attention(kind)
    choose(explorer, block, head)
    svg = ET.fromstring(saved(explorer, ".attention-head", "SVG"))
    near = 1e-12 if kind == "served" else 1e-9
    wanted = head_of(TRACE, SHARES[block].name, head)[np.tril_indices(6)]
    np.testing.assert_allclose(numbers_in(svg), wanted, rtol=0, atol=near)
    texts = texts_in(svg)
    assert [texts.count(shown(token)) for token in TRACE.tokens] == [2] * 6
    assert {f"{value:.3f}" for value in wanted if value} <= set(texts)
    assert texts[0] == f"block {block} · head {head}, {SHARES[block].name}"


def test_the_saved_wall_holds_every_head(attention):
    svg = ET.fromstring(saved(attention(), ".wall-tools", "SVG"))
    wanted = [head_of(TRACE, step.name, head)[np.tril_indices(6)] for step in SHARES for head in range(HEADS)]
    np.testing.assert_allclose(numbers_in(svg), np.concatenate(wanted), rtol=0, atol=1e-12)
    assert {"block 0", "block 1", "head 0", "head 3"} <= set(texts_in(svg))


@pytest.mark.parametrize("where", [".attention-head", ".wall-tools"])
def test_a_saved_png_is_one(attention, where):
    assert saved(attention(), where, "PNG").startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("kind", ["many", "many in a file"])
def test_many_tokens_are_pooled_by_their_maximum(attention, kind, addresses):
    explorer = attention(kind)
    matrix = pages.matrix_of(explorer.page, "block_1_step_7")
    svg = ET.fromstring(saved(explorer, ".wall-tools", "SVG"))
    maps = pooled(matrix, LONG.n_head).reshape(MOST_TOKENS, LONG.n_head, MOST_TOKENS)
    wanted = [maps[:, head][np.tril_indices(MOST_TOKENS)] for head in range(LONG.n_head)]
    found = numbers_in(svg)
    np.testing.assert_allclose(found[len(found) // 2 :], np.concatenate(wanted), rtol=0, atol=1e-9)


# ------------------------------------------------------------------------------------------------ what is said


def point_at(explorer, row, key):
    """Rest on a cell of the large map."""
    box = explorer.page.locator(".head-cell").bounding_box()  # the chosen one, of the last token
    at = [int(explorer.page.get_attribute(".head-cell", "aria-colindex")) - 1, 5]
    x, y = box["x"] + (key - at[0]) * (box["width"] + 1) + 5, box["y"] + (row - at[1]) * (box["height"] + 1) + 5
    explorer.page.mouse.move(x, y)
    explorer.settle()
    return x, y


def test_a_cell_under_the_pointer_says_what_looks_at_what_and_how_much(attention):
    explorer = attention()
    point_at(explorer, 4, 2)
    head, value = head_of(TRACE, "block_1_step_7", 0), explorer.page.inner_text(".said").rsplit(" ", 1)
    assert value[0] == "block 1, head 0: ·He looks at ·quick"
    assert abs(float(value[1]) - head[4, 2]) < 1e-12
    assert explorer.page.inner_text(".every-head h2") == "What ·He looks at, in every head"


def test_a_token_says_what_it_looks_at_by_pointer_and_by_keyboard(attention):
    explorer = attention()
    explorer.page.hover(".chip >> text=quick")
    assert explorer.page.inner_text(".every-head h2") == "What ·quick looks at, in every head"
    seen = explorer.page.inner_text(".bars > div >> nth=6").split()
    head = head_of(TRACE, "block_1_step_7", 2)[2]
    assert [word for word in seen if word.startswith(".") and len(word) == 3] == [
        f"{share:.2f}"[1:] for share in head if share >= 0.005
    ]
    explorer.page.mouse.move(5, 5)
    explorer.page.focus(".chip[aria-checked=true]")
    explorer.page.keyboard.press("ArrowLeft")
    explorer.settle()
    assert explorer.page.inner_text(".every-head h2") == "What ·He looks at, in every head"


def test_keys_go_from_cell_to_cell_and_enter_opens_the_sheet_there(attention):
    explorer = attention()
    explorer.page.focus(".head-map")
    explorer.page.keyboard.press("Home")
    explorer.page.keyboard.press("ArrowUp")
    explorer.settle()
    said = explorer.page.get_attribute("#head-cell", "aria-label").rsplit(", ", 1)
    assert said[0] == "head 0, ·He looks at Mike"
    assert abs(float(said[1]) - head_of(TRACE, "block_1_step_7", 0)[4, 0]) < 1e-12
    explorer.page.keyboard.press("Enter")
    assert explorer.address == "block_1_step_7[0,4,0]"


def test_a_click_opens_the_cell_in_its_sheet(attention):
    explorer = attention()
    choose(explorer, 0, 1)
    explorer.page.mouse.click(*point_at(explorer, 3, 1))
    explorer.settle()
    assert explorer.address == "block_0_step_7[1,3,1]"


def test_after_a_change_cells_say_what_they_were(attention):
    explorer = attention("changed")
    after = MODEL.run_edited(TRACE, [parse(SET, TRACE.sizes)])
    point_at(explorer, 5, 2)
    now, was = explorer.page.inner_text(".said").rsplit(" ", 1)[1], explorer.page.inner_text(".said").split()[-3]
    assert abs(float(was.rstrip(",")) - head_of(after, "block_1_step_7", 0)[5, 2]) < 1e-12
    assert abs(float(now) - head_of(TRACE, "block_1_step_7", 0)[5, 2]) < 1e-12
    svg = ET.fromstring(saved(explorer, ".attention-head", "SVG"))
    moved = head_of(after, "block_1_step_7", 0) - head_of(TRACE, "block_1_step_7", 0)
    assert texts_in(svg).count("▲") == np.sum(moved > 0)
    assert texts_in(svg).count("▼") == np.sum(moved < 0)


def test_a_model_without_attention_has_no_such_view(addresses, chromium):
    with pages.opened(chromium, addresses["headless"]) as explorer:
        assert "Attention" not in explorer.page.inner_text(".views")
