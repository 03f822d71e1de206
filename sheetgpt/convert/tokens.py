"""GPT-2's token files in other projects' forms -> our merges and tokens.

Here: `vocab.json` with `merges.txt`, `tokenizer.json`, OpenAI's `encoder.json` with `vocab.bpe`, GGUF's lists. Our own
two CSV files belong in `bpe.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from sheetgpt.bpe import write_tables
from sheetgpt.bpe.tables import require_made
from sheetgpt.convert.checkpoint import read_json
from sheetgpt.errors import ConvertError, TokenizerError

PAIRS_OF_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
SINGLE_FILE = "tokenizer.json"
Write = Callable[[Path], None]  # writes our two token files into a folder
Table = tuple[
    list[tuple[str, str]], Mapping[str, int], Collection[object]
]  # merges, token -> id, tokens that were added


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that hold its token table; none where it has none."""
    for names in PAIRS_OF_FILES:
        if all((folder / name).is_file() for name in names):
            return [folder / name for name in names]
    return [folder / SINGLE_FILE] if (folder / SINGLE_FILE).is_file() else []


def read_folder(folder: Path, n_vocab: int, remarks: list[str]) -> Write | None:
    """What writes the token table found in a folder, or None, with a remark why."""
    files = files_in(folder)
    if not files:
        remarks.append("no token files: the model runs by --token-ids")
        return None
    found = read_pair(*files) if len(files) == 2 else read_single(files[0])
    if found is None:
        remarks.append(f"{SINGLE_FILE} is no byte-level BPE as GPT-2's: the model runs by --token-ids")
        return None
    merges, ids, added = found
    write = tables(files[0], merges, tokens_by_id(files[0], ids), n_vocab, remarks)
    require_whole(files[-1], merges, [token for token in ids if token not in added])
    return write


def tables(file: Path, merges: Iterable[tuple[str, str]], tokens: list[str], n_vocab: int, remarks: list[str]) -> Write:
    """What writes the table in our spelling, when it fits the model's size."""
    if len(tokens) > n_vocab:
        what = f"has {len(tokens):,} tokens, the model {n_vocab:,}"
        remedy = "the files belong to different models; get both again, or give --no-tokenizer"
        raise ConvertError(what, where=file, remedy=remedy)
    if len(tokens) < n_vocab:
        remarks.append(f"{n_vocab - len(tokens):,} of {n_vocab:,} ids have no token in {file.name}: padding")
    ours = [(spelled(left), spelled(right)) for left, right in merges]
    return partial(write_tables, merges=ours, tokens=[spelled(token) for token in tokens])


def spelled(token: str) -> str:
    """Our files write a space as a space; the rest of GPT-2's byte alphabet stays."""
    return token.replace("Ġ", " ")


def require_whole(file: Path, merges: Iterable[tuple[str, str]], tokens: Iterable[str]) -> None:
    """Raises ConvertError where merges are missing that made some of these tokens."""
    pairs = [(spelled(left), spelled(right)) for left, right in merges]
    try:
        require_made(file, pairs, [spelled(token) for token in tokens], added_may_follow=False)
    except TokenizerError as error:
        raise ConvertError(error.what, where=file, remedy="get it again, or give --no-tokenizer") from None


def read_merges(file: Path) -> list[tuple[str, str]]:
    """`merges.txt`, `vocab.bpe`: one pair a line under a line with the version."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise ConvertError("is not UTF-8", where=file, remedy="get it again") from None
    merges = []
    for number, line in enumerate(lines, start=1):
        if (number == 1 and line.startswith("#version")) or not line.strip("\r"):
            continue
        merges.append(pair(file, number, line.strip("\r").split(" ")))
    return merges


def pair(file: Path, number: int, cells: object) -> tuple[str, str]:
    if not (isinstance(cells, list) and len(cells) == 2 and all(isinstance(cell, str) and cell for cell in cells)):
        what = f"expected two tokens, found {cells!r}"
        raise ConvertError(what, where=f"{file}, merge {number}:", remedy="get the file again")
    return cells[0], cells[1]


def read_pair(vocabulary: Path, merges: Path) -> Table:
    """`vocab.json` and `merges.txt`, or as OpenAI calls them."""
    return read_merges(merges), read_json(vocabulary), ()


def read_single(file: Path) -> Table | None:
    """`tokenizer.json`; None where it is another kind of tokenizer than GPT-2's."""
    data = read_json(file)
    model = data.get("model")
    if (
        not isinstance(model, dict)
        or model.get("type", "BPE") != "BPE"
        or "ByteLevel" not in str(data.get("pre_tokenizer"))
    ):
        return None
    vocabulary, merges, added = model.get("vocab"), model.get("merges"), data.get("added_tokens") or []
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not isinstance(added, list):
        raise ConvertError("has no vocabulary or merges", where=file, remedy="get it again")
    split = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    special = {token.get("content"): token.get("id") for token in added if isinstance(token, dict)}
    pairs = [pair(file, number, cells) for number, cells in enumerate(split, start=1)]
    return pairs, vocabulary | special, list(special)


def tokens_by_id(file: Path, ids: Mapping[str, int]) -> list[str]:
    """Token -> id as a list; every id from 0 must be there once."""
    tokens: dict[int, str] = {}
    for token, i in ids.items():
        if not isinstance(token, str) or not isinstance(i, int) or not 0 <= i < len(ids) or i in tokens:
            what = f"the token {token!r} has the id {i!r}; ids must be 0 to {len(ids) - 1}, each once"
            raise ConvertError(what, where=f"{file}:")
        tokens[i] = token
    return [tokens[i] for i in range(len(ids))]
