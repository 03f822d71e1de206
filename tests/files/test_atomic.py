"""Files and folders that appear when they are whole, whatever happens to the process that writes them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sheetgpt.files import atomic
from sheetgpt.files.atomic import OLD, replacing, replacing_folder, sweep, temporary_path, write_file

LONG_AGO = 2 * atomic.LEFTOVER_SECONDS


def names(folder):
    return sorted(path.name for path in folder.iterdir())


BEGIN = "import os, sys\nfrom pathlib import Path\nfrom sheetgpt.files.atomic import replacing, replacing_folder\n"


def process(code, *arguments, **options):
    """Python in a process of its own, which may kill itself."""
    return subprocess.Popen([sys.executable, "-c", BEGIN + code, *map(str, arguments)], **options)


def killed(code, *arguments):
    assert process(f"{code}\n    os.kill(os.getpid(), 9)", *arguments).wait() == -9


def a_dump(folder, *files):
    folder.mkdir()
    for name in files:
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.csv"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


# ------------------------------------------------------------------------------------------------ files


def test_a_file_appears_when_it_is_whole(path):
    def blocks():
        yield b"1,2\n"
        assert not path.exists()
        yield b"3,4\n"

    write_file(path, blocks())
    assert path.read_bytes() == b"1,2\n3,4\n"
    assert names(path.parent) == ["file.csv"]


def test_a_folder_for_it_is_made(tmp_path):
    write_file(tmp_path / "a" / "b" / "file", [b"x"])
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"


def half_and(error):
    yield b"half"
    raise error


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(path, error):
    path.write_text("old")
    with pytest.raises(error):
        write_file(path, half_and(error))
    assert path.read_text() == "old"
    assert names(path.parent) == ["file.csv"]


def test_what_the_system_refuses_passes_through(path):
    path.mkdir()
    (path / "file").touch()
    with pytest.raises(OSError, match=r"directory|denied"):
        write_file(path, [b"x"])
    assert names(path.parent) == ["file.csv"]


def test_a_file_may_be_written_again_while_it_is_written(path):
    with replacing(path) as first:
        first.write_text("first")
        write_file(path, [b"second"])
        assert first.exists()
    assert path.read_text() == "first"
    assert names(path.parent) == ["file.csv"]


# ------------------------------------------------------------------------------------------------ leftovers

WRITE_HALF = "with replacing(Path(sys.argv[1])) as temporary:\n    temporary.write_text('half')"
WRITE_HALF_A_FOLDER = "with replacing_folder(Path(sys.argv[1])) as temporary:\n    (temporary / 'half').touch()"


@pytest.mark.parametrize(("code", "again"), [(WRITE_HALF, write_file), (WRITE_HALF_A_FOLDER, None)])
def test_what_a_killed_process_left_is_swept_by_the_next_write_to_the_same_place(path, code, again):
    killed(code, path)
    left = names(path.parent)
    assert len(left) == 1
    write_file(path.parent / "another", [b"x"])
    assert names(path.parent) == sorted([*left, "another"])
    if again:
        again(path, [b"whole"])
        assert path.read_bytes() == b"whole"
    else:
        with replacing_folder(path) as temporary:
            (temporary / "whole").touch()
        assert names(path) == ["whole"]
    assert names(path.parent) == ["another", "file.csv"]


def test_a_whole_folder_is_swept_too(tmp_path):
    killed(WRITE_HALF, tmp_path / "a.csv")
    killed(WRITE_HALF_A_FOLDER, tmp_path / "b")
    (tmp_path / ".mine.tmp").touch()
    (tmp_path / "mine").touch()
    sweep(tmp_path)
    assert names(tmp_path) == [".mine.tmp", "mine"]
    sweep(tmp_path / "missing")


def test_what_a_living_process_writes_is_left_alone(path):
    code = f"{WRITE_HALF}\n    print('begun', flush=True)\n    input()"
    with process(code, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout.readline() == "begun\n"
        write_file(path, [b"mine"])
        assert path.read_bytes() == b"mine"
        assert len(names(path.parent)) == 2
        living.communicate("\n")
    assert living.returncode == 0
    assert path.read_text() == "half"
    assert names(path.parent) == ["file.csv"]


def test_what_nobody_has_touched_for_long_is_swept_whoever_runs(path):
    left = temporary_path(path)
    left.write_text("of a process whose number another one has now")
    sweep(path.parent)
    assert left.exists()
    os.utime(left, (time.time() - LONG_AGO,) * 2)
    sweep(path.parent)
    assert not left.exists()


@pytest.mark.parametrize("where", ["another machine", "windows"])
def test_only_age_tells_where_processes_cannot_be_asked(path, monkeypatch, where):
    killed(WRITE_HALF, path)
    if where == "windows":
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("there it would end the process"))
    else:
        monkeypatch.setattr(atomic, "_host", lambda: "0" * 8)
    left = path.parent / names(path.parent)[0]
    sweep(path.parent)
    assert left.exists()
    os.utime(left, (time.time() - LONG_AGO,) * 2)
    sweep(path.parent)
    assert not left.exists()


@pytest.mark.parametrize("name", ["a", "a.b", ".hidden", "a.1-00000000-00000000.tmp", "Ünï [x] *.csv"])
def test_leftovers_belong_to_one_name_only(tmp_path, name):
    temporary_path(tmp_path / name).touch()
    for other in ("a", "b", "a.b", "a.1-00000000-00000000.tmp", name):
        assert len(atomic._named(tmp_path, other)) == (other == name)


# ------------------------------------------------------------------------------------------------ folders


def test_a_folder_takes_the_place_of_the_old_one_with_all_in_it(folder):
    a_dump(folder, "old", "both")
    with replacing_folder(folder) as temporary:
        (temporary / "both").write_text("new")
        assert names(folder) == ["both", "old"]
    assert names(folder) == ["both"]
    assert (folder / "both").read_text() == "new"
    assert names(folder.parent) == ["run"]


@pytest.mark.parametrize("before", [None, (), ("old",)])
@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_folder_that_fails_midway_leaves_what_was_there(folder, before, error):
    if before is not None:
        a_dump(folder, *before)
    with pytest.raises(error), replacing_folder(folder) as temporary:
        write_file(temporary / "file", half_and(error))
    assert names(folder.parent) == ([] if before is None else ["run"])
    if before is not None:
        assert names(folder) == list(before)


def test_a_link_to_a_folder_stays_and_leads_to_the_new_one(folder, tmp_path):
    a_dump(tmp_path / "elsewhere", "old")
    folder.symlink_to(tmp_path / "elsewhere")
    with replacing_folder(folder) as temporary:
        (temporary / "new").touch()
    assert folder.is_symlink()
    assert names(tmp_path / "elsewhere") == names(folder) == ["new"]


def test_a_swap_that_the_system_refuses_leaves_the_old_folder(folder, monkeypatch):
    a_dump(folder, "old")
    replace = Path.replace

    def refuse(self, target):
        if names(self) == ["new"]:
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError), replacing_folder(folder) as temporary:
        (temporary / "new").touch()
    assert names(folder) == ["old"]
    assert names(folder.parent) == ["run"]


SWAP = """
replace, moves = Path.replace, int(sys.argv[2])
def counted(self, target):
    global moves
    moves -= 1
    if moves < 0:
        os.kill(os.getpid(), 9)
    return replace(self, target)
