"""Base forms of English words, by simplemma or by one of two optional libraries.

What was looked up is kept in `CACHE_DIR/word_normalizer_NAME_en.json`, so that a slow
normaliser is slow once.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import orjson
from django.conf import settings

log = logging.getLogger(__name__)

Lemma = Callable[[str], str | None]
NORMALISERS = ("simplemma", "nltk", "spacy")
SPACY_MODEL = "en_core_web_sm"
CACHE_VERSION = 1


class Lemmas:
    """Looks words up, once each. `lemma` gives None for a word it does not know."""

    def __init__(self, name: str = "", cache_dir: Path | None = None) -> None:
        self.name, self._look_up, self.message = _normaliser(
            name or settings.WORD_NORMALISER
        )
        directory = cache_dir or Path(settings.CACHE_DIR)
        self.path = directory / f"word_normalizer_{self.name}_en.json"
        self._known = _read(self.path)
        self._is_new = False

    def lemma(self, word: str) -> str | None:
        found = self._known.get(word)
        if found is None:
            found = self._look_up(word) or ""
            self._known[word] = found
            self._is_new = True
        return found or None

    def keep(self) -> None:
        """Write what was looked up; a reader sees the old file or the new one."""
        if not self._is_new:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
            file.write(orjson.dumps({"version": CACHE_VERSION, "lemmas": self._known}))
        os.replace(file.name, self.path)
        self._is_new = False


def _read(path: Path) -> dict[str, str]:
    """What was kept; nothing where it is not there, or is not what we write."""
    try:
        kept = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError:
        log.warning("%s is not JSON; it is made anew.", path)
        return {}
    if not isinstance(kept, dict) or kept.get("version") != CACHE_VERSION:
        return {}
    lemmas: dict[str, str] = kept["lemmas"]
    return lemmas


def _normaliser(name: str) -> tuple[str, Lemma, str]:
    """The one asked for, or simplemma with a message that says what is missing."""
    makers = {"nltk": _nltk, "spacy": _spacy}
    if name in makers:
        try:
            return name, makers[name](), ""
        except (ImportError, LookupError, OSError) as err:
            reason = str(err).strip().partition("\n")[0]
            message = (
                f"WORD_NORMALISER is {name}, which is not to be had here ({reason}); "
                "simplemma is used instead."
            )
            log.warning(message)
            return "simplemma", simple_lemma(), message
    return "simplemma", simple_lemma(), ""


def simple_lemma() -> Lemma:
    """simplemma's dictionary alone: its rules would guess at words it has not."""
    from simplemma.strategies import DictionaryLookupStrategy

    strategy = DictionaryLookupStrategy()
    return lambda word: strategy.get_lemma(word, "en")


def _nltk() -> Lemma:
    from nltk.corpus import wordnet
    from nltk.stem import WordNetLemmatizer

    lemmatizer = WordNetLemmatizer()
    wordnet.ensure_loaded()  # LookupError where the data was not downloaded

    def lemma(word: str) -> str | None:
        for kind in ("v", "n", "a"):
            found: str = lemmatizer.lemmatize(word, kind)
            if found != word:
                return found
        return word if wordnet.synsets(word) else None

    return lemma


def _spacy() -> Lemma:
    import spacy

    model: Any = spacy.load(SPACY_MODEL, disable=["parser", "ner"])

    def lemma(word: str) -> str | None:
        found = model(word)
        return str(found[0].lemma_).lower() if len(found) == 1 else None

    return lemma
