"""The pages of review: who may do what on them, what they say, and what they escape."""

import json
import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from translations.models import (
    ReviewComment,
    ReviewDraft,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.review import acts

pytestmark = pytest.mark.django_db

QUEUE = reverse("admin:translations_translation_review")
BULK = reverse("admin:translations_translation_review_bulk")
ASKED = reverse("admin:translations_translation_review_asked")
EVIL = "<script>alert('x')</script>"
ERROR = {
    "code": "number_mismatch",
    "severity": "error",
    "template": "Missing numbers: %(n)s.",
    "params": {"n": "3"},
    "message": "Missing numbers: 3.",
    "segment": "s1",
    "span": [5, 6],
}


def url_of(unit):
    return reverse("admin:translations_translation_review_one", args=[unit.pk])


def draft_url(unit):
    return reverse("admin:translations_translation_review_draft", args=[unit.pk])


@pytest.fixture
def reviewer(client, amina):
    client.force_login(amina)
    return client


def html_of(client, url):
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def act(client, unit, what, **given):
    """Press a button of the page; returns the answer after the redirect."""
    data = {"base": unit.latest_id, "act": what, **given}
    return client.post(url_of(unit), data, follow=True)


def said(response):
    return [str(message) for message in response.context["messages"]]


def test_the_queue_leads_to_the_riskiest(reviewer, make_unit):
    make_unit(score=100)
    wrong = make_unit("اختر 4 قواعد", score=49, errors=1, findings=[ERROR])

    html = html_of(reviewer, QUEUE)

    assert "2 left" in html
    start = re.search(r'class="button default start" href="([^"]+)"', html)
    assert start and start[1] == url_of(wrong)


def test_an_empty_queue_says_so(reviewer):
    assert "Nothing is left here." in html_of(reviewer, QUEUE)
    assert "No question waits for an answer." in html_of(reviewer, ASKED)


def test_each_text_has_its_own_language_and_direction(reviewer, make_unit):
    html = html_of(reviewer, url_of(make_unit()))

    source = 'dir="ltr" lang="so">Dooro 3 xeer</div>'
    assert html.index(source) < html.index('dir="rtl" lang="ar">اختر 3 قواعد</div>')
    assert 'id="text-s1" name="text-s1" rows="2" dir="rtl" lang="ar"' in html


def test_findings_stand_in_their_place_and_fine_segments_are_folded(
    reviewer, make_lesson, make_unit
):
    lesson = make_lesson(body="<p>Kow.</p><p>Sug 3.</p>", body_format="html")
    finding = {**ERROR, "segment": "s2", "span": [4, 5]}
    unit = make_unit(
        "واحد.", "قف. 4", lesson=lesson, field="body", findings=[finding], errors=1
    )

    html = html_of(reviewer, url_of(unit))

    marked = 'قف. <mark class="found error" title="Missing numbers: 3.">4</mark>'
    assert marked in html
    assert "1 segment without a finding" in html
    assert html.index("واحد.") < html.index("</details>") < html.index(marked)


def test_after_an_act_the_next_text_comes(reviewer, make_unit):
    first, second = make_unit(score=60), make_unit(score=90)

    response = act(reviewer, first, "settle")

    assert response.redirect_chain == [(url_of(second), 302)]
    assert said(response) == [
        f"Approved and published: title {first.object_id}, Arabic."
    ]
    assert "1 left" in response.content.decode()
    first.refresh_from_db()
    assert first.status == ReviewStatus.PUBLISHED
    response = act(reviewer, second, "settle")
    assert response.redirect_chain == [(QUEUE, 302)]


def test_an_edit_is_approved_in_one_go(reviewer, make_unit):
    unit = make_unit("اختر 4 قواعد")

    act(reviewer, unit, "settle", **{"text-s1": "اختر 3 قواعد"})

    unit.refresh_from_db()
    assert (unit.status, unit.latest.number) == (ReviewStatus.PUBLISHED, 2)


def test_an_edit_with_an_error_is_kept_and_said_so(reviewer, make_unit):
    unit = make_unit("اختر 4 قواعد")

    response = act(reviewer, unit, "settle", **{"text-s1": "اختر 9 قواعد"})

    assert "number_mismatch" in said(response)[0]
    assert response.redirect_chain == [(url_of(unit), 302)]
    assert "اختر 9 قواعد" in response.content.decode()
    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW


def test_a_later_save_is_refused_with_both_texts_shown(reviewer, make_unit, bilal):
    unit = make_unit("اختر 4 قواعد")
    seen = unit.latest_id
    acts.edit(unit, base=seen, texts={"s1": "اختر 3 قواعد"}, by=bilal)

    response = act(reviewer, unit, "settle", base=seen, **{"text-s1": "نص أمينة 3"})

    html = response.content.decode()
    assert "Version 2 was made meanwhile" in said(response)[0]
    assert "اختر 3 قواعد</textarea>" in html
    assert "data-mine>نص أمينة 3</div>" in html
    assert "Both texts are kept" in html
    act(reviewer, unit, "drop", base=seen)
    assert "نص أمينة 3" not in html_of(reviewer, url_of(unit))


def test_a_draft_is_in_its_field_when_the_page_is_opened(reviewer, make_unit):
    unit = make_unit("اختر 4 قواعد")

    answer = reviewer.post(
        draft_url(unit),
        json.dumps({"base": unit.latest_id, "texts": {"s1": "اختر 3 قواعد"}}),
        content_type="application/json",
    )

    assert answer.json()["findings"] == []
    assert answer.json()["said"].startswith("Saved at ")
    html = html_of(reviewer, url_of(unit))
    assert 'data-original="اختر 4 قواعد">\nاختر 3 قواعد</textarea>' in html


def test_the_draft_is_checked_as_it_is_typed(reviewer, make_unit):
    unit = make_unit()

    answer = reviewer.post(
        draft_url(unit),
        json.dumps({"base": unit.latest_id, "texts": {"s1": "اختر 9 قواعد"}}),
        content_type="application/json",
    ).json()

    assert [one["segment"] for one in answer["findings"]].count("s1") >= 1
    assert answer["findings"][0]["severity"] == "error"


def test_editors_see_each_other(client, reviewer, make_unit, bilal):
    unit = make_unit()
    body = json.dumps({"base": unit.latest_id, "texts": None})
    reviewer.post(draft_url(unit), body, content_type="application/json")
    client.force_login(bilal)

    answer = client.post(draft_url(unit), body, content_type="application/json").json()

    assert answer["others"][0].startswith("amina is editing this since ")
    assert "amina is editing this since" in html_of(client, url_of(unit))
    assert "said" not in answer


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"base": "x"}', '{"base": 0}', '{"base": 1, "texts": 1}']
)
def test_a_draft_that_is_none_is_refused(reviewer, make_unit, body):
    unit = make_unit()

    answer = reviewer.post(draft_url(unit), body, content_type="application/json")

    assert answer.status_code == 400
    assert not ReviewDraft.objects.exists()


