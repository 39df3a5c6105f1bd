"""Prompt versions: written, put into production, taken back, and never changed."""

import pytest
from django.db import IntegrityError, transaction

from batches.errors import BadPrompt, NotPossible, PromptIsFixed
from batches.models import AuditEntry, PromptVersion
from batches.services.prompts import (
    current_prompt,
    promote,
    roll_back,
    write_version,
)
from batches.workloads import get_workload, registered
from tests.gallery.workloads import CaptionWorkload

pytestmark = pytest.mark.django_db

Label = PromptVersion.Label


class Signed(CaptionWorkload):
    key = "signed"
    prompt = "Write a caption in $language; it costs 3 $$."


@pytest.fixture
def captions():
    return get_workload("captions")


def write(text, workload="captions", note=""):
    return write_version(get_workload(workload), text, note=note, by="amina")


def numbers_by_label(workload="captions"):
    rows = PromptVersion.objects.filter(workload=workload).order_by("number")
    return {version.number: version.label for version in rows}


def test_the_shipped_text_is_version_1_and_in_production(captions):
    version = current_prompt(captions)

    assert (version.number, version.text) == (1, captions.prompt)
    assert version.label == Label.PRODUCTION
    assert current_prompt(captions) == version
    assert PromptVersion.objects.count() == 1


def test_what_ships_anew_goes_into_production_where_nobody_edited(
    captions, monkeypatch
):
    first = current_prompt(captions)
    monkeypatch.setattr(CaptionWorkload, "prompt", "Write a better caption.")

    second = current_prompt(captions)

    assert (second.number, second.is_production) == (2, True)
    assert second.replaced == first
    assert numbers_by_label() == {1: Label.EARLIER, 2: Label.PRODUCTION}
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("prompt.promote", "batchsite")


def test_what_ships_anew_is_a_candidate_where_somebody_edited(captions, monkeypatch):
    write("Write a rhyme.")
    monkeypatch.setattr(CaptionWorkload, "prompt", "Write a better caption.")

    production = current_prompt(captions)

    assert production.number == 1
    assert numbers_by_label() == {
        1: Label.PRODUCTION,
        2: Label.CANDIDATE,
        3: Label.CANDIDATE,
    }
    assert current_prompt(captions) == production


def test_a_choice_between_shipped_texts_is_kept_too(captions, monkeypatch):
    first = current_prompt(captions)
    monkeypatch.setattr(CaptionWorkload, "prompt", "Write a better caption.")
    roll_back(current_prompt(captions), by="amina")

    assert current_prompt(captions) == first


def test_an_edit_is_a_new_candidate_with_its_note(captions):
    version = write("Write a rhyme.", note="Children like rhymes.")

    assert (version.number, version.label) == (2, Label.CANDIDATE)
    assert (version.note, version.written_by) == ("Children like rhymes.", "amina")
    assert current_prompt(captions).number == 1
    assert AuditEntry.objects.get().action == "prompt.write"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  \n", "is empty"),
        ("x" * 50_001, "50,001 characters"),
        ("Write in $langage.", r"\$langage is no variable of signed; .* \$language"),
        ("Costs 3 $ each.", r"write \$\$"),
        ("Write a caption in $language; it costs 3 $$.", "this is signed prompt 1"),
    ],
)
def test_a_text_that_cannot_be_a_prompt_is_refused(text, words):
    with registered(Signed), pytest.raises(BadPrompt, match=words):
        write(text, "signed")


@pytest.mark.parametrize(
    ("name", "value"),
    [("text", "Another."), ("note", "new"), ("number", 7), ("workload", "other")],
)
def test_what_a_version_is_never_changes(captions, name, value):
    version = current_prompt(captions)
    setattr(version, name, value)

    with pytest.raises(PromptIsFixed, match=f"prompt .*{name}"):
        version.save()
    with pytest.raises(PromptIsFixed, match=name):
        PromptVersion.objects.filter(pk=version.pk).update(**{name: value})
    version.refresh_from_db()
    assert getattr(version, name) != value


def test_a_version_is_never_deleted(captions):
    version = current_prompt(captions)

    with pytest.raises(PromptIsFixed):
        version.delete()
    with pytest.raises(PromptIsFixed):
        PromptVersion.objects.all().delete()
    assert PromptVersion.objects.count() == 1


def test_promoting_puts_one_into_production_and_is_audited(captions):
    first, second = current_prompt(captions), write("Write a rhyme.")

    promote(second, by="amina")

    assert current_prompt(captions) == second
    assert numbers_by_label() == {1: Label.EARLIER, 2: Label.PRODUCTION}
    entry = AuditEntry.objects.order_by("pk").last()
    assert (entry.action, entry.actor) == ("prompt.promote", "amina")
    assert entry.before == {"production": str(first)}
    assert entry.after == {"production": str(second)}
    with pytest.raises(NotPossible, match="already"):
        promote(second, by="amina")


def test_rolling_back_leads_back_step_by_step(captions):
    first = current_prompt(captions)
    second, third = write("Write a rhyme."), write("Write a riddle.")
    promote(second, by="amina")
    promote(third, by="amina")

    assert roll_back(third, by="bilan") == second
    assert roll_back(second, by="bilan") == first
    with pytest.raises(NotPossible, match="it was the first"):
        roll_back(first, by="bilan")
    with pytest.raises(NotPossible, match="not in production any more"):
        roll_back(third, by="bilan")
    assert numbers_by_label() == {
        1: Label.PRODUCTION,
        2: Label.EARLIER,
        3: Label.EARLIER,
    }


def test_the_database_has_one_version_in_production_and_tries_it_on_nobody(captions):
    version, other = current_prompt(captions), write("Write a rhyme.")
    rows = PromptVersion.objects

    with pytest.raises(IntegrityError), transaction.atomic():
        rows.filter(pk=version.pk).update(slots=[3])
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.filter(pk=other.pk).update(is_production=True)
