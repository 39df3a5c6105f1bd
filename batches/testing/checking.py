"""Does a workload keep its side of the bargain? Tried on rows that the test made."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils import timezone

from batches import config
from batches.errors import BatchError, SubjectGone
from batches.models import (
    BatchItem,
    BatchJob,
    Installation,
    ItemAttempt,
    ItemRequest,
    Run,
)
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs
from batches.services.prompts import current_prompt
from batches.services.rendering import render
from batches.services.submission import submit_jobs
from batches.states import BACK, RUN_FINAL, ItemStatus, JobStatus, Trigger
from batches.testing.sandbox import own_sandbox
from batches.wire_schema import strict_problem, strict_schema
from batches.workloads import Answer, Request, Subject, Verdict, Workload, get_workload

SUBJECTS = 3
SECONDS = 60.0
# Tables that a run writes by itself, or that are no content.
NOT_CONTENT = ("admin", "auth", "batches", "contenttypes", "django_q", "sessions")
LONGEST_KEY, LONGEST_CURSOR = 255, 200


class BrokenWorkload(AssertionError):
    """A promise that a workload does not keep: the method, what it did, what is due."""


def check_workload(key: str, **options: Any) -> None:
    """Try a workload on up to three subjects that are in the database.

    It is asked for its schema, its subjects and their requests; these go to a sandbox
    of the check's own and come back, and are judged and stored; then they are stored
    twice, and for subjects that were deleted. Raises BrokenWorkload at the first method
    that does not do what the engine relies on, by its name. All that was written is
    undone.
    """
    workload = get_workload(key)
    check = _Check(workload)
    with transaction.atomic():
        with check.asking("read_options"):
            read = workload.read_options(options)
        check.schema()
        subjects = check.subjects(read)
        check.requests(read, subjects)
        with own_sandbox():
            Installation.objects.all().delete()  # the disk is another than before
            check.round_trip(options)
        transaction.set_rollback(True)


@dataclass
class _Check:
    workload: Workload

    def broken(self, method: str, said: str) -> NoReturn:
        raise BrokenWorkload(f"{type(self.workload).__name__}.{method}() {said}")

    @contextmanager
    def asking(self, method: str) -> Iterator[None]:
        try:
            yield
        except BrokenWorkload:
            raise
        except Exception as err:
            name = type(self.workload).__name__
            raise BrokenWorkload(f"{name}.{method}() raised {err!r}.") from err

    # --- what it says of itself -------------------------------------------------------

    def schema(self) -> None:
        """`result` goes to the model as a strict schema."""
        with self.asking("response_format"):
            self.workload.response_format()
            problem = strict_problem(strict_schema(self.workload.result))
        if problem:
            self.broken("response_format", f"is refused by strict mode: {problem}")

    def subjects(self, options: Any) -> list[Subject]:
        with self.asking("nouns"):
            self.workload.nouns(options)
        with self.asking("subjects"):
            page = self.workload.subjects(options, "", SUBJECTS)
            again = self.workload.subjects(options, "", SUBJECTS)
        if not page.subjects:
            self.broken(
                "subjects",
                "gave none. Make rows that need work before the check.",
            )
        if len(page.subjects) > SUBJECTS:
            count = len(page.subjects)
            self.broken("subjects", f"gave {count} where {SUBJECTS} were asked for.")
        names = [_name(subject) for subject in page.subjects]
        if names != [_name(subject) for subject in again.subjects]:
            self.broken("subjects", "gives another order when asked again.")
        for subject in page.subjects:
            key = subject.object_id
            if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
                self.broken(
                    "subjects",
                    f"gave the key {key!r}; it must be a text of 1 to {LONGEST_KEY} "
                    "characters, such as str(row.pk).",
                )
        self._pages(options, names)
        return page.subjects

    def _pages(self, options: Any, names: Sequence[tuple[int, str]]) -> None:
        """One by one they must be the same, each once."""
        found: list[tuple[int, str]] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < len(names):
            with self.asking("subjects"):
                page = self.workload.subjects(options, cursor, 1)
            if page.cursor is not None and len(page.cursor) > LONGEST_CURSOR:
                self.broken("subjects", f"gave a cursor of {len(page.cursor)} letters.")
            if page.cursor == cursor:
                self.broken("subjects", f"stands still at the cursor {cursor!r}.")
            found += [_name(subject) for subject in page.subjects]
            cursor = page.cursor
        if found[: len(names)] != list(names):
            self.broken(
                "subjects",
                f"gives {_keys(names)} in one page and {_keys(found)} one by one; the "
                "cursor must lead to the next row.",
            )

    def requests(self, options: Any, subjects: Sequence[Subject]) -> None:
        prompt = current_prompt(self.workload).text
        asked = 0
        for subject in subjects:
            with self.asking("targets"):
                targets = list(self.workload.targets(subject, options))
            keys = Counter(target.key for target in targets)
            for key, count in keys.items():
                if count > 1:
                    self.broken("targets", f"gave {key!r} {count} times.")
                if not 0 < len(key) <= LONGEST_KEY:
                    self.broken("targets", f"gave the key {key!r:.80}.")
            for target in targets:
                for name in ("trait", "wholes"):
                    with self.asking(name):
                        getattr(self.workload, name)(target.key)
                if target.skipped or target.error_code:
                    continue
                asked += 1
                with self.asking("build_request"):
                    build = self.workload.build_request
                    request = build(subject, target, options, prompt)
                    again = build(subject, target, options, prompt)
                if request != again:
                    self.broken("build_request", "gives another request when repeated.")
                self._render(request)
        if not asked:
            self.broken("targets", "gave nothing to ask for any of the subjects.")
        with self.asking("usual_output"):
            self.workload.usual_output(1_000, 1_000)
        with self.asking("scope"):
            self.workload.scope(1)

    def _render(self, request: Request) -> None:
        endpoint = self.workload.endpoints[0]
        model = config.get("OPENAI_MODEL")
        with self.asking("build_request"):
            render(request, provider="sandbox", endpoint=endpoint, model=model)
        wanted = request.body.get("response_format", {})
        if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
            problem = strict_problem(wanted.get("json_schema", {}).get("schema"))
            if problem:
                self.broken("build_request", f"asks for what is refused: {problem}")

    # --- there and back ---------------------------------------------------------------

    def round_trip(self, options: dict[str, Any]) -> None:
        run = start_run(
            self.workload.key,
            options,
            trigger=Trigger.COMMAND,
            limit=SUBJECTS,
            force_refresh=True,
            canary=False,
        )
        collect_run(run)
        bundle(now=_later())
        _work(run, lambda: _are_back(run))
        with transaction.atomic():
            self._answers_are_stored(run)
            transaction.set_rollback(True)
        try:
            with transaction.atomic():
                self._subjects_are_deleted(run)
                transaction.set_rollback(True)
        except IntegrityError as err:
            self.broken(
                "store",
                f"wrote rows of a subject that was deleted ({err}); raise SubjectGone "
                "for it, as batches.content.answered_rows does.",
            )

    def _answers_are_stored(self, run: Run) -> None:
        with self.asking("warm_up"):
            self.workload.warm_up()
        _work(run, lambda: _is_finished(run), ingests=True)
        items = list(BatchItem.objects.filter(run=run).order_by("pk"))
        answers = _answers_of(items)
        verdicts = self._judged(list(answers.values()))
        with self.asking("split"):
            for answer in answers.values():
                self.workload.split(answer)
        for item in items:
            if item.status == ItemStatus.COMPLETE:
                with self.asking("explain_result"):
                    self.workload.explain_result(
                        content_type_id=item.content_type_id,
                        object_id=item.object_id,
                        target=item.target,
                        item_id=item.pk,
                    )
            elif item.error_code == "apply_error":
                said = _last_try(item).error_message
                self.broken("store", f"failed with {item.target}: {said}")
        stored = [
            verdicts[item.pk]
            for item in items
            if item.status == ItemStatus.COMPLETE and item.pk in verdicts
        ]
        if not stored:
            first = next(item for item in items if item.status != ItemStatus.COMPLETE)
            self.broken(
                "judge",
                "accepts no answer of the sandbox, which fits the schema: "
                f"{first.error_code}, {_last_try(first).error_message}",
            )
        self._stored_twice(stored)

    def _judged(self, answers: list[Answer]) -> dict[int, Verdict]:
        with self.asking("judge"), connection.execute_wrapper(self._no_database):
            verdicts = self.workload.judge(answers)
            again = self.workload.judge(answers)
        if sorted(v.answer.item_id for v in verdicts) != sorted(
            answer.item_id for answer in answers
        ):
            self.broken("judge", "must give one verdict for each answer.")
        said = [(v.answer.item_id, v.error_code, v.errors) for v in verdicts]
        if said != [(v.answer.item_id, v.error_code, v.errors) for v in again]:
            self.broken("judge", "judges the same answer in two ways.")
        return {verdict.answer.item_id: verdict for verdict in verdicts}

    def _no_database(self, execute: Any, sql: str, *rest: Any) -> NoReturn:
        self.broken(
            "judge",
            f"asks the database ({sql[:80]}…); put what it needs into the request's "
            "context.",
        )

    def _stored_twice(self, verdicts: list[Verdict]) -> None:
        method = "store_again" if self.workload.can_store_again else "store"
        before = _row_counts()
        with self.asking(method):
            try:
                with transaction.atomic():
                    getattr(self.workload, method)(verdicts)
            except IntegrityError:
                return  # the table itself refuses a second row: as good
        for label, count in _row_counts().items():
            if count > before[label]:
                self.broken(
                    method,
                    f"adds rows to {label} when the same answers are stored again; "
                    "look for what is there, or have a unique key refuse it.",
                )

    def _subjects_are_deleted(self, run: Run) -> None:
        gone = _delete_subjects(run)
        if not gone:
            return  # of a kind that has no rows, or that may not be deleted
        before = _row_counts()
        _work(run, lambda: _first_items_are_closed(run), ingests=True)
        connection.check_constraints()
        wrote = sum(_row_counts().values()) > sum(before.values())
        for item in BatchItem.objects.filter(run=run, parent=None):
            if _name(item) not in gone:
                continue
            if item.error_code == "apply_error":
                said = _last_try(item).error_message
                self.broken(
                    "store",
                    f"does not expect that subjects are deleted: {said} Raise "
                    "SubjectGone, as batches.content.answered_rows does.",
                )
            is_lost = item.status == ItemStatus.COMPLETE and not wrote
            if is_lost and item.error_code != SubjectGone.code:
                self.broken(
                    "store",
                    f"says nothing of {item.object_id}, which was deleted: its answer "
                    "is lost from sight. Raise SubjectGone, as "
                    "batches.content.answered_rows does.",
                )


def _name(row: Subject | BatchItem) -> tuple[int, str]:
    return row.content_type_id, row.object_id


def _keys(names: Sequence[tuple[int, str]]) -> str:
    return ", ".join(key for _, key in names)


def _later() -> datetime:
    """So far ahead that nothing waits for its time."""
    return timezone.now() + timedelta(hours=1)


def _work(run: Run, is_done: Any, *, ingests: bool = False) -> None:
    """Take every step until it is so; nothing is cleaned up, as all of it is undone."""
    deadline = time.monotonic() + SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise BrokenWorkload(f"{run} did not come to its end in {SECONDS:.0f} s.")
        try:
            bundle(now=_later())
            submit_jobs(now=_later())
            poll_jobs(now=_later())
            if ingests:
                ingest_jobs(now=_later())
        except BatchError as err:
            raise BrokenWorkload(f"{run} cannot go on: {err}") from err
        time.sleep(0.02)


def _are_back(run: Run) -> bool:
    jobs = BatchJob.objects.filter(shares__run=run)
    return not jobs.exclude(status=JobStatus.COMPLETED).exists()


def _is_finished(run: Run) -> bool:
    run.refresh_from_db()
    return run.status in RUN_FINAL


def _first_items_are_closed(run: Run) -> bool:
    first = BatchItem.objects.filter(run=run, parent=None)
    return not first.filter(finished_at=None).exists()


def _tries(items: Sequence[BatchItem]) -> models.QuerySet[ItemAttempt]:
    tries = ItemAttempt.objects.filter(item__in=[item.pk for item in items])
    return tries.exclude(outcome__in=BACK).order_by("pk")


def _last_try(item: BatchItem) -> ItemAttempt:
    return _tries([item]).last() or ItemAttempt(item=item)


def _answers_of(items: Sequence[BatchItem]) -> dict[int, Answer]:
    """Answers as they came, by item; none of what the provider refused."""
    tries = {attempt.item_id: attempt for attempt in _tries(items)}
    requests = ItemRequest.objects.in_bulk([item.pk for item in items])
    return {
        item.pk: Answer(
            item_id=item.pk,
            provider=item.provider,
            model=item.model,
            is_sandbox=True,
            text=tries[item.pk].answer,
            finish_reason=tries[item.pk].finish_reason,
            fingerprint=tries[item.pk].system_fingerprint,
            body=requests[item.pk].body,
            context=requests[item.pk].context,
            content_type_id=item.content_type_id,
            object_id=item.object_id,
            target=item.target,
            prompt_version_id=item.prompt_version_id,
        )
        for item in items
        if item.pk in tries and tries[item.pk].answer
    }


def _row_counts() -> dict[str, int]:
    """Rows of every table of content."""
    return {
        model._meta.label: model._base_manager.count()
        for model in apps.get_models()
        if model._meta.app_label not in NOT_CONTENT
        and model._meta.managed
        and not model._meta.proxy
    }


def _delete_subjects(run: Run) -> set[tuple[int, str]]:
    """Delete what the run's items are about; those that were there and are gone."""
    gone = set()
    for kind, key in set(
        BatchItem.objects.filter(run=run).values_list("content_type", "object_id")
    ):
        model = ContentType.objects.get_for_id(kind).model_class()
        if model is None:
            continue
        try:
            with transaction.atomic():
                deleted, _ = model._base_manager.filter(pk=key).delete()
        except (ProtectedError, RestrictedError, DatabaseError):
            continue
        if deleted:
            gone.add((kind, key))
    return gone
