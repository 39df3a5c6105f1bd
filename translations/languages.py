"""Languages by BCP 47 tag: their English names, their direction, their register.

The names are those of ISO 639-1, and of languages with many speakers that have three
letters there; a tag may go on with a script, a region and variants.
"""

import re

NAMES = dict(
    pair.split(" ", 1)
    for pair in [
        "aa Afar",
        "ab Abkhazian",
        "ae Avestan",
        "af Afrikaans",
        "ak Akan",
        "am Amharic",
        "an Aragonese",
        "ar Arabic",
        "as Assamese",
        "av Avaric",
        "ay Aymara",
        "az Azerbaijani",
        "ba Bashkir",
        "be Belarusian",
        "bg Bulgarian",
        "bi Bislama",
        "bm Bambara",
        "bn Bengali",
        "bo Tibetan",
        "br Breton",
        "bs Bosnian",
        "ca Catalan",
        "ce Chechen",
        "ch Chamorro",
        "co Corsican",
        "cr Cree",
        "cs Czech",
        "cu Church Slavic",
        "cv Chuvash",
        "cy Welsh",
        "da Danish",
        "de German",
        "dv Divehi",
        "dz Dzongkha",
        "ee Ewe",
        "el Greek",
        "en English",
        "eo Esperanto",
        "es Spanish",
        "et Estonian",
        "eu Basque",
        "fa Persian",
        "ff Fulah",
        "fi Finnish",
        "fj Fijian",
        "fo Faroese",
        "fr French",
        "fy Western Frisian",
        "ga Irish",
        "gd Scottish Gaelic",
        "gl Galician",
        "gn Guarani",
        "gu Gujarati",
        "gv Manx",
        "ha Hausa",
        "he Hebrew",
        "hi Hindi",
        "ho Hiri Motu",
        "hr Croatian",
        "ht Haitian",
        "hu Hungarian",
        "hy Armenian",
        "hz Herero",
        "ia Interlingua",
        "id Indonesian",
        "ie Interlingue",
        "ig Igbo",
        "ii Sichuan Yi",
        "ik Inupiaq",
        "io Ido",
        "is Icelandic",
        "it Italian",
        "iu Inuktitut",
        "ja Japanese",
        "jv Javanese",
        "ka Georgian",
        "kg Kongo",
        "ki Kikuyu",
        "kj Kuanyama",
        "kk Kazakh",
        "kl Kalaallisut",
        "km Khmer",
        "kn Kannada",
        "ko Korean",
        "kr Kanuri",
        "ks Kashmiri",
        "ku Kurdish",
        "kv Komi",
        "kw Cornish",
        "ky Kyrgyz",
        "la Latin",
        "lb Luxembourgish",
        "lg Ganda",
        "li Limburgish",
        "ln Lingala",
        "lo Lao",
        "lt Lithuanian",
        "lu Luba-Katanga",
        "lv Latvian",
        "mg Malagasy",
        "mh Marshallese",
        "mi Maori",
        "mk Macedonian",
        "ml Malayalam",
        "mn Mongolian",
        "mr Marathi",
        "ms Malay",
        "mt Maltese",
        "my Burmese",
        "na Nauru",
        "nb Norwegian Bokmål",
        "nd North Ndebele",
        "ne Nepali",
        "ng Ndonga",
        "nl Dutch",
        "nn Norwegian Nynorsk",
        "no Norwegian",
        "nr South Ndebele",
        "nv Navajo",
        "ny Chichewa",
        "oc Occitan",
        "oj Ojibwa",
        "om Oromo",
        "or Odia",
        "os Ossetian",
        "pa Punjabi",
        "pi Pali",
        "pl Polish",
        "ps Pashto",
        "pt Portuguese",
        "qu Quechua",
        "rm Romansh",
        "rn Rundi",
        "ro Romanian",
        "ru Russian",
        "rw Kinyarwanda",
        "sa Sanskrit",
        "sc Sardinian",
        "sd Sindhi",
        "se Northern Sami",
        "sg Sango",
        "si Sinhala",
        "sk Slovak",
        "sl Slovenian",
        "sm Samoan",
        "sn Shona",
        "so Somali",
        "sq Albanian",
        "sr Serbian",
        "ss Swati",
        "st Southern Sotho",
        "su Sundanese",
        "sv Swedish",
        "sw Swahili",
        "ta Tamil",
        "te Telugu",
        "tg Tajik",
        "th Thai",
        "ti Tigrinya",
        "tk Turkmen",
        "tl Tagalog",
        "tn Tswana",
        "to Tonga",
        "tr Turkish",
        "ts Tsonga",
        "tt Tatar",
        "tw Twi",
        "ty Tahitian",
        "ug Uyghur",
        "uk Ukrainian",
        "ur Urdu",
        "uz Uzbek",
        "ve Venda",
        "vi Vietnamese",
        "vo Volapük",
        "wa Walloon",
        "wo Wolof",
        "xh Xhosa",
        "yi Yiddish",
        "yo Yoruba",
        "za Zhuang",
        "zh Chinese",
        "zu Zulu",
        "apc Levantine Arabic",
        "ary Moroccan Arabic",
        "arz Egyptian Arabic",
        "ast Asturian",
        "bho Bhojpuri",
        "ceb Cebuano",
        "ckb Central Kurdish",
        "din Dinka",
        "fil Filipino",
        "gsw Swiss German",
        "haw Hawaiian",
        "hmn Hmong",
        "ilo Ilocano",
        "kab Kabyle",
        "kam Kamba",
        "kmb Kimbundu",
        "kok Konkani",
        "luo Luo",
        "mai Maithili",
        "mos Mossi",
        "nds Low German",
        "nso Northern Sotho",
        "nus Nuer",
        "pcm Nigerian Pidgin",
        "prs Dari",
        "sco Scots",
        "shn Shan",
        "sid Sidamo",
        "tet Tetum",
        "tig Tigre",
        "wal Wolaytta",
        "war Waray",
        "yue Cantonese",
        "zgh Standard Moroccan Tamazight",
    ]
)
RIGHT_TO_LEFT = frozenset(
    {
        *("apc", "ar", "ary", "arz", "ckb", "dv", "fa", "he", "prs", "ps", "sd"),
        *("ug", "ur", "yi"),
    }
)
REGISTERS = {
    "ar": "Modern Standard Arabic, gender-neutral where it reads well",
}
PLAIN_REGISTER = "plain, everyday words"

