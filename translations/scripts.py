"""Writing systems by language: which letters a text in it is written in."""

import re

_LATIN = "Latn"
_RANGES = {
    "Arab": r"\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Armn": r"\u0530-\u058f\ufb13-\ufb17",
    "Beng": r"\u0980-\u09ff",
    "Cans": r"\u1400-\u167f\u18b0-\u18ff",
    "Cyrl": r"\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f",
    "Deva": r"\u0900-\u097f\ua8e0-\ua8ff",
    "Ethi": r"\u1200-\u139f\u2d80-\u2ddf\uab00-\uab2f",
    "Geor": r"\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Grek": r"\u0370-\u03ff\u1f00-\u1fff",
    "Gujr": r"\u0a80-\u0aff",
    "Guru": r"\u0a00-\u0a7f",
    "Hang": r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Hani": r"\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff",
    "Hebr": r"\u0590-\u05ff\ufb1d-\ufb4f",
    "Kana": r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "Khmr": r"\u1780-\u17ff",
    "Knda": r"\u0c80-\u0cff",
    "Laoo": r"\u0e80-\u0eff",
    _LATIN: r"A-Za-z\u00aa\u00ba\u00c0-\u024f\u0250-\u02af\u1e00-\u1eff\ua720-\ua7ff"
    r"\uff21-\uff3a\uff41-\uff5a",
    "Mlym": r"\u0d00-\u0d7f",
    "Mong": r"\u1800-\u18af",
    "Mymr": r"\u1000-\u109f\uaa60-\uaa7f",
    "Orya": r"\u0b00-\u0b7f",
    "Sinh": r"\u0d80-\u0dff",
    "Taml": r"\u0b80-\u0bff",
    "Telu": r"\u0c00-\u0c7f",
    "Tfng": r"\u2d30-\u2d7f",
    "Thaa": r"\u0780-\u07bf",
    "Thai": r"\u0e00-\u0e7f",
    "Tibt": r"\u0f00-\u0fff",
    "Yiii": r"\ua000-\ua4cf",
}
# Tags of ISO 15924 that stand for several of these.
_COMPOSED = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Kana"),
    "Kore": ("Hang", "Hani"),
}
# What is not here is written in Latin letters.
_LANGUAGES = {
    "Arab": ("apc", "ar", "ary", "arz", "ckb", "fa", "prs", "ps", "sd", "ug", "ur"),
    "Armn": ("hy",),
    "Beng": ("as", "bn"),
    "Cyrl": (
        *("ab", "av", "ba", "be", "bg", "ce", "cu", "cv", "kv", "mk", "os", "ru"),
        *("tg", "tt", "uk"),
    ),
    "Deva": ("bho", "hi", "kok", "mai", "mr", "ne", "sa"),
    "Ethi": ("am", "ti", "tig"),
    "Geor": ("ka",),
    "Grek": ("el",),
    "Gujr": ("gu",),
    "Hani": ("yue", "zh"),
    "Hebr": ("he", "yi"),
    "Jpan": ("ja",),
    "Khmr": ("km",),
    "Knda": ("kn",),
    "Kore": ("ko",),
    "Laoo": ("lo",),
    "Mlym": ("ml",),
    "Mymr": ("my", "shn"),
    "Orya": ("or",),
    "Sinh": ("si",),
    "Taml": ("ta",),
    "Telu": ("te",),
    "Tfng": ("zgh",),
    "Thaa": ("dv",),
    "Thai": ("th",),
    "Tibt": ("bo", "dz"),
    "Yiii": ("ii",),
}
_OF_LANGUAGE = {code: name for name, codes in _LANGUAGES.items() for code in codes}
# Languages that are written in more than one script, where the tag does not say which.
_SEVERAL = {
    "az": (_LATIN, "Cyrl", "Arab"),
    "bs": (_LATIN, "Cyrl"),
    "cr": ("Cans", _LATIN),
    "ha": (_LATIN, "Arab"),
    "iu": ("Cans", _LATIN),
    "kk": ("Cyrl", _LATIN, "Arab"),
    "ks": ("Arab", "Deva"),
    "ku": (_LATIN, "Arab"),
    "ky": ("Cyrl", "Arab"),
    "mn": ("Cyrl", "Mong"),
    "ms": (_LATIN, "Arab"),
    "pa": ("Guru", "Arab"),
    "sr": ("Cyrl", _LATIN),
    "tk": (_LATIN, "Cyrl"),
    "uz": (_LATIN, "Cyrl", "Arab"),
}


def scripts_of(tag: str) -> tuple[str, ...]:
    """The scripts that a text in this language may have: `("Arab",)` for ar-EG.

    A script in the tag decides: `("Latn",)` for uz-Latn.
    """
    code, *rest = tag.replace("_", "-").split("-")
    for part in rest:
        if len(part) == 4 and part.isalpha():
            name = part.title()
            if name in _COMPOSED or name in _RANGES:
                return _COMPOSED.get(name, (name,))
    code = code.lower()
    if code in _SEVERAL:
        return _SEVERAL[code]
    name = _OF_LANGUAGE.get(code, _LATIN)
    return _COMPOSED.get(name, (name,))


def letters_in(scripts: tuple[str, ...]) -> re.Pattern[str]:
    """Matches runs of characters of these scripts."""
    found = _COMPILED.get(scripts)
    if found is None:
        ranges = "".join(_RANGES[script] for script in scripts)
        found = _COMPILED[scripts] = re.compile(f"[{ranges}]+")
    return found


def count_in(script: re.Pattern[str], text: str) -> int:
    """How many letters of it are in these scripts."""
    others = script.sub("", text)
    return sum(map(str.isalpha, text)) - sum(map(str.isalpha, others))


_COMPILED: dict[tuple[str, ...], re.Pattern[str]] = {}
