"""My runs: the list, a run's page, its results and files, and an end to it."""

import csv
import io
import json

import pytest
from django.urls import reverse
from django.utils import timezone

from batches.models import AuditEntry, BatchJob, ItemAttempt, Run
from batches.my import runs as pages
from batches.services.bundling import bundle
from batches.states import AttemptOutcome, ItemStatus, JobStatus, RunStatus
from tests.driving import work_off

pytestmark = pytest.mark.django_db


def answer(run: Run, *texts: str) -> None:
    """End a run's items as if these had come; an empty text is a failure."""
    now = timezone.now()
    items = list(run.items.order_by("pk"))
    for item, text in zip(items, texts, strict=True):
        item.status = ItemStatus.COMPLETE if text else ItemStatus.FAILED
        item.error_code = "" if text else "bad_answer"
        item.finished_at = now
        item.save()
        ItemAttempt.objects.create(
            item=item,
            outcome=AttemptOutcome.APPLIED if text else AttemptOutcome.FAILED,
            answer=text,
            error_code=item.error_code,
            error_message="" if text else "It is <b>no</b> JSON.",
        )
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.COMPLETED,
        finished_at=now,
        unsent_complete=sum(map(bool, texts)),
        unsent_failed=sum(not text for text in texts),
    )


# --- the list -------------------------------------------------------------------------


def test_the_empty_list_says_how_to_begin(mine):
    html = mine.get("/my/").content.decode()

    assert "You have no runs yet." in html
    assert f'href="{reverse("ask_about_words")}"' in html


def test_a_run_is_listed_with_its_words_state_progress_and_cost(mine, amina, ask):
    run = ask(amina, "patience", "calm")

    html = mine.get("/my/").content.decode()

    assert f'<a href="/my/runs/{run.public_id}/">patience, calm</a>' in html
    assert "Waiting" in html
    assert '<progress value="0" max="2">0 %</progress>' in html
    assert "$0.00" in html
    assert "1 run is under way." in html
    assert 'data-live-url="/my/live/" data-live-seconds="5"' in html


def test_older_runs_are_a_page_away_and_cost_no_more_queries(
    mine, amina, ask, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(pages, "RUNS_SHOWN", 2)
    runs = [ask(amina, word) for word in ("one", "two", "three", "four", "five")]

    with django_assert_num_queries(5):  # session, user, runs, figures, their place
        first = mine.get("/my/?after=" + str(runs[4].public_id)).content.decode()
    second = mine.get(f"/my/?after={runs[2].public_id}").content.decode()

    assert (">four</a>" in first, ">three</a>" in first) == (True, True)
    assert f'href="/my/?after={runs[2].public_id}">Older' in first
    assert (">two</a>" in second, ">one</a>" in second) == (True, True)
    assert "Older" not in second
    assert mine.get("/my/?after=nonsense").status_code == 404


# --- a run ----------------------------------------------------------------------------


def test_a_run_is_followed_to_its_end(mine, amina, ask, sandbox):
    run = ask(amina, "patience", "calm")
    page, live = (f"/my/runs/{run.public_id}/{part}" for part in ("", "live/"))

    html = mine.get(page).content.decode()
    before = mine.get(live)
    same = mine.get(live, headers={"If-None-Match": before["ETag"]})
    work_off()
    after = mine.get(live, headers={"If-None-Match": before["ETag"]})

    assert f'data-live-url="{live}" data-live-seconds="2"' in html
    assert "data-live-stream" not in html  # this server cannot push
    assert (before.json()["sentence"], before.json()["acts"]) == (
        "Waiting: 0 of 2.",
        ["cancel"],
    )
    assert same.status_code == 304
    told = after.json()
    assert (told["sentence"], told["seconds"], told["acts"]) == ("Done: 2 of 2.", 0, [])
    assert f"/my/runs/{run.public_id}/results.csv" in told["html"]
    for happened in ("Created", "Started", "Progress", "Done"):
        assert happened in told["html"]


def test_a_run_says_what_it_waits_for_and_nothing_of_the_desk(mine, amina, ask):
    run = ask(amina, "patience")
    waiting = mine.get(f"/my/runs/{run.public_id}/").content.decode()
    bundle()
    in_job = mine.get(f"/my/runs/{run.public_id}/").content.decode()

    assert "1 item waits for the next job to be made." in waiting
    assert "1 request is at the provider or on its way there." in in_job
    assert 'href="/admin/' not in waiting + in_job


def test_a_run_says_how_much_the_provider_has_answered(mine, amina, ask):
    run = ask(amina, "patience", "calm", "run", "honey")
    (job,) = bundle()
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.IN_PROGRESS,
        create_sent_at=timezone.now(),
        provider_batch_id="batch_1",
        provider_total=4,
        provider_completed=2,
        provider_failed=1,
    )

    html = mine.get(f"/my/runs/{run.public_id}/").content.decode()

    assert "4 requests are at the provider or on their way there." in html
    assert "About 3 of them are answered there already." in html


