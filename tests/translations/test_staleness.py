"""What a changed source does to its translations: all, a segment, or nothing."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse

from batches.models import Run
from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from tests.driving import work_off
from translations.coverage import State, coverage
from translations.lessons.models import Course, Lesson
from translations.models import ReviewStatus, Translation
from translations.reading import translated
from translations.registry import all_registered
from translations.review.texts import read_version
from translations.rewording import says_the_same
from translations.segments import source_hash
from translations.sources import sources_before
from translations.staleness import sweep_sources

pytestmark = pytest.mark.django_db

GROW = "Hurdo fiican waxay ka caawisaa ilmaha inuu koro, wax barto oo uu degganaado."
ANGRY = "Waan arkaa inaad caraysan tahay. Aan wada neefsanno."
EAT = "Ilmuhu wuxuu u baahan yahay cunto kala duwan si uu u koro."
SLEEP = "Hurdada carruurta"
LABEL = "translations_lessons.lesson"


@pytest.mark.parametrize(
    "before, after, format",
    [
        ("Hurdo fiican", "hurdo  Fiican.", "text"),
        ("Go’aan qaado: 1.5 litir", "Go'aan qaado – 1.5 litir!", "text"),
        ("<p>Sug «5» daqiiqo</p>", "<p>Sug 5 daqiiqo;</p>\n", "html"),
        ("<p>Hi&nbsp;you</p>", "<p>Hi you</p>", "html"),
        ("# Hurdo\n\nSug.", "# Hurdo:\n\nsug", "markdown"),
    ],
)
def test_another_form_says_the_same(before, after, format):
    assert says_the_same(before, after, format)


@pytest.mark.parametrize(
    "before, after, format",
    [
        ("Sug 1.5 litir", "Sug 15 litir", "text"),
        ("Sug 5", "Sug -5", "text"),
        ("Sug 5%", "Sug 5", "text"),
        ("Sug {name}", "Sug {Name}", "text"),
        ("Eeg https://a.so/B", "Eeg https://a.so/b", "text"),
        ("<p>Sug</p>", "<h2>Sug</h2>", "html"),
        ("<p>Sug <b>hadda</b></p>", "<p>Sug hadda</p>", "html"),
        ('<p><a href="/a">Sug</a></p>', '<p><a href="/b">Sug</a></p>', "html"),
        ("<td>5</td><td>Sug</td>", "<td>6</td><td>Sug</td>", "html"),
        ("<p>Sug</p><p>Bax</p>", "<p>Sug, Bax</p>", "html"),
        ("Sug **hadda**", "Sug hadda", "markdown"),
        ("Sug", "Suga", "text"),
    ],
)
def test_another_word_number_tag_or_address_does_not(before, after, format):
    assert not says_the_same(before, after, format)


@pytest.fixture
def publish_all(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path  # the pages' files; a missing one is warned of
    settings.TRANSLATION_PUBLISH = "all"


@pytest.fixture
def make_lesson(publish_all):
    def make(*texts, **given):
        course, _ = Course.objects.get_or_create(external_id="c", title="Waalidnimo")
        number = Lesson.objects.count()
        values = {"title": "Hurdada carruurta", "body_format": "html"} | given
        values.setdefault("body", paragraphs(*texts))
        return Lesson.objects.create(
            course=course, external_id=f"lesson-{number}", **values
        )

    return make


def paragraphs(*texts):
    return "".join(f"<p>{text}</p>" for text in texts)


def change(lesson, **given):
    for name, value in given.items():
        setattr(lesson, name, value)
    lesson.save()


def translate():
    """A run for all bodies, to its end; returns how many items it took."""
    options = {"languages": ["en"], "content": [LABEL], "fields": ["body"]}
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    work_off(seconds=60)
    run.refresh_from_db()
    return run.items_collected


def unit_of(lesson):
    return Translation.objects.select_related("latest", "published").get(
        object_id=str(lesson.pk), field="body"
    )


def counts():
    entry = all_registered()[LABEL]
    return {
        state: count
        for line in coverage(languages=["en"], entry=entry)
        for state, count in line.counts.items()
        if count and state != State.MISSING  # titles
    }


def test_a_change_of_form_alone_sends_nothing_and_is_told(sandbox, make_lesson):
    lesson = make_lesson(GROW, EAT)
    translate()
    before = unit_of(lesson).published

    change(lesson, body=paragraphs(GROW.upper(), f"{EAT[:-1]} !"))

    unit = unit_of(lesson)
    assert (unit.is_stale, unit.is_changed_slightly, unit.is_out_of_date) == (
        True,
        True,
        False,
    )
    assert counts() == {State.SLIGHTLY_STALE: 1}
    assert translate() == 0
    assert unit_of(lesson).published == before


def test_a_word_changed_after_that_makes_it_out_of_date(sandbox, make_lesson):
    lesson = make_lesson(GROW, EAT)
    translate()
    change(lesson, body=paragraphs(GROW, EAT.upper()))

    change(lesson, body=paragraphs(GROW, ANGRY))

    assert unit_of(lesson).is_out_of_date
    assert counts() == {State.STALE: 1}
    assert translate() == 1
    unit = unit_of(lesson)
    assert (unit.is_stale, unit.is_changed_slightly) == (False, False)
    assert counts() == {State.PUBLISHED: 1}


def test_what_it_said_is_put_together_from_all_parts_of_a_long_text(
    sandbox, make_lesson
):
    many = [f"Qodob {number}: {GROW}" for number in range(40)]
    lesson = make_lesson(*many)
    assert translate() > 1

    change(lesson, body=paragraphs(*many[:-1], many[-1].lower()))

    assert unit_of(lesson).is_changed_slightly


def test_a_text_that_was_never_sent_counts_as_changed(make_lesson):
    lesson = make_lesson(GROW)
    kind = ContentType.objects.get_for_model(Lesson)
    hash_ = source_hash(lesson.body, "html")

    assert sources_before(kind.pk, [(str(lesson.pk), "body", hash_)]) == {}


def test_a_reviewer_brings_a_changed_form_up_to_date_in_one_act(
    sandbox, make_lesson, settings, django_user_model
):
    from translations.review.acts import settle

    lesson = make_lesson(GROW, EAT)
    translate()
    change(lesson, body=paragraphs(GROW, EAT.replace("koro.", "koro!")))
    unit = unit_of(lesson)
    unit.latest.findings, unit.latest.is_sandbox = [], False
    unit.latest.save()
    amina = django_user_model.objects.create_superuser("amina")

    settle(unit, base=unit.latest_id, texts={}, by=amina, publish=True)

    unit = unit_of(lesson)
    assert (unit.is_stale, unit.status) == (False, ReviewStatus.PUBLISHED)
    assert unit.published.text == translated(lesson, "body", "en")


def test_a_changed_paragraph_of_a_published_lesson_is_one_segment_and_one_item(
    sandbox, make_lesson, admin_client
):
    lesson = make_lesson(GROW, EAT, SLEEP)
    translate()
    before = unit_of(lesson).published
    change(lesson, body=paragraphs("Ku soo dhawow.", GROW, ANGRY, SLEEP))
    change(lesson, body=paragraphs(GROW, ANGRY, SLEEP))

    # Exactly its segment is out of date, on the lesson's page and on that of review.
    unit = unit_of(lesson)
    reading = read_version(unit, unit.latest)
    (stale,) = [pairing for pairing in reading.pairings if pairing.is_new]
    assert (stale.id, stale.source, stale.before) == ("s2", ANGRY, EAT)
    review = reverse("admin:translations_translation_review_one", args=[unit.pk])
    page = admin_client.get(review).content.decode()
    assert "Out of date: 1 of 3 segments." in " ".join(page.split())
    assert "<del>Ilmuhu</del>" in page and "<ins>Waan</ins>" in page
    panel = admin_client.get(
        reverse("admin:translations_lessons_lesson_change", args=[lesson.pk])
    ).content.decode()
    assert "1 of 3 segments" in panel

    # One act: the page that asks first, and one item.
    renew = reverse("admin:translations_lessons_lesson_translate_row", args=[lesson.pk])
    assert f"{renew}?language=en&amp;field=body" in page
    asked = admin_client.get(f"{renew}?language=en&field=body", follow=True)
    form = asked.context["form"]
    data = {"which": "missing", "languages": ["en"], "start": "1"}
    data |= {name: form.data[name] for name in ("form_key", "estimated")}
    data["canary"] = "on"
    admin_client.post(asked.request["PATH_INFO"], data)
    run = Run.objects.latest("pk")
    assert run.items_collected == 1
    work_off(seconds=60)

    unit = unit_of(lesson)
    assert (unit.is_stale, unit.status) == (False, ReviewStatus.PUBLISHED)
    texts = [segment["text"] for segment in unit.published.segments]
    kept = [segment["text"] for segment in before.segments]
    assert (texts[0], texts[2]) == (kept[0], kept[2]) and texts[1] != kept[1]


def test_the_sweep_finds_changes_that_nothing_told_of(sandbox, make_lesson):
    changed, reworded, same = (make_lesson(text, EAT) for text in (GROW, ANGRY, EAT))
    translate()
    rows = Lesson.objects
    rows.filter(pk=changed.pk).update(body=paragraphs(GROW, ANGRY))
    rows.filter(pk=reworded.pk).update(body=paragraphs(ANGRY.upper(), EAT))
    assert not Translation.objects.filter(is_stale=True).exists()

    done = sweep_sources()

    assert (done.looked_at, done.marked, done.cursor) == (3, 2, None)
    assert unit_of(changed).is_out_of_date
    assert unit_of(reworded).is_changed_slightly
    assert not unit_of(same).is_stale
    assert sweep_sources().marked == 0, "it may be repeated"


def test_a_sweep_that_is_cut_short_is_gone_on_with(sandbox, make_lesson, monkeypatch):
    monkeypatch.setattr("translations.staleness.ROWS_AT_ONCE", 2)
    for text in (GROW, ANGRY, EAT):
        make_lesson(text)
    translate()
    Lesson.objects.update(body=paragraphs(SLEEP))

    first = sweep_sources(is_over=lambda: True)
    rest = sweep_sources(after=first.cursor)

    assert (first.looked_at, rest.looked_at) == (2, 1)
    assert (first.marked + rest.marked, rest.cursor) == (3, None)
