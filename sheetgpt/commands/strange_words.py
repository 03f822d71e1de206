"""What `run` says of a prompt's words that an embedded model has never seen: they were cut into pieces, or mistyped.

The corpus's words are known only for the models that ship inside, so nothing is said of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetgpt.commands.terminal import printable

if TYPE_CHECKING:
    from sheetgpt.bpe import Tokenizer
    from sheetgpt.model import Model

FIRST_DOCUMENTS, DOCUMENTS = 20, 4000  # of the corpus: which hold its marks, and all its words
MOST_NAMED = 3


def notice(model: Model, prompt: str | None) -> str | None:
    """One line, or nothing where every word is known."""
    if prompt is None or model.tokenizer is None or not is_embedded(model):
        return None
    if prompt.endswith(" ") and prompt[-2:-1].strip():
        return "The prompt ends with a space, but a word's token brings its space along: leave it out."
    found = strangers(model.tokenizer, prompt)
    if not found:
        return None
    named = ", ".join(described(model.tokenizer, word) for word in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"This model never read {named}{more}: it can only go by pieces of words, and may guess."


def is_embedded(model: Model) -> bool:
    from sheetgpt.weights.folder import embedded_folder

    folder = model.weights.folder.resolve()
    return embedded_folder().resolve() in (folder, *folder.parents)


def strangers(tokenizer: Tokenizer, prompt: str) -> list[str]:
    """The words that the corpus never has, each once.

    subtle: a token of several letters is one because the corpus had it; so most prompts ask for a few documents only.
    """
    from sheetgpt.bpe.words import cut

    words = [word for word in dict.fromkeys(cut(prompt)) if len(tokenizer.encode(word)) > 1 or len(word) == 1]
    for count in (FIRST_DOCUMENTS, DOCUMENTS):
        known = corpus_words(count) if words else set()
        words = [word for word in words if word not in known]
    return words


def corpus_words(count: int) -> set[str]:
    """The words of so many documents; names with and without a space, as each may begin a text."""
    from sheetgpt.bpe.words import cut
    from sheetgpt.corpus import documents

    found = {word for document in documents(count) for word in cut(document)}
    names = {word.strip() for word in found if word.strip()[:1].isupper()}
    return found | names | {f" {name}" for name in names}


def described(tokenizer: Tokenizer, word: str) -> str:
    """A word, the pieces that it is cut into, and the word that may be meant."""
    from sheetgpt.lens.tokens import same_letters

    pieces = "|".join(tokenizer.token(i) for i in tokenizer.encode(word))
    alike = [token for token in same_letters(tokenizer.tokens, word) if len(token.strip()) > 1]
    meant = min(alike, key=lambda token: token.startswith(" ") != word.startswith(" "), default=None)
    hint = f"; there is {printable(repr(meant))}" if meant else ""
    return f'"{printable(word)}" ({printable(pieces)}{hint})'
