"""A token as a person types it -> its id in a run's vocabulary. How texts become tokens belongs in `bpe`."""

from __future__ import annotations

from sheetgpt.errors import LensError, TokenizerError
from sheetgpt.lens.tables import quoted
from sheetgpt.run.trace import Trace

Wanted = str | int  # a token or its id


def token_id(trace: Trace, wanted: Wanted) -> int:
    """The id of a token, spelled as in the token table or as text, `#id`, or the id. Raises LensError."""
    if isinstance(wanted, str) and (found := known_id(trace, wanted)) is not None:
        return found
    count = trace.config.n_vocab
    if isinstance(wanted, int) and 0 <= wanted < count:
        return wanted
    if isinstance(wanted, int):
        raise LensError(f"there is no token id {wanted}", remedy=f"ids are 0 to {count - 1}")
    nearest = ", ".join(map(quoted, nearest_tokens(trace, wanted)))
    raise LensError(f"{quoted(wanted)} is no token of this model", remedy=f"did you mean {nearest}?")


def known_id(trace: Trace, text: str) -> int | None:
    """The id of a text that is one token; None where it is none, or several."""
    vocabulary = trace.labels.vocabulary()
    if text in vocabulary:
        return vocabulary.index(text)
    if text.startswith("#") and text[1:].isdecimal() and int(text[1:]) < len(vocabulary):
        return int(text[1:])
    if trace.tokenizer is None or not text:
        return None
    try:
        ids = trace.tokenizer.encode(text)
    except TokenizerError:
        return None
    return ids[0] if len(ids) == 1 and ids[0] < len(vocabulary) else None


def nearest_tokens(trace: Trace, text: str) -> list[str]:
    """Tokens that are spelled like it, the same with a space before or without first."""
    from difflib import get_close_matches

    vocabulary = trace.labels.vocabulary()
    spaced = [one for one in (f" {text}", text.strip()) if known_id(trace, one) is not None]
    like = get_close_matches(text, vocabulary, n=3, cutoff=0.5)
    begun = [token for token in vocabulary if token.strip() and text.strip().startswith(token.strip())]
    found = dict.fromkeys([*spaced, *like] or sorted(begun, key=len, reverse=True))
    return [*found, *vocabulary][:3] if not found else list(found)[:3]


def spelled(trace: Trace, token: int) -> str:
    """A token as the token table spells it."""
    return trace.labels.vocabulary()[token]
