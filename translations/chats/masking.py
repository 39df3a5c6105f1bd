"""Personal data taken out of a transcript before it leaves; pure.

Each value gets a token, `[EMAIL_1]`, the same wherever it comes again. Nothing keeps
what a token stands for beside the transcript: masking it again gives the same tokens.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

LEAST_NUMBER_DIGITS = 9  # an order number has up to 8, and stays
CARD_DIGITS = range(13, 20)
MOST_PHONE_DIGITS = 15  # E.164
SHORTEST_NAME = 2

TOKEN = re.compile(r"\[(?:EMAIL|PHONE|CARD|ACCOUNT|IP|NAME|AGENT)_\d+\]")
# Who writes "[EMAIL_1]" himself must not pass for a value that was masked.
_FORGED = re.compile(r"\[(EMAIL|PHONE|CARD|ACCOUNT|IP|NAME|AGENT)_(\d+)\]", re.I)
_IN_EMAIL = r"[^\s@＠<>()\[\]{},;:\"'|/\\]"
# With bounds, or a long text without blanks would be looked through from each letter.
EMAIL = re.compile(
    rf"{_IN_EMAIL}{{1,64}}\s?[@＠]\s?{_IN_EMAIL}{{1,250}}\.[^\W\d_]{{2,24}}"
)
_GAP = r"[ \t\u00a0\u2007\u202f./()\-\u2010-\u2015]{0,3}"
NUMBER = re.compile(rf"(?<!\d)[+＋]?\(?\d(?:{_GAP}\d){{{LEAST_NUMBER_DIGITS - 1},}}")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}[ ]?[A-Z0-9]{0,4}\b"
)
_IP = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}:?[0-9a-fA-F]{1,4}(?:(?::[0-9a-fA-F]{1,4})*)(?![\w:])"
)
# A day, with its time: digits and gaps like a telephone's, and nobody's own.
_MOMENT = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d-[01]\d-[0-3]\d|[0-3]?\d[./-][01]?\d[./-](?:19|20)\d\d)"
    r"(?:[T ]\s?[0-2]?\d[:.][0-5]\d(?:[:.][0-5]\d)?)?(?!\d)(?!\s?[-./]?\d)"
)
_QUOTES = str.maketrans("“”„«»‘’ʼ‚", '"""""\'\'\'\'')


@dataclass(frozen=True, slots=True)
class Names:
    """Who takes part, as far as columns say it; each may have several names."""

    customer: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


@dataclass(slots=True)
class Masked:
    """Texts in their order with tokens for what was masked; `values` is {token: value}
    and stays here."""

    texts: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The values that are names."""
        return [
            value
            for token, value in self.values.items()
            if token.startswith(("[NAME_", "[AGENT_"))
        ]

    def reopened(self, text: str) -> str:
        """The text with the values again, for who may see them."""
        return TOKEN.sub(lambda found: self.values.get(found[0], found[0]), text)


def mask(texts: Iterable[str], names: Names = Names()) -> Masked:  # noqa: B008 (frozen)
    """Mask e-mail, telephone, card and account numbers, addresses of machines, and the
    names of those who take part. Numbers of up to 8 digits and days stay."""
    masked = Masked()
    tokens = _Tokens(masked.values)
    patterns = [
        ("AGENT", _names(names.agents)),
        ("NAME", _names(names.customer)),
    ]
    for text in texts:
        text = unicodedata.normalize("NFC", text)
        text = _FORGED.sub(r"(\1 \2)", text)
        text = EMAIL.sub(lambda found: tokens.of("EMAIL", found[0]), text)
        text = _IP.sub(lambda found: tokens.of("IP", found[0]), text)
        text = _IBAN.sub(lambda found: tokens.of("ACCOUNT", found[0]), text)
        text = "".join(_without_numbers(text, tokens))
        for kind, pattern in patterns:
            if pattern:
                text = _outside_tokens(text, kind, pattern, tokens)
        masked.texts.append(text)
    return masked


def has_personal_data(text: str) -> bool:
    """Whether an e-mail address or a number of 9 digits or more stands in a text."""
    if EMAIL.search(text) or _IBAN.search(text) or _IP.search(text):
        return True
    return any(not _is_moment(text, found) for found in NUMBER.finditer(text))


def digests(values: Iterable[str]) -> list[str]:
    """By these a masked value is known again where it must not stand, and not kept."""
    return sorted({_digest(value) for value in values})


def reopens(text: str, known: Sequence[str]) -> bool:
    """Whether a text has one of the values, of up to four words, that these stand for.

    E-mail addresses and numbers are for `has_personal_data` to find.
    """
    wanted = frozenset(known)
    found = re.findall(
        r"[^\W_]+(?:['\u2019-][^\W_]+)*", unicodedata.normalize("NFC", text)
    )
    return any(
        _digest(" ".join(found[start : start + length])) in wanted
        for length in range(1, 5)
        for start in range(len(found) - length + 1)
        if not found[start][0].islower()  # the agent is Mark, and "to mark" is a word
    )


def plain(text: str) -> str:
    """As quotes are compared: NFC, one blank, small letters, straight quotes."""
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    return " ".join(text.lower().split())


class _Tokens:
    """Hands out tokens, one for each value of a kind."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.given: dict[tuple[str, str], str] = {}
        self.counts: dict[str, int] = {}

    def of(self, kind: str, value: str) -> str:
        key = kind, _key(kind, value)
        if key not in self.given:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            token = self.given[key] = f"[{kind}_{self.counts[kind]}]"
            self.values[token] = value
        return self.given[key]