def test_a_run_is_cancelled_after_a_question(mine, amina, ask):
    run = ask(amina, "patience", "calm")
    page = f"/my/runs/{run.public_id}/cancel/"

    question = mine.get(page).content.decode()
    still = Run.objects.get(pk=run.pk).status
    done = mine.post(page, follow=True).content.decode()
    again = mine.post(page, follow=True).content.decode()

    run.refresh_from_db()
    assert ("Cancel this run?" in question, "2 items" in question) == (True, True)
    assert still == RunStatus.PENDING
    assert run.status == RunStatus.CANCELLED
    assert "The run is cancelled." in done
    assert "ended already" in again
    assert AuditEntry.objects.filter(actor="amina", action="run.cancel").count() == 1


# --- results --------------------------------------------------------------------------


def test_results_are_read_in_order_and_nothing_of_them_is_trusted(mine, amina, ask):
    run = ask(amina, "patience", "calm", "run")
    evil = {"summary": "<script>alert(1)</script>", "key_points": ["<img src=x>", None]}
    spoken = {"translations": [{"language": "ar", "text": "صبر"}]}
    answer(run, json.dumps(evil), json.dumps(spoken), "")

    html = mine.get(f"/my/runs/{run.public_id}/results/").content.decode()

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<dt>key points</dt><dd><ul><li>" in html
    assert '<span lang="ar" dir="rtl">صبر</span>' in html
    assert '<bdi lang="en">patience</bdi>' in html
    assert "bad_answer" in html
    assert "It is &lt;b&gt;no&lt;/b&gt; JSON." in html
    assert html.index(">patience<") < html.index(">calm<") < html.index(">run<")
    assert "The sandbox made these answers up" in html


@pytest.mark.parametrize("text", ['"plain"', "not json", "[]", "{}", "1", "[[[[1]]]]"])
def test_an_answer_of_any_shape_can_be_read(mine, amina, ask, text):
    run = ask(amina, "patience")
    answer(run, text)

    assert mine.get(f"/my/runs/{run.public_id}/results/").status_code == 200


def test_results_come_page_by_page(mine, amina, ask, monkeypatch):
    monkeypatch.setattr("batches.my.results.RESULTS_SHOWN", 2)
    run = ask(amina, "patience", "calm", "run")
    answer(run, "{}", "{}", "{}")
    second = run.items.order_by("pk")[1]
    here = f"/my/runs/{run.public_id}/results/"

    first = mine.get(here).content.decode()
    rest = mine.get(f"{here}?after={second.pk}").content.decode()

    assert f'href="{here}?after={second.pk}">Next' in first
    assert (">run</bdi>" in first, ">run</bdi>" in rest) == (False, True)
    assert "Next" not in rest
    for nonsense in ("x", "-1", "9" * 30, "٣"):
        assert mine.get(f"{here}?after={nonsense}").status_code == 404


def test_before_there_are_results_their_page_says_so(mine, amina, ask):
    run = ask(amina, "patience")

    html = mine.get(f"/my/runs/{run.public_id}/results/").content.decode()

    assert "There is no result here yet." in html


def test_results_are_taken_away_as_files(mine, amina, ask):
    run = ask(amina, "patience", "calm")
    answer(run, '{"summary": "=1+1"}', "")
    here = f"/my/runs/{run.public_id}/results"

    got = {kind: mine.get(f"{here}.{kind}") for kind in ("csv", "json", "jsonl")}

    text = {kind: one.getvalue().decode() for kind, one in got.items()}
    rows = [json.loads(line) for line in text["jsonl"].splitlines()]
    assert rows == json.loads(text["json"])
    assert rows[0] == {
        "subject": "en:patience",
        "target": "smart_summary",
        "status": ItemStatus.COMPLETE,
        "data": {"summary": "=1+1"},
        "errorCode": None,
        "errorMessage": None,
    }
    assert (rows[1]["data"], rows[1]["errorCode"]) == (None, "bad_answer")
    table = list(csv.DictReader(io.StringIO(text["csv"])))
    assert [row["subject"] for row in table] == ["en:patience", "en:calm"]
    assert json.loads(table[0]["data"]) == {"summary": "=1+1"}
    name = f'attachment; filename="run-{run.public_id}.csv"'
    assert got["csv"]["Content-Disposition"] == name
    assert mine.get(f"{here}.exe").status_code == 404


def test_a_text_that_begins_a_formula_calculates_nothing(mine, amina, ask):
    run = ask(amina, "patience")
    answer(run, '"=HYPERLINK(1)"')

    file = mine.get(f"/my/runs/{run.public_id}/results.csv").getvalue().decode()

    assert ",'=HYPERLINK(1)," in file
