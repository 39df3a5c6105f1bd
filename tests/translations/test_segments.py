"""Cutting texts into segments and putting them together again."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from translations.segments import (
    MAX_PART_CHARACTERS,
    MAX_PART_SEGMENTS,
    MAX_SEGMENT_CHARACTERS,
    from_json,
    guess_format,
    join_pieces,
    parts,
    segment_hash,
    segments_of,
    source_hash,
    split_text,
    to_json,
)

FORMATS = ("text", "html", "markdown")

# Fragments that, side by side, make the texts that break tokenizers.
FRAGMENTS = st.sampled_from(
    [
        *(
            "<p>",
            "</p>",
            "<p class='x'>",
            "<strong>",
            "</strong>",
            "<b>",
            "</b>",
            "<br>",
        ),
        *("<em class=y>", "</em>", '<a href="/x?a=1&amp;b=2">', "</a>", "<a id='a1'>"),
        *("<A HREF=x TITLE='su\"aal'>", '<img alt="Hooyo" src=x>', "<img alt=Hooyo>"),
        *("<code>x = 1</code>", "<code", "</code>", "<pre>", "</pre>", "<!-- a", "-->"),
        *("<td>", "<li>", "<", ">", '"', "'", "&", "&amp;", "&nbsp;", "<br/>", "</ b>"),
        *("<span title='Fiiri: |'>", "</span>", "<q", "<script>", "</script>", "<!x>"),
        *(
            "# ",
            "## ",
            "- ",
            "1. ",
            "> ",
            "> - ",
            "    ",
            "\t",
            "| a | b |",
            "| - | - |",
        ),
        *(
            "|",
            "\\|",
            "**",
            "*",
            "_",
            "`",
            "``",
            "```\n",
            "~~~\n",
            "[",
            "](",
            "](a1)",
            ")",
        ),
        *(
            "[x](https://a.example/(b))",
            "![sawir](</m m.png>)",
            "[r]: http://x\n",
            "===",
        ),
        *("---", "- [ ] ", "\n", "\n\n", "\r\n", "\r", "  \n", "\\\n", " ", "\u2028"),
        *(
            "\u00a0",
            "\x0b",
            "\0",
            "a1",
            "s1",
            "su'aal",
            "Ilmaha",
            "طفل",
            "😀",
            "👨‍👩‍👧",
            "e\u0301",
        ),
        *(
            "12",
            "3.5",
            "https://a.example/b",
            "x@y.example",
            "{name}",
            "{{ x }}",
            "%s",
            ".",
        ),
        *("? ", "! ", "؟ ", "。", "word " * 700, "Waa jumlad. " * 400, "x" * 2000),
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(FRAGMENTS, max_size=25).map("".join))


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
@example(text="<b>a <i>b</b> c</i> <code>d</code> a1 <a href=x>e</a>")
@example(text="A](0 <?>")
@example(text="](<>A")
@example(text="> Ilmaha *waa\n> jecel* yahay\r\n> haa\nmaya")
def test_joining_the_segments_own_texts_gives_back_the_source(format, text):
    pieces = split_text(text, format)

    own = {segment.id: segment.text for segment in segments_of(pieces)}
    assert join_pieces(pieces, own) == text
    assert join_pieces(pieces, {}) == text
    assert all(len(text) <= MAX_SEGMENT_CHARACTERS for text in own.values())
    assert list(own) == [f"s{number}" for number in range(1, len(own) + 1)]


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=150)
@given(text=TEXTS)
def test_parts_are_small_and_follow_each_other(format, text):
    pieces = split_text(text, format)

    slices = parts(pieces)

    assert bool(slices) == bool(segments_of(pieces))
    if slices:
        assert "".join(join_pieces(part, {}) for part in slices) == text
    for part in slices:
        lengths = [len(segment.text) for segment in segments_of(part)]
        assert 1 <= len(lengths) <= MAX_PART_SEGMENTS
        assert sum(lengths) <= MAX_PART_CHARACTERS


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_a_template_goes_through_json(format, text):
    pieces = split_text(text, format)
    texts = {segment.id: segment.text for segment in segments_of(pieces)}

    data = json.loads(json.dumps(to_json(pieces)))

    assert from_json(data, texts) == pieces


def shown(text, format):
    return [segment.text for segment in segments_of(split_text(text, format))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<h2>Saddex</h2><ul><li>Jooji</li></ul>", ["Saddex", "Jooji"]),
        ("<p>Ha <strong>qaylin</strong>.</p>", ["Ha <strong>qaylin</strong>."]),
        ('<p>Ka hel <a href="/x">buug</a></p>', ['Ka hel <a id="a1">buug</a>']),
        ('<p><img src="x" alt="Hooyo"></p>', ["Hooyo"]),
        ("<td>11–14</td><td>3–5 sano</td>", ["3–5 sano"]),
        ("<p>https://a.example/x</p><p>{name}</p><p>&nbsp;</p>", []),
        ("<pre>print(1)</pre><script>let a</script>", []),
        ("<p>Qor <code>print</code> hadda</p>", ['Qor <code id="code1"/> hadda']),
        ("<p>Kow<br class='x'>Laba</p>", ['Kow<br id="br1"/>Laba']),
        ("<b>Kow<p>Laba</b>", ["Kow", "Laba"]),
        ('<a href="x">a1 waa</a>', ['<a id="a2">a1 waa</a>']),
    ],
)
def test_html_shows_prose_and_bare_inline_tags_only(text, expected):
    assert shown(text, "html") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Cunto\n\n- **Biyo** badan\n- 12\n", ["Cunto", "**Biyo** badan"]),
        ("Cinwaan\n=======\n", ["Cinwaan"]),
        ("| Da'da | Talo |\n| --- | --- |\n| 2–5 | Mid |\n", ["Da'da", "Talo", "Mid"]),
        ("Fiiri [liiska](https://a.example/b).", ["Fiiri [liiska](a1)."]),
        ("> Luqadda\n> hooyo", ["Luqadda\nhooyo"]),
        ("Kow  \nLaba\nSaddex", ["Kow", "Laba\nSaddex"]),
        ("```\nlet a\n```\n\n    let b\n", []),
        ("1. Qor `a b` hadda", ["Qor `a b` hadda"]),
        ("- [x] Samee", ["Samee"]),
        ("<div>\n<p>Kow</p>\n</div>\n\nLaba", ["Kow", "Laba"]),
        ("[a]: https://a.example\n", []),
        ("![Hooyo](/x.png)", ["![Hooyo](a1)"]),
    ],
)
def test_markdown_shows_the_text_of_its_blocks(text, expected):
    assert shown(text, "markdown") == expected


def test_plain_text_keeps_its_lines_apart():
    assert shown("Salaan,\r\n\r\nWaan ku faraxnay.\u2028Maamulka", "text") == [
        "Salaan,",
        "Waan ku faraxnay.",
        "Maamulka",
    ]


@pytest.mark.parametrize(
    ("format", "source", "targets", "expected"),
    [
        (
            "html",
            '<p>Ka hel <a href="/x?a=1" title="Buug fiican">buug</a></p>',
            {"s1": 'Find <a id="a1">books</a>', "s2": 'A "good" book'},
            '<p>Find <a href="/x?a=1" title="A &quot;good&quot; book">books</a></p>',
        ),
        (
            "html",
            "<p>Qor <code class='py'>a</code></p>",
            {"s1": "اكتب <code id='code1' />"},
            "<p>اكتب <code class='py'>a</code></p>",
        ),
        (
            "html",
            "<p>Ka hel <a href='/x'>buug</a></p>",
            {"s1": 'See <a id="a9">this</a>'},
            '<p>See <a id="a9">this</a></p>',
        ),
        (
            "markdown",
            "| Da'da |\n| --- |\n| Laba |\n",
            {"s1": "Age\nor | so", "s2": "Two"},
            "| Age or \\| so |\n| --- |\n| Two |\n",
        ),
        ("markdown", "# Kow", {"s1": "One\n\n# Two"}, "# One # Two"),
        (
            "markdown",
            "> Luqadda\n> [hooyo](/x)",
            {"s1": "[Mother](a1)\n\ntongue"},
            "> [Mother](/x)\n> tongue",
        ),
        ("text", "Kow\nLaba", {"s1": "One\nmore", "s2": "Two"}, "One more\nTwo"),
        ("text", "Kow\nLaba", {"s1": "One"}, "One\nLaba"),
    ],
)
def test_joining_puts_real_tags_back_and_keeps_the_blocks(
    format, source, targets, expected
):
    assert join_pieces(split_text(source, format), targets) == expected


def test_a_long_block_is_cut_at_sentence_ends():
    text = "<p>" + "Waa jumlad dheer oo wanaagsan. " * 200 + "</p>"

    texts = shown(text, "html")

    assert len(texts) == 4
    assert all(text.endswith("wanaagsan.") for text in texts)
    assert len(parts(split_text(text, "html"))) == 4


def test_a_cut_inside_a_tag_leaves_balanced_segments():
    text = f"<p><strong>{'Waa jumlad dheer. ' * 200}</strong> Dhammaad.</p>"

    assert all("strong" not in text for text in shown(text, "html"))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "unit",
    [
        "Waa jumlad. ",
        "a",
        ".",
        "<p",
        "<b><i>",
        "(",
        "`a",
        "](",
        "{%",
        "<a b='",
        "> ",
        "[a](b ",
    ],
)
def test_long_hostile_texts_go_through(format, unit):
    """What grows with the square of the length would take minutes here."""
    text = unit * (100_000 // len(unit))

    pieces = split_text(text, format)

    assert join_pieces(pieces, {}) == text


def test_an_unknown_format_is_named():
    with pytest.raises(
        ValueError, match="'rtf' is no text format; use one of text, html"
    ):
        split_text("x", "rtf")


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("Salaan\nNabad", "text"),
        ("<p>Salaan</p>", "html"),
        ("Kow<br>Laba", "html"),
        ("# Salaan\n\nNabad <br> x", "markdown"),
        ("Fiiri [liiska](https://a.example)", "markdown"),
        ("2 < 3 oo <name> ah", "text"),
    ],
)
def test_the_format_is_guessed(text, format):
    assert guess_format(text) == format


def test_hashes_ignore_normalisation_but_not_the_format():
    assert source_hash("caf\u00e9", "text") == source_hash("cafe\u0301", "text")
    assert source_hash("x", "text") != source_hash("x", "html")
    assert len(source_hash("x", "text")) == 64
    assert len(segment_hash("x")) == 16