def test_skipping_goes_on_and_can_be_taken_back(reviewer, make_unit):
    first, second = make_unit(score=60), make_unit(score=90)

    assert act(reviewer, first, "skip").redirect_chain == [(url_of(second), 302)]
    response = act(reviewer, second, "skip")
    assert response.redirect_chain == [(QUEUE, 302)]
    assert "You skipped 2 texts." in response.content.decode()
    reviewer.post(QUEUE)

    assert url_of(first) in html_of(reviewer, QUEUE)


def test_rejecting_takes_a_reason(reviewer, make_unit):
    unit = make_unit()
    assert "choose a reason" in said(act(reviewer, unit, "reject"))[0]

    act(reviewer, unit, "reject", reason="style", words="stiff")

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.REJECTED
    html = html_of(reviewer, url_of(unit))
    assert "Style: stiff" in html


def test_a_question_is_asked_listed_and_answered(reviewer, make_unit):
    unit = make_unit()

    act(reviewer, unit, "ask", question=f"Three? {EVIL}")

    html = html_of(reviewer, ASKED)
    assert "Three? &lt;script&gt;" in html
    comment = ReviewComment.objects.get()
    reviewer.post(ASKED, {"comment": comment.pk, "answer": "Three."})
    assert url_of(unit) in html_of(reviewer, QUEUE)
    assert "Three." in html_of(reviewer, url_of(unit))


def test_a_version_is_restored_from_the_page(reviewer, make_unit, amina):
    unit = make_unit()
    first = unit.latest
    acts.edit(unit, base=first.pk, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)
    unit.refresh_from_db()

    response = act(reviewer, unit, "", restore=first.pk)

    assert said(response) == ["Version 1 is here again, as version 3."]
    unit.refresh_from_db()
    assert unit.latest.text == first.text


def test_published_text_is_taken_back_from_the_page(reviewer, make_unit, amina):
    unit = make_unit()
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    unit.refresh_from_db()

    act(reviewer, unit, "unpublish")

    unit.refresh_from_db()
    assert unit.published is None


def test_an_error_is_waived_from_the_page(reviewer, make_unit):
    unit = make_unit("اختر 4 قواعد", findings=[ERROR], errors=1, score=49)
    assert "Approve all the same" in html_of(reviewer, url_of(unit))

    act(reviewer, unit, "settle", waiver="the source says four elsewhere")

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED


