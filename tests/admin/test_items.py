import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from batches import workloads
from batches.admin.display import list_url, row_url
from batches.models import BatchItem, BatchJob, OpenItem, PromptVersion, Run
from batches.states import ItemStatus
from translations.lessons.models import Lesson, Quiz, QuizQuestion

pytestmark = pytest.mark.django_db


def keys_in(html):
    """Keys of the items that a list shows, in its order."""
    return [
        int(key) for key in re.findall(r'<th class="field-id"><a [^>]*>(\d+)</a>', html)
    ]


class Echo(workloads.Workload):
    key = "echo"

    def explain_result(self, *, content_type_id, object_id, target, item_id):
        return [f"Item {item_id} became {target} of {object_id}.", "<b>Published</b>"]


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setitem(workloads._registered, "echo", Echo())


def test_the_page_tells_the_whole_way_of_an_item(
    page, make_run, make_job, make_item, make_attempt, make_request, make_lesson
):
    run, job = make_run(), make_job()
    lesson = make_lesson("Nafaqada")
    prompt = PromptVersion.objects.create(
        workload="translation", number=3, text="…", origin="code"
    )
    parent = make_item(run=run)
    item = make_item(
        run=run, job=job, subject=lesson, parent=parent, prompt_version=prompt
    )
    child = make_item(run=run, parent=item)
    make_request(item, '{"model":"m","messages":[]}', '{"field":"title"}')
    make_attempt(item, "returned", job=make_job(), error_code="batch_expired")
    make_attempt(item, answer='{"segments":[]}', cost_nanos=42_000, output_tokens=1234)

    html = page(row_url(BatchItem, item.pk))

    for linked in (run, job, lesson, parent, child, prompt):
        assert row_url(type(linked), linked.pk) in html
    assert "Nafaqada" in html
    assert html.index("Returned") < html.index("Applied")
    assert "$0.0000420" in html
    assert "1,234" in html
    assert "{\n  &quot;segments&quot;: []\n}" in html
    assert "{\n  &quot;model&quot;: &quot;m&quot;," in html
    assert "&quot;field&quot;: &quot;title&quot;" in html


def test_the_page_says_what_the_workload_made_of_it(page, make_item, echo):
    item = make_item(workload="echo", target="title:ar", object_id="7")

    html = page(row_url(BatchItem, item.pk))

    assert f"Item {item.pk} became title:ar of 7." in html
    assert "&lt;b&gt;Published&lt;/b&gt;" in html


def test_an_item_of_a_workload_that_is_gone_says_so(page, make_item):
    item = make_item(workload="horoscopes")

    html = page(row_url(BatchItem, item.pk))

    assert "No workload is called &#x27;horoscopes&#x27;" in html


@pytest.mark.parametrize("key", ["987654", "not-a-number"])
def test_a_deleted_subject_is_said_so(page, make_item, key):
    item = make_item(object_id=key)

    assert f"lesson {key} (deleted)" in page(row_url(BatchItem, item.pk))
    assert f"lesson {key} (deleted)" in page(list_url(BatchItem))


def test_a_subject_of_an_app_that_is_gone_is_said_so(page, make_item):
    gone = ContentType.objects.create(app_label="attic", model="poem")
    items = [
        make_item(content_type=gone, object_id="5"),
        make_item(object_id="6"),
    ]
    BatchItem.objects.filter(pk=items[1].pk).update(content_type_id=999_999)

    assert "poem 5 (no installed app" in page(row_url(BatchItem, items[0].pk))
    assert "unknown 6 (no installed app" in page(row_url(BatchItem, items[1].pk))


