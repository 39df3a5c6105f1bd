"""What a model says about its answer, instead of the answer alone."""

import re
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, shortened

# Openings that a right translation has as well, if its source presents something too.
_PRESENTING = re.compile(
    r"(?:here(?:'s|’s| is| are| you (?:go|are))|below (?:is|are)|voici|voilà|ci-dessous"
    r"|hier (?:ist|sind)|aquí (?:está|están|tienes)|he aquí|waa kan|waa tan|halkan waa"
    r"|إليك|إليكم|إليكِ|فيما يلي|هذه هي|هذا هو)\b",
    re.I,
)
_PRESENTED = re.compile(
    r"(?:here|below|this|these|those|there|see|get|have|find|for you|your?"
    r"|waa|halkan|kan[iu]?|tan[iu]?|kuwan\w*|hoos|fiiri|eeg|hel"
    r"|voici|voilà|ci-dessous|ce|cet|cette|ces|vous|tu"
    r"|hier|dies\w*|das|sie|du|aquí|este|esta|estos|estas"
    r"|إليك\w*|فيما|هذا|هذه|هؤلاء|هنا|ها)\b",
    re.I,
)
_ANSWERING = re.compile(
    r"(?:sure|certainly|of course|okay|ok|absolutely"
    r"|bien sûr|natürlich|claro|por supuesto|بالتأكيد|بالطبع|حسنا|حسنًا|حسناً"
    r"|haa|hagaag)\s*[,!.:،]",
    re.I,
)
_AS_AI = re.compile(
    r"(?:as an ai\b|as a (?:large )?language model|i(?:'m| am) (?:sorry|unable|an ai\b)"
    r"|i (?:cannot|can't|can’t) (?:assist|help|translate|fulfil)"
    r"|en tant qu[e'’]\s?ia\b|als ki\b|como ia\b|بصفتي نموذج|كنموذج)",
    re.I,
)
_REFUSING = re.compile(r"i(?:'m| am) (?:sorry|unable)|i (?:cannot|can't|can’t)", re.I)
_NAMING = re.compile(
    r"(?:(?:the |my )?(?:\w+ )?(?:translation|translated text)|traduction|übersetzung"
    r"|traducción|turjumaad\w*|tarjumaad\w*|(?:ال)?ترجمة(?: \w+)?)"
    r"\s*(?:\([^)]*\))?\s*[:：]",
    re.I,
)
_TRANSLATION = re.compile(
    r"translat|tradu|übersetz|vertaal|vertal|turjum|tarjum|tafsir|terjemah|çevir|перевод"
    r"|ترجم|翻译|翻訳|번역|version|rendering|نسخة",
    re.I,
)
_COLON = re.compile(r"[:：]")
_OPENING = re.compile(r"[\s\"“«'*_#>]*")
_FIRST_WORDS = re.compile(r"\W*(?:[\w'’-]+\W+){0,3}?[\w'’-]+\s*[,!.:،;؛]")
_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_NEAR = 80


def meta_text(pair: Pair) -> Iterator[Finding]:
    """The answer begins by speaking about itself, or has code fences of its own."""
    target, source = pair.target or "", pair.source
    if found := _speaking(pair.target_prose, pair.source_prose):
        yield Finding(
            "meta_text",
            gettext_noop("The answer speaks about itself: “%(found)s”."),
            {"found": shortened(found)},
        )
    elif len(_FENCE.findall(target)) > len(_FENCE.findall(source)):
        yield Finding(
            "meta_text", gettext_noop("The answer has code fences of its own.")
        )


def _speaking(target: str, source: str) -> str:
    """How the target starts, if that is not how its source does."""
    start = _start(target)
    text = target[start:]
    near, far = text[:_NEAR], source[_start(source) :][:_NEAR]
    if _AS_AI.match(near):
        is_refusal = _REFUSING.match(near)
        if is_refusal and not _speaks_of_task(near):
            return ""  # somebody in the text may be sorry
        return "" if re.search(r"\b(?:AI|IA|KI|الذكاء)\b", far) else near
    if _NAMING.match(near):
        return "" if _TRANSLATION.search(far) else near
    if match := _PRESENTING.match(near):
        if _TRANSLATION.search(near) and not _TRANSLATION.search(far):
            return near
        has_colon = _COLON.search(near) and not _COLON.search(far)
        return near if has_colon or not _PRESENTED.search(far) else ""
    if match := _ANSWERING.match(near):
        is_answer = _FIRST_WORDS.match(far) is not None
        rest = near[match.end() :].lstrip()
        again = _PRESENTING.match(rest) or _NAMING.match(rest)
        return near if again or not is_answer else ""
    return ""


def _speaks_of_task(text: str) -> bool:
    return re.search(r"translat|assist|help with|AI\b|language model", text) is not None


def _start(text: str) -> int:
    match = _OPENING.match(text)
    return match.end() if match else 0
