"""The order of rooms: data goes one way, and nothing inside a room goes in circles (`[tool.importlinter]`)."""

from __future__ import annotations

from pathlib import Path

from conftest import require

ROOT = Path(__file__).resolve().parents[1]


def test_each_room_uses_only_the_rooms_below_it(capsys, monkeypatch):
    require("importlinter", "dev")
    from importlinter.cli import lint_imports

    monkeypatch.syspath_prepend(str(ROOT))
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None, no_cache=True)
    assert code == 0, capsys.readouterr().out
