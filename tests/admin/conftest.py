"""Rows as the engine would have written them, built directly."""

import itertools

import pytest
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    JobShare,
    OpenItem,
    Run,
)
from batches.states import (
    AT_PROVIDER,
    ITEM_OPEN,
    JOB_FINAL,
    RUN_FINAL,
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
    Trigger,
)
from translations.lessons.models import (
    Course,
    Lesson,
    Proposal,
    ProposalKind,
    Quiz,
    QuizQuestion,
)
from translations.lessons.proposals.contents import source_hash_of
from translations.models import (
    Origin,
    ReviewStatus,
    Translation,
    TranslationVersion,
)

numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def still_clock(monkeypatch):
    """Time stands still: looks of one minute are one entry of the audit log."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.fixture
def make_run():
    def make(status=RunStatus.PROCESSING, **given):
        given.setdefault("collected_at", timezone.now())
        given.setdefault("workload", "translation")
        given.setdefault("trigger", Trigger.COMMAND)
        if status in RUN_FINAL:
            given.setdefault("finished_at", timezone.now())
        return Run.objects.create(status=status, **given)

    return make


@pytest.fixture
def make_job():
    def make(status=JobStatus.IN_PROGRESS, *, runs=(), share=None, **given):
        given.setdefault("workload", "translation")
        given.setdefault("provider", "openai")
        given.setdefault("model", "gpt-4o-mini")
        given.setdefault("endpoint", "/v1/chat/completions")
        if status in AT_PROVIDER:
            given.setdefault("create_sent_at", timezone.now())
            given.setdefault("provider_batch_id", f"batch_{next(numbers)}")
        if status in JOB_FINAL:
            given.setdefault("finished_at", timezone.now())
        job = BatchJob.objects.create(status=status, **given)
        for run in runs:
            JobShare.objects.create(job=job, run=run, **(share or {"sent": 1}))
        return job

    return make


@pytest.fixture
def make_item(make_run):
    def make(status=ItemStatus.COMPLETE, *, run=None, subject=None, **given):
        run = run or make_run()
        if subject is not None:
            given["content_type"] = ContentType.objects.get_for_model(subject)
            given["object_id"] = str(subject.pk)
        else:
            given.setdefault("content_type", ContentType.objects.get_for_model(Lesson))
            given.setdefault("object_id", str(next(numbers)))
        given.setdefault("target", "title:ar")
        given.setdefault("provider", "openai")
        given.setdefault("workload", "translation")
        given.setdefault("model", "gpt-4o-mini")
        given.setdefault("endpoint", "/v1/chat/completions")
        given.setdefault("fingerprint", b"f" * 32)
        if status not in ITEM_OPEN:
            given.setdefault("finished_at", timezone.now())
        item = BatchItem.objects.create(run=run, status=status, **given)
        if status in ITEM_OPEN:
            open_item(item)
        return item

    return make


def open_item(item):
    same = ["run_id", "job_id", "provider", "endpoint", "model", "workload"]
    same += ["content_type_id", "object_id", "target", "fingerprint"]
    return OpenItem.objects.create(
        item=item, **{name: getattr(item, name) for name in same}
    )


@pytest.fixture
def make_attempt():
    def make(item, outcome=AttemptOutcome.APPLIED, **given):
        given.setdefault("job", item.job)
        return ItemAttempt.objects.create(item=item, outcome=outcome, **given)

    return make


@pytest.fixture
def make_failure(make_item, make_attempt):
    def make(*, code="invalid_json", message="The answer is not JSON.", **given):
        item = make_item(ItemStatus.FAILED, error_code=code, **given)
        make_attempt(
            item, AttemptOutcome.FAILED, error_code=code, error_message=message
        )
        return item

    return make


@pytest.fixture
def make_request():
    def make(item, body='{"messages": []}', context=""):
        return ItemRequest.objects.create(item=item, body=body, context=context)

    return make


@pytest.fixture
def make_lesson():
    def make(title="Hurdada ilmaha", **given):
        course, _ = Course.objects.get_or_create(
            external_id="waalidnimo", defaults={"title": "Waalidnimo"}
        )
        given.setdefault("external_id", f"lesson-{next(numbers)}")
        return Lesson.objects.create(course=course, title=title, **given)

    return make


@pytest.fixture
def make_translation():
    def make(lesson, *, field="title", language="ar", text="نوم الطفل", **version):
        """A published unit with one version."""
        unit = Translation.objects.create(
            content_type=ContentType.objects.get_for_model(lesson),
            object_id=str(lesson.pk),
            field=field,
            language=language,
            source_language="so",
            format="text",
        )
        version.setdefault("score", 100)
        made = TranslationVersion.objects.create(
            translation=unit,
            number=1,
            text=text,
            source_hash="hash",
            origin=Origin.MACHINE,
            model="gpt-4o-mini",
            checks_version=1,
            **version,
        )
        unit.latest = unit.published = made
        unit.status, unit.versions_made = ReviewStatus.PUBLISHED, 1
        unit.is_sandbox = made.is_sandbox
        unit.save()
        return unit

    return make


@pytest.fixture
def question(make_lesson):
    lesson = make_lesson(body="Codka hoos u dhig.")
    quiz = Quiz.objects.create(lesson=lesson, external_id="quiz", title="Imtixaan")
    return QuizQuestion.objects.create(
        quiz=quiz,
        external_id="q1",
        question="Maxaa la sameeyaa?",
        options=["Qayli", "Codka dhig", "Bax"],
        correct_answer=1,
        explanation="Qayladu way kordhisaa.",
    )


@pytest.fixture
def make_proposal(question):
    def make(text="Maxaa fiican?", **given):
        option = {"is_correct": False, "rationale": "Sababta"}
        content = {
            "language": "so",
            "question": text,
            "options": [
                {**option, "id": "a", "text": "Qayli badan"},
                {**option, "id": "b", "text": "Codka dhig", "is_correct": True},
                {**option, "id": "c", "text": "Bax"},
            ],
            "explanation": "Qayladu way kordhisaa.",
            "difficulty": "",
            "bloom_level": "apply",
            "evidence_quote": "Codka hoos u dhig",
            "key_disputed": False,
            "changes": [
                {"field": "question", "issue": "unclear_wording", "reason": text}
            ],
        }
        before = {
            name: getattr(question, name)
            for name in ("question", "options", "explanation", "difficulty")
        }
        given.setdefault("number", Proposal.objects.count() + 1)
        given.setdefault("score", 100)
        return Proposal.objects.create(
            kind=ProposalKind.QUIZ,
            question=question,
            language="so",
            content=content,
            before={**before, "key": 1},
            source_hash=source_hash_of(question),
            checks_version=1,
            **given,
        )

    return make


@pytest.fixture
def summary(make_lesson):
    """An Arabic summary of a lesson, and the proposal that it comes of."""
    lesson = make_lesson(body="Codka hoos u dhig.")
    proposal = Proposal.objects.create(
        kind=ProposalKind.SUMMARY,
        lesson=lesson,
        language="ar",
        number=1,
        content={
            "language": "ar",
            "summary_short": "اخفض صوتك.",
            "summary": "درس قصير.",
            "key_points": ["نقطة"],
            "objectives": [
                {
                    "text": "اشرح السبب.",
                    "bloom_level": "understand",
                    "verb": "اشرح",
                    "evidence_quote": "Codka hoos u dhig",
                }
            ],
        },
        source_hash=source_hash_of(lesson),
        score=100,
        checks_version=1,
    )
    return proposal


@pytest.fixture
def page(admin_client):
    """The HTML of an admin page, seen by a superuser."""

    def get(url):
        response = admin_client.get(url)
        assert response.status_code == 200, (url, response.status_code)
        return response.content.decode()

    return get
