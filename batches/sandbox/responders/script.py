"""Pseudo text: letters of the target's script for letters of the source, one for one.

What is not prose stays as it is: tags, placeholders, numbers, entities, addresses.
"""

import re
from functools import cache

MARK = "‹pseudo› "

# Alphabets to write in; anything not named here is written in accented Latin.
ALPHABETS = {
    "Arab": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Hebr": "אבגדהוזחטיכלמנסעפצקרשת",
    "Cyrl": "абвгдежзийклмнопрстуфхцчшыьэюя",
    "Grek": "αβγδεζηθικλμνξοπρστυφχψω",
    "Deva": "अआइईउऊएऐओऔकखगघचछजझटठडढतथदधनपफबभमयरलवशषसह",
    "Ethi": "ሀለሐመሠረሰሸቀበተቸነኘአከወዘዠየደጀገጠጨጸፈፐ",
    "Hani": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年",
    "Hira": "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほ",
    "Hang": "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허",
}
SCRIPTS = {
    "ar": "Arab", "arabic": "Arab", "fa": "Arab", "persian": "Arab", "ur": "Arab",
    "urdu": "Arab", "ps": "Arab", "he": "Hebr", "iw": "Hebr", "hebrew": "Hebr",
    "yi": "Hebr", "ru": "Cyrl", "russian": "Cyrl", "uk": "Cyrl", "ukrainian": "Cyrl",
    "bg": "Cyrl", "sr": "Cyrl", "el": "Grek", "greek": "Grek", "hi": "Deva",
    "hindi": "Deva", "mr": "Deva", "ne": "Deva", "am": "Ethi", "amharic": "Ethi",
    "ti": "Ethi", "zh": "Hani", "chinese": "Hani", "ja": "Hira", "japanese": "Hira",
    "ko": "Hang", "korean": "Hang",
}  # fmt: skip
ACCENTED = dict(
    zip("aeiouycnszdglrtAEIOUYCNSZ", "áéíóúýçñšžđğłřťÁÉÍÓÚÝÇÑŠŽ", strict=True)
)
LATIN = "abcdefghijklmnopqrstuvwxyz"

# Most texts hold nothing of the kind; looking for these signs first is cheap.
SIGNS = re.compile(r"[<{%⟦&`@0-9]|://|www\.")
KEPT = re.compile(
    r"""(
      <!--.*?--> | </?[A-Za-z][^<>]*>            # tags
    | \{\{.*?\}\} | \{%.*?%\} | \{\#.*?\#\}      # templates
    | \$?\{[^{}\s]*\}                            # {x} ${x}
    | %\([^)\s]*\)[a-zA-Z] | %\d*\$?[sdif@]\b    # %(x)s %s %1$s
    | ⟦[^⟧]*⟧
    | (?:https?://|www\.)[^\s<>"']+ | \b[\w.+-]{1,64}@[\w-]+\.[\w.-]+
    | &(?:\#\d+|\#x[0-9a-fA-F]+|\w+);            # entities
    | `[^`\n]*`
    | \d+(?:[.,:/–-]\d+)*                        # numbers, times, ranges
    )""",
    re.VERBOSE | re.DOTALL,
)


class _Letters(dict[int, str | int]):
    """A translation table that works out a letter's counterpart when first met."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self.alphabet = ALPHABETS.get(script)

    def __missing__(self, code: int) -> str | int:
        self[code] = self._counterpart(chr(code))
        return self[code]

    def _counterpart(self, letter: str) -> str:
        if not letter.isalpha():
            return letter
        if self.alphabet is not None:
            if letter.lower() in self.alphabet:
                return letter
            return self.alphabet[ord(letter.lower()) % len(self.alphabet)]
        if letter in ACCENTED:
            return ACCENTED[letter]
        if letter < "ɐ":  # Latin already
            return letter
        plain = LATIN[ord(letter) % len(LATIN)]
        return ACCENTED.get(plain, plain)


@cache
def letters_for(language: str) -> _Letters:
    """The table for a language given by code (`ar`, `pt-BR`) or English name."""
    code = language.strip().lower().replace("_", "-")
    return _Letters(SCRIPTS.get(code) or SCRIPTS.get(code.split("-")[0], "Latn"))


def pseudo_text(text: str, language: str) -> str:
    """The text in the language's script, marked before its first letter."""
    if not text.strip():
        return text
    letters = letters_for(language)
    # Prose at even places, what is kept at odd ones.
    parts = KEPT.split(text) if SIGNS.search(text) else [text]
    marked = False
    for place in range(0, len(parts), 2):
        prose = parts[place]
        if not prose:
            continue
        if not marked and not prose.isspace():
            body = prose.lstrip()
            space = prose[: len(prose) - len(body)]
            parts[place] = space + MARK + body.translate(letters)
            marked = True
        else:
            parts[place] = prose.translate(letters)
    return "".join(parts)