def test_many_are_approved_after_a_question(reviewer, make_unit):
    good, other = make_unit(), make_unit()
    make_unit(score=50)
    html = html_of(reviewer, BULK)
    assert "2 texts can be approved now." in html
    assert "with a score under 90</bdi>: 1" in html
    token = re.search(r'name="token" value="([^"]+)"', html)[1]

    response = reviewer.post(
        BULK, {"token": token, "unit": [good.pk], "publish": "1"}, follow=True
    )

    assert said(response) == ["Approved: 1 text. To be looked at again: 1."]
    good.refresh_from_db()
    other.refresh_from_db()
    assert (good.status, other.status) == (
        ReviewStatus.PUBLISHED,
        ReviewStatus.PENDING_REVIEW,
    )
    again = reviewer.post(BULK, {"token": token, "unit": [other.pk]}, follow=True)
    assert "done already" in said(again)[0]


def test_who_edits_may_not_approve(client, people, make_unit):
    client.force_login(people("sahra", "editor"))
    unit = make_unit("اختر 4 قواعد")

    html = html_of(client, url_of(unit))
    assert 'value="reject"' not in html
    assert 'value="settle"' not in html
    response = act(client, unit, "save", **{"text-s1": "اختر 3 قواعد"})
    assert said(response) == ["Saved as version 2."]
    for what in ("settle", "approve", "reject", "unpublish"):
        assert client.post(url_of(unit), {"act": what}).status_code == 403
    assert client.get(BULK).status_code == 403
    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW


def test_who_only_looks_changes_nothing(client, people, make_unit):
    client.force_login(people("faadumo", "auditor"))
    unit = make_unit()

    html = html_of(client, url_of(unit))

    assert "<textarea id=" not in html
    assert client.post(url_of(unit), {"act": "save"}).status_code == 403
    assert client.post(draft_url(unit), "{}", "application/json").status_code == 403
    assert client.post(ASKED, {"comment": 1}).status_code == 403
    assert client.post(url_of(unit), {"act": "explode"}).status_code == 404


def test_who_may_not_see_the_content_sees_no_text_of_it(
    client, django_user_model, make_unit
):
    staff = django_user_model.objects.create_user("x", is_staff=True)
    codenames = ["view_translation", "edit_translation"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(staff)

    assert client.get(url_of(make_unit())).status_code == 403


def test_strangers_are_sent_to_the_login(client, make_unit):
    for url in (QUEUE, BULK, ASKED, url_of(make_unit())):
        assert client.get(url)["Location"].startswith("/admin/login/?next=")


def test_hostile_text_is_shown_and_never_run(reviewer, make_lesson, make_unit, amina):
    lesson = make_lesson(EVIL)
    unit = make_unit(
        f"{EVIL}</textarea>",
        lesson=lesson,
        findings=[
            {
                **ERROR,
                "template": "It says %(n)s.",
                "params": {"n": EVIL},
                "code": EVIL,
                "span": [0, 8],
            }
        ],
        score=95,
    )
    act(reviewer, unit, "note", note=EVIL)
    act(reviewer, unit, "reject", reason="other", words=EVIL)
    acts.edit(unit, base=unit.latest_id, texts={"s1": f"{EVIL}!"}, by=amina)

    for url in (url_of(unit), QUEUE, BULK, f"{QUEUE}?pair={EVIL}&code={EVIL}"):
        html = html_of(reviewer, url)
        assert "<script>alert" not in html
        assert html.count("</textarea>") == html.count("<textarea")
    assert "&lt;script&gt;" in html_of(reviewer, url_of(unit))


def test_bidi_controls_are_named_where_they_are_shown(reviewer, make_unit):
    html = html_of(reviewer, url_of(make_unit("اختر \u202e3 قواعد")))

    shown = re.search(r'class="text shown"[^>]*>([^\n]*)</div>', html)
    assert shown and "[U+202E]" in shown[1]


def test_a_source_that_is_gone_leaves_nothing_to_approve(
    reviewer, make_lesson, make_unit
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    lesson.delete()

    html = html_of(reviewer, url_of(unit))

    assert "The source of this text is gone" in html
    assert 'value="settle"' not in html
    assert "is gone" in said(act(reviewer, unit, "settle"))[0]


def test_a_long_text_is_shown_with_few_queries(
    reviewer, make_lesson, make_unit, django_assert_max_num_queries
):
    body = "".join(f"<p>Erey {number}.</p>" for number in range(200))
    texts = [f"كلمة {number}." for number in range(200)]
    lesson = make_lesson(body=body, body_format="html")
    unit = make_unit(*texts, lesson=lesson, field="body")

    with django_assert_max_num_queries(20):
        html = html_of(reviewer, url_of(unit))

    assert "188 segments without a finding" in html


def test_the_queue_leaves_the_texts_where_they_are(
    reviewer, make_unit, django_assert_max_num_queries
):
    for _ in range(5):
        make_unit()
    reviewer.get(QUEUE)

    with django_assert_max_num_queries(16) as captured:
        reviewer.get(QUEUE)

    rows = [q["sql"] for q in captured if '"findings"' in q["sql"]]
    assert rows == []
    assert TranslationVersion.objects.count() == Translation.objects.count() == 5
