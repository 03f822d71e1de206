"""Binary copies of CSVs: quick, and never stale."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sheetgpt.errors import WeightsError
from sheetgpt.files import cache as cache_module
from sheetgpt.files import decimals
from sheetgpt.files.cache import FOLDER, HEADER_BYTES, Cache, release, user_folder

OLD = 10 * cache_module.TICK_NS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's cache folder, somewhere harmless."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "model" / "m.csv"
    path.parent.mkdir()
    path.write_text("1,2,3\n4,5,6\n")
    return path


@pytest.fixture
def long_ago(monkeypatch):
    """Files that were just written count as old: their times alone prove what they hold."""
    monkeypatch.setattr(cache_module, "TICK_NS", -OLD)


@pytest.fixture
def readings(monkeypatch):
    """Counts how often a CSV is parsed."""
    counted = []
    parse = decimals.read_blocks

    def count(file, *rest):
        counted.append(file.name)
        return parse(file, *rest)

    monkeypatch.setattr(decimals, "read_blocks", count)
    return counted


def numbers(csv, dtype="float64"):
    """As a new process would get them."""
    cache = Cache(csv.parent, dtype)
    got = cache.get(csv)
    return (cache.read(csv) if got is None else got).tolist()


def copy_of(csv, dtype="float64"):
    return csv.parent / FOLDER / f"{csv.stem}.{dtype}.npy"


def digest_in(csv):
    seal = cache_module.Seal.unpack(copy_of(csv).read_bytes()[-cache_module.SEAL_BYTES :])
    return seal.digest


ONE, OTHER = [[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 7]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_second_start_reads_the_copy(csv, dtype, readings):
    assert numbers(csv, dtype) == numbers(csv, dtype) == ONE
    assert len(readings) == 1


def test_the_types_have_their_own_copies(csv):
    csv.write_text("0.1\n")
    assert numbers(csv, "float32") == [[float(np.float32(0.1))]]
    assert numbers(csv, "float64") == [[0.1]]


def test_numpy_reads_a_copy_too(csv):
    numbers(csv)
    np.testing.assert_array_equal(np.load(copy_of(csv), mmap_mode="r"), ONE)


@pytest.mark.parametrize("rows", [3, 40_000])
def test_matrices_are_read_only_and_large_ones_are_mapped(csv, rows, monkeypatch):
    matrix = np.random.default_rng(1).standard_normal((rows, 3))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    cache = Cache(csv.parent, "float64")
    for got in (cache.read(csv), cache.get(csv)):
        np.testing.assert_array_equal(got, matrix)
        assert got.flags.c_contiguous
        assert not got.flags.writeable
        assert got.flags.aligned
        assert not got.flags.owndata


def test_an_old_csv_is_known_by_its_times_alone(csv, long_ago, monkeypatch):
    numbers(csv)
    assert digest_in(csv) is None
    monkeypatch.setattr(cache_module, "_digest", lambda _: pytest.fail("hashed an old file"))
    assert numbers(csv) == ONE


def test_an_edit_of_the_same_size_with_the_modification_time_put_back_is_seen(csv, long_ago):
    before = csv.stat()
    assert numbers(csv) == ONE
    time.sleep(0.05)  # a tick of the clock: this is about times that were put back
    csv.write_text("1,2,3\n4,5,7\n")
    os.utime(csv, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = csv.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert numbers(csv) == OTHER


def test_another_file_put_in_its_place_with_the_same_times_is_seen(csv, long_ago):
    before = csv.stat()
    assert numbers(csv) == ONE
    other = csv.with_name("other")
    other.write_text("1,2,3\n4,5,7\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(csv)
    assert csv.stat().st_mtime_ns == before.st_mtime_ns
    assert numbers(csv) == OTHER


def test_an_edit_within_the_same_tick_of_the_clock_is_seen(csv, monkeypatch):
    """Clocks are coarse: here none of the file's times, nor its size or inode, changes with the edit."""
    stamp = cache_module.stamp_of(csv.stat())
    monkeypatch.setattr(cache_module, "stamp_of", lambda _: stamp)
    assert numbers(csv) == ONE
    csv.write_text("1,2,3\n4,5,7\n")
    assert numbers(csv) == OTHER
    csv.write_text("1,2,3\n4,5,6\n")
    assert numbers(csv) == ONE


def test_edits_as_fast_as_can_be_are_all_seen(csv):
    for last in range(200):
        csv.write_text(f"1,{last:03}\n")
        assert numbers(csv) == [[1, last]]


def test_a_fresh_copy_is_hashed_until_it_is_old_enough(csv, readings, monkeypatch):
    numbers(csv)
    assert digest_in(csv)
    assert numbers(csv) == ONE
    assert digest_in(csv)  # still too young
    monkeypatch.setattr(cache_module, "TICK_NS", -OLD)
    assert numbers(csv) == ONE
    assert digest_in(csv) is None
    assert numbers(csv) == ONE
    assert len(readings) == 1


