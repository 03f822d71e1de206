"""A dump's manifest is what anybody may have written: it is checked once, where it is read."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import sheetgpt
from models import ONE_BLOCK, random_ids, write_random_model
from sheetgpt import load_model
from sheetgpt.diff.sides import open_side
from sheetgpt.diff.training import is_training
from sheetgpt.dump import MANIFEST, checked_manifest, read_manifest
from sheetgpt.errors import DumpError, SheetGPTError
from sheetgpt.models.manifests import PARTS


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    write_random_model(folder / "model", ONE_BLOCK)
    return load_model(folder / "model").run(token_ids=random_ids(ONE_BLOCK, 4)).to_csv(folder / "dump")


@pytest.fixture
def folder(dump, tmp_path):
    return shutil.copytree(dump, tmp_path / "dump")


def about(dump):
    return json.loads((dump / MANIFEST).read_text(encoding="utf-8"))


def write(folder, data):
    (folder / MANIFEST).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")


def test_what_is_written_is_read(dump):
    assert read_manifest(dump) == about(dump)
    assert set(PARTS) & set(about(dump)) == {
        "prompt", "tokens", "constants", "dtype", "head_layout", "weights", "overridden", "stages"
    }  # fmt: skip


ODD = [None, True, -1, 1.5, 10**30, "", "x", "\0", "../../etc/passwd", [], [[]], [None], {}, {"a": 1}, [{"id": 1}]]


def leaves(data, path=()):
    """The place of every part, and of what is in it."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


def changed(data, path, value):
    copy = json.loads(json.dumps(data))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


def judged(folder):
    """Whatever diff makes of a folder: a report, or an error of one line."""
    try:
        side = open_side(str(folder))
        assert isinstance(side.tokens, list)
        assert side.config is None or side.config.n_layer < 10_001
        is_training(str(folder))
        for name in side.names:
            side.shape(name)
    except SheetGPTError as error:
        return str(error)
    return ""


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_part_may_hold_anything(dump, folder, data):
    whole = about(dump)
    path = data.draw(st.sampled_from(list(leaves(whole))))
    write(folder, changed(whole, path, data.draw(st.sampled_from(ODD))))
    told = judged(folder)
    assert not told or str(folder / MANIFEST) in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"a":' * 100_000, "is damaged"),
        ("[]", "is no manifest"),
        ("3", "is no manifest"),
        ('{"stages": [{"name": "../secret", "shape": [1, 1]}]}', "its stages are none"),
        ('{"matrices": {"../secret": [1, 1]}, "losses": [1]}', "its matrices are none"),
        ('{"tokens": [{"id": "1", "token": "a"}]}', "its tokens are none"),
        ('{"tokens": [{"id": 1}]}', "its tokens are none"),
        ('{"dtype": ["float64"]}', "its dtype is none"),
        ('{"constants": {"n_layer": 1000000000}}', "it says 1,000,000,000 blocks"),
        ('{"constants": {"n_layer": "1"}}', "its constant n_layer is '1'"),
        ('{"constants": {"n_layer": true}}', "its constant n_layer is 'True'"),
        (
            '{"constants": {"n_layer": 1, "n_head": 3, "n_embd": 8, "n_ctx": 9, "n_vocab": 17}}',
            "n_embd 8 is not",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(folder, text, told):
    write(folder, text)
    with pytest.raises(DumpError) as error:
        read_manifest(folder)
    assert str(error.value).startswith(f"{folder / MANIFEST} {told.partition('its')[0] or 'is damaged'}"[:40])
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_manifest_that_is_no_text_is_told(folder):
    (folder / MANIFEST).write_bytes(b'{"prompt": "\xff"}')
    assert "is damaged" in judged(folder)


def test_the_command_tells_it_too(dump, folder):
    write(folder, about(dump) | {"constants": {"n_layer": 10**9}})
    assert "blocks" in sheetgpt("diff", dump, folder).error


def test_a_manifest_inside_of_a_file_of_arrays_is_checked_as_well(tmp_path, dump):
    said = about(dump) | {"names": "reference", "arrays": [], "constants": {"n_layer": 10**9}}
    (tmp_path / "a.json").write_text(json.dumps({"logits": [[0.5]] * 17, "manifest": said}))
    with pytest.raises(DumpError, match="1,000,000,000 blocks"):
        open_side(str(tmp_path / "a.json"))


def test_parts_that_nobody_reads_may_be_anything():
    assert checked_manifest({"more": [[[]]], "sheetgpt": 3}, "here") == {"more": [[[]]], "sheetgpt": 3}
