"""Workloads before and after a bug was mended, and runs that met it."""

import json
from collections import Counter
from io import StringIO

from django.core.management import call_command

from batches.models import (
    BatchItem,
)
from batches.services.reapply import (
    prospect,
    reapply,
)
from batches.workloads import FollowUp, Subject
from tests.driving import work_off
from tests.factories import make_collected_run, make_paintings
from tests.gallery.models import Caption
from tests.gallery.workloads import CaptionWorkload


class Mended(CaptionWorkload):
    """The captions after a deployment without the bugs."""

    def judge_one(self, answer):
        return self.read_result(answer)

    def store(self, verdicts):
        asked = []
        for verdict in verdicts:
            answer = verdict.answer
            kept = json.loads(answer.context)
            Caption.objects.create(
                kind=kept["kind"],
                object_id=answer.object_id,
                target=answer.target,
                item_id=answer.item_id,
                text=verdict.result.caption,
            )
            if kept["follow_ups"]:
                asked.append(self.follow_up(answer, kept))
        return asked

    def follow_up(self, answer, kept):
        return FollowUp(
            answer.item_id,
            Subject(answer.content_type_id, answer.object_id),
            f"caption again {kept['follow_ups']}",
            self.request(self.prompt, kept["title"], 0, kept["kind"]),
        )


class Repeating(Mended):
    """One that knows how to store again."""

    def store_again(self, verdicts):
        for verdict in verdicts:
            Caption.objects.filter(item_id=verdict.answer.item_id).update(
                text=verdict.result.caption.upper()
            )
        return [
            self.follow_up(verdict.answer, kept)
            for verdict in verdicts
            if (kept := json.loads(verdict.answer.context))["follow_ups"]
        ]


def failed_run(*titles, **given):
    """A run worked off, with answers that the workload's bugs could not take.

    Equal titles are asked one by one.
    """
    given.setdefault("force_refresh", True)
    make_paintings(*titles)
    run = make_collected_run(0, **given)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def command(*args):
    out = StringIO()
    call_command("reapply", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def everything(of=None):
    return BatchItem.objects.all() if of is None else BatchItem.objects.filter(run=of)


def statuses():
    return Counter(BatchItem.objects.values_list("status", flat=True))


def obstacle():
    done = reapply(everything(), by="amina")
    assert done.applied == 0
    assert prospect(everything()).items == 0
    return dict(done.skipped)
