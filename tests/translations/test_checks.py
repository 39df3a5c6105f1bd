"""Each check of translations by itself: what it lets be, and what it finds."""

import pytest

from translations.quality import CHECKS_VERSION, Background, Pair, check_pair, score
from translations.quality.answers import ending, uncertain
from translations.quality.checks import STRUCTURE
from translations.quality.findings import ERRORS, NOTES, WARNING_COSTS
from translations.quality.terms import term_from_row

CHILD = {
    "source_term": "ilme",
    "source_forms": ["ilme", "ilmaha", "ilmuhu", "ilmihiisa"],
    "rule": "required",
}
IN_ENGLISH = term_from_row(
    CHILD | {"preferred": ["child", "children"], "forbidden": ["kid", "kids"]}
)
IN_ARABIC = term_from_row(
    CHILD | {"preferred": ["طفل", "أطفال"], "forbidden": ["عيل", "قاعدة"]}
)
LIKED = term_from_row(
    {
        "source_term": "tarbiyad",
        "source_forms": "tarbiyad|tarbiyadda",
        "preferred": "parenting|upbringing",
        "rule": "preferred",
    }
)
KEPT = term_from_row(
    {"source_term": "Akadeemiyadda Waalidka Cusub ee Hodan", "rule": "keep"}
)
LOOP = "Wax kasta oo aad samayso waa muhiim ilmahaaga, ee ku celi maalin kasta."

