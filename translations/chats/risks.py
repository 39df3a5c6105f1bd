"""Words of customers that put a chat first in the queue, whatever the model says.

They raise and never lower. One list for all languages, since chats mix them; forms are
listed and not guessed.
"""

import re
from collections.abc import Iterable
from functools import cache

from translations.chats.masking import plain

# `*` stands for any ending; all others are whole words.
RISKS: dict[str, tuple[str, ...]] = {
    "refund": (
        *("refund*", "money back", "chargeback*", "reimburse*"),
        *("lacagtayda celi", "lacagtayda ii soo celi*", "lacag celin*"),
        *("استرداد*", "أعيدوا مالي", "استرجاع المال", "أريد مالي"),
        *("terugbetal*", "geld terug", "rückerstatt*", "geld zurück"),
    ),
    "law": (
        *("lawyer*", "solicitor*", "attorney*", "legal action", "sue you", "lawsuit*"),
        *("qareen*", "dacwad*", "maxkamad*"),
        *("محام*", "محكمة", "قضية", "مقاضا*"),
        *("advocaat", "rechtszaak", "rechtsanwalt*", "anwalt*", "verklagen"),
    ),
    "bank": ("bank", "bangi*", "البنك", "بنكي"),
    "third_contact": (
        *("third time", "three times", "3 times", "again and again"),
        *("saddex jeer", "marar badan"),
        *("ثلاث مرات", "للمرة الثالثة", "عدة مرات"),
        *("derde keer", "drie keer", "dritte mal", "dreimal"),
    ),
    "complaint": (
        *("complaint*", "ombudsman"),
        *("cabasho*", "cabashada*"),
        *("شكوى", "الشكوى"),
        *("klacht*", "beschwerde*"),
    ),
    "harm": (
        *("suicid*", "kill myself", "hurt myself", "end my life", "self-harm"),
        *("hurt my child", "abuse*", "beat* my child"),
        *("isdil*", "is dil*", "nafteyda qaad*"),
        *("انتحار*", "أقتل نفسي", "أؤذي نفسي", "أنهي حياتي"),
        *("zelfmoord*", "zelfdoding", "selbstmord*", "mich umbringen"),
    ),
}

# Not risks, but signs that a last message is no sign of content.
NEGATIVE = (
    *("still not", "not working", "doesn't work", "does not work", "no answer"),
    *("useless", "terrible", "angry", "disappointed", "unacceptable"),
    *("weli ma", "ma shaqay*", "aad ayaan u caraysanahay", "waan ka xumahay"),
    *("لا يعمل", "غير مقبول", "سيئ", "غاضب*", "لم يتم"),
    *("werkt niet", "nog steeds niet", "funktioniert nicht", "immer noch nicht"),
)


def risks_in(texts: Iterable[str]) -> dict[str, str]:
    """{kind of risk: the words that were found} of a customer's messages."""
    found: dict[str, str] = {}
    for text in texts:
        said = plain(text)
        for kind, pattern in _patterns().items():
            if kind not in found and (hit := pattern.search(said)):
                found[kind] = hit[0]
    return found


def is_negative(text: str) -> bool:
    """Whether a message says that something is wrong; by a short list."""
    return bool(_either(NEGATIVE).search(plain(text))) or bool(risks_in([text]))


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {kind: _either(words) for kind, words in RISKS.items()}


@cache
def _either(words: tuple[str, ...]) -> re.Pattern[str]:
    listed = sorted((_as_pattern(word) for word in words), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(listed)})(?!\w)")


def _as_pattern(word: str) -> str:
    return re.escape(plain(word)).replace(r"\*", r"\w*").replace(r"\ ", r"\s+")
