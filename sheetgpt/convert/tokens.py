"""GPT-2's token files in other projects' forms -> our merges and tokens.

Here: `vocab.json` with `merges.txt`, `tokenizer.json`, OpenAI's `encoder.json` with `vocab.bpe`, and the files beside
them that name added tokens. Whether their rules are GPT-2's is asked in `rules`; our CSV files belong in `bpe.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sheetgpt.bpe import write_tables
from sheetgpt.bpe.added import FLAGS, Added, inferred, stand_in
from sheetgpt.bpe.tables import require_made
from sheetgpt.bpe.words import ALPHABET, spell
from sheetgpt.convert import rules
from sheetgpt.convert.checkpoint import read_json
from sheetgpt.convert.peek import listed
from sheetgpt.convert.strangers import refuse_pages
from sheetgpt.errors import ConvertError, TokenizerError

PAIRS_OF_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
SINGLE_FILE = "tokenizer.json"
SETTINGS, ADDED, SPECIAL = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
FILES_BESIDE = (SETTINGS, ADDED, SPECIAL)  # what they say of a tokenizer is not in the files of its table
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
MORE_ROLES = ("additional_special_tokens", "extra_special_tokens")
BY_IDS = "the model runs by --token-ids"
Write = Callable[[Path], None]  # writes our token files into a folder
Merges = list[tuple[str, str]]


@dataclass
class Found:
    """A token table as its files hold it."""

    merges: Merges
    ids: dict[str, Any]  # token -> id
    added: dict[str, Added] = field(default_factory=dict)  # by their texts
    says_all: bool = False  # are the added tokens all there are? Else their spelling tells, too


@dataclass(frozen=True)
class Fault:
    """Stands for what writes a table that is wrong: an error only where the table is wanted."""

    error: ConvertError

    def __call__(self, _folder: Path) -> None:
        raise self.error


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that hold its token table, and what belongs to it; none where it has none."""
    names = next((names for names in ((SINGLE_FILE,), *PAIRS_OF_FILES) if all(map(is_file_of(folder), names))), ())
    return [folder / name for name in (*names, *filter(is_file_of(folder), FILES_BESIDE if names else ()))]


def is_file_of(folder: Path) -> Callable[[str], bool]:
    return lambda name: (folder / name).is_file()


def read_folder(folder: Path, n_vocab: int, remarks: list[str]) -> Write | None:
    """What writes the token table found in a folder, or None, with a remark why."""
    files = files_in(folder)
    if not files:
        remarks.append(f"no token files: {BY_IDS}")
        return None
    try:
        return read_files(files, n_vocab, remarks)
    except ConvertError as error:
        return Fault(error)


def read_files(files: list[Path], n_vocab: int, remarks: list[str]) -> Write | None:
    beside = {file.name: read_json(file) for file in files if file.name in FILES_BESIDE}
    is_single = files[0].name == SINGLE_FILE
    strange = rules.strange_setting(beside.get(SETTINGS, {}), is_alone=not is_single)
    source = SETTINGS
    if is_single:
        data = read_json(files[0])
        if not is_byte_level(data):
            remarks.append(f"{SINGLE_FILE} is no byte-level BPE as GPT-2's: {BY_IDS}")
            return None
        if rule := rules.strange_rule(data):
            strange, source = rule, SINGLE_FILE
    if strange:
        remarks.append(f"{source}: {strange}, and GPT-2's tokenizer doesn't: {BY_IDS}")
        return None
    if is_single:
        remarks += [f"{SINGLE_FILE}: {what}" for what in rules.shortened(data)]
        found = read_single(files[0], data, remarks)
    else:
        found = Found(read_merges(files[1]), read_json(files[0]))
    add_named(found, beside)
    write = tables(files[0], found, n_vocab, remarks)
    require_whole(files[0] if is_single else files[1], found)
    return write


# ------------------------------------------------------------------------------------------------ our table