# (code, source, target, languages, format, background): the code is found.
FOUND = [
    ("empty", "Jooji", " ", "so en", "text", {}),
    ("segments_missing", "Jooji", None, "so en", "text", {}),
    ("markup_malformed", "<b>Jooji</b>", "<b>Stop", "so en", "html", {}),
    ("tags_mismatch", "<b>Jooji</b> hadda", "Stop now", "so en", "html", {}),
    ("tags_order", "<b>Kow</b> <i>b</i>", "<i>a</i> <b>b</b>", "so en", "html", {}),
    ("placeholder_mismatch", "Salaan {name}", "Hello {magac}", "so en", "text", {}),
    ("placeholder_mismatch", "Line %d of %d", "Ligne %d", "en fr", "text", {}),
    ("placeholder_mismatch", "{0:.2f} km", "{1:.2f} km", "en fr", "text", {}),
    ("url_mismatch", "Eeg www.a.example", "See www.b.example", "so en", "text", {}),
    ("number_mismatch", "10–13 saac", "10–12 hours", "so en", "text", {}),
    ("number_mismatch", "5 minutes", "15 Minuten", "en de", "text", {}),
    ("number_mismatch", "3 steps", "quatre étapes", "en fr", "text", {}),
    ("number_extra", "Hurdo fiican", "8 hours of sleep", "so en", "text", {}),
    ("number_extra", "Good sleep", "Trois bons sommeils", "en fr", "text", {}),
    ("wrong_script", "Hurdo fiican", "Good sleep", "so ar", "text", {}),
    ("wrong_script", "Hurdo fiican", "Хороший сон", "so en", "text", {}),
    ("wrong_script", "Good sleep", "dobar san", "en sr-Cyrl", "text", {}),
    ("mixed_script", "Ku dhufo badhanka", "اضغط على button", "so ar", "text", {}),
    (
        "wrong_language",
        "Ku celi waxa uu yiri si aad u hubiso.",
        "Répétez ce qu'il a dit pour en être certain.",
        "so en",
        "text",
        {},
    ),
    (
        "language_unsure",
        "Dhegayso ilmahaaga",
        "Écoutez votre enfant",
        "so en",
        "text",
        {},
    ),
    ("untranslated", "Ha qaylin marnaba", "Ha qaylin marnaba", "so en", "text", {}),
    (
        "untranslated",
        "Marka uu dego, kala hadal waxa dhacay maanta.",
        "Then: marka uu dego, kala hadal waxa dhacay maanta.",
        "so en",
        "text",
        {},
    ),
    (
        "partly_untranslated",
        "Codkaaga hoos u dhig. Marka uu dego, kala hadal waxa dhacay.",
        "Lower your voice and sit beside your child for a while. Then be quiet "
        "until the anger is gone. Marka uu dego, kala hadal waxa dhacay.",
        "so en",
        "text",
        {},
    ),
    ("length_extreme", LOOP, "Repeat.", "so en", "text", {}),
    ("length_ratio", LOOP, "All of it matters to your child.", "so en", "text", {}),
    (
        "repetition_loop",
        "Waa wax fiican",
        "very very very very good",
        "so en",
        "text",
        {},
    ),
    (
        "repetition_loop",
        LOOP,
        "to your child to your child to your child every day",
        "so en",
        "text",
        {},
    ),
    (
        "meta_text",
        "Jooji shaqada",
        "Here is the translation: Stop",
        "so en",
        "text",
        {},
    ),
    ("meta_text", "Jooji shaqada", "Sure, stop working", "so en", "text", {}),
    ("meta_text", "Jooji shaqada", "Translation: Stop working", "so en", "text", {}),
    ("meta_text", "Jooji shaqada", "As an AI, I say: stop", "so en", "text", {}),
    ("meta_text", "Jooji", "I'm sorry, I can't translate this", "so en", "text", {}),
    ("meta_text", "Jooji shaqada", "إليك الترجمة: أوقف العمل", "so ar", "text", {}),
    ("meta_text", "Jooji shaqada", "الترجمة: أوقف العمل", "so ar", "text", {}),
    ("meta_text", "Stop working", "Voici la traduction : Arrêtez", "en fr", "text", {}),
    ("meta_text", "Jooji shaqada", "```\nStop working\n```", "so en", "markdown", {}),
    (
        "glossary_missing",
        "Ilmaha",
        "The boy",
        "so en",
        "text",
        {"terms": (IN_ENGLISH,)},
    ),
    ("glossary_missing", "Ilmaha", "الولد", "so ar", "text", {"terms": (IN_ARABIC,)}),
    ("glossary_missing", "Tarbiyadda", "Care", "so en", "text", {"terms": (LIKED,)}),
    (
        "glossary_missing",
        "Akadeemiyadda Waalidka Cusub ee Hodan",
        "The New Parents' Academy of Hodan",
        "so en",
        "text",
        {"terms": (KEPT,)},
    ),
    (
        "glossary_forbidden",
        "Ilmaha",
        "The kid",
        "so en",
        "text",
        {"terms": (IN_ENGLISH,)},
    ),
    (
        "glossary_forbidden",
        "Ilmaha",
        "والعيل",
        "so ar",
        "text",
        {"terms": (IN_ARABIC,)},
    ),
    (
        "glossary_forbidden",
        "Ilmaha",
        "قاعدتهم",
        "so ar",
        "text",
        {"terms": (IN_ARABIC,)},
    ),
    ("doubled_word", "Dhegayso ilmaha", "Listen to to the child", "so en", "text", {}),
    ("end_punctuation", "Ma fiican yahay?", "It is good.", "so en", "text", {}),
    ("arabic_punctuation", "Maxaa dhacay?", "ماذا حدث?", "so ar", "text", {}),
    ("arabic_punctuation", "Caano, biyo", "حليب, ماء", "so ar", "text", {}),
    ("whitespace", " Jooji", "Stop", "so en", "text", {}),
    ("control_chars", "Jooji", "St\u202eop", "so en", "text", {}),
    ("control_chars", "Jooji", "Stop\ufffd", "so en", "text", {}),
    ("too_long", "Jooji", "Stop it now", "so en", "text", {"max_length": 10}),
    ("unsafe_html", "<b>a</b>", "<b onclick='x()'>a</b>", "so en", "html", {}),
    ("unsafe_html", "Jooji", "Stop<script>x()</script>", "so en", "html", {}),
    ("unsafe_html", "Jooji", "Stop<script>x()</script>", "so en", "text", {}),
    ("unsafe_html", "Jooji", "Stop<img src=x onerror=x() ", "so en", "html", {}),
    ("unsafe_html", "Jooji", "Stop<svg/onload=x()>", "so en", "markdown", {}),
    (
        "unsafe_html",
        "<b style='color: red'>a</b>",
        "<b style='color: red; background: url(/x)'>a</b>",
        "so en",
        "html",
        {},
    ),
    (
        "unsafe_html",
        '<a href="/x">a</a>',
        '<a href="jav&#x09;ascript:x()">a</a>',
        "so en",
        "html",
        {},
    ),
    ("unsafe_html", "[a](/x)", "[a](javascript:x())", "so en", "markdown", {}),
    ("unsafe_html", "a", '<iframe src="/x"></iframe>', "so en", "html", {}),
    (
        "inconsistent",
        "Jooji  hadda",
        "Halt now",
        "so en",
        "text",
        {"approved": {"Jooji hadda": ["Stop now"]}},
    ),
    ("language_unchecked", "Jooji hadda", "አሁን አቁም", "so am", "text", {}),
]