def _key(kind: str, value: str) -> str:
    """What makes two ways of writing one value."""
    if kind in ("PHONE", "CARD", "ACCOUNT"):
        return "".join(sign for sign in value if sign.isalnum()).upper()
    return plain(value)


def _without_numbers(text: str, tokens: _Tokens) -> Iterator[str]:
    end = 0
    for found in NUMBER.finditer(text):
        if _is_moment(text, found):
            continue
        yield text[end : found.start()]
        yield tokens.of(_kind_of(found[0]), found[0])
        end = found.end()
    yield text[end:]


def _is_moment(text: str, found: re.Match[str]) -> bool:
    """Whether what looks like a number is a day, with a time or without."""
    moment = _MOMENT.match(text, found.start())
    return bool(moment) and moment.end() >= found.end()  # type: ignore[union-attr]


def _kind_of(number: str) -> str:
    digits = [unicodedata.digit(sign) for sign in number if sign.isdigit()]
    if len(digits) in CARD_DIGITS and _is_card(digits):
        return "CARD"
    has_marks = number[0] in "+＋(" or not number.isdecimal()
    looks_dialled = has_marks or digits[0] == 0 or len(digits) <= 10
    if looks_dialled and len(digits) <= MOST_PHONE_DIGITS:
        return "PHONE"
    return "ACCOUNT"


def _is_card(digits: Sequence[int]) -> bool:
    """By Luhn's sum (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _names(given: Sequence[str]) -> re.Pattern[str] | None:
    """Matches a name whole, and each part of it alone that begins with a capital."""
    parts = set()
    for name in given:
        name = " ".join(unicodedata.normalize("NFC", name).split())
        parts.add(name)
        parts.update(part for part in name.split() if not part[0].islower())
    wanted = sorted(
        (part for part in parts if len(part) >= SHORTEST_NAME), key=len, reverse=True
    )
    if not wanted:
        return None
    # A word's end, or an ending that languages glue to a name, is not told apart.
    either = "|".join(re.escape(part).replace(r"\ ", r"\s+") for part in wanted)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def _outside_tokens(
    text: str, kind: str, pattern: re.Pattern[str], tokens: _Tokens
) -> str:
    """Names masked, but not in the tokens that stand there already."""
    parts = re.split(rf"({TOKEN.pattern})", text)
    for place in range(0, len(parts), 2):
        parts[place] = pattern.sub(
            lambda found: tokens.of(kind, found[0]), parts[place]
        )
    return "".join(parts)


def _digest(value: str) -> str:
    return hashlib.sha256(plain(value).encode()).hexdigest()[:24]
