"""“Usage and cost”: the same figures as figures, charts, tables and files."""

import csv
import json
import re
from io import StringIO
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone, translation

from batches.admin.charts import Chart, Series
from batches.admin.display import list_url
from batches.models import HourlyUsage, JobShare
from batches.states import AttemptOutcome, JobStatus

pytestmark = pytest.mark.django_db

URL = "/admin/batches/hourlyusage/cost/"
SVG = re.compile(r'<svg class="chart".*?</svg>', re.DOTALL)


@pytest.fixture
def used():
    def make(**given):
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        return HourlyUsage.objects.create(
            **{
                "hour": hour,
                "provider": "openai",
                "workload": "translation",
                "model": "gpt-4o-mini",
                "outcome": AttemptOutcome.APPLIED,
                "attempts": 100,
                "input_tokens": 1_000_000,
                "cached_tokens": 200_000,
                "output_tokens": 100_000,
                "cost_nanos": 105_000_000,
                **given,
            }
        )

    return make


def facts(html, panel="usage-real"):
    body = html.split(f'data-panel="{panel}"')[1].split("</section>")[0]
    return dict(re.findall(r"<dt>(.*?)</dt><dd><bdi>(.*?)</bdi>", body))


def charts(html):
    return [ElementTree.fromstring(found) for found in SVG.findall(html)]  # noqa: S314


def test_without_usage_it_says_so(page):
    html = page(URL)

    assert "No job ended in this time" in html
    assert not charts(html)


def test_it_tells_what_was_spent_and_saved(page, used):
    used()

    shown = facts(page(URL))

    assert shown["Spent"] == "$0.105"
    assert shown["Real-time price of the same"] == "$0.195"
    assert shown["Saved"] == "$0.0900 (46.2 %)"
    assert shown["Of these cached"] == "20.0 %"
    assert shown["Average cost per request"] == "$0.00105"
    assert shown["Average saving per request"] == "$0.000900"
    assert shown["Saving in 30 days at this pace"] == "$0.0900"
    assert shown["Saving in a year at this pace"] == "$1.08"


def test_there_are_four_charts_with_a_table_behind_each(page, used):
    used()

    html = page(URL)

    titles = [svg.find("title").text for svg in charts(html)]
    assert titles == [
        "Spent",
        "Saved against real-time price",
        "Predicted against actual",
        "Cached share of input",
    ]
    assert html.count("<summary>Figures</summary>") == 4
    assert len(re.findall(r'<th scope="col"><bdi>Time \(UTC\)', html)) == 4
    for svg in charts(html):
        names = svg.attrib["aria-labelledby"].split()
        assert [svg.find("title").attrib["id"], svg.find("desc").attrib["id"]] == names
        assert "All figures are in the table below." in svg.find("desc").text


def test_the_sandbox_stands_apart_and_is_marked(page, used):
    used()
    used(provider="sandbox", cost_nanos=7_000_000_000)

    html = page(URL)

    assert facts(html)["Spent"] == "$0.105"
    assert facts(html, "usage-sandbox")["Spent"] == "$7.00"
    assert "never added to real money" in html
    assert html.count('<span class="badge badge-warn">sandbox</span>') == 4


@pytest.mark.parametrize(
    ("asked", "buckets"), [("24h", 24), ("7d", 7), ("30d", 30), ("12m", 12)]
)
def test_each_range_has_its_own_buckets(page, used, asked, buckets):
    used()

    html = page(f"{URL}?range={asked}")

    (bar,) = charts(html)[0].findall("rect")
    assert float(bar.attrib["width"]) == pytest.approx(750 / buckets, abs=0.01)
    assert f'?range={asked}&amp;group=model" aria-current="true"' in html


@pytest.mark.parametrize("asked", ["?range=999y&group=colour", "?range=&group="])
def test_what_it_does_not_know_is_the_default(page, used, asked):
    used()

    assert '?range=30d&amp;group=model" aria-current="true"' in page(f"{URL}{asked}")


def test_groups_beyond_the_colours_are_one(page, used):
    for n in range(7):
        used(account=f"account {n}", cost_nanos=1_000 * (n + 1))

    html = page(f"{URL}?group=account")

    bars = charts(html)[0].findall("rect")
    assert [bar.attrib["class"] for bar in bars] == [f"series-{n}" for n in range(1, 7)]
    assert bars[-1].find("title").text.endswith("all others, $0.00000300")
    groups = html.split('data-panel="groups-real"')[1].split("</section>")[0]
    assert groups.count("<tr>") == 8


def test_names_are_escaped(page, used):
    used(account="<script>alert(1)</script>")

    html = page(f"{URL}?group=account")

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_what_has_no_known_cost_is_said(page, used, make_run, make_job):
    used()
    share = {"sent": 2, "unpriced": 2, "unpriced_nanos": 30_000_000}
    make_job(JobStatus.PROCESSED, runs=[make_run()], share=share)

    html = page(URL)

    assert "2 requests have no known cost; up to $0.0300 more" in html
    assert "Every request is priced" not in html