# (code, source, target, languages, format, background): nothing at all is found.
CLEAN = [
    ("markup_malformed", "<b>Jooji</b><br>", "<b>Stop</b><br/>", "so en", "html", {}),
    ("tags_mismatch", "- **a**\n- b", "- **c**\n- d", "so en", "markdown", {}),
    ("placeholder_mismatch", "%s of %s", "%2$s de %1$s", "en fr", "text", {}),
    ("placeholder_mismatch", "100% sure", "100 % sûr", "en fr", "text", {}),
    (
        "placeholder_mismatch",
        "{{ a }} {b} %(c)s",
        "%(c)s {{ a }} {b}",
        "so en",
        "text",
        {},
    ),
    ("url_mismatch", "Eeg www.a.example.", "See www.a.example.", "so en", "text", {}),
    ("number_mismatch", "10,000 people", "10.000 Menschen", "en de", "text", {}),
    ("number_mismatch", "1,500 people", "1\u202f500 personnes", "en fr", "text", {}),
    ("number_mismatch", "1,500 people", "1 500 personnes", "en fr", "text", {}),
    ("number_mismatch", "2.5 litres", "2,5 Liter", "en de", "text", {}),
    ("number_mismatch", "3 times a day", "drei Mal am Tag", "en de", "text", {}),
    ("number_mismatch", "12 Monate", "douze mois", "de fr", "text", {}),
    ("number_mismatch", "2 hours", "ساعتان", "en ar", "text", {}),
    ("number_mismatch", "Page 1 of 7", "الصفحة ١ من ٧", "en ar", "text", {}),
    ("number_mismatch", "15 minutes", "१५ मिनट", "en hi", "text", {}),
    ("number_extra", "On Monday", "يوم الاثنين", "en ar", "text", {}),
    ("number_extra", "My new coat", "Mon manteau neuf", "en fr", "text", {}),
    ("number_extra", "Six weeks", "6 Wochen", "en de", "text", {}),
    ("number_extra", "Somebody called", "Ein Mann rief an", "en de", "text", {}),
    ("wrong_script", "Use PostgreSQL", "استخدم PostgreSQL", "en ar", "text", {}),
    ("wrong_script", "OK", "OK", "en fr", "text", {}),
    ("wrong_script", "Good morning", "Dobro jutro", "en sr", "text", {}),
    ("wrong_script", "Good morning", "おはようございます", "en ja", "text", {}),
    (
        "wrong_language",
        "Tell the school about every allergy that your child has.",
        "Informez l'école de toutes les allergies de votre enfant.",
        "en fr",
        "text",
        {},
    ),
    (
        "wrong_language",
        "Sheekooyin iyo heeso af-Soomaali ah u dhegaysta.",
        "Listen to stories and songs in Somali.",
        "so en",
        "text",
        {},
    ),
    (
        "language_unsure",
        "Shaashadda iyo telefoonka",
        "Screens and phones",
        "so en",
        "text",
        {},
    ),
    ("untranslated", "Xasan Cali Warsame", "حسن علي ورسمه", "so ar", "text", {}),
    (
        "untranslated",
        "Colour of the year",
        "Colour of the year",
        "en en-GB",
        "text",
        {},
    ),
    (
        "untranslated",
        "Akadeemiyadda Waalidka Cusub ee Hodan",
        "Akadeemiyadda Waalidka Cusub ee Hodan",
        "so en",
        "text",
        {"terms": (KEPT,)},
    ),
    (
        "length_ratio",
        "Ha iloobin inaad biyo siiso ilmahaaga.",
        "Do not forget to give your child water.",
        "so en",
        "text",
        {},
    ),
    (
        "length_extreme",
        "Please read the safety instructions carefully before use.",
        "使用前请仔细阅读安全说明。",
        "en zh",
        "text",
        {},
    ),
    ("repetition_loop", "Haa haa haa haa!", "Yes yes yes yes!", "so en", "text", {}),
    (
        "doubled_word",
        "Do you know yourselves?",
        "Vous vous connaissez ?",
        "en fr",
        "text",
        {},
    ),
    (
        "meta_text",
        "Waa kan liiska cuntada.",
        "Here is the food list.",
        "so en",
        "text",
        {},
    ),
    (
        "meta_text",
        "Hubaal, waa la heli karaa.",
        "Sure, it can be had.",
        "so en",
        "text",
        {},
    ),
    (
        "meta_text",
        "I am sorry, I was late.",
        "أنا آسف، لقد تأخرت.",
        "en ar",
        "text",
        {},
    ),
    ("meta_text", "Waan ka xumahay.", "I'm sorry.", "so en", "text", {}),
    (
        "glossary_missing",
        "Ilmaha",
        "The child",
        "so en",
        "text",
        {"terms": (IN_ENGLISH,)},
    ),
    ("glossary_missing", "Ilmaha", "وللطفلِ", "so ar", "text", {"terms": (IN_ARABIC,)}),
    (
        "glossary_missing",
        "Ilmihiisa",
        "أطفاله",
        "so ar",
        "text",
        {"terms": (IN_ARABIC,)},
    ),
    ("glossary_missing", "Hooyo", "Mother", "so en", "text", {"terms": (IN_ENGLISH,)}),
    (
        "glossary_forbidden",
        "Ilmaha",
        "A child with kidney pain",
        "so en",
        "text",
        {"terms": (IN_ENGLISH,)},
    ),
    ("end_punctuation", "Maxaa dhacay?", "ماذا حدث؟", "so ar", "text", {}),
    ("end_punctuation", "What happened?", "Τι έγινε;", "en el", "text", {}),
    ("end_punctuation", "He said “stop”.", "Er sagte: „Halt.“", "en de", "text", {}),
    ("end_punctuation", "What now?", "Et maintenant\u00a0?", "en fr", "text", {}),
    ("arabic_punctuation", "Caano, biyo", "حليب، ماء", "so ar", "text", {}),
    ("whitespace", " Jooji ", " Stop ", "so en", "text", {}),
    ("control_chars", "Family", "👨‍👩‍👧 العائلة\u200f", "en ar", "text", {}),
    ("too_long", "Jooji", "Stop now", "so en", "text", {"max_length": 8}),
    ("unsafe_html", "<p>a &amp; b</p>", "<p>c & d</p>", "so en", "html", {}),
    (
        "unsafe_html",
        '<font color="red">Jooji</font>',
        '<font color="red">Stop</font>',
        "so en",
        "html",
        {},
    ),
    (
        "unsafe_html",
        "<b style='color: red;'>a</b>",
        '<b style="color:red">a</b>',
        "so en",
        "html",
        {},
    ),
    ("unsafe_html", "5 < 6", "5 < 6", "so en", "html", {}),
    ("unsafe_html", '<a id="a1">Eeg</a>', '<a id="a1">See</a>', "so en", "html", {}),
    (
        "inconsistent",
        "Jooji hadda",
        "Stop  now",
        "so en",
        "text",
        {"approved": {"Jooji hadda": ["Halt now", "Stop now"]}},
    ),
    ("language_unchecked", "Stop", "Acha", "en sw", "text", {}),
]