def test_a_subject_is_named_only_to_those_who_may_see_it(
    client, django_user_model, make_item, make_lesson
):
    lesson = make_lesson("Sir qarsoon")
    item = make_item(subject=lesson)
    staff = django_user_model.objects.create_user("sahra", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_batchitem"))
    client.force_login(staff)

    for url in (row_url(BatchItem, item.pk), list_url(BatchItem)):
        html = client.get(url).content.decode()
        assert "Sir qarsoon" not in html
        assert f"lesson {lesson.pk}" in html


def test_names_are_read_without_the_long_texts(
    admin_client, make_item, make_lesson, django_assert_max_num_queries
):
    for _ in range(4):
        make_item(subject=make_lesson(body="long " * 1000))

    with django_assert_max_num_queries(6) as captured:
        admin_client.get(list_url(BatchItem))

    of_lessons = [
        q["sql"] for q in captured if "translations_lessons_lesson" in q["sql"]
    ]
    assert len(of_lessons) == 1
    assert '"body"' not in of_lessons[0]


def test_an_items_page_takes_few_queries(
    admin_client,
    make_item,
    make_attempt,
    make_job,
    make_lesson,
    echo,
    django_assert_num_queries,
):
    item = make_item(workload="echo", subject=make_lesson())
    for _ in range(3):
        make_attempt(item, "returned", job=make_job())
        make_item(parent=item)
    admin_client.get(row_url(BatchItem, item.pk))

    # session, user, item, subject, attempts, follow-ups, request
    with django_assert_num_queries(7):
        admin_client.get(row_url(BatchItem, item.pk))


@pytest.fixture
def five(make_item, make_failure, make_run, make_job):
    """One item of each status, all of one run; failed in a job, waiting in none."""
    run = make_run()
    job = make_job(runs=[run])
    return {
        ItemStatus.COMPLETE: make_item(run=run, job=job),
        ItemStatus.FAILED: make_failure(run=run, job=job),
        ItemStatus.CANCELLED: make_item(ItemStatus.CANCELLED, run=run, job=job),
        ItemStatus.IN_JOB: make_item(ItemStatus.IN_JOB, run=run, job=job),
        ItemStatus.PENDING: make_item(ItemStatus.PENDING, run=run),
    }


@pytest.mark.parametrize("status", ItemStatus)
def test_the_list_is_filtered_by_status(page, five, make_attempt, status):
    make_attempt(five[ItemStatus.CANCELLED], "cancelled")

    html = page(list_url(BatchItem, status=status.value))

    assert keys_in(html) == [five[status].pk]


@pytest.mark.parametrize("status", ["nonsense", ""])
def test_a_status_that_is_none_filters_nothing(page, five, status):
    assert len(keys_in(page(list_url(BatchItem, status=status)))) == 5


def test_the_list_is_filtered_by_run_and_job(page, five, make_item):
    other = make_item()
    item = five[ItemStatus.COMPLETE]

    by_run = keys_in(page(list_url(BatchItem, run=item.run_id)))
    by_public_id = keys_in(page(list_url(BatchItem, run=item.run.public_id)))
    by_job = keys_in(page(list_url(BatchItem, job=item.job_id)))

    assert other.pk not in by_run
    assert len(by_run) == 5
    assert by_public_id == by_run
    assert len(by_job) == 4


@pytest.mark.parametrize("value", ["abc", "-1", "9" * 30, "1 OR 1=1", "²"])
def test_a_filter_that_fits_nothing_shows_nothing(page, five, value):
    assert keys_in(page(list_url(BatchItem, run=value))) == []
    assert keys_in(page(list_url(BatchItem, job=value))) == []


def test_the_list_is_filtered_by_error_code(page, five):
    failed = five[ItemStatus.FAILED]

    assert keys_in(page(list_url(BatchItem, error="invalid_json"))) == [failed.pk]
    assert keys_in(page(list_url(BatchItem, error="refused"))) == []


def test_a_typed_filter_keeps_the_others(page, five):
    html = page(list_url(BatchItem, status="cancelled", error="<x>"))

    assert '<input type="hidden" name="status" value="cancelled">' in html
    assert 'name="error" value="&lt;x&gt;"' in html


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("a12", {"a12", "a120", "a12-x", "a12中"}),
        ("a120", {"a120"}),
        ("a12-", {"a12-x"}),
        ("b", {"b3f2c"}),
        ("%", set()),
        ("a12%", set()),
        ("_", set()),
    ],
)
def test_items_are_found_by_the_beginning_of_the_subjects_key(
    page, make_item, term, found
):
    keys = ("a12", "a120", "a12-x", "a12中", "a13", "b3f2c")
    items = {make_item(object_id=key).pk: key for key in keys}

    shown = keys_in(page(list_url(BatchItem, q=term)))

    assert {items[key] for key in shown} == found


def test_an_item_is_found_by_its_number(page, make_item):
    item = make_item(object_id="x")
    make_item(object_id="y")

    assert keys_in(page(list_url(BatchItem, q=f"#{item.pk}"))) == [item.pk]


def test_pages_go_along_the_key_and_back(page, make_item, monkeypatch):
    monkeypatch.setattr("batches.admin.items.BatchItemAdmin.list_per_page", 2)
    run = make_item().run
    keys = [run.items.get().pk, *[make_item(run=run).pk for _ in range(4)]][::-1]

    def follow(html, rel):
        href = re.search(rf'<a href="([^"]*)" rel="{rel}"', html).group(1)
        return page("/admin/batches/batchitem/" + href.replace("&amp;", "&"))

    first = page(list_url(BatchItem, run=run.pk))
    second = follow(first, "next")
    last = follow(second, "next")
    back = follow(last, "prev")

    assert keys_in(first) == keys[:2]
    assert keys_in(second) == keys_in(back) == keys[2:4]
    assert keys_in(last) == keys[4:]
    assert 'rel="next"' not in last
    assert 'rel="prev"' not in first
    assert f"run={run.pk}" in last


@pytest.mark.parametrize("asked", ["older-x", "older--1", "newer-" + "9" * 40, "2"])
def test_a_page_that_is_none_is_the_first(page, make_item, asked):
    item = make_item()

    assert keys_in(page(list_url(BatchItem, p=asked))) == [item.pk]


def test_open_items_are_listed_with_their_subjects(page, make_item, make_lesson):
    make_item(ItemStatus.PENDING, subject=make_lesson("Ciyaarta"))

    assert "Ciyaarta" in page(list_url(OpenItem))


def test_links_lead_to_the_lists_of_a_run_and_a_job(page, five):
    item = five[ItemStatus.COMPLETE]

    html = page(list_url(BatchItem))

    assert row_url(Run, item.run_id) in html
    assert row_url(BatchJob, item.job_id) in html
    assert not Lesson.objects.exists()


def test_names_out_of_long_texts_are_read_at_once(
    admin_client, make_item, make_lesson, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr("batches.admin.subjects._read_by_str", {})
    quiz = Quiz.objects.create(lesson=make_lesson(), external_id="q", title="Q")
    for number in range(4):
        question = QuizQuestion.objects.create(
            quiz=quiz, external_id=f"q{number}", question=f"Su'aal {number}?"
        )
        make_item(subject=question)

    admin_client.get(list_url(BatchItem))

    # session, user, items, names
    with django_assert_num_queries(4):
        response = admin_client.get(list_url(BatchItem))
    assert "Su&#x27;aal 3?" in response.content.decode()
