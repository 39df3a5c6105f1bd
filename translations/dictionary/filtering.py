"""Which words of a list or a text are worth an entry, and why the others are not.

Steps, in their order: normalise, drop what can be no word and what comes twice, drop
stop words, fold forms into headwords, drop what is rare. Nothing is lost: what is not
kept is told with its reason, so that another preset can bring it back.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from translations.dictionary.folding import Folder
from translations.dictionary.frequency import has_frequencies, zipf_of
from translations.dictionary.lemmas import Lemmas
from translations.dictionary.lists import function_words, stop_words
from translations.dictionary.normalising import normalise, objection
from translations.dictionary.presets import PRESETS, Preset

# A preset that keeps more than this of its target is held to the target, on lists that
# are large enough to have a share at all.
TOLERANCE = 1.15
SMALLEST_CAPPED = 5_000
WORDS_PER_STEP = 2_000  # of progress


class Headword(NamedTuple):
    """A word that is kept. `forms` are the words as found that it stands for, with how
    often each came; `zipf` is None where there are no frequencies."""

    text: str
    zipf: float | None
    occurrences: int
    forms: dict[str, int]


class Rejected(NamedTuple):
    """A word that is not kept; `reason` is a key of normalising.REASONS, `headword`
    what it was folded into, if it was."""

    text: str
    reason: str
    zipf: float | None = None
    headword: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    left: int


@dataclass(slots=True)
class Filtered:
    """What came of a list. `kept` is in the order of the list."""

    preset: Preset
    language: str
    raw: int
    steps: list[Step]
    kept: list[Headword]
    rejected: list[Rejected]
    min_zipf: float  # the one that was used; above the preset's where it was capped
    normaliser: str = ""
    message: str = ""

    @property
    def retention(self) -> float:
        """The share of all words that is kept."""
        return len(self.kept) / self.raw if self.raw else 0.0

    @property
    def reduction(self) -> float:
        """The share that normalising and folding alone took away."""
        left = {step.name: step.left for step in self.steps}["folded"]
        stopped = {step.name: step.left for step in self.steps}
        away = self.raw - stopped["unique"] + stopped["stop_words"] - left
        return away / self.raw if self.raw else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "raw": self.raw,
            "kept": len(self.kept),
            "retention": round(self.retention, 4),
            "normalising_reduction": round(self.reduction, 4),
            "preset": self.preset.name,
            "language": self.language,
            "min_zipf": self.min_zipf,
            "normaliser": self.normaliser,
            "steps": [{"name": step.name, "left": step.left} for step in self.steps],
        }


def filter_words(
    words: Iterable[tuple[str, int]],
    preset: Preset,
    *,
    language: str = "en",
    counts_matter: bool = False,
    keep_stop_words: bool = False,
    lemmas: Lemmas | None = None,
    on_words: Callable[[int], None] = lambda count: None,
) -> Filtered:
    """Filter (word as found, how often) pairs; pure but for the normaliser's cache.

    `counts_matter` where they were counted in a text: then they stand in for
    frequencies where there are none.
    """
    lemmas = lemmas or Lemmas()
    found = _take(words, language, on_words)
    left = [Step("valid", found.valid), Step("unique", len(found.counts))]
    stops = stop_words() if language == "en" and not keep_stop_words else frozenset()
    known = has_frequencies(language)
    figures = zipf_of(found.counts, language) if known else {}
    zipf = {word: figures.get(word, 0.0) for word in found.counts}
    del figures
    if known and language == "en" and found.raw < SMALLEST_CAPPED:
        zipf |= _bases_elsewhere(zipf, lemmas)
    rejected = found.rejected
    candidates = [word for word in found.counts if word not in stops]
    rejected += [
        Rejected(word, "stop_word", zipf[word] if known else None)
        for word in found.counts
        if word in stops
    ]
    left.append(Step("stop_words", len(candidates)))

    def headwords(of: Preset) -> dict[str, str]:
        folder = Folder(
            zipf,
            language=language,
            fold=of.fold,
            lemma=lemmas.lemma,
            keeps_stop_words=keep_stop_words,
        )
        return {word: folder.headword(word) for word in candidates}

    min_zipf = 0.0
    if known:
        for looser in PRESETS:
            folded = headwords(looser)
            heads = [word for word in candidates if folded[word] == word]
            own = _threshold(looser, heads, zipf, found.raw)
            min_zipf = max(min_zipf, own)
            if looser is preset:
                break
    else:
        folded = headwords(preset)
    lemmas.keep()
    heads = list(dict.fromkeys(folded[word] for word in candidates))
    left.append(Step("folded", len(heads)))
    kept_words = []
    for word in heads:
        reason = _too_rare(word, preset, zipf, found, min_zipf, known, counts_matter)
        if reason:
            rejected.append(Rejected(word, reason, zipf.get(word) if known else None))
        else:
            kept_words.append(word)
    left.append(Step("common_enough", len(kept_words)))
    heads, kept_words = kept_words, []
    for word in heads:
        reason = _unwanted(word, preset, language)
        if reason:
            rejected.append(Rejected(word, reason, zipf.get(word) if known else None))
        else:
            kept_words.append(word)
    left.append(Step("kept", len(kept_words)))
    forms: dict[str, dict[str, int]] = {word: {} for word in kept_words}
    for word in candidates:
        head = folded[word]
        if head in forms:
            forms[head].update(found.forms.get(word) or {word: found.counts[word]})
        if head != word:
            rejected.append(
                Rejected(word, "folded", zipf[word] if known else None, head)
            )
    kept = [
        Headword(
            word,
            zipf.get(word, 0.0) if known else None,
            sum(forms[word].values()),
            forms[word],
        )
        for word in kept_words
    ]
    return Filtered(
        preset=preset,
        language=language,
        raw=found.raw,
        steps=left,
        kept=kept,
        rejected=rejected,
        min_zipf=min_zipf,
        normaliser=lemmas.name,
        message=lemmas.message,
    )


@dataclass(slots=True)
class _Found:
    """The words of a list, normalised; `forms` only where these differ."""

    raw: int
    valid: int
    counts: dict[str, int]
    forms: dict[str, dict[str, int]]
    rejected: list[Rejected]


def _take(
    words: Iterable[tuple[str, int]], language: str, on_words: Callable[[int], None]
) -> _Found:
    found = _Found(0, 0, {}, {}, [])
    for raw, count in words:
        found.raw += 1
        if found.raw % WORDS_PER_STEP == 0:
            on_words(WORDS_PER_STEP)
        word = normalise(raw)
        reason = objection(word, language)
        if reason:
            found.rejected.append(Rejected(raw, reason))
            continue
        found.valid += 1
        if raw != word or word in found.forms:
            forms = found.forms.setdefault(word, {})
            if word in found.counts and not forms:
                forms[word] = found.counts[word]
            forms[raw] = forms.get(raw, 0) + count
        found.counts[word] = found.counts.get(word, 0) + count
    on_words(found.raw % WORDS_PER_STEP)
    return found


def _bases_elsewhere(zipf: dict[str, float], lemmas: Lemmas) -> dict[str, float]:
    """{base form: zipf} of words whose base is a word and not on the list.

    A short list is no whole vocabulary: `studies` may be on it without `study`.
    """
    bases = {lemma for word in zipf if (lemma := lemmas.lemma(word))} - zipf.keys()
    return {base: figure for base, figure in zipf_of(bases, "en").items() if figure}


def _threshold(
    preset: Preset, heads: list[str], zipf: dict[str, float], raw: int
) -> float:
    """The preset's zipf, raised where it would keep far more than its target.

    Ties are kept: every word at the threshold stays.
    """
    figures = sorted(
        (
            zipf[word]
            for word in heads
            if zipf[word] >= preset.min_zipf and not _unwanted(word, preset, "en")
        ),
        reverse=True,
    )
    wanted = int(raw * preset.target)
    if raw < SMALLEST_CAPPED or len(figures) <= wanted * TOLERANCE:
        return preset.min_zipf
    return figures[wanted - 1]


def _too_rare(
    word: str,
    preset: Preset,
    zipf: dict[str, float],
    found: _Found,
    min_zipf: float,
    known: bool,
    counts_matter: bool,
) -> str:
    is_counted = counts_matter and (not known or "-" in word)
    if is_counted:
        enough = found.counts.get(word, preset.min_count) >= preset.min_count
        return "" if enough else "too_few"
    if known and zipf.get(word, 0.0) < min_zipf:
        return "rare"
    return ""


def _unwanted(word: str, preset: Preset, language: str) -> str:
    if (
        language == "en"
        and not preset.keeps_function_words
        and word in function_words()
    ):
        return "function_word"
    return "short" if len(word) < preset.min_letters else ""


def normalised(words: Iterable[str], language: str) -> Iterator[tuple[str, str]]:
    """(word, '') or (word as given, reason) of each, once; for words asked for by
    name, which no preset keeps out."""
    seen = set()
    for raw in words:
        word = normalise(raw)
        reason = objection(word, language)
        if reason:
            yield raw, reason
        elif word not in seen:
            seen.add(word)
            yield word, ""