def test_predicted_stands_beside_actual(page, used, make_run, make_job):
    used()
    run = make_run(estimate_nanos=420_000_000, expected_nanos=280_000_000)
    job = make_job(JobStatus.PROCESSED, runs=[run], input_tokens=1_000_000)
    JobShare.objects.filter(job=job).update(reserved_nanos=210_000_000)

    html = page(URL)

    assert facts(html)["Reserved (worst case)"] == "$0.210 (50.0 % spent)"
    assert facts(html)["Expected"] == "$0.140 (75.0 % spent)"
    heights = [float(bar.attrib["height"]) for bar in charts(html)[2].findall("rect")]
    assert heights == [240, 160, 120]


def test_the_same_figures_come_as_files(admin_client, used):
    used()

    told = admin_client.get(f"{URL}?format=json&group=workload")
    table = admin_client.get(f"{URL}?format=csv&range=7d")

    assert told["Content-Disposition"].endswith('"usage-30d-workload.json"')
    (part,) = json.loads(told.content)["parts"]
    assert part["totals"]["saved_usd"] == "0.090000000"
    assert table["Content-Type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(StringIO(table.content.decode()))
    assert (row["model"], row["cost_usd"]) == ("gpt-4o-mini", "0.105000000")


def test_it_needs_the_permission_to_see_usage(client, django_user_model, used):
    used()
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    client.force_login(user)

    before = [client.get(f"{URL}{end}").status_code for end in ("", "?format=json")]
    user.user_permissions.add(Permission.objects.get(codename="view_hourlyusage"))
    after = [client.get(f"{URL}{end}").status_code for end in ("", "?format=json")]

    assert (before, after) == ([403, 403], [200, 200])


def test_strangers_are_sent_to_the_login(client):
    assert reverse("admin:login") in client.get(URL).url


def test_the_desk_and_the_list_lead_to_it_and_back(page, used):
    usage = used()

    assert f'href="{URL}"' in page("/admin/")
    assert f'href="{URL}"' in page(list_url(HourlyUsage))
    assert f'href="{list_url(HourlyUsage)}"' in page(URL)
    assert str(usage.pk) in page(list_url(HourlyUsage))


def test_there_is_no_inline_script_or_style(page, used):
    used()

    html = page(URL)

    assert "style=" not in html
    assert "<style" not in html
    assert "<script>" not in html
    assert " onclick=" not in html


def test_a_drawing_has_the_same_numbers_in_every_language(page, used):
    used()

    with translation.override("ar"):
        bars = charts(page(f"{URL}?range=12m"))[0].findall("rect")

    assert re.fullmatch(r"[\d.]+", bars[0].attrib["width"])


def test_it_takes_few_queries(
    admin_client, used, django_assert_num_queries, still_clock
):
    for n in range(20):
        used(account=f"account {n}")
    admin_client.get(URL)

    # session, user, the rollup, our prices, the shares; the look in the audit log
    with django_assert_num_queries(6):
        admin_client.get(URL)


def test_kinds_of_work_are_compared_by_how_much_of_them_failed(page, used):
    used(attempts=95)
    used(attempts=5, outcome=AttemptOutcome.FAILED, error_code="refused")
    used(attempts=50, outcome=AttemptOutcome.RETRIED, error_code="timeout")
    used(attempts=10, workload="summary")

    html = page(f"{URL}?group=workload")

    rows = html.split('data-panel="groups-real"')[1].split("</section>")[0]
    failed = {
        name: re.search(rf"{name}.*?</tr>", rows, re.DOTALL)[0]
        for name in ("translation", "summary")
    }
    assert "5 (5.0 %)" in failed["translation"]
    assert "0 (0.0 %)" in failed["summary"]


def chart(**given):
    series = given.pop("series")
    return Chart("x", "Title", "", ["a", "b"], series, str, **given)


def test_bars_that_are_stacked_add_up_to_the_scale():
    drawn = chart(
        series=[Series("one", [10, 0], 1), Series("two", [30, 20], 2)], is_stacked=True
    )

    assert drawn.scale == 40
    assert [bar[2:5:2] for bar in drawn._bars()] == [
        ("180", "60"),
        ("0", "180"),
        ("120", "120"),
    ]


def test_a_chart_of_nothing_is_drawn_without_bars():
    drawn = chart(series=[Series("one", [0, 0])])

    assert (drawn.scale, drawn._bars(), drawn.rows) == (1, [], [])


def test_what_is_below_zero_is_in_the_table_alone():
    drawn = chart(series=[Series("one", [-5, 3])])

    assert len(drawn._bars()) == 1
    assert drawn.rows == [["b", "3"], ["a", "-5"]]
