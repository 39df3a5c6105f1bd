"""`estimate_cost`: the documents' tables, real usage beside them, and bad input."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.services.prices import save_price
from tests.driving import work_off
from tests.factories import make_collected_run, make_price

pytestmark = pytest.mark.django_db


def run(*args):
    out = StringIO()
    call_command("estimate_cost", *args, stdout=out)
    return out.getvalue()


def tables(*args):
    found = json.loads(run("--json", *args))["tables"]
    return {table["profile"]: table for table in found}


def test_the_table_of_the_dictionary_comes_out_exactly():
    (full, moderate, aggressive) = tables()["dictionary"]["scenarios"]

    assert (full["units"], full["shown_usd"]) == (269_309, "180.50")
    assert (moderate["units"], moderate["shown_usd"]) == (40_396, "27.08")
    assert (aggressive["units"], aggressive["shown_usd"]) == (26_931, "18.05")
    assert full["estimate"]["cost_usd"].startswith("180.50166")  # 269,309 × 0.00067024


def test_a_nightly_batch_is_two_cents_and_a_month_of_them_sixty():
    (batch, month) = tables()["nightly"]["scenarios"]

    assert batch["estimate"]["input_tokens"] == 60_000
    assert batch["estimate"]["output_tokens"] == 60_000
    assert batch["estimate"]["cost_usd"] == "0.022500000"
    assert batch["estimate"]["real_time_usd"] == "0.045000000"
    assert (batch["shown_usd"], month["shown_usd"]) == ("0.02", "0.60")


def test_the_tables_are_drawn_with_their_assumptions_and_prices():
    said = run()

    for shown in ("$180.50", "$27.08", "$18.05", "$0.02", "$0.60", "269,309"):
        assert shown in said
    assert "500 tokens in and as many out" in said
    assert "Prices of gpt-4o-mini: $0.075 and $0.3 for a million tokens" in said
    assert "no dictionary request was finished" in said


def test_other_units_and_another_model_have_their_own_price():
    table = tables("--profile", "nightly", "--units", "1000", "--model", "gpt-4.1")

    (line,) = table["nightly"]["scenarios"]
    assert line["title"] == "1,000 requests"
    assert line["estimate"]["cost_usd"] == "2.500000000"  # half a million each way


def test_a_price_of_ours_is_used():
    price = make_price("gpt-4o-mini", batch_input="0.15", batch_output="0.60")
    save_price(price, by="ayaan")

    table = tables("--profile", "dictionary")["dictionary"]

    assert table["scenarios"][0]["shown_usd"] == "361.00"
    assert table["price"]["version"] == f"price {price.pk}.1"


def test_real_usage_makes_a_profile_and_is_shown_beside_it(sandbox):
    make_collected_run(items=10)
    work_off()

    table = tables("--workload", "captions")["measured"]

    actual, line = table["actual"], table["scenarios"][1]
    assert (actual["requests"], actual["units"]) == (10, 10)
    assert (line["title"], line["units"]) == ("1,000", 1_000)
    assert line["estimate"]["input_tokens"] == 100 * actual["input_tokens"]
    assert float(line["estimate"]["cost_usd"]) == pytest.approx(
        100 * float(actual["cost_usd"])
    )
    said = run("--workload", "captions")
    assert "Actual: 10 requests of captions took" in said
    assert "(sandbox: play money)" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--workload", "captions"], "There are 0 finished requests of captions"),
        (["--workload", "capitons"], "No workload is called 'capitons'"),
        (["--profile", "measured"], "needs --workload"),
        (
            ["--profile", "nightly", "--workload", "captions"],
            "an assumption of its own",
        ),
        (["--profile", "daily"], "invalid choice"),
        (["--model", "gpt-nonsense"], "add its price in the admin"),
        (["--units", "0"], "give 1 or more"),
        (["--units", "-5"], "give 1 or more"),
        (["--units", "many"], "no whole number"),
        (["--units", "1000000000001"], "give 1 to 1,000,000,000"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_a_reason(args, words):
    with pytest.raises(CommandError, match=words):
        run(*args)