def findings(source, target, languages, format, background):
    origin, to = languages.split()
    pair = Pair(source, target, origin, to, format, background=Background(**background))
    return check_pair(pair)


@pytest.mark.parametrize(
    ("code", "case"),
    [(row[0], row[1:]) for row in FOUND],
    ids=lambda value: str(value)[:40],
)
def test_a_fault_is_found(code, case):
    found = {finding.code: finding for finding in findings(*case)}

    assert code in found
    assert "%(" not in found[code].message
    assert found[code].version == CHECKS_VERSION
    if found[code].span and case[1]:
        start, end = found[code].span
        assert 0 <= start < end <= len(case[1])


@pytest.mark.parametrize(
    ("code", "case"),
    [(row[0], row[1:]) for row in CLEAN],
    ids=lambda value: str(value)[:40],
)
def test_what_is_right_is_let_be(code, case):
    found = [(finding.code, finding.message) for finding in findings(*case)]

    assert found == [], code


def test_every_code_is_tried_both_ways():
    """What the provider, the model or the sandbox says is no comparison of texts."""
    said = {"truncated", "refused", "uncertain", "sandbox_text"}
    never_clean = {"empty", "segments_missing", "partly_untranslated", "mixed_script"}
    codes = (ERRORS | WARNING_COSTS.keys() | NOTES) - said

    assert {row[0] for row in FOUND} == codes
    assert {row[0] for row in CLEAN} >= codes - never_clean - {"tags_order"}


