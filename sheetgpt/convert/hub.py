"""A model on the Hugging Face hub: only the files that a conversion needs, each checked after its download.

`huggingface_hub` finds and keeps them, goes on after a broken connection, works offline from its cache and honours its
environment variables.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sheetgpt.convert import huggingface, tokens
from sheetgpt.convert.checkpoint import read_json
from sheetgpt.errors import ConvertError

SHA256, GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
INSTALL = "pip install 'sheetgpt[hub]'"
LONGEST_REASON = 200


def download(repository: str, revision: str | None) -> Path:
    """The folder in the hub's cache that holds the model. Raises ConvertError in one line."""
    try:
        from huggingface_hub import errors
    except ImportError:
        what = "is no file or folder here; for models on the hub"
        raise ConvertError(what, where=repository, remedy=INSTALL) from None
    try:
        return fetch(repository, revision)
    except ConvertError:
        raise
    except errors.GatedRepoError:
        what, remedy = "must be unlocked", "accept its terms on the hub, then `hf auth login`"
    except errors.RevisionNotFoundError:
        what, remedy = f"has no revision {revision!r}", "give another --revision"
    except errors.RepositoryNotFoundError:
        what, remedy = "is neither a file or folder here nor a model on the hub", "check the name"
    except errors.LocalEntryNotFoundError:
        what = "is not whole in the hub's cache, and the hub cannot be reached"
        remedy = "run again when it can"
    except Exception as error:  # noqa: BLE001 - the hub's client lets through whatever its HTTP library raises
        what = f"cannot be had from the hub ({reason(error)})"
        remedy = "run again, files that are whole are kept"
    raise ConvertError(what, where=repository, remedy=remedy)


def reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]


def fetch(repository: str, revision: str | None) -> Path:
    """Get what a conversion needs, all of one commit."""
    config = get(repository, huggingface.CONFIG, revision)
    if config is None:
        what = f"has no {huggingface.CONFIG}"
        raise ConvertError(what, where=repository, remedy="it is no model that can be converted")
    commit = config.parent.name  # subtle: the branch may move between two files
    for name in (huggingface.SAFETENSORS, huggingface.PICKLED):
        if get(repository, name, commit):
            break
        index = get(repository, name + huggingface.INDEX, commit)
        if index:
            for shard in sorted({str(shard) for shard in read_json(index).get("weight_map", {}).values()}):
                if get(repository, shard, commit) is None:
                    what = f"has no {shard}, which its index names"
                    raise ConvertError(what, where=repository, remedy="the model is not whole")
            break
    else:
        raise ConvertError(f"has neither {huggingface.SAFETENSORS} nor {huggingface.PICKLED}", where=repository)
    if not get(repository, tokens.SINGLE_FILE, commit):
        for name in tokens.PAIRS_OF_FILES[0]:
            get(repository, name, commit)
    for name in tokens.FILES_BESIDE:
        get(repository, name, commit)
    return config.parent


def get(repository: str, name: str, revision: str | None) -> Path | None:
    """A file, from the hub or its cache; None where the repository has none of this name."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    if GIT_SHA1.fullmatch(revision or "") and is_known_missing(repository, name, revision):
        return None  # a commit stays as it is: the hub needs not be asked again
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
    except errors.LocalEntryNotFoundError:  # it is not in the cache, and the hub was not asked or did not answer
        if name != huggingface.CONFIG and (constants.HF_HUB_OFFLINE or is_known_missing(repository, name, revision)):
            return None
        raise
    except errors.EntryNotFoundError:
        return None
    check(path, repository)
    return path


def is_known_missing(repository: str, name: str, revision: str | None) -> bool:
    """Has the hub said before that it has no such file?"""
    import huggingface_hub

    known = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
    return known is huggingface_hub._CACHED_NO_EXIST  # noqa: SLF001


def check(path: Path, repository: str) -> None:
    """Hold a file against the checksum that is its name in the hub's cache; a wrong one is removed."""
    stored = path.resolve()
    digest = None
    if SHA256.fullmatch(stored.name):
        digest = hashlib.sha256()
    elif GIT_SHA1.fullmatch(stored.name):
        digest = hashlib.sha1(b"blob %d\0" % stored.stat().st_size, usedforsecurity=False)
    if digest is None:
        return
    with stored.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != stored.name:
        stored.unlink()
        path.unlink(missing_ok=True)
        what = f"{path.name} has a wrong checksum and was removed"
        raise ConvertError(what, where=f"{repository}:", remedy="run again to get it anew")
