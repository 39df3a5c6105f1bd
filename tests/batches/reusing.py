"""Workloads for reuse and canary: what their answers are worth depends on the title."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from django.contrib.contenttypes.models import ContentType

from batches.models import Installation
from batches.workloads import Answer, Page, Request, Subject, Target, Verdict
from tests.gallery.models import Painting
from tests.gallery.workloads import CaptionOptions, CaptionWorkload
from tests.sandbox.fixtures import SandboxProcess


class CheckedCaptions(CaptionWorkload):
    """Every painting, whatever was answered before.

    The answer to a title with BAD fails two checks, that to ODD is of no use at all.
    """

    key = "checked_captions"

    def subjects(self, options: CaptionOptions, after: str, limit: int) -> Page:
        rows = Painting.objects.order_by("pk")
        if after:
            rows = rows.filter(pk__gt=after)
        page = list(rows[:limit])
        kind = ContentType.objects.get_for_model(Painting).pk
        subjects = [Subject(kind, str(row.pk), row) for row in page]
        return Page(subjects, str(page[-1].pk) if len(page) == limit else None)

    def judge_one(self, answer: Answer) -> Verdict:
        verdict = super().judge_one(answer)
        if "ODD" in answer.body:
            return Verdict(answer, None, "schema_mismatch", "It is odd.")
        if "BAD" in answer.body:
            verdict.errors = "dull,too_long"
        return verdict


class OwnCaptions(CheckedCaptions):
    """Owes each run an answer of its own."""

    key = "own_captions"
    owes_own_answer = True


class CaptionsInTongues(CheckedCaptions):
    """A caption in each of the languages that a title names after a bar."""

    key = "captions_in_tongues"

    def targets(self, subject: Subject, options: CaptionOptions) -> Iterable[Target]:
        for language in subject.source.title.partition("|")[2].split():
            yield Target(language, source=0)

    def trait(self, target: str) -> str:
        return target

    def build_request(
        self, subject: Subject, target: Target, options: CaptionOptions, prompt: str
    ) -> Request:
        title = f"{subject.source.title} in {target.key}"
        return self.request(prompt, title, 0, options.kind)


def lines_billed(sandbox: SandboxProcess) -> int:
    """How many lines the provider executed for this installation, by its own books."""
    if (installation := Installation.objects.first()) is None:
        return 0
    address = f"file:{sandbox.directory / 'sandbox.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM lines JOIN batches ON batches.seq = lines.batch"
            " WHERE document ->> '$.metadata.installation' = ?",
            [installation.public_id.hex],
        ).fetchone()
    return int(count)
