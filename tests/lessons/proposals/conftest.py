"""The shipped lessons and questions, and proposals, made as answers make them."""

import itertools
import json
from pathlib import Path

import orjson
import pytest
from django.core.management import call_command

from batches.workloads import Answer, get_workload
from translations.lessons.content.make_segments import CONTENT
from translations.lessons.models import Lesson, Proposal, QuizQuestion

HERE = Path(__file__).parent


def jsonl(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


EXAMPLES = jsonl(HERE / "example_outputs.jsonl")
WORKLOADS = {"lesson_summary": "summary", "quiz_improvement": "quiz_improvement"}


def example(workload, number):
    """The output of the first (good) or second (bad) example of a kind of work."""
    found = [row for row in EXAMPLES if WORKLOADS[row["workload"]] == workload]
    return json.loads(json.dumps(found[number]["output"]))


@pytest.fixture
def content(db):
    for kind in ("lessons", "quizzes"):
        call_command("import_content", kind, str(CONTENT / f"{kind}.jsonl"))


def request_for(workload_key, row, **options):
    """(request, subject) that a run over this row alone makes."""
    workload = get_workload(workload_key)
    read = workload.read_options({"keys": [row.pk], **options})
    (subject,) = workload.subjects(read, "", 10).subjects
    (target,) = workload.targets(subject, read)
    return workload.build_request(subject, target, read, workload.prompt), subject


item_ids = itertools.count(1)


def answer_to(workload_key, row, output, *, fingerprint="", **options):
    request, subject = request_for(workload_key, row, **options)
    return Answer(
        item_id=next(item_ids),
        provider="openai",
        model="gpt-4o-mini",
        is_sandbox=False,
        text=output if isinstance(output, str) else json.dumps(output),
        finish_reason="stop",
        fingerprint=fingerprint,
        body=orjson.dumps({**request.body, "model": "m"}).decode(),
        context=orjson.dumps(request.context).decode(),
        content_type_id=subject.content_type_id,
        object_id=subject.object_id,
    )


def judge(workload_key, row, output, **given):
    answer = answer_to(workload_key, row, output, **given)
    return get_workload(workload_key).judge([answer])[0]


@pytest.fixture
def propose(content):
    """Judge and store an output for a row; returns its proposal."""

    def make(workload_key, row, output, **given):
        verdict = judge(workload_key, row, output, **given)
        assert not verdict.error_code, verdict.error_message
        get_workload(workload_key).store([verdict])
        return Proposal.objects.latest("pk")

    return make


@pytest.fixture
def lesson(content):
    return Lesson.objects.get(external_id="lesson-01")


@pytest.fixture
def question(content):
    """Number 5: four ranges of hours, of which two overlap; "c" is right."""
    return QuizQuestion.objects.get(external_id="quiz-05")
