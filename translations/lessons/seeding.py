"""Lessons, translations and proposals by the hundred thousand, for a seeded load."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.contrib.contenttypes.models import ContentType

from batches.benchmark.load import Content, Done
from batches.benchmark.writing import insert_whole
from batches.providers.registry import is_sandbox
from batches.services.bulk import Row, reserve_keys
from translations.lessons.models import (
    Course,
    Lesson,
    Module,
    Proposal,
    ProposalKind,
    ProposalStatus,
    Quiz,
    QuizQuestion,
)
from translations.models import Origin, ReviewStatus, Translation, TranslationVersion
from translations.quality import CHECKS_VERSION
from translations.segments import segment_hash
from translations.spans import json_text, spans_of

FIELDS = ("title", "description", "body")
LANGUAGES = ("en", "ar", "sw", "fr")
TARGETS = [(field, language) for field in FIELDS for language in LANGUAGES]
LESSONS_PER_COURSE = 200
QUESTIONS_PER_QUIZ = 10
SENTENCES = (
    "Hurdada ilmaha waa muhiim.",
    "Webigu wuxuu qaadaa biyo badan xilliga roobka.",
    "La hadal ilmaha maalin kasta, oo dhegayso waxa uu ku leeyahay.",
    "Codka hoos u dhig marka aad hadlayso.",
)
ANSWERS = {
    "en": "Speak to the child each day, and listen.",
    "ar": "تحدث إلى الطفل كل يوم واستمع إليه.",
    "sw": "Ongea na mtoto kila siku, na usikilize.",
    "fr": "Parlez à l'enfant chaque jour, et écoutez.",
}
WARNING = {
    "code": "length_ratio",
    "severity": "warning",
    "message": "It is much longer than its source.",
    "segment": "s1",
}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sentence(number: int) -> str:
    return f"{SENTENCES[number % len(SENTENCES)]} {number}"


class SeededTranslations(Content):
    """Lessons of a course, each to be translated in three fields and four languages.

    Of ten texts seven are published, two wait for review and one was rejected; one in
    eight has two versions, one in thirty is out of date.
    """

    workload = "translation"
    model = "gpt-4o-mini"
    weight = 70

    def __init__(self) -> None:
        self.lessons: list[int] = []
        self.course, self.modules = 0, [0]

    def subject_model(self) -> type[Lesson]:
        return Lesson

    def write_subjects(self, upto: int, *, now: datetime) -> None:
        lacking = -(-upto // len(TARGETS)) - len(self.lessons)
        if lacking <= 0:
            return
        first = len(self.lessons)
        keys = list(reserve_keys(Lesson, lacking))
        self.lessons += keys
        insert_whole(
            Lesson,
            (
                "id",
                "course",
                "module",
                "external_id",
                "position",
                "title",
                "description",
                "body",
            ),
            list(self._rows(keys, first)),  # courses are made on the way
            updated_at=now,
        )

    def _rows(self, keys: Sequence[int], first: int) -> Iterator[Row]:
        for number, key in enumerate(keys, start=first):
            if number % LESSONS_PER_COURSE == 0:
                self._begin_course(key)
            text = _sentence(number)
            body = "\n\n".join([text] * 3)
            place = number % LESSONS_PER_COURSE
            module = self.modules[place % len(self.modules)]
            yield (key, self.course, module, f"load-{key}", place, text, text, body)

    def _begin_course(self, key: int) -> None:
        course = Course.objects.create(external_id=f"load-{key}", title=f"Koorso {key}")
        self.course = course.pk
        self.modules = [
            Module.objects.create(course=course, title=f"Qaybta {n}", position=n).pk
            for n in (1, 2)
        ]

    def subject(self, position: int) -> tuple[str, str]:
        lesson, target = divmod(position, len(TARGETS))
        return str(self.lessons[lesson]), ":".join(TARGETS[target])

    def store(self, done: Sequence[Done]) -> None:
        units, versions = [], []
        keys = iter(reserve_keys(Translation, len(done)))
        version_keys = iter(reserve_keys(TranslationVersion, 2 * len(done)))
        for answer, key in zip(done, keys, strict=True):
            lesson, target = divmod(answer.position, len(TARGETS))
            field, language = TARGETS[target]
            source = _sentence(lesson)
            count = 2 if answer.position % 8 == 0 else 1
            own = [next(version_keys) for _ in range(count)]
            pretended = is_sandbox(answer.provider)
            for number, version in enumerate(own, start=1):
                versions.append(
                    _version(version, key, number, answer, language, source)
                )
            status = _status(answer.position)
            published = own[-1] if status == ReviewStatus.PUBLISHED else None
            units.append(
                (
                    key,
                    str(self.lessons[lesson]),
                    field,
                    language,
                    status.value,
                    own[-1],
                    published,
                    count,
                    _hash(source),
                    answer.position % 30 == 0,
                    pretended,
                    answer.at,
                    answer.at,
                )
            )
        insert_whole(
            TranslationVersion, VERSION_FIELDS, versions, checks_version=CHECKS_VERSION
        )
        insert_whole(
            Translation,
            UNIT_FIELDS,
            units,
            content_type=ContentType.objects.get_for_model(Lesson).pk,
            source_language="so",
            format="text",
            minor_from="",
        )


UNIT_FIELDS = (
    "id",
    "object_id",
    "field",
    "language",
    "status",
    "latest",
    "published",
    "versions_made",
    "source_hash",
    "is_stale",
    "is_sandbox",
    "created_at",
    "updated_at",
)
VERSION_FIELDS = (
    "id",
    "translation",
    "number",
    "text",
    "spans",
    "source_hash",
    "origin",
    "item",
    "provider",
    "model",
    "is_sandbox",
    "findings",
    "warnings",
    "score",
    "created_at",
)


def _status(position: int) -> ReviewStatus:
    place = position % 10
    if place < 7:
        return ReviewStatus.PUBLISHED
    return ReviewStatus.PENDING_REVIEW if place < 9 else ReviewStatus.REJECTED


def _version(
    key: int, unit: int, number: int, answer: Done, language: str, source: str
) -> Row:
    text = ANSWERS[language]
    findings = [WARNING] if answer.position % 9 == 0 else []
    return (
        key,
        unit,
        number,
        text,
        spans_of(text, [("s1", segment_hash(source), text)]),
        _hash(source),
        Origin.MACHINE.value,
        answer.item_id,
        answer.provider,
        answer.model,
        is_sandbox(answer.provider),
        json_text(findings),
        len(findings),
        100 - 5 * len(findings) - answer.position % 7,
        answer.at,
    )


class SeededQuestions(Content):
    """Quiz questions, and a proposal for each, of which one in three was decided."""

    workload = "quiz_improvement"
    model = "gpt-4.1-mini"
    weight = 10

    def __init__(self) -> None:
        self.questions: list[int] = []
        self.quiz = 0

    def subject_model(self) -> type[QuizQuestion]:
        return QuizQuestion

    def write_subjects(self, upto: int, *, now: datetime) -> None:
        lacking = upto - len(self.questions)
        if lacking <= 0:
            return
        first = len(self.questions)
        keys = list(reserve_keys(QuizQuestion, lacking))
        self.questions += keys
        insert_whole(
            QuizQuestion,
            ("id", "quiz", "external_id", "question", "options", "correct_answer"),
            list(self._rows(keys, first)),
        )

    def _rows(self, keys: Sequence[int], first: int) -> Iterator[Row]:
        for number, key in enumerate(keys, start=first):
            if number % QUESTIONS_PER_QUIZ == 0:
                self.quiz = _new_quiz(key)
            options = ["Qayli", "Codka dhig", "Bax"]
            yield (key, self.quiz, f"load-{key}", _sentence(number), options, 1)

    def subject(self, position: int) -> tuple[str, str]:
        return str(self.questions[position]), "question:so"

    def store(self, done: Sequence[Done]) -> None:
        insert_whole(
            Proposal,
            (
                "question",
                "status",
                "content",
                "before",
                "source_hash",
                "score",
                "item",
                "provider",
                "model",
                "is_sandbox",
                "created_at",
                "decided_by",
                "decided_at",
            ),
            [self._proposal(answer) for answer in done],
            kind=ProposalKind.QUIZ.value,
            language="so",
            number=1,
            checks_version=1,
        )

    def _proposal(self, answer: Done) -> Row:
        status = ProposalStatus.APPLIED if answer.position % 3 == 0 else None
        text = _sentence(answer.position)
        return (
            self.questions[answer.position],
            (status or ProposalStatus.PENDING).value,
            _proposed(text),
            {"question": text, "options": [], "explanation": "", "difficulty": ""},
            _hash(text),
            100 - answer.position % 11,
            answer.item_id,
            answer.provider,
            answer.model,
            is_sandbox(answer.provider),
            answer.at,
            "load-1" if status else "",
            answer.at if status else None,
        )


def _new_quiz(key: int) -> int:
    """A quiz of a lesson of its own."""
    course, _ = Course.objects.get_or_create(
        external_id="load-quizzes", defaults={"title": "Imtixaano"}
    )
    lesson = Lesson.objects.create(
        course=course, external_id=f"load-quiz-{key}", title=f"Imtixaan {key}"
    )
    quiz = Quiz.objects.create(
        lesson=lesson, external_id=f"load-{key}", title=f"Imtixaan {key}"
    )
    return quiz.pk


def _proposed(text: str) -> dict[str, object]:
    option = {"is_correct": False, "rationale": "Sababta"}
    return {
        "language": "so",
        "question": text,
        "options": [
            {**option, "id": "a", "text": "Qayli"},
            {**option, "id": "b", "text": "Codka dhig", "is_correct": True},
            {**option, "id": "c", "text": "Bax"},
        ],
        "explanation": "Qayladu way kordhisaa.",
        "difficulty": "",
        "bloom_level": "apply",
        "evidence_quote": "Codka hoos u dhig",
        "key_disputed": False,
        "changes": [
            {"field": "question", "issue": "unclear_wording", "reason": "It was long."}
        ],
    }
