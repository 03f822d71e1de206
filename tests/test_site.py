"""The docs as a site: built without a warning or a network, every link leads somewhere, its live pages live."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from conftest import require
from sheetgpt import load_model

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + sorted(DOCS.rglob("*.ipynb"))
SOURCES = "_modules"  # the code as Sphinx shows it, with its own links back
OFFLINE = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "HTTP", "HTTPS")}  # nobody answers there
QUICKLY, PROMPT = "·quickly", "Mike is slow. He moves"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def site(page_built, tmp_path_factory) -> Path:
    """The built site."""
    for module in ("sphinx", "myst_nb", "furo"):
        require(module, "docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "docs", str(folder)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | OFFLINE | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@dataclass
class Page(HTMLParser):
    """What a built page links to, loads and has as anchors."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found["id"]} if found.get("id") else set()
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag in ("img", "script", "iframe") and found.get("src"):
            self.loads.append(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon"):
            self.loads.append(found["href"])


@pytest.fixture(scope="session")
def pages(site) -> dict[Path, Page]:
    found = {}
    for path in sorted(site.rglob("*.html")):
        if not {"live", "_static", SOURCES}.intersection(path.relative_to(site).parts):
            found[path] = Page()
            found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_every_page_of_the_docs_is_on_the_site_and_can_be_reached_from_its_first(site, pages):
    first = site / "index.html"
    reached, new = {first}, [first]
    while new:
        page = new.pop()
        links = {(page.parent / urlsplit(link).path).resolve() for link in pages[page].links if is_local(link)}
        new += [one for one in links if one in pages and one not in reached]
        reached |= set(new)
    expected = {site / path.relative_to(DOCS).with_suffix(".html") for path in PAGES}
    assert expected - reached == set()
    assert len(expected) > 40


def test_every_link_leads_to_a_page_and_to_a_place_on_it(pages):
    wrong = [
        (page.name, link)
        for page, found in pages.items()
        for link in found.links
        if is_local(link) and not leads_somewhere(page, link, pages)
    ]
    assert wrong == []


def test_what_a_page_loads_comes_from_the_site(pages):
    for page, found in pages.items():
        for address in found.loads:
            parts = urlsplit(address)
            assert is_local(address) or parts.scheme == "data", (page.name, address)
            assert parts.scheme == "data" or (page.parent / unquote(parts.path)).is_file(), (page.name, address)


def test_links_to_elsewhere_are_whole(pages):
    elsewhere = {link for found in pages.values() for link in found.links if not is_local(link)}
    for link in elsewhere:
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert "." in parts.netloc, link


def is_local(address: str) -> bool:
    return not urlsplit(address).scheme and not address.startswith("//")


def leads_somewhere(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists():
        return False
    return target not in pages or not parts.fragment or unquote(parts.fragment) in pages[target].anchors


# ------------------------------------------------------------------------------------------------ live pages


@pytest.fixture
def gallery(site, chromium):
    """The gallery from the disk, in a browser without a network; what its pages throw fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    thrown, asked = [], []
    page.on("pageerror", lambda error: thrown.append(error))  # noqa: PLW0108 - Playwright marks what it is given
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "gallery.html").as_uri())
    yield page
    context.close()
    assert thrown == []
    assert [url for url in asked if urlsplit(url).scheme not in ("file", "data", "blob")] == []


def live(page, name: str):
    """The frame that shows this page, when its run is whole."""
    page.locator(f"iframe[src^='live/{name}']").scroll_into_view_if_needed()
    frame = page.query_selector(f"iframe[src^='live/{name}']").content_frame()
    frame.wait_for_function("() => globalThis.sheetgpt?.state.run.value?.done && !sheetgpt.state.busy.value")
    return frame


@pytest.mark.browser
def test_the_run_is_shown_at_the_cell_that_decides_and_follows_a_change(gallery):
    frame = live(gallery, "run.html")
    assert QUICKLY in frame.inner_text(".top .answer")
    frame.dblclick(".main-sheet .cell.at")
    frame.fill(".overlay", "0")
    frame.press(".overlay", "Enter")
    frame.wait_for_function("() => sheetgpt.state.shownRun.value.asked.sets.length && !sheetgpt.state.busy.value")
    model = load_model()
    changed = model.run_edited(model.run("Mike is quick. He moves"), ["block_1_step_7[2,-1,2]=0"])
    assert frame.inner_text(".top .answer").split("%")[-2].split()[0] == changed.predicted_token.replace(" ", "·")


@pytest.mark.browser
def test_sixteen_numbers_of_another_prompt_change_the_answer_and_can_be_taken_back(gallery):
    frame = live(gallery, "patch.html")
    frame.wait_for_function("() => sheetgpt.state.shownRun.value.asked.sets.length === 16")
    assert frame.input_value(".prompt input") == PROMPT
    assert QUICKLY in frame.inner_text(".top .answer")
    frame.click(".main-sheet .cell.at")
    for _ in range(15):
        frame.press(".main-sheet .grid", "Shift+ArrowRight")
    frame.press(".main-sheet .grid", "Delete")
    frame.wait_for_function("() => !sheetgpt.state.shownRun.value.asked.sets.length && !sheetgpt.state.busy.value")
    assert "·slowly" in frame.inner_text(".top .answer")


@pytest.mark.browser
@pytest.mark.parametrize("name", ["die.html", "attention.html"])
def test_a_rung_learns_where_it_stands(gallery, name):
    frame = live(gallery, name)
    assert frame.inner_text(".views .on") == "Learn"
    frame.fill(".many input", "20")
    frame.click(".many button")
    frame.wait_for_function("() => sheetgpt.learning.stepsDone.value === 20 && !sheetgpt.learning.isRunning.value")
    losses = frame.evaluate("() => [...sheetgpt.learning.curve.value.losses]")
    assert losses[-1] < losses[0]
