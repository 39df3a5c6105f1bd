"""The checks of summaries and questions: each code with a case for and against it."""

import json
from pathlib import Path

import pytest

from batches.wire_schema import strict_schema
from tests.lessons.proposals.conftest import EXAMPLES, WORKLOADS, jsonl, judge
from translations.lessons.content.make_segments import CONTENT
from translations.lessons.findings import ERRORS, WARNING_COSTS
from translations.lessons.models import Lesson, QuizQuestion
from translations.lessons.quizzes.checks import check_question, check_writing
from translations.lessons.quizzes.prompt import QuizResult
from translations.lessons.summaries.checks import check_summary
from translations.lessons.summaries.prompt import SummaryResult
from translations.quality import score

SCHEMAS = json.loads((Path(__file__).parent / "output_schemas.json").read_text())
TOLD_APART = ["ar", "en", "so"]
GENERAL = {"empty", "wrong_language", "repetition_loop", "meta_text"}

LESSON = {
    "course": "Parents",
    "title": "Sleep",
    "description": "How a child sleeps well.",
    "text": (
        "Children sleep better when each evening looks the same as the one before. "
        "Begin with a warm bath and read a short story together. Then put out the "
        "light and leave the room quietly. A telephone near the bed keeps children "
        "awake, so take the telephone out of the room 30 minutes before bedtime. "
        "Children of four years need three small rituals: a bath, a story and a song. "
        "Stay calm when your child calls, and answer with few words. The bath and the "
        "story tell the child that the day is over."
    ),
}
ASKED_SUMMARY = {"language": "en", "source_language": "en", "lesson": LESSON}
SUMMARY = {
    "language": "en",
    "summary_short": "Fixed evening rituals help a small child to fall asleep.",
    "summary": (
        "This lesson shows parents how a fixed routine prepares small ones for the "
        "night. A bath, some reading and a quiet goodbye are enough. Screens should "
        "leave the bedroom half an hour early. If your child calls, keep calm and say "
        "little, so that everybody knows the day has ended."
    ),
    "key_points": [
        "Do the same things every evening.",
        "Keep the telephone out of the room.",
        "Answer calmly and briefly.",
    ],
    "objectives": [
        {
            "text": "Explain why a fixed evening helps.",
            "bloom_level": "understand",
            "verb": "explain",
            "evidence_quote": "Children sleep better when each evening looks the same",
        },
        {
            "text": "Use the three rituals at bedtime.",
            "bloom_level": "apply",
            "verb": "use",
            "evidence_quote": "a bath, a story and a song",
        },
    ],
}
OBJECTIVE = SUMMARY["objectives"][0]

ASKED_QUESTION = {
    "language": "en",
    "question": "When does the telephone leave the room of the child?",
    "options": [
        {"id": "a", "text": "In the morning, after breakfast"},
        {"id": "b", "text": "Half an hour before bedtime"},
        {"id": "c", "text": "When everybody is asleep"},
    ],
    "correct_ids": ["b"],
    "explanation": "It keeps children awake, so it leaves early.",
    "difficulty": "easy",
    "keys_of_quiz": ["a", "b"],
    "lesson": LESSON,
}
QUESTION = {
    "language": "en",
    "question": "When does the telephone leave the room of the child?",
    "options": [
        {
            "id": option["id"],
            "text": option["text"],
            "is_correct": option["id"] == "b",
            "rationale": "Because of the lesson.",
        }
        for option in ASKED_QUESTION["options"]
    ],
    "explanation": "It keeps children awake, so it leaves early.",
    "difficulty": "easy",
    "bloom_level": "remember",
    "evidence_quote": "take the telephone out of the room 30 minutes before bedtime",
    "key_disputed": False,
    "changes": [],
}


def of_summary(**changes):
    result = SummaryResult.model_validate({**SUMMARY, **changes})
    return check_summary(result, ASKED_SUMMARY, wanted="en", told_apart=TOLD_APART)


def of_question(asked=None, **changes):
    result = QuizResult.model_validate({**QUESTION, **changes})
    return check_question(
        result, {**ASKED_QUESTION, **(asked or {})}, told_apart=TOLD_APART
    )


def codes(findings):
    return sorted({finding.code for finding in findings})


def objectives(**changes):
    return [{**OBJECTIVE, **changes}, SUMMARY["objectives"][1]]


def options(*texts, right="b"):
    return [
        {"id": letter, "text": text, "is_correct": letter == right, "rationale": "x"}
        for letter, text in zip("abcdefgh", texts, strict=False)
    ]