def tables(file: Path, found: Found, n_vocab: int, remarks: list[str]) -> Write:
    """What writes the table in our spelling: the tokens that have a row in the model."""
    check_ids(file, found)
    made = [*ALPHABET, *(spelled(left) + spelled(right) for left, right in found.merges)]
    added = [token for token in found.added.values() if token.id < n_vocab]
    known = set(made)
    texts = {token.id: token.text for token in added}
    rows = {
        i: spelled(token)
        for token, i in found.ids.items()
        if i < n_vocab and (i not in texts or spelled(token) in known)
    }
    taken: dict[str, int] = {}
    for i in sorted(rows, key=lambda i: i in texts):  # subtle: a space added looks like the Ġ of the table
        if taken.setdefault(rows[i], i) != i:
            del rows[i]
    for i, text in texts.items():  # subtle: `\n` added has the spelling of the `Ċ` that the table has as well
        if i not in rows:
            rows[i] = spell(text) if taken.setdefault(spell(text), i) == i else stand_in(i)
    every = found.ids | {token.text: token.id for token in found.added.values()}
    rowless = [token for token, i in every.items() if i >= n_vocab]
    if rowless and not set(ALPHABET) <= taken.keys():
        what = f"has {len(every):,} tokens, the model {n_vocab:,}"
        remedy = "the files belong to different models; get both again, or give --no-tokenizer"
        raise ConvertError(what, where=file, remedy=remedy)
    if rowless:
        remarks.append(
            f"{len(rowless):,} of {len(every):,} tokens in {file.name} have no row in the model, left out: "
            + listed([repr(token) for token in rowless])
        )
    if len(rows) < n_vocab:
        remarks.append(f"{n_vocab - len(rows):,} of {n_vocab:,} ids have no token in {file.name}: padding")
    tokens = [rows.get(i, stand_in(i)) for i in range(max(rows, default=-1) + 1)]
    ours = [(spelled(left), spelled(right)) for left, right in found.merges]
    return partial(write_tables, merges=ours, tokens=tokens, added=in_need_of_a_file(tokens, made, added, found))


def in_need_of_a_file(tokens: list[str], made: Sequence[str], added: list[Added], found: Found) -> list[Added] | None:
    """The added tokens, in the order of their ids; None where their spelling tells the same."""
    guess = inferred(tokens, made)
    if len({token.normalized for token in added}) == 1:  # which are found first matters only where they differ
        added = [replace(token, normalized=False) for token in added]
    if not found.says_all:
        known = {token.id for token in added}
        added = [*added, *(token for token in guess if token.id not in known)]
    added = sorted(added, key=lambda token: token.id)
    return None if added == guess else added


def spelled(token: str) -> str:
    """Our files write a space as a space; the rest of GPT-2's byte alphabet stays."""
    return token.replace("Ġ", " ")


def check_ids(file: Path, found: Found) -> None:
    """Refuse ids that are none, two tokens of one id, and a table with holes that lacks letters."""
    tokens: dict[int, str] = {}
    whole = set(ALPHABET) <= {spelled(token) for token in found.ids}
    for token, i in found.ids.items():
        fits = isinstance(i, int) and not isinstance(i, bool) and i >= 0 and (whole or i < len(found.ids))
        if not isinstance(token, str) or not token or not fits or i in tokens:
            what = f"the token {token!r} has the id {i!r}; ids must be 0 to {len(found.ids) - 1}, each once"
            raise ConvertError(what, where=f"{file}:")
        tokens[i] = token
    for added in found.added.values():
        if tokens.setdefault(added.id, added.text) not in (added.text, spell(added.text), spelled(added.text)):
            what = f"the added token {added.text!r} has the id {added.id} of {tokens[added.id]!r}"
            raise ConvertError(what, where=f"{file}:", remedy="correct the id, or give --no-tokenizer")