_TAG = re.compile(
    r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
)
LONGEST_TAG = 35  # characters, by RFC 5646


def is_known(tag: str) -> bool:
    """Whether a tag is written as BCP 47 wants it, in a language we can name."""
    is_tag = bool(_TAG.fullmatch(tag)) and len(tag) <= LONGEST_TAG
    return is_tag and _language(tag) in NAMES


def known_tags(tags: list[str], *, such_as: str) -> list[str]:
    """The tags, each once; raises ValueError naming the first that is not known."""
    for tag in tags:
        if not is_known(tag):
            raise ValueError(
                f"{tag!r} is no language tag we know; write it as in {such_as}."
            )
    return list(dict.fromkeys(tags))


def language_name(tag: str) -> str:
    """The language's English name, with the rest of the tag: `Portuguese (pt-BR)`."""
    name = NAMES.get(_language(tag), tag)
    return f"{name} ({tag})" if "-" in tag else name


def direction(tag: str) -> str:
    """`rtl` or `ltr`, for the `dir` of a text block."""
    is_rtl = _language(tag) in RIGHT_TO_LEFT or "-Arab" in tag or "-Hebr" in tag
    return "rtl" if is_rtl and "-Latn" not in tag else "ltr"


def register_of(tag: str) -> str:
    return REGISTERS.get(_language(tag), PLAIN_REGISTER)


def _language(tag: str) -> str:
    return tag.partition("-")[0]