def reworded(*texts, right="b", **more):
    """Both the question asked about and the answer have these options."""
    given = options(*texts, right=right)
    asked = {
        "options": [{"id": one["id"], "text": one["text"]} for one in given],
        "correct_ids": [right],
    }
    return {"asked": asked, "options": given, **more}


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row["note"])
def test_an_example_gives_exactly_its_codes(content, row):
    model = Lesson if row["workload"] == "lesson_summary" else QuizQuestion
    subject = model.objects.get(external_id=row["input_id"])

    verdict = judge(WORKLOADS[row["workload"]], subject, row["output"])

    findings = verdict.result.findings
    errors = [f for f in findings if f.severity == "error"]
    warnings = [f for f in findings if f.severity == "warning"]
    assert codes(errors) == sorted(row["expected_errors"])
    assert codes(warnings) == sorted(row["expected_warnings"])
    assert verdict.errors == ",".join(sorted(row["expected_errors"]))
    assert (score(findings) == 100) == (not findings)


@pytest.mark.parametrize("row", jsonl(CONTENT / "quizzes.jsonl"), ids=lambda r: r["id"])
def test_the_known_faults_of_the_shipped_questions_are_found(row):
    ids = [option["id"] for option in row["options"]]

    found = check_writing(
        row["question"],
        [option["text"] for option in row["options"]],
        ids.index(row["correct_option_ids"][0]),
        row["explanation"],
    )

    # That a wrong option is implausible is for a person to see.
    wanted = set(row["known_issues"]) - {"implausible_distractor"}
    assert wanted <= set(codes(found))
    assert row["known_issues"] or not codes(found)


def test_the_schemas_are_those_agreed_on():
    assert strict_schema(SummaryResult) == SCHEMAS["lesson_summary"]
    assert strict_schema(QuizResult) == SCHEMAS["quiz_improvement"]


def test_good_ones_have_no_findings():
    assert codes(of_summary()) == []
    assert codes(of_question()) == []


# --- Summaries ------------------------------------------------------------------------

LONG = " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" * 5)
SUMMARY_CASES = [
    ("empty", {"summary_short": " "}),
    ("empty", {"key_points": [*SUMMARY["key_points"], ""]}),
    ("wrong_language", {"language": "so"}),
    (
        "repetition_loop",
        {"summary": SUMMARY["summary"] + " calm calm calm calm"},
    ),
    ("meta_text", {"summary_short": "Here is the summary: rituals help."}),
    (
        "number_not_in_source",
        {"key_points": ["Sleep 11 hours.", *SUMMARY["key_points"]]},
    ),
    (
        "number_not_in_source",
        {"key_points": ["Seven rituals help.", *SUMMARY["key_points"]]},
    ),
    ("evidence_not_in_source", {"objectives": objectives(evidence_quote="A cat sat")}),
    ("evidence_not_in_source", {"objectives": objectives(evidence_quote="warm bath")}),
    ("no_objectives", {"objectives": []}),
    ("counts", {"objectives": [OBJECTIVE]}),
    ("counts", {"key_points": SUMMARY["key_points"][:2]}),
    ("length", {"summary": "Rituals help a child and the telephone does not."}),
    ("length", {"summary_short": "Rituals " * 30}),
    ("copied", {"summary": LESSON["text"][:330]}),
    (
        "vague_objective_verb",
        {"objectives": objectives(text="Understand the evening.", verb="Understand")},
    ),
    ("bloom_mismatch", {"objectives": objectives(bloom_level="create")}),
    ("verb_not_first", {"objectives": objectives(text="You can explain evenings.")}),
    ("duplicate_objective", {"objectives": [OBJECTIVE, OBJECTIVE]}),
    (
        "duplicate_point",
        {"key_points": [*SUMMARY["key_points"], "Answer calmly and briefly!"]},
    ),
    (
        "low_coverage",
        {
            "summary_short": "Fixed habits help.",
            "summary": (
                "Habits matter more than rules, because they give safety. Who repeats "
                "something often needs no force. Parents gain time for themselves, and "
                "everyone becomes more relaxed. It takes patience at first, but after "
                "some weeks nobody wants to go back to noise and quarrels."
            ),
            "key_points": ["Habits matter.", "Force fails.", "Patience pays."],
            "objectives": [
                {**OBJECTIVE, "text": "Explain why habits matter."},
                {**SUMMARY["objectives"][1], "text": "Use patience."},
            ],
        },
    ),
]


@pytest.mark.parametrize(("code", "changes"), SUMMARY_CASES)
def test_what_is_wrong_with_a_summary_is_found(code, changes):
    assert code in codes(of_summary(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"objectives": objectives(evidence_quote="children  SLEEP better when")},
        {"key_points": ["Keep three rituals.", *SUMMARY["key_points"]]},
        {"key_points": ["Keep 3 rituals.", *SUMMARY["key_points"]]},
        {"language": "en-GB"},
        {"objectives": objectives(text="EXPLAIN, in short, why.", verb="Explain")},
    ],
)
def test_what_is_right_in_a_summary_is_let_be(changes):
    assert codes(of_summary(**changes)) == []


