"""From an answer to findings: what the model, the field and the sandbox add to them."""

import json

import pytest
from django.core.checks import run_checks

from batches.workloads import Answer
from translations.judging import PRETENDED, as_pretended, check_whole, judge_answer
from translations.prompt import TranslationResult
from translations.segments import segments_of, split_text, to_json

BODY = "<p>Jooji shaqada.</p><p>Fiiri 3 jeer indhaha ilmaha yar.</p>"


def answer_to(text, *, field="body", format="html", fingerprint="", **context):
    pieces = split_text(text, format)
    kept = {
        "field": field,
        "language": "en",
        "source_language": "so",
        "format": format,
        "source_hash": "x",
        "part": 1,
        "parts": 1,
        "pieces": to_json(pieces),
    }
    asked = [{"id": s.id, "text": s.text} for s in segments_of(pieces)]
    user = json.dumps({"segments": asked})
    return Answer(
        item_id=1,
        provider="sandbox",
        model="m",
        is_sandbox=True,
        text="",
        fingerprint=fingerprint,
        body=json.dumps({"messages": [{"content": "…"}, {"content": user}]}),
        context=json.dumps(kept | context),
    )


def result(*texts, uncertain=()):
    return TranslationResult.model_validate(
        {
            "segments": [
                {"id": f"s{number}", "text": text}
                for number, text in enumerate(texts, start=1)
            ],
            "uncertain": list(uncertain),
        }
    )


def found(judged):
    return [(finding.code, finding.segment) for finding in judged.findings]


def test_a_doubt_of_the_model_is_a_finding_on_its_segment():
    doubt = {"id": "s2", "reason": "source_error", "note": "2 is meant"}
    right = ("Stop working.", "Look the small child in the eye 3 times.")

    judged = judge_answer(answer_to(BODY), result(*right, uncertain=[doubt]))

    assert found(judged) == [("uncertain", "s2")]
    assert "2 is meant" in judged.findings[0].message


def test_a_doubt_about_no_segment_is_not_lost():
    doubt = {"id": "s9", "reason": "other", "note": "who speaks?"}
    right = ("Stop working.", "Look the small child in the eye 3 times.")

    judged = judge_answer(answer_to(BODY), result(*right, uncertain=[doubt]))

    assert found(judged) == [("uncertain", "s1")]


def test_a_doubt_survives_the_parts_of_a_long_text():
    """A whole is checked from the segments that its parts were stored with."""
    doubt = {"id": "s1", "reason": "unknown_term", "note": "shaqo"}
    right = ("Stop working.", "Look the small child in the eye 3 times.")
    judged = judge_answer(answer_to(BODY), result(*right, uncertain=[doubt]))

    judged.segments = json.loads(json.dumps(judged.segments))

    again = check_whole(judged, ["s1", "s2"])
    assert again == judged.findings


def test_a_title_that_does_not_fit_its_field_is_an_error():
    answer = answer_to("Jooji", field="title", format="text", max_length=8)

    fits = judge_answer(answer, result("Stop now"))
    long = judge_answer(answer, result("Stop this"))

    assert found(fits) == []
    assert found(long) == [("too_long", "")]


def test_what_is_pretended_is_held_to_its_structure_alone():
    answer = answer_to(BODY, fingerprint=PRETENDED)

    judged = judge_answer(answer, result("Шлкш ылкшфыв.", "Шшшш 4."))

    assert found(judged) == [
        ("number_mismatch", "s2"),
        ("number_extra", "s2"),
        ("sandbox_text", ""),
    ]
    assert judged.is_pretended


def test_what_proves_to_be_pretended_later_loses_the_findings_about_language():
    judged = judge_answer(answer_to(BODY), result("Шлкш ылкшфыв.", "Шшшш 4."))
    assert ("wrong_script", "s1") in found(judged)

    codes = [finding.code for finding in as_pretended(judged.findings)]

    assert codes == ["number_mismatch", "number_extra", "sandbox_text"]


def test_a_language_that_the_detector_does_not_know_is_refused_at_the_start(settings):
    settings.LANGUAGES_TOLD_APART = ["en", "am", "xx"]

    messages = [message.msg for message in run_checks()]

    [told] = [message for message in messages if "LANGUAGES_TOLD_APART" in message]
    assert told.startswith("LANGUAGES_TOLD_APART has am, xx; it must be codes")


@pytest.mark.parametrize("told_apart", [["en", "so"], ["en", "fr", "so"]])
def test_the_languages_to_tell_apart_are_a_setting(settings, told_apart):
    """French is nearer to English than to Somali; who knows it sees what it is."""
    settings.LANGUAGES_TOLD_APART = told_apart
    french = "Regardez trois fois dans les yeux du petit enfant, puis souriez."

    judged = judge_answer(
        answer_to(
            "Fiiri 3 jeer indhaha ilmaha yar, ka dibna dhoola caddee.", format="text"
        ),
        result(french),
    )

    codes = [code for code, _ in found(judged)]
    assert ("wrong_language" in codes) == ("fr" in told_apart)