def test_where_the_change_time_is_not_kept_the_content_is_always_asked(csv, long_ago, monkeypatch):
    monkeypatch.setattr(cache_module, "CHANGE_TIME_IS_KEPT", False)
    stamp = cache_module.stamp_of(csv.stat())
    monkeypatch.setattr(cache_module, "stamp_of", lambda _: stamp)
    assert numbers(csv) == ONE
    csv.write_text("1,2,3\n4,5,7\n")
    assert numbers(csv) == OTHER


def test_a_csv_that_changes_while_it_is_read_is_read_again(csv, long_ago, monkeypatch):
    parse = decimals.read_blocks
    edits = iter(["1,2,3\n4,5,7\n"])

    def edited_meanwhile(file, *rest):
        yield from parse(file, *rest)
        for text in edits:
            time.sleep(0.02)
            csv.write_text(text)

    monkeypatch.setattr(decimals, "read_blocks", edited_meanwhile)
    assert numbers(csv) == OTHER
    assert numbers(csv) == OTHER


@pytest.mark.parametrize("torn", [False, True])
def test_a_csv_that_never_rests_is_refused_and_never_cached(csv, long_ago, monkeypatch, torn):
    parse = decimals.read_blocks

    def edited_meanwhile(file, *rest):
        yield from parse(file, *rest)
        time.sleep(0.02)
        csv.write_text("1,2,3\n4,5,6\n")
        if torn:
            raise WeightsError("torn")

    monkeypatch.setattr(decimals, "read_blocks", edited_meanwhile)
    with pytest.raises(WeightsError, match="changes while it is being read: run again when the other program has fini"):
        numbers(csv)
    assert list((csv.parent / FOLDER).iterdir()) == []


def test_a_fault_in_the_csv_leaves_no_copy(csv):
    csv.write_text("1,2\n3,x\n")
    with pytest.raises(WeightsError, match="row 2, column 2"):
        numbers(csv)
    assert list((csv.parent / FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: data + b"x",
        lambda data: data[:-500] + bytes([data[-500] ^ 1]) + data[-499:],
        lambda data: os.urandom(len(data)),
    ],
)
def test_a_damaged_copy_is_made_again(csv, damage, readings, long_ago):
    numbers(csv)
    whole = copy_of(csv).read_bytes()
    copy_of(csv).write_bytes(damage(whole))
    assert numbers(csv) == numbers(csv) == ONE
    assert copy_of(csv).read_bytes() == whole
    assert len(readings) == 2


ROWS = {"read": (30, 1 << 22), "mapped": (9_000, 1 << 22), "known by its time": (9_000, 1 << 10)}


