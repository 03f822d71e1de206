"""Damaged files of every kind, given to the commands that read them: what may come of it, and what never.

    PYTHONPATH=. python tests/fuzzer.py --count 1000 --seed 7 [KIND ...]

A mutant may give an answer, or be refused in one line with exit code 2. A traceback, a second line, a signal, minutes
or gigabytes are faults, and so is another answer where checksums stand in the file. Each mutant is made from the seed
and its number alone; a fault's line says which it was, and `--only NUMBER` makes it again. Whole files are made here.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

MEMORY, SECONDS = 4 << 30, 30
ANSWER, REFUSED, FAULT = "an answer", "refused", "FAULT"
IDS = "5,6,7"


@dataclass(frozen=True)
class Kind:
    """A kind of input: what makes a whole one in a folder, which of its files are damaged, what reads it."""

    make: Callable[[Path], Path]
    command: Callable[[Path, Path], list[str]]  # (the input, another place) -> arguments
    damaged: str = ".*"  # names of files
    sealed: bool = False  # has it checksums, so that no mutant may give another answer?
    inside: bool = False  # is it a zip whose parts are damaged, too, and packed again?


# ------------------------------------------------------------------------------------------------ whole ones


def model(place: Path) -> Path:
    from checkpoints import MATRICES, write_csvs

    return write_csvs(place / "model", MATRICES)


def trace(place: Path):
    from sheetgpt import load_model

    return load_model(model(place)).run(token_ids=[int(i) for i in IDS.split(",")])


def dump(place: Path) -> Path:
    return trace(place).to_csv(place / "dump")


def xlsx(place: Path) -> Path:
    dump(place)
    return trace(place).to_excel(place / "dump.xlsx")


def xlsb(place: Path) -> Path:
    from sheetgpt.workbook.grid import Area
    from workbooks import write_xlsb

    run, names, tabs = trace(place), {}, {}
    for name in ("logits", "block_0_step_4", "block_1_step_7"):
        tabs[name] = run.array(name).tolist()
        names[name] = (Area(name, 0, 0, *run.array(name).shape),)
    dump(place)
    return write_xlsb(place / "dump.xlsb", tabs, names)


def arrays(ending: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        from sheetgpt.fixtures.files import save

        run = trace(place)
        dump(place)
        held = {name: run.array(name) for name in ("logits", "block_0_step_4", "block_1_step_9")}
        return save(place / f"dump{ending}", held, {}, "reference")

    return make


def checkpoint(place: Path) -> Path:
    from sheetgpt.training import checkpoint as saved
    from sheetgpt.training import train

    corpus, dest = place / "names.txt", place / "dest"
    corpus.write_text("emma\nolivia\nava\nisabella\n" * 3)
    new, settings = train.NewModel(1, 1, 8, 8, model="mlp", tokens="chars"), train.Settings(steps=4)
    trainer = train.prepare(corpus, dest, new, settings)
    next(iter(trainer.run()))
    saved.save(trainer, dest / saved.FILE)
    return dest


def training(source: Path, _other: Path) -> list[str]:
    corpus = str(source.parent / "names.txt")
    small = ["--n-layer", "1", "--n-head", "1", "--n-embd", "8", "--n-ctx", "8", "--steps", "4", "--batch", "32"]
    rates = ["--warmup", "100", "--weight-decay", "0.1", "--learning-rate", "0.003", "--min-learning-rate", "0.0001"]
    kinds = ["--optimizer", "adamw", "--gradient", "backprop"]
    return ["train", corpus, str(source), "--tokens", "chars", "--model", "mlp", "--json", *small, *rates, *kinds]


def source_of(name: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        import checkpoints

        return getattr(checkpoints, name)(place / "source")

    return make


def lines(place: Path) -> Path:
    model(place)
    (place / "texts.txt").write_text("he the\nmoves\n")
    (place / "ids.jsonl").write_text('[71, 68]\n{"ids": [1, 2]}\n')
    return place / "ids.jsonl"


def diff(source: Path, _other: Path) -> list[str]:
    return [
        "diff",
        str(source.parent / "whole" / "dump"),
        str(source),
        "--weights",
        str(source.parent / "whole" / "model"),
    ]


def converted(source: Path, other: Path) -> list[str]:
    return ["convert-weights", str(source), str(other / "converted"), "--json"]


KINDS = {
    "model": Kind(model, lambda source, _: ["run", "--token-ids", IDS, "--weights", str(source)]),
    "tokens": Kind(model, lambda source, _: ["tokenize", "he the", "--weights", str(source)], r"(vocab|bpe)_.*"),
    "check": Kind(model, lambda source, _: ["check", str(source)]),
    "cache": Kind(
        model, lambda source, _: ["run", "--token-ids", IDS, "--weights", str(source)], r".*\.npy", sealed=True
    ),
    "dump": Kind(dump, diff),
    "manifest": Kind(dump, diff, r"manifest\.json"),
    "xlsx": Kind(xlsx, diff, inside=True),
    "xlsb": Kind(xlsb, diff, inside=True),
    "npz": Kind(arrays(".npz"), diff, inside=True),
    "json": Kind(arrays(".json"), diff),
    "safetensors": Kind(arrays(".safetensors"), diff),
    "checkpoint": Kind(checkpoint, training, r"checkpoint\.npz", sealed=True),
    "lines": Kind(
        lines,
        lambda source, _: [
            *("tokenize", "--lines", str(source.parent / "whole" / "texts.txt"), "--expect", str(source)),
            *("--weights", str(source.parent / "whole" / "model")),
        ],
    ),
    "hugging face": Kind(source_of("safetensors_folder"), converted),
    "openai": Kind(source_of("openai"), converted),
    "gguf": Kind(source_of("gguf"), converted),
    "model npz": Kind(source_of("packed_npz"), converted, inside=True),
    "csv zip": Kind(source_of("csv_zip"), converted, inside=True),
}

# ------------------------------------------------------------------------------------------------ damage


def flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def put(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice([0, 0xFF, 0xCD, *b'",;\n-9{[\\', rng.randrange(256)])


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def cut_lines(data: bytearray, rng: random.Random) -> None:
    whole = data.split(b"\n")
    data[:] = b"\n".join(whole[: rng.randrange(len(whole))])


def drop(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data))
    del data[begin : begin + rng.randint(1, 40)]


def zeros(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data))
    end = min(len(data), begin + rng.choice([4, 64, 4096]))
    data[begin:end] = bytes(end - begin)


def again(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data))
    data[begin:begin] = data[begin : begin + rng.randint(1, 200)]


def more(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice([rng.randbytes(8), b"9" * 30, b"\0", b'"', b"\x1b[31m", b"[" * 2000, b"x" * 140_000])


def number(data: bytearray, rng: random.Random) -> None:
    """Another number in place of one."""
    found = list(re.finditer(rb"-?\d+", data)) or [re.search(b"", data)]
    place = rng.choice(found)
    data[place.start() : place.end()] = rng.choice([b"0", b"-1", b"1000000000", b"1e999", b"nan", b"9" * 400, b'"x"'])


def nothing(data: bytearray, _rng: random.Random) -> None:
    data.clear()


DAMAGES = (flip, flip, put, put, cut, cut_lines, drop, zeros, again, more, number, number, nothing)


def damage(file: Path, rng: random.Random, *, inside: bool) -> str:
    """Damage a file, or one part of a zip; what was done."""
    how = rng.choice(DAMAGES)
    if not inside or rng.random() < 0.4:
        data = bytearray(file.read_bytes())
        if data:
            how(data, rng)
        file.write_bytes(data)
        return f"{file.name}: {how.__name__}"
    with zipfile.ZipFile(file) as archive:
        parts = {entry.filename: bytearray(archive.read(entry)) for entry in archive.infolist()}
    part = rng.choice([name for name, data in parts.items() if data])
    how(parts[part], rng)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, bytes(data))
    return f"{file.name}, {part}: {how.__name__}"


# ------------------------------------------------------------------------------------------------ one mutant


def outcome(arguments: list[str], place: Path) -> tuple[int, str, str]:
    """(exit code, or minus the signal; what was printed; the errors) of a command in a process of its own."""
    import resource  # not on Windows, nor is os.fork

    out, err = place / "out", place / "err"
    pid = os.fork()
    if not pid:
        code = 70
        try:
            os.chdir(place)
            for number_, file in ((1, out), (2, err)):
                os.dup2(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number_)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(SECONDS)
            from sheetgpt.cli import main

            main(arguments)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:  # noqa: BLE001 - it is what is looked for
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return code, out.read_text(errors="replace"), err.read_text(errors="replace")


def judged(code: int, out: str, err: str, expected: str | None) -> tuple[str, str]:
    """(the outcome, what is wrong). expected: what must have been printed, where no other answer may be given."""
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    if code == 2 and len(errors) == 1 and err.rstrip("\n").endswith(errors[0]) and "Traceback" not in err:
        return REFUSED, ""
    if code in (0, 1) and "Traceback" not in err and not errors:
        same = expected is None or steady(out) == steady(expected)
        return (ANSWER, "") if same else (FAULT, "another answer")
    return FAULT, f"exit code {code}: {err.strip()[-300:]}"


def steady(out: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r'"seconds": [\d.e-]+', "", out)


def mutants(name: str, kind: Kind, seed: int, numbers: list[int]) -> Iterator[tuple[int, str, str, str]]:
    """(its number, the damage, the outcome, what is wrong) of each."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        base.mkdir()
        os.environ["XDG_CACHE_HOME"] = str(base / "home")
        source = kind.make(base)
        if name == "cache":
            outcome(kind.command(source, base), base)
        expected = None
        for mutant in [-1, *numbers]:
            place = Path(folder) / "place"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(base, place)
            shutil.copytree(base, place / "whole")
            rng = random.Random(f"{name} {seed} {mutant}")
            target = place / source.relative_to(base)
            if mutant < 0:
                code, expected, err = outcome(kind.command(target, place), place)
                assert code in (0, 1), (name, code, err)
                continue
            files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
            files = [path for path in files if re.fullmatch(kind.damaged, path.name)]
            if name == "cache":
                for csv in target.glob("*.csv"):  # a copy is valid beside its own CSV only
                    shutil.copystat(base / "model" / csv.name, csv)
                outcome(kind.command(target, place), place)
                files = sorted((target / ".sheetgpt_cache").glob("*.npy"))
            done = damage(rng.choice(files), rng, inside=kind.inside)
            found = outcome(kind.command(target, place), place)
            yield mutant, done, *judged(*found, expected if kind.sealed else None)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--count", type=int, default=20, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    import numpy  # noqa: F401, ICN001 - once, not in each process
    import pandas  # noqa: F401, ICN001

    import sheetgpt.model  # noqa: F401

    faults = 0
    for name in options.kinds:
        counted = collections.Counter()
        numbers = list(range(options.count)) if options.only is None else [options.only]
        for mutant, done, found, why in mutants(name, KINDS[name], options.seed, numbers):
            counted[found] += 1
            if found == FAULT:
                faults += 1
                print(json.dumps({"kind": name, "mutant": mutant, "damage": done, "fault": why}), flush=True)
        print(f"{name}: {dict(counted)}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