def test_a_summary_in_another_language_is_held_against_that_one():
    result = SummaryResult.model_validate(SUMMARY)

    found = check_summary(result, ASKED_SUMMARY, wanted="so", told_apart=TOLD_APART)

    assert "wrong_language" in codes(found)


def test_an_arabic_verb_is_known_without_its_marks():
    from translations.lessons.summaries.bloom import begins_with, fits, is_vague

    assert fits("صف", "understand", "ar") and fits("صِف", "understand", "ar")
    assert begins_with("صِف الطفل", "صف", "ar")
    assert is_vague("تعلم", "ar")
    assert fits("mantener", "apply", "es")


# --- Questions ------------------------------------------------------------------------

RIGHT = "Half an hour before bedtime"
QUESTION_CASES = [
    ("empty", {"question": ""}),
    ("wrong_language", {"language": "ar"}),
    ("repetition_loop", {"explanation": "It it it it keeps everybody awake."}),
    ("meta_text", {"question": "Here is the improved question: when does it leave?"}),
    (
        "key_changed",
        {"options": options(*[o["text"] for o in QUESTION["options"]], right="a")},
    ),
    (
        "key_changed",
        {
            "options": options(
                RIGHT, "In the morning, after breakfast", "When everybody is asleep"
            )
        },
    ),
    ("key_disputed", {"key_disputed": True}),
    ("options_lost", {"options": options("In the morning", RIGHT)}),
    (
        "options_lost",
        {"options": [*QUESTION["options"], options("x", "y", "z", "w")[3]]},
    ),
    ("options_lost", {"options": [*QUESTION["options"], QUESTION["options"][0]]}),
    (
        "no_key",
        {"options": options(*[o["text"] for o in QUESTION["options"]], right="")},
    ),
    ("duplicate_options", reworded("Early!", "Late", "early")),
    ("overlapping_options", reworded("8–10 hours", "10–12 hours", "10–13 hours")),
    ("all_or_none_of_above", reworded("Early", "Late", "All of the above")),
    ("all_or_none_of_above", reworded("Hore", "Dib", "Dhammaan kuwa kor ku xusan")),
    ("negative_stem", {"question": "When should the telephone not leave?"}),
    ("negative_stem", {"question": "Maxaa aan fiicnayn?"}),
    (
        "length_cue",
        reworded("Early", "At a time that was agreed on together before", "Late"),
    ),
    (
        "options_uneven",
        reworded("At a time that was agreed on together", "Early on", "Late"),
    ),
    ("option_count", reworded("Early", "Late", right="b")),
    ("option_count", reworded("One", "Two", "Red", "Blue", "Green", "Grey")),
    ("missing_explanation", {"explanation": "It is so."}),
    ("evidence_not_in_source", {"evidence_quote": "Bedtime is at noon"}),
    ("not_in_lesson", {"evidence_quote": None}),
    (
        "answer_in_stem",
        reworded(
            "Breakfast",
            "Quiet evening light",
            "Noise",
            question="What does a quiet evening light give to the child?",
        ),
    ),
    ("position_bias", {"asked": {"keys_of_quiz": ["b"] * 5 + ["a"] * 3}}),
    ("silent_change", {"question": "Why do rituals help a child at all?"}),
    ("silent_change", {"explanation": "Something else entirely is said of songs."}),
]


@pytest.mark.parametrize(("code", "changes"), QUESTION_CASES)
def test_what_is_wrong_with_a_question_is_found(code, changes):
    assert code in codes(of_question(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        reworded("8–9 hours", "9–10 hours", "10–13 hours"),
        reworded("Haa", "Maya"),
        {"asked": {"keys_of_quiz": ["b"] * 4 + ["a"] * 4}},
        {"asked": {"keys_of_quiz": ["b"] * 7}},
        {
            "question": "When does the telephone leave the room of the CHILD?",
        },
        {
            "asked": {"question": "When does the telephone NOT leave the room?"},
            "question": "When does the telephone NOT leave the room?",
        },
        {
            "asked": {"question": "When does the telephone **not** leave the room?"},
            "question": "When does the telephone **not** leave the room?",
        },
        {
            "question": "Why do rituals help a child at all?",
            "changes": [{"field": "question", "issue": "other", "reason": "x"}],
        },
    ],
)
def test_what_is_right_in_a_question_is_let_be(changes):
    assert codes(of_question(**changes)) == []


def test_all_of_the_above_is_reported_once():
    found = check_writing(
        "Which?", ["A", "B", "All of the above that we named"], 2, "All four are good."
    )

    assert "length_cue" not in codes(found)


def test_every_code_has_a_case():
    tried = {code for code, _ in SUMMARY_CASES + QUESTION_CASES}

    assert tried == ERRORS | WARNING_COSTS.keys() | GENERAL