def test_half_a_text_in_the_right_language_is_a_warning_and_not_the_wrong_one():
    found = findings(
        "Markaad ilmahaagu caroodo ha qaylin. Marka uu dego, kala hadal waxa dhacay.",
        "When your child gets angry do not shout. Marka uu dego, kala hadal waxa "
        "dhacay.",
        "so en",
        "text",
        {},
    )

    assert [finding.code for finding in found] == ["partly_untranslated"]
    assert score(found) == 85


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("length", ["truncated"]),
        ("content_filter", ["refused"]),
        ("stop", []),
        ("", []),
    ],
)
def test_how_an_answer_ended(reason, codes):
    assert [finding.code for finding in ending(reason)] == codes


def test_a_doubt_of_the_model_costs_five_points():
    doubt = uncertain("source_error", "12 is meant", "s3")

    assert doubt.message == (
        "The model is unsure (the source seems to be wrong): 12 is meant"
    )
    assert (doubt.segment, doubt.severity) == ("s3", "warning")
    assert score([doubt]) == 95


def test_a_preferred_term_costs_less_than_a_required_one():
    required = findings("Ilmaha", "Boy", "so en", "text", {"terms": (IN_ENGLISH,)})
    liked = findings("Tarbiyadda", "Care", "so en", "text", {"terms": (LIKED,)})

    assert (score(required), score(liked)) == (85, 95)
    assert liked[0].to_json()["cost"] == 5


def test_a_language_that_nothing_can_tell_is_said_so_and_costs_nothing():
    [note] = findings("Jooji hadda", "አሁን አቁም", "so am", "text", {})

    assert note.severity == "note"
    assert note.message == (
        "Whether this is Amharic is not checked: the language detector does not "
        "know it."
    )
    assert score([note]) == 100


def test_only_structure_is_checked_where_asked():
    pair = Pair("Dooro 3 xeer", "Dooro 4 xeer", "so", "ar")

    codes = [finding.code for finding in check_pair(pair, STRUCTURE)]

    assert codes == ["number_mismatch", "number_extra"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"source_term": "ilme", "rule": "always"}, "rule 'always' is none of"),
        ({"source_term": 5}, "source_term is 5 and no text"),
        (
            {"source_term": "ilme", "preferred": "child", "forbidden": 5},
            "forbidden is 5",
        ),
        ({"rule": "required"}, "neither source_term"),
        ({"source_term": "ilme"}, "neither preferred nor forbidden"),
    ],
)
def test_a_glossary_row_that_cannot_be_used_says_why(row, problem):
    with pytest.raises(ValueError, match=problem):
        term_from_row(row)


def test_a_glossary_row_is_for_its_own_languages():
    term = term_from_row(
        CHILD | {"preferred": "child", "source_language": "so", "target_language": "en"}
    )

    assert term.is_for("so", "en-GB")
    assert not term.is_for("so", "ar")
    assert not findings("Ilmaha", "طفل", "so ar", "text", {"terms": (term,)})
