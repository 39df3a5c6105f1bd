"""Lessons with machine translations that wait for review."""

import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType

from translations.lessons.models import Course, Lesson
from translations.models import (
    Origin,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.segments import (
    join_pieces,
    segment_hash,
    segments_of,
    source_hash,
    split_text,
)
from translations.spans import spans_of


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def make_lesson(db):
    def make(title="Dooro 3 xeer", *, course="waalidnimo", **given):
        found, _ = Course.objects.get_or_create(
            external_id=course, defaults={"title": course}
        )
        given.setdefault("source_language", "so")
        number = Lesson.objects.count() + 1
        return Lesson.objects.create(
            course=found, external_id=f"lesson-{number}", title=title, **given
        )

    return make


@pytest.fixture
def make_unit(make_lesson):
    """A unit with a machine's version; `texts` are its segments in order."""

    def make(*texts, lesson=None, field="title", language="ar", **version):
        lesson = lesson or make_lesson()
        source = getattr(lesson, field)
        format = lesson.body_format if field == "body" else "text"
        unit = Translation.objects.create(
            content_type=ContentType.objects.get_for_model(Lesson),
            object_id=str(lesson.pk),
            field=field,
            language=language,
            source_language="so",
            format=format,
        )
        add_version(unit, source, format, texts or ("اختر 3 قواعد",), **version)
        return unit

    return make


def add_version(unit, source, format, texts, **given):
    """A machine's answer for a unit, as storing writes it."""
    pieces = split_text(source, format)
    segments = segments_of(pieces)
    answered = {s.id: text for s, text in zip(segments, texts, strict=True)}
    text = join_pieces(pieces, answered)
    given.setdefault("score", 100)
    unit.versions_made += 1
    version = TranslationVersion.objects.create(
        translation=unit,
        number=unit.versions_made,
        text=text,
        spans=spans_of(
            text, [(s.id, segment_hash(s.text), answered[s.id]) for s in segments]
        ),
        source_hash=source_hash(source, format),
        origin=Origin.MACHINE,
        model="gpt-4o-mini",
        checks_version=1,
        **given,
    )
    unit.latest = version
    unit.status = ReviewStatus.PENDING_REVIEW
    unit.source_hash = version.source_hash
    unit.is_sandbox = version.is_sandbox
    unit.save()
    return version


@pytest.fixture
def answer_again():
    """A later answer of a machine for the same source."""

    def make(unit, *texts, **given):
        unit.refresh_from_db()
        lesson = Lesson.objects.get(pk=unit.object_id)
        source = getattr(lesson, unit.field)
        return add_version(unit, source, unit.format, texts, **given)

    return make


@pytest.fixture
def people(django_user_model):
    """A user who is in a group, by name: `people("amina", "reviewer")`."""

    def make(name, group="reviewer"):
        user = django_user_model.objects.create_user(
            name, f"{name}@example.org", "secret", is_staff=True
        )
        user.groups.add(Group.objects.get(name=group))
        return user

    return make


@pytest.fixture
def amina(people):
    return people("amina")


@pytest.fixture
def bilal(people):
    return people("bilal")