Path.replace = counted
with replacing_folder(Path(sys.argv[1])) as temporary:
    (temporary / "new").touch()
"""


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_swap_that_was_killed_at_any_move_is_healed_by_the_next_call(folder, moves):
    a_dump(folder, "old")
    assert process(SWAP, folder, moves).wait() == (-9 if moves < 3 else 0)
    assert folder.exists() == (moves != 1)
    with pytest.raises(ValueError), replacing_folder(folder) as temporary:
        write_file(temporary / "file", half_and(ValueError))
    assert names(folder) == (["old"] if moves < 2 else ["new"])
    assert names(folder.parent) == ["run"]


def test_what_is_to_be_put_back_is_never_swept(folder):
    a_dump(folder, "old")
    process(SWAP, folder, 1).wait()
    sweep(folder.parent)
    assert [name.rpartition(".")[2] for name in names(folder.parent)] == [OLD]
    with replacing_folder(folder):
        assert names(folder) == ["old"]


def test_the_newest_of_several_is_put_back(folder):
    for name, age in (("newer", 50), ("older", 100), ("oldest", 5000)):
        moved = a_dump(temporary_path(folder, OLD), name)
        os.utime(moved, (time.time() - age,) * 2)
    with replacing_folder(folder):
        assert names(folder) == ["newer"]


WRITERS = """
for i in range(60):
    with {tool}(Path(sys.argv[1])) as temporary:
        {write}
"""
WRITE_FILE = "temporary.write_bytes(str(os.getpid()).encode() * 20000)"
WRITE_FOLDER = "[(temporary / f'{os.getpid()}_{n}').touch() for n in range(5)]"


@pytest.mark.parametrize(("tool", "write"), [("replacing", WRITE_FILE), ("replacing_folder", WRITE_FOLDER)])
def test_processes_that_write_the_same_place_at_once_do_not_break_each_other(tmp_path, tool, write):
    place = tmp_path / "place"
    running = [process(WRITERS.format(tool=tool, write=write), place) for _ in range(3)]
    assert [writer.wait() for writer in running] == [0, 0, 0]
    assert names(tmp_path) == ["place"]
    if place.is_dir():
        writers = {name.partition("_")[0] for name in names(place)}
        assert len(names(place)) == 5
    else:
        size = len(place.read_bytes()) // 20000
        writers = {place.read_bytes()[at : at + size].decode() for at in range(0, size * 20000, size)}
    assert len(writers) == 1
    assert writers <= {str(writer.pid) for writer in running}