@pytest.mark.parametrize(("rows", "summed"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("place", [0.0, 0.37, 0.999])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_a_copy_that_were_damaged_are_read_again_from_the_csv(
    csv, rows, summed, place, dtype, readings, monkeypatch
):
    monkeypatch.setattr(cache_module, "SUMMED_UP_TO", summed)
    matrix = np.random.default_rng(2).standard_normal((rows, 2)).astype(dtype)
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    assert numbers(csv, dtype) == numbers(csv, dtype) == matrix.tolist()
    assert len(readings) == 1
    with copy_of(csv, dtype).open("r+b") as file:
        file.seek(HEADER_BYTES + int(place * (matrix.nbytes - 8)))
        file.write(bytes(8))
    assert numbers(csv, dtype) == numbers(csv, dtype) == matrix.tolist()
    assert len(readings) == 2


@pytest.mark.parametrize("rows", [30, 9_000])
def test_damage_that_no_time_shows_is_seen_in_small_copies(csv, rows):
    matrix = np.random.default_rng(2).standard_normal((rows, 2))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    numbers(csv)
    status = copy_of(csv).stat()
    damaged = bytearray(copy_of(csv).read_bytes())
    damaged[HEADER_BYTES + 77] ^= 4
    copy_of(csv).write_bytes(damaged)
    os.utime(copy_of(csv), ns=(status.st_atime_ns, status.st_mtime_ns))
    assert numbers(csv) == matrix.tolist()


def test_a_large_copy_is_trusted_again_after_it_was_sealed_anew(csv, readings, monkeypatch):
    monkeypatch.setattr(cache_module, "SUMMED_UP_TO", 1 << 10)
    matrix = np.random.default_rng(2).standard_normal((9_000, 2))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    numbers(csv)
    assert digest_in(csv)
    monkeypatch.setattr(cache_module, "TICK_NS", -OLD)
    for _ in range(3):
        assert numbers(csv) == matrix.tolist()
    assert digest_in(csv) is None
    assert len(readings) == 1


def test_where_the_folder_cannot_be_written_the_copy_lies_in_the_users_cache(csv, readings):
    (csv.parent / FOLDER).write_text("a file: no folder can be made here, not even by root")
    assert numbers(csv) == numbers(csv) == ONE
    assert len(readings) == 1
    assert [path.name for path in user_folder(csv.parent).iterdir()] == ["m.float64.npy"]


def test_folders_do_not_share_a_place_in_the_users_cache(tmp_path):
    assert user_folder(tmp_path / "a") != user_folder(tmp_path / "b")
    assert user_folder(tmp_path / "a") == user_folder(tmp_path / "b" / ".." / "a")


def test_without_a_home_folder_it_works_without_the_users_cache(csv, readings, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(csv.parent)
    (csv.parent / FOLDER).write_text("")
    assert numbers(csv) == numbers(csv) == ONE
    assert len(readings) == 2
    assert not list(csv.parent.glob("~*"))


def test_where_nothing_can_be_written_it_works_without_copies(csv, tmp_path, readings):
    (csv.parent / FOLDER).write_text("")
    (tmp_path / "home").write_text("")
    assert numbers(csv) == numbers(csv) == ONE
    assert len(readings) == 2


@pytest.mark.parametrize("room", [0, 100, HEADER_BYTES, 5000])
def test_a_full_disk_costs_the_copy_and_nothing_else(csv, room, monkeypatch):
    matrix = np.random.default_rng(3).standard_normal((1000, 3))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    monkeypatch.setattr(decimals, "BLOCK_BYTES", 1000)
    write, left = cache_module._write, room

    def nearly_full(file, data):
        nonlocal left
        size = memoryview(data).nbytes
        if size > left:
            file.write(memoryview(data).cast("B")[:left])
            raise OSError(28, "No space left on device")
        left -= size
        write(file, data)

    monkeypatch.setattr(cache_module, "_write", nearly_full)
    assert numbers(csv) == matrix.tolist()
    assert list((csv.parent / FOLDER).iterdir()) == []


READ_AND_SUM = """
import sys
from pathlib import Path
from sheetgpt.files.cache import Cache
csv = Path(sys.argv[1])
cache = Cache(csv.parent, "float64")
got = cache.get(csv)
got = cache.read(csv) if got is None else got
print(repr(float(got.sum())))
"""


def test_processes_that_fill_the_cache_at_once_do_not_hurt_each_other(csv):
    matrix = np.random.default_rng(4).standard_normal((60_000, 5))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    command = [sys.executable, "-c", READ_AND_SUM, str(csv)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sums = [process.communicate()[0].strip() for process in running]
    assert sums == [repr(float(matrix.sum()))] * 3
    assert [path.name for path in (csv.parent / FOLDER).iterdir()] == ["m.float64.npy"]
    assert numbers(csv) == matrix.tolist()


KILLED_WHILE_WRITING = """
import os, sys
from sheetgpt.files import cache, decimals
parse = decimals.read_blocks
def killed(*arguments):
    for number, block in enumerate(parse(*arguments)):
        if number == 2:
            os.kill(os.getpid(), 9)
        yield block
decimals.read_blocks, decimals.BLOCK_BYTES = killed, 1000
"""


def test_a_killed_process_leaves_nothing_that_is_read_and_its_leftovers_are_removed(csv):
    matrix = np.random.default_rng(5).standard_normal((1000, 5))
    csv.write_bytes(b"".join(decimals.to_text(matrix)))
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING + READ_AND_SUM, str(csv)], check=False)
    assert done.returncode == -9
    left = list((csv.parent / FOLDER).iterdir())
    assert [path.suffix for path in left] == [".tmp"]
    assert numbers(csv) == matrix.tolist()
    assert [path.name for path in (csv.parent / FOLDER).iterdir()] == ["m.float64.npy"]


def test_a_copy_tells_its_shape_without_its_numbers(csv):
    cache = Cache(csv.parent, "float64")
    assert cache.shape(csv) is None
    cache.read(csv)
    assert cache.shape(csv) == (2, 3)


def test_progress_is_told_of_every_byte(csv):
    told = []
    Cache(csv.parent, "float32").read(csv, told.append)
    assert sum(told) == csv.stat().st_size


def test_a_copied_folder_brings_no_stale_copies(csv, tmp_path, long_ago):
    numbers(csv)
    twin = tmp_path / "twin"
    shutil.copytree(csv.parent, twin)
    (twin / "m.csv").write_text("1,2,3\n4,5,7\n")
    os.utime(twin / "m.csv", ns=(csv.stat().st_atime_ns, csv.stat().st_mtime_ns))
    assert numbers(twin / "m.csv") == OTHER


# ------------------------------------------------------------------------------------------------ memory


def file_pages() -> int:
    """Bytes of mapped files that are in memory."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(re.search(r"RssFile:\s+(\d+)", status)[1])


def test_the_memory_of_a_mapped_copy_can_be_given_back_and_its_numbers_stay(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((2_000, 1_000))  # 16 MB
    with (tmp_path / "large.csv").open("wb") as file:
        file.writelines(decimals.to_text(matrix))
    copy = Cache(tmp_path, "float64").read(tmp_path / "large.csv")
    assert np.array_equal(copy, matrix)
    before = file_pages()
    release(copy[10:].T)
    assert before - file_pages() > matrix.nbytes // 2
    assert np.array_equal(copy, matrix)


def test_what_is_not_mapped_keeps_its_memory():
    for matrix in (np.arange(6.0), np.arange(6.0).reshape(2, 3)[1:], np.frombuffer(bytes(16))):
        kept = matrix.copy()
        release(matrix)
        assert np.array_equal(matrix, kept)