def require_whole(file: Path, found: Found) -> None:
    """Raises ConvertError where merges are missing that made some of the tokens."""
    pairs = [(spelled(left), spelled(right)) for left, right in found.merges]
    tokens = [spelled(token) for token in found.ids if token not in found.added]
    try:
        require_made(file, pairs, tokens, added_may_follow=False)
    except TokenizerError as error:
        raise ConvertError(error.what, where=file, remedy="get it again, or give --no-tokenizer") from None


# ------------------------------------------------------------------------------------------------ their files


def read_merges(file: Path) -> Merges:
    """`merges.txt`, `vocab.bpe`: one pair a line under a line with the version."""
    refuse_pages(file)
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


def is_byte_level(data: Mapping[str, Any]) -> bool:
    """Is a `tokenizer.json` of GPT-2's kind at all?"""
    model = data.get("model")
    return (
        isinstance(model, Mapping)
        and model.get("type", "BPE") == "BPE"
        and "ByteLevel" in str(data.get("pre_tokenizer"))
    )


def read_single(file: Path, data: Mapping[str, Any], remarks: list[str]) -> Found:
    """`tokenizer.json`. An added token has the id that it says, where no other has it."""
    vocabulary, merges, added = data["model"].get("vocab"), data["model"].get("merges"), data.get("added_tokens") or []
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not isinstance(added, list):
        raise ConvertError("has no vocabulary or merges", where=file, remedy="get it again")
    split = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    found = Found([pair(file, number, cells) for number, cells in enumerate(split, start=1)], vocabulary, says_all=True)
    taken, after = set(vocabulary.values()), len(vocabulary)
    for token in added:
        says = token.get("id") if isinstance(token, Mapping) else None
        i = after if says in taken or not isinstance(says, int) else says
        add(found, token, i)
        if text_of(token) not in vocabulary:
            if i != after and not any("are numbered" in remark for remark in remarks):
                remarks.append(
                    f"{file.name}: added tokens are numbered as it says, {text_of(token)!r} {i}; "
                    f"Hugging Face's libraries number them without gaps, {after}"
                )
            taken.add(i)
            after += 1
    return found


def add_named(found: Found, beside: Mapping[str, Mapping[str, Any]]) -> None:
    """Added tokens that the files beside a table name, in the order in which `transformers` reads them."""
    settings, special = beside.get(SETTINGS, {}), beside.get(SPECIAL, {})
    named: list[Any] = [about.get(role) for about in (special, settings) for role in ROLES]
    for about in (special, settings):
        for role in MORE_ROLES:
            more = about.get(role)
            named += more if isinstance(more, list) else list(more.values()) if isinstance(more, Mapping) else []
    names = {text for text in map(text_of, named) if text}
    decoder = settings.get("added_tokens_decoder")
    for i, token in (decoder if isinstance(decoder, Mapping) else {}).items():
        found.says_all = True
        add(found, token, int(i) if str(i).isdecimal() else None)
    for text, i in beside.get(ADDED, {}).items():
        add(found, {"content": text, "special": text in names, "normalized": text not in names}, i)
    for token in named:
        content = text_of(token)
        if content and content not in found.added:
            i = found.ids.get(content, max([-1, *whole_numbers(found)]) + 1)
            flags = dict(token) if isinstance(token, Mapping) else {}
            add(found, {"special": True, "content": content} | flags, i)


def whole_numbers(found: Found) -> Iterable[int]:
    return [i for i in [*found.ids.values(), *(token.id for token in found.added.values())] if isinstance(i, int)]


def text_of(token: object) -> str | None:
    """A token's text, where a setting names one."""
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None


def add(found: Found, token: object, i: object) -> None:
    """An added token, unless it is known; where the table has it, the table's id counts, as in `transformers`."""
    text = text_of(token)
    if not text or not isinstance(token, Mapping) or text in found.added:
        return
    known = found.ids.get(text, i)
    if isinstance(known, int) and not isinstance(known, bool) and known >= 0:
        found.added[text] = Added(known, text, *(bool(token.get(name, False)) for name in FLAGS))
