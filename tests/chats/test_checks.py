"""Each check with an analysis that it objects to, beside one that passes all."""

import copy
import json
from pathlib import Path

import pytest

from batches.wire_schema import strict_schema
from tests.chats.conftest import CONTENT
from translations.chats.checks import CHECKS, Asked, check_analysis, is_question
from translations.chats.findings import ERRORS, WARNING_COSTS
from translations.chats.masking import Names, digests
from translations.chats.prompt import SentMessage, prepare
from translations.chats.risks import risks_in
from translations.chats.shapes import ChatAnalysis, reader_of
from translations.chats.taxonomies import ACADEMY, STAFF, taxonomy_of
from translations.quality import score

HERE = Path(__file__).parent
EXAMPLES = [
    json.loads(line)
    for line in (HERE / "example_outputs.jsonl").read_text().splitlines()
]
CHATS = {
    chat["id"]: chat
    for chat in map(json.loads, (CONTENT / "chats.jsonl").read_text().splitlines())
}
TOLD_APART = frozenset({"ar", "de", "en", "es", "fr", "so", "sw"})


def asked_of(*texts, first="customer", **given):
    """A chat in which customer and staff take turns."""
    roles = ("customer", "agent") if first == "customer" else ("agent", "customer")
    messages = [
        SentMessage(index, roles[index % 2], text) for index, text in enumerate(texts)
    ]
    sent = prepare(messages, Names()).messages
    return Asked(sent, told_apart=TOLD_APART, **given)


def sample(key):
    messages = [
        SentMessage(one["index"], one["role"], one["text"])
        for one in CHATS[key]["messages"]
    ]
    return Asked(prepare(messages, Names()).messages, told_apart=TOLD_APART)


CHAT = asked_of(
    "Hello, how do I change my password in the new app?",
    "Open your profile and choose security.",
    "I found it now, thank you very much.",
)
GOOD = {
    "primary_language": "en",
    "languages": ["en"],
    "sentiment": "positive",
    "sentiment_end": "better",
    "category": "account_access",
    "secondary_categories": [],
    "resolution": "resolved",
    "escalation": {"level": "none", "reasons": ["none"]},
    "summary": "The customer asked how to change a password and found it in the app.",
    "questions": [
        {
            "text": "How do I change my password in the app?",
            "language": "en",
            "message_index": 0,
            "answered": True,
            "answer_message_index": 1,
        }
    ],
    "evidence": [
        {"label": "category", "message_index": 0, "quote": "change my  PASSWORD"},
        {"label": "sentiment", "message_index": 2, "quote": "thank you very much"},
    ],
}
QUESTION = GOOD["questions"][0]


def found(output, asked=CHAT):
    return check_analysis(ChatAnalysis.model_validate(output), asked)


def codes(output, asked=CHAT):
    return {finding.code for finding in found(output, asked)}


def changed(**values):
    return {**copy.deepcopy(GOOD), **values}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["note"])
def test_the_shipped_answers_get_exactly_the_expected_codes(example):
    findings = found(example["output"], sample(example["input_id"]))

    assert {f.code for f in findings if f.severity == "error"} == set(
        example["expected_errors"]
    )
    assert {f.code for f in findings if f.severity == "warning"} == set(
        example["expected_warnings"]
    )
    assert (score(findings) == 100) == (not findings)


def test_a_good_analysis_passes_all():
    assert found(GOOD) == []


