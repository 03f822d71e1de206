"""Texts for the benchmarks of tokenizing and learning: made English, real English, made text in ten scripts.

Made text is the same on every machine. `english(1)` and `english(2)` say different things in the same words.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

SIZE = 1_000_000  # bytes
SYLLABLES = [
    a + b + c for a in ("", *"bcdfghlmnprstw", "th", "st") for b in "aeiou" for c in ("", *"lnrst", "ck", "ng")
]
ENDINGS = ["", "", "", "s", "ed", "ing", "ly", "er", "'s"]

# script: (its letters, letters in a word, words in a run without a space)
SCRIPTS = {
    "Latin": ("abcdefghijklmnopqrstuvwxyzäöüßéèçñłø", 7, 1),
    "Cyrillic": ("абвгдежзийклмнопрстуфхцчшщыьэюя", 7, 1),
    "Greek": ("αβγδεζηθικλμνξοπρστυφχψωάέή", 7, 1),
    "Hebrew": ("אבגדהוזחטיכלמנסעפצקרשת", 5, 1),
    "Arabic": ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", 5, 1),
    "Devanagari": ("कखगघचजटडतदनपबमयरलवसहािीुेो्", 6, 1),
    "Thai": ("กขคงจชดตทนบปพมยรลวสหอะาิีุเแไ", 4, 8),
    "Chinese": ("".join(map(chr, range(0x4E00, 0x4E00 + 2500))), 2, 10),
    "Japanese": (
        "あいうえおかきくけこさしすせそたちつてとなにのはまもやよらりるれをんアイクスタットドンーラル日本人大年",
        3,
        8,
    ),
    "Korean": ("".join(map(chr, range(0xAC00, 0xAC00 + 1200))), 3, 1),
}


def zipf(draw: random.Random, items: list[str]) -> Iterator[str]:
    """Items without end, each the less frequent the later it stands in the list."""
    weights = list(accumulate(1 / (i + 1) for i in range(len(items))))
    while True:
        yield from draw.choices(items, cum_weights=weights, k=10_000)


def full(pieces: Iterator[str]) -> str:
    """Pieces until they are SIZE bytes or a little more."""
    taken, size = [], 0
    while size < SIZE:
        taken.append(next(pieces))
        size += len(taken[-1].encode())
    return "".join(taken)


def english(seed: int) -> str:
    """Sentences and paragraphs of 20,000 made words."""
    draw = random.Random(0)
    words = [
        "".join(draw.choices(SYLLABLES, k=draw.choice([1, 1, 2, 2, 3]))) + draw.choice(ENDINGS) for _ in range(20_000)
    ]
    return full(sentences(random.Random(seed), words))


def sentences(draw: random.Random, words: list[str]) -> Iterator[str]:
    stream = zipf(draw, words)
    while True:
        said = [next(stream) for _ in range(draw.randint(4, 20))]
        said[0] = said[0].capitalize()
        if draw.random() < 0.3:
            said[len(said) // 2] += ","
        if draw.random() < 0.1:
            said.append(str(draw.randint(1, 3000)))
        yield " ".join(said) + draw.choice([". ", ". ", ". ", "? ", ".\n\n"])


def mixed(seed: int) -> str:
    """Paragraphs in ten scripts, in turn, each of 3,000 made words with frequent and rare letters."""
    draw = random.Random(0)
    writers = []
    for i, (letters, longest, run) in enumerate(SCRIPTS.values()):
        letter = zipf(draw, list(letters))
        words = ["".join(next(letter) for _ in range(draw.randint(1, longest))) for _ in range(3000)]
        writers.append(paragraphs(random.Random(100 * seed + i), words, run))
    return full(next(writer) for _ in iter(int, 1) for writer in writers)


def paragraphs(draw: random.Random, words: list[str], run: int) -> Iterator[str]:
    stream = zipf(draw, words)
    comma, stop = ("，", "。") if run > 1 else (", ", ". ")
    while True:
        said = []
        for _ in range(draw.randint(5, 15)):
            said.append(("" if run > 1 else " ").join(next(stream) for _ in range(draw.randint(run, 10))))
            said.append(draw.choice([comma, stop, stop]))
        yield "".join(said) + draw.choice(["\n", "\n\n", " 👍🏽\n", " 2024\n"])


@cache
def found_english() -> str:
    """What Python's standard library says of itself: its topics and all its docstrings. It differs between versions."""
    from pydoc_data.topics import topics

    return "\n\n".join([*topics.values(), *docstrings(Path(ast.__file__).parent)])


def docstrings(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        if {"test", "tests", "site-packages", "idlelib", "lib2to3"} & set(path.parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        yield from filter(None, (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)))


def pairs() -> dict[str, tuple[str, str]]:
    """name -> (a text to warm up with, another of the same kind to measure), 1 MB each."""
    found = found_english()
    half = min(SIZE, len(found) // 2)
    return {
        "made English": (english(1), english(2)),
        "Python's docs": (found[:half], found[-half:]),
        "ten scripts": (mixed(1), mixed(2)),
    }
