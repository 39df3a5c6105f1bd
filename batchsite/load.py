"""A load of every kind of work there is, and the pages as they are with it."""

from collections import deque
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from batches.benchmark import pages, tables
from batches.benchmark.load import Content
from batches.benchmark.report import Result
from batches.benchmark.seeding import Load, seed
from batches.models import Alert
from batches.states import ItemStatus
from translations.chats.models import ChatSession
from translations.chats.seeding import SeededChats
from translations.coverage_counts import count_all
from translations.dictionary.seeding import SeededWords
from translations.lessons.models import Lesson
from translations.lessons.seeding import SeededQuestions, SeededTranslations

FEWEST_ITEMS = 400
TIMES_MORE = 10  # items of the figures that the summary is measured on again


def load_contents() -> list[Content]:
    """The kinds of work that a load is made of."""
    return [SeededTranslations(), SeededWords(), SeededQuestions(), SeededChats()]


def measure_pages(
    items: int, say: Callable[[str], None]
) -> tuple[list[Result], list[pages.Visit]]:
    """P7 and P8 in a database that is empty; all its rows are gone afterwards."""
    now = timezone.now()
    written = 0

    def on_items(count: int) -> None:
        nonlocal written
        written += count
        say(f"{written:,} items are written")

    seed(Load(items, now), load_contents(), on_items)
    say("counting what is translated, as the worker does")
    deque(count_all(now=now), maxlen=0)
    tables.settle()
    results = pages.summary_results()
    visits = []
    with pages.visitor() as client:
        for address in pages.addresses(arguments()):
            say(f"looking at {address}")
            visits.append(pages.visit(client, address))
    found = pages.page_results(visits)
    say(f"writing the figures of {items * TIMES_MORE:,} items")
    tables.empty((Alert,))
    seed(
        Load(items * TIMES_MORE, now, with_items=False),
        load_contents(),
        lambda count: None,
    )
    tables.settle()
    return [*results, *pages.summary_results("-10m"), *found], visits


def arguments() -> dict[str, list[Any]]:
    """What stands for the arguments of addresses, and queries that they must have."""
    lessons = Lesson.objects.order_by("pk").values_list("external_id", flat=True)[:1]
    chats = ChatSession.objects.filter(analysis__isnull=False).order_by("pk")
    return {
        **pages.newest_ids(),
        "kind": ["lesson"],
        "kind,external_id": [("lesson", key) for key in lessons],
        "session_id": list(chats.values_list("external_id", flat=True)[:1]),
        "?list_content": ["lang=ar"],
        "?read_content": ["lang=ar"],
        "?legacy_requests": [f"status={ItemStatus.FAILED.value}"],
    }