BANK = asked_of("I will tell my bank about this course.", "I am sorry.", "Good.")
ARABIC = asked_of("أريد أن أعرف متى تبدأ الدورة الجديدة من فضلك يا أخي")
ANGRY = asked_of("My video is broken since yesterday", "Try now.", "Still not working!")
CASES = [
    ("evidence_not_in_source", changed(evidence=[]), CHAT),
    (
        "evidence_not_in_source",
        changed(evidence=[{"label": "category", "message_index": 9, "quote": "app"}]),
        CHAT,
    ),
    (
        "evidence_not_in_source",
        changed(evidence=[{"label": "category", "message_index": 1, "quote": "app"}]),
        CHAT,
    ),
    ("question_bad_index", changed(questions=[{**QUESTION, "message_index": 1}]), CHAT),
    (
        "question_bad_index",
        changed(questions=[{**QUESTION, "answer_message_index": 0}]),
        CHAT,
    ),
    (
        "pii_in_summary",
        changed(summary="The customer x@example.com asked how to change a password."),
        CHAT,
    ),
    (
        "pii_in_summary",
        changed(questions=[{**QUESTION, "text": "Why is 061 000 0001 not right?"}]),
        CHAT,
    ),
    (
        "pii_in_summary",
        changed(
            summary="Amina asked how to change a password and found it in the app."
        ),
        Asked(CHAT.messages, known=digests(["Amina"]), told_apart=TOLD_APART),
    ),
    ("escalation_missed", changed(sentiment="negative"), BANK),
    (
        "escalation_conflict",
        changed(escalation={"level": "none", "reasons": ["abuse"]}),
        CHAT,
    ),
    ("escalation_conflict", changed(escalation={"level": "low", "reasons": []}), CHAT),
    ("sentiment_conflict", GOOD, BANK),
    ("language_conflict", GOOD, ARABIC),
    ("language_conflict", changed(primary_language="Somali, mixed"), CHAT),
    ("resolution_conflict", GOOD, ANGRY),
    ("resolution_conflict", GOOD, asked_of("Hi", "Yes?", "When does it start?")),
    ("question_missed", changed(questions=[]), CHAT),
    ("question_missed", changed(questions=[]), asked_of("متى تبدأ الدورة؟")),
    ("summary_length", changed(summary="Password changed."), CHAT),
    ("summary_length", changed(summary="They asked. " * 41), CHAT),
    (
        "wrong_language",
        changed(summary="Macmiilku wuxuu weydiiyay sida erayga sirta ah loo beddelo."),
        CHAT,
    ),
    (
        "duplicate_question",
        changed(
            questions=[
                QUESTION,
                {**QUESTION, "text": "How do I change my password in the app now?"},
            ]
        ),
        CHAT,
    ),
]


def test_every_code_has_a_case_that_fails():
    assert {code for code, _, _ in CASES} == ERRORS | WARNING_COSTS.keys() | {
        "wrong_language"
    }
    assert len(CHECKS) == 11


@pytest.mark.parametrize(
    ("code", "output", "asked"), CASES, ids=[code for code, _, _ in CASES]
)
def test_a_check_finds_what_it_is_for(code, output, asked):
    assert code in codes(output, asked)
    assert code not in codes(GOOD)


@pytest.mark.parametrize(
    ("summary", "is_right"),
    [("Too short", False), ("Too short!", False), ("word " * 60, True)],
)
def test_summaries_are_measured_in_words(summary, is_right):
    assert ("summary_length" not in codes(changed(summary=summary))) == is_right


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I want a refund now", "refund"),
        ("lacagtayda celi", "refund"),
        ("Saddex jeer ayaan idiin soo qoray", "third_contact"),
        ("waxaan gudbin doonaa dacwad", "law"),
        ("لدي شكوى", "complaint"),
        ("أريد استرداد المال", "refund"),
        ("Sonst gehe ich zum Anwalt.", "law"),
        ("I will report you to my bank", "bank"),
        ("sometimes I want to end my life", "harm"),
    ],
)
def test_words_of_risk_are_found_in_every_language(text, kind):
    assert kind in risks_in([text])


@pytest.mark.parametrize(
    "text", ["The banking lesson", "I sat on a bench", "Mahadsanid"]
)
def test_what_only_looks_like_a_risk_is_none(text):
    assert risks_in([text]) == {}


def test_a_question_mark_in_an_address_asks_nothing():
    assert not is_question("see https://example.com/?a=1")
    assert is_question("see https://example.com/?a=1 or not?")


def test_somali_mixed_with_english_may_be_called_either():
    mixed = sample("chat-04")

    for label in ("so", "en"):
        assert "language_conflict" not in codes(changed(primary_language=label), mixed)


def test_the_schema_that_is_sent_is_the_one_that_was_agreed():
    agreed = json.loads((HERE / "analysis_schema.json").read_text())

    assert strict_schema(reader_of(ACADEMY).result) == agreed


def test_another_list_of_categories_is_another_schema():
    schema = strict_schema(reader_of(STAFF).result)

    assert schema["properties"]["category"]["enum"] == list(STAFF.categories)
    assert len(STAFF.categories) == 13
    assert taxonomy_of("sales|returns|rest").other == "rest"
    assert taxonomy_of("sales|rest").version != taxonomy_of("sales|returns").version


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hr", "academy or staff"),
        ("a b|other", "is no category"),
        ("sales|sales", "twice"),
        ("|".join(f"c{n}" for n in range(49)), "too many"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        taxonomy_of(text)
