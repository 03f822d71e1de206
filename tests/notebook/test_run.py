"""A run shows itself: its tokens, the best next ones, every stage; small, and readable in light and dark."""

from __future__ import annotations

import base64
import dataclasses
import re
import zlib

import numpy as np
import pytest

from html_pages import read
from runs_of_kinds import KINDS, RUNS, run
from sheetgpt.models.step import Role
from sheetgpt.notebook import cells, looks, strips

every_run = pytest.mark.parametrize(("kind", "how"), RUNS, ids=[" ".join([kind, *how]) for kind, how in RUNS])
READABLE = 4.5  # to one: WCAG's AA


@every_run
def test_a_run_shows_its_tokens_the_best_next_ones_and_every_stage_with_its_shape(kind, how):
    trace = run(kind, **how)
    page = read(trace._repr_html_())
    tokens = [one.text for one in page.all("span")]
    assert tokens[:-1] == [f"{cells.token(token)} {i}" for token, i in zip(trace.tokens, trace.token_ids, strict=True)]
    assert tokens[-1].startswith(f"→ {cells.token(trace.predicted_token)}")
    best, *groups = page.all("table")
    assert [[cell.text for cell in row.all("td")[:2]] for row in best.all("tr")[1:]] == [
        [cells.token(one.token), str(one.id)] for one in trace.predictions()
    ]
    listed = {
        row.all("th")[0].text: [cell.text for cell in row.all("td")] for group in groups for row in group.all("tr")
    }
    assert list(listed) == list(trace)
    for name, (title, shape, *_) in listed.items():
        assert title == trace.step(name).title
        assert shape == " × ".join(map(str, trace[name].shape))
    blocks = [one.text for one in page.all("summary") if one.text.startswith("block")]
    assert len(blocks) == len({trace.step(name).block for name in trace} - {None})


@every_run
def test_a_run_is_a_line_of_text(kind, how):
    trace = run(kind, **how)
    text = repr(trace)
    assert len(text) < 200
    assert "\n" not in text
    assert repr(trace.predicted_token) in text


def test_the_embedded_model_s_run_is_small():
    assert len(run("embedded")._repr_html_().encode()) < 60_000


def test_a_run_of_which_stages_were_left_out_shows_the_others():
    trace = run("embedded")
    kept = {name: trace.arrays[name] for name in ("final_tokens", "block_0_step_7")}
    part = dataclasses.replace(trace, arrays=kept, merges=None)
    page = read(part._repr_html_())
    assert [one.text for one in page.all("b")] == list(kept)
    assert "predicts" not in repr(part)
    assert part.has(Role.TOKENS)
    assert not part.has(Role.LOGITS)


def test_a_large_run_has_a_picture_a_block_alone(monkeypatch):
    monkeypatch.setattr("sheetgpt.notebook.run.MOST_IMAGES", 5)
    page = read(run("embedded")._repr_html_())
    assert len(page.all("img")) == sum(bool(one.all("img")) for one in page.all("summary"))


# ------------------------------------------------------------------------------------------------ strips


def pixels(image: bytes) -> np.ndarray:
    """The places in the palette of a picture, read as the PNG specification has it."""
    at, data, size = 8, b"", (0, 0)
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(image):
        length, name = int.from_bytes(image[at : at + 4]), image[at + 4 : at + 8]
        body = image[at + 8 : at + 8 + length]
        assert zlib.crc32(name + body) == int.from_bytes(image[at + 8 + length : at + 12 + length])
        if name == b"IHDR":
            size = int.from_bytes(body[4:8]), int.from_bytes(body[:4])
        data += body if name == b"IDAT" else b""
        at += 12 + length
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[0], size[1] + 1)[:, 1:]


@pytest.mark.parametrize("shape", [(1, 1), (6, 64), (592, 1), (40, 300), (3, 4)])
def test_a_strip_holds_each_sign_the_masked_cells_and_is_a_picture(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    found = pixels(strips.png(strips.levels(matrix)))
    assert found.shape[0] <= strips.HEIGHT
    assert found.shape[1] <= strips.WIDTH
    assert (found <= 2 * strips.LEVELS).all()
    if matrix.size <= 12:  # each number has a pixel
        assert ((found > strips.LEVELS) <= (matrix > 0)).all()
        assert ((found < strips.LEVELS) <= (matrix < 0)).all()
    masked = pixels(strips.png(strips.levels(np.full(shape, -1e10))))
    assert (masked == strips.MASKED).all()


def test_every_picture_of_a_run_says_in_words_what_it_spans():
    page = read(run("embedded")._repr_html_())
    for image in page.all("img"):
        assert re.search(r"\d", image.attributes["alt"])
        kind, _, data = image.attributes["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert pixels(base64.b64decode(data)).size
    assert strips.image(np.zeros((0, 4))) == ""


# ------------------------------------------------------------------------------------------------ colours


def luminance(colour: np.ndarray) -> float:  # [3], from 0 to 1
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [looks.LIGHT, looks.DARK], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_colour_behind_it(theme):
    rgb = {name: np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for name, colour in theme.items()}
    for end in ("below", "above", "share"):
        for strength in np.linspace(0, 1, 21):
            assert contrast(rgb["ink"], strength * rgb[end] + (1 - strength) * rgb["bg"]) >= READABLE, (end, strength)
    pairs = ["ink bg", "ink panel", "mute bg", "mute panel", "mute mask", "accent bg", "accent panel", "wrong wrong-bg"]
    for text, behind in map(str.split, pairs):
        assert contrast(rgb[text], rgb[behind]) >= READABLE, (text, behind)


def test_dark_and_light_have_the_same_colours_and_every_rule_stands_under_the_class():
    assert set(looks.LIGHT) == set(looks.DARK)
    assert set(re.findall(r"var\(--([a-z-]+)\)", looks.RULES)) <= {*looks.LIGHT, "s"}
    for selectors in re.findall(r"([^{}]+){[^{}]*}", looks.RULES.replace("\n", "")):
        assert all(one.startswith(f".{looks.ROOT}.{looks.ROOT}") for one in selectors.split(",")), selectors


@pytest.mark.browser
def test_heads_are_chosen_by_the_keys_and_by_the_mouse_and_dark_pages_are_dark(chromium):
    page = chromium.new_page()
    trace = run("embedded")
    stages = "".join(trace[name]._repr_html_() for name in ("block_0_step_7", "block_1_step_7"))
    page.set_content(f"<!doctype html><body>{stages}")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert [one.is_visible() for one in page.locator(".tab").all()] == [0, 1, 0, 0, 1, 0, 0, 0]
    page.locator("label", has_text="head 3").last.click()
    assert [one.is_visible() for one in page.locator(".tab").all()] == [0, 1, 0, 0, 0, 0, 0, 1]
    behind = "getComputedStyle(document.querySelector('.sheetgpt')).backgroundColor"
    assert page.evaluate(behind) == "rgb(255, 255, 255)"
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    assert page.evaluate(behind) == "rgb(18, 24, 29)"
    page.close()


def test_every_kind_is_there():
    assert len(KINDS) > 20
