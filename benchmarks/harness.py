"""What the benchmarks share: ours and the peers in turn, several times, and the median of the ratios.

A script's way: `print_machine("numpy", "torch")`, then `report(title, in_turn(rounds, ours=..., peer=...), targets)`.
A ratio is taken inside one round, so that a machine that slows down for a while slows both. Nothing here is part of the
test suite. Models of GPT-2 small's size, with random weights, are `models`' business.
"""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median

Contender = Callable[[], float]  # does the work once and returns seconds (or bytes, or what the row compares)
Rounds = dict[str, list[float]]


def print_machine(*packages: str) -> None:
    """One paragraph: date, processor, cores, memory, Python and the versions of the packages that take part."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("sheetgpt", "numpy", *packages))
    print(f"{time.strftime('%Y-%m-%d')}; {processor()}, {cores()} cores, {memory_gb():.0f} GB")
    print(f"Python {platform.python_version()}; {versions}\n", flush=True)


def processor() -> str:
    """The processor's name as Linux tells it, with its model number: virtual machines often give no other hint."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{fields.get('model name', platform.machine())} (model {fields.get('model', '?')})"


def cores() -> int:
    return os.cpu_count() or 1


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def clocked(function: Callable[[], object]) -> Contender:
    """A contender that takes as long as the function does."""

    def seconds() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return seconds


def process(*command: str | Path, **environment: str) -> Contender:
    """A contender that takes as long as a whole process; it must end well."""

    def run() -> None:
        done = subprocess.run(
            [str(part) for part in command], env=os.environ | environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{command} failed:\n{done.stderr}")

    return clocked(run)


class Worker:
    """A contender in a process of its own that stays alive: no library's threads spin while another is measured.

    The script, called as `SCRIPT --contender NAME`, must end in `serve`.
    """

    REST = 0.3  # seconds before each turn: OpenMP's threads spin for up to 0.2 after their work

    def __init__(self, script: str, name: str):
        command = [sys.executable, script, "--contender", name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self) -> float:
        time.sleep(self.REST)
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("took "):
            if not line:
                sys.exit(f"{self._process.args} ended")
        return float(line.removeprefix("took "))


def serve(contender: Contender) -> None:
    """Answer each line on stdin by one turn, until stdin ends."""
    for _ in sys.stdin:
        gc.collect()
        print(f"took {contender()}", flush=True)


def asked_contender() -> str | None:
    """The name after `--contender` where a Worker started this script."""
    return sys.argv[2] if sys.argv[1:2] == ["--contender"] else None


def wait_until_calm(share: float = 0.05, longest: float = 20.0) -> None:
    """Wait until other programs take less than this share of the processor, at most so many seconds. Linux only."""
    end = time.monotonic() + longest
    while Path("/proc/stat").exists() and time.monotonic() < end:
        before = processor_ticks()
        time.sleep(0.25)
        busy, total = (now - then for now, then in zip(processor_ticks(), before, strict=True))
        if busy <= share * total:
            return


def processor_ticks() -> tuple[int, int]:
    """(busy, all) ticks of all cores since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def in_turn(rounds: int, *, warm_up: int = 1, **contenders: Contender) -> Rounds:
    """Each contender once a round, in turn, every second round backwards: (name -> what each round gave).

    Each turn waits until the machine is calm; a machine that never is gives figures that say little.
    """
    for _ in range(warm_up):
        for contender in contenders.values():
            contender()
    results: Rounds = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            wait_until_calm()
            results[name].append(contenders[name]())
    return results


def ratio(results: Rounds, peer: str, ours: str = "ours") -> float:
    """The median over the rounds of ours / peer."""
    return median(a / b for a, b in zip(results[ours], results[peer], strict=True))


def report(title: str, results: Rounds, targets: Mapping[str, float], *, unit: str = "s") -> None:
    """The medians, and ours against each peer with its target; the lines are rows of benchmarks/README.md's table."""
    scale, shown = {"s": (1, "s"), "ms": (1e3, "ms"), "MB": (1e-6, "MB")}[unit]
    ours = median(results["ours"]) * scale
    for peer in results:
        if peer == "ours":
            continue
        target = targets.get(peer)
        verdict = "" if target is None else f"<= {target:g} | {'met' if ratio(results, peer) <= target else 'MISSED'}"
        print(
            f"| {title} | {peer} | {ours:.4g} {shown} | {median(results[peer]) * scale:.4g} {shown} "
            f"| {ratio(results, peer):.3f} | {verdict} |",
            flush=True,
        )


def bandwidth(array_mb: int = 512, rounds: int = 5) -> float:
    """Bytes a second that all cores together read from an array too large for the caches: the limit of a decoder."""
    import numpy as np

    parts = np.array_split(np.ones(array_mb << 18, np.float32), cores())
    best = float("inf")
    for _ in range(rounds):
        threads = [threading.Thread(target=np.dot, args=(part, part)) for part in parts]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        best = min(best, time.perf_counter() - start)
    return (array_mb << 20) / best


def peak_memory(code: str, *arguments: str | Path) -> int:
    """The most memory (bytes) that a Python process of its own holds while it runs the code, its imports included.

    subtle: a child's `ru_maxrss` may count its parent's memory; Linux's VmHWM begins anew with the program.
    """
    told = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    command = [sys.executable, "-c", f"{code}\n{told}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr}")
    return int(done.stdout.split()[-1]) * 1024
