"""Each fault of a request, a file or a batch does what its name says."""

import time

import httpx2
import openai
import pytest

from batches.sandbox.faults import KINDS, FaultError, Faults
from tests.sandbox.fixtures import (
    chat_line,
    create,
    finished,
    results,
    run,
    upload,
    wait_for,
)


def names(client):
    """Ids of the batches in the list, newest first."""
    return [batch.id for batch in client.batches.list()]


# --- steering -------------------------------------------------------------------------


def test_faults_are_shown_changed_and_cleared_over_http(sandbox):
    on = sandbox.faults(http_500=2, crlf=True)

    assert on["http_500"]["times"] == 2
    assert sandbox.faults().keys() == {"http_500", "crlf"}
    assert sandbox.faults(http_500=None).keys() == {"crlf"}
    assert sandbox.faults(crlf=0) == {}
    assert sandbox.call("GET", "/_sandbox/faults?all=1").keys() == KINDS.keys()


def test_an_unknown_fault_is_refused_and_nothing_is_changed(sandbox):
    with pytest.raises(ValueError, match="There is no fault 'no_such_fault'"):
        sandbox.faults(crlf=True, no_such_fault=True)

    assert sandbox.faults() == {}


def test_a_fault_wears_off_and_keeps_to_its_operations(sandbox, client):
    sandbox.faults(http_500={"times": 1, "on": "models.list"})

    client.files.list()
    with pytest.raises(openai.InternalServerError):
        client.models.list()
    client.models.list()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("yes", "takes true, false, a number"),
        ({"colour": 1}, "does not know the option 'colour'"),
        ({"rate": -1}, "rate is a number"),
        ({"on": ["files.eat"]}, "no operation 'files.eat'"),
    ],
)
def test_wrong_values_are_explained(value, says):
    with pytest.raises(FaultError, match=says):
        Faults().change({"http_500": value})


def test_a_rate_depends_on_the_seed_alone():
    def struck(seed):
        faults = Faults(seed)
        faults.change({"http_500": {"rate": 0.5}})
        return [faults.strikes("http_500") is not None for _ in range(100)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 70


# --- answers to requests --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("http_409", openai.ConflictError, "conflict"),
        ("http_429", openai.RateLimitError, "rate_limit_exceeded"),
        ("http_500", openai.InternalServerError, None),
        ("http_502", openai.InternalServerError, None),
        ("http_503", openai.InternalServerError, None),
        ("wrong_key", openai.AuthenticationError, "invalid_api_key"),
    ],
)
def test_an_error_answer_has_its_status_and_code(sandbox, client, fault, error, code):
    sandbox.faults(**{fault: 1})

    with pytest.raises(error) as failed:
        client.batches.list()

    assert failed.value.code == code
    client.batches.list()


@pytest.mark.parametrize("fault", ["http_429", "http_503"])
def test_retry_after_is_told_and_honoured_by_the_client(sandbox, fault):
    sandbox.faults(**{fault: {"times": 1, "retry_after": 0.2}})

    with sandbox.client(max_retries=2) as patient:
        began = time.monotonic()
        patient.models.list()

    assert time.monotonic() - began >= 0.2


def test_no_quota_refuses_only_what_costs_money(sandbox, client):
    sandbox.faults(no_quota=True)

    file = upload(client, [chat_line("1")])
    with pytest.raises(openai.RateLimitError) as refused:
        client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )

    assert refused.value.code == "insufficient_quota"


def test_a_reset_connection_has_no_answer(sandbox, client):
    sandbox.faults(reset=1)

    with pytest.raises(openai.APIConnectionError):
        client.models.list()
    assert client.models.list().data


def test_a_slow_answer_drips(sandbox, client):
    sandbox.faults(slow={"seconds": 0.4, "times": 1})
    began = time.monotonic()

    client.models.list()

    assert time.monotonic() - began >= 0.35


# --- files ----------------------------------------------------------------------------


def test_a_lost_upload_answer_leaves_a_file(sandbox, client):
    def uploaded():  # and no results, which batches of other tests may still bring
        return {file.id for file in client.files.list(purpose="batch")}

    before = uploaded()
    sandbox.faults(lost_upload_answer=1)

    with pytest.raises(openai.APIConnectionError):
        upload(client, [chat_line("1")])

    assert len(uploaded() - before) == 1


def test_a_lost_delete_answer_leaves_none(sandbox, client):
    file = upload(client, [chat_line("1")])
    sandbox.faults(lost_delete_answer=1)

    with pytest.raises(openai.APIConnectionError):
        client.files.delete(file.id)

    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_an_invisible_file_appears_later(sandbox, client):
    sandbox.faults(invisible_file=0.4)
    file = upload(client, [chat_line("1")])
    wanted = {
        "input_file_id": file.id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }

    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    assert file.id not in [listed.id for listed in client.files.list()]
    refused = finished(client, client.batches.create(**wanted).id)
    assert refused.errors.data[0].code == "invalid_request"

    def is_visible():
        return file.id in [listed.id for listed in client.files.list()]

    wait_for(is_visible)
    assert finished(client, client.batches.create(**wanted).id).status == "completed"


def test_a_cut_download_breaks_off(sandbox, client):
    batch = run(client, [chat_line(str(n)) for n in range(20)])
    size = client.files.retrieve(batch.output_file_id).bytes
    sandbox.faults(cut_download=0.5)

    received = b""
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        client.files.with_streaming_response.content(batch.output_file_id) as answer,
    ):
        assert answer.headers["content-length"] == str(size)
        for block in answer.iter_bytes():
            received += block

    assert 0 < len(received) < size


def test_a_cut_download_of_unknown_length_looks_whole(sandbox, client):
    batch = run(client, [chat_line(str(n)) for n in range(20)])
    size = client.files.retrieve(batch.output_file_id).bytes
    sandbox.faults(cut_download_unannounced=0.25)

    answer = client.files.content(batch.output_file_id)

    assert "content-length" not in answer.response.headers
    assert len(answer.content) == size // 4


# --- batches --------------------------------------------------------------------------


def test_a_lost_create_answer_leaves_a_batch(sandbox, client):
    sandbox.faults(lost_create_answer=1)

    with pytest.raises(openai.APIConnectionError):
        create(client, [chat_line("1")], metadata={"token": "lost"})

    [found] = [b for b in client.batches.list() if b.metadata == {"token": "lost"}]
    assert finished(client, found.id).status == "completed"


def test_a_lost_answer_can_be_a_gateways_error(sandbox, client):
    sandbox.faults(lost_create_answer={"times": 1, "status": 502})

    with pytest.raises(openai.InternalServerError) as failed:
        create(client, [chat_line("1")], metadata={"token": "gateway"})

    assert failed.value.status_code == 502
    assert {"token": "gateway"} in [b.metadata for b in client.batches.list()]


def test_a_lost_answer_can_be_one_that_never_comes(sandbox, client):
    sandbox.faults(lost_create_answer={"times": 1, "hold": 1.0})

    with pytest.raises(openai.APITimeoutError):
        create(
            client.with_options(timeout=0.3), [chat_line("1")], metadata={"t": "hung"}
        )

    assert {"t": "hung"} in [b.metadata for b in client.batches.list()]


def test_a_late_create_happens_after_its_answer_was_lost(sandbox, client):
    sandbox.faults(late_create={"seconds": 0.5, "times": 1})

    with pytest.raises(openai.APIConnectionError):
        create(client, [chat_line("1")], metadata={"token": "late"})

    def is_listed():
        return {"token": "late"} in [batch.metadata for batch in client.batches.list()]

    assert not is_listed()
    wait_for(is_listed)


def test_a_repeated_create_makes_two_batches(sandbox, client):
    sandbox.faults(repeated_create=1)

    batch = create(client, [chat_line("1")], metadata={"token": "twice"})

    same = [b.id for b in client.batches.list() if b.metadata == {"token": "twice"}]
    assert len(same) == 2
    assert same[0] == batch.id
    for batch_id in same:
        assert finished(client, batch_id).status == "completed"


def test_a_late_validation_stays_validating(sandbox, client):
    sandbox.faults(late_validation={"seconds": 0.5, "times": 1})
    began = time.monotonic()
    batch = create(client, [chat_line("1")])

    assert client.batches.retrieve(batch.id).status == "validating"
    assert finished(client, batch.id).status == "completed"
    assert time.monotonic() - began >= 0.5


def test_a_file_deleted_before_a_late_validation_refuses_the_batch(sandbox, client):
    sandbox.faults(late_validation=0.3)
    batch = create(client, [chat_line("1")])

    client.files.delete(batch.input_file_id)
    done = finished(client, batch.id)

    assert done.status == "failed"
    assert done.errors.data[0].code == "invalid_request"


def test_a_late_delete_is_confirmed_before_validation_knows(sandbox, client):
    sandbox.faults(late_delete=30, late_validation=0.3)
    batch = create(client, [chat_line("1")])

    client.files.delete(batch.input_file_id)

    assert finished(client, batch.id).status == "completed"


def test_a_list_can_show_a_batch_late(sandbox, client):
    sandbox.faults(list_delay=0.5)
    batch = create(client, [chat_line("1")])

    assert batch.id not in names(client)
    assert client.batches.retrieve(batch.id).id == batch.id
    wait_for(lambda: batch.id in names(client))


def test_where_the_file_is_needed_to_the_end_its_delete_kills_the_batch(
    sandbox, client
):
    sandbox.faults(file_needed=True, never_ending=True)
    batch = create(client, [chat_line(str(n)) for n in range(1500)])
    wait_for(lambda: client.batches.retrieve(batch.id).request_counts.completed)

    client.files.delete(batch.input_file_id)
    done = finished(client, batch.id)

    assert done.status == "failed"
    assert done.in_progress_at
    assert len(results(client, done.output_file_id)) == 1000
    assert done.errors.data[0].code == "invalid_request"


def test_a_token_limit_may_be_kept_out_of_the_refusal(sandbox, client):
    sandbox.faults(token_limit={"tokens": 5, "untold": True})

    (error,) = run(client, [chat_line("1")]).errors.data

    assert error.code == "token_limit_exceeded"
    assert "Limit" not in error.message


def test_answers_and_refusals_tell_the_rate_limit_in_headers(sandbox, client):
    sandbox.faults(http_429={"times": 1})
    with pytest.raises(openai.RateLimitError) as refused:
        client.models.list()

    answered = client.batches.with_raw_response.list()

    for headers in (refused.value.response.headers, answered.headers):
        assert headers["x-ratelimit-limit-requests"] == "5000"
        assert 0 < int(headers["x-ratelimit-remaining-requests"]) < 5000
        assert headers["x-ratelimit-reset-requests"].endswith("s")


def test_a_token_limit_refuses_until_there_is_room(sandbox, client):
    sandbox.faults(token_limit=60, never_ending=True)
    first = create(client, [chat_line(str(n)) for n in range(5)])
    wait_for(lambda: client.batches.retrieve(first.id).status == "in_progress")

    refused = run(client, [chat_line(str(n)) for n in range(5)])
    other_model = create(client, [chat_line("1", model="gpt-4o")])
    wait_for(lambda: client.batches.retrieve(other_model.id).status == "in_progress")
    client.batches.cancel(first.id)
    finished(client, first.id)
    again = create(client, [chat_line(str(n)) for n in range(5)])
    wait_for(lambda: client.batches.retrieve(again.id).status == "in_progress")

    [error] = refused.errors.data
    assert error.code == "token_limit_exceeded"
    assert "Limit: 60 enqueued tokens" in error.message
    assert refused.request_counts.total == 0


def test_a_billing_limit_refuses_at_validation(sandbox, client):
    sandbox.faults(billing_limit=1)

    refused = run(client, [chat_line("1")])

    assert refused.errors.data[0].code == "billing_hard_limit_reached"


def test_finalizing_can_be_stuck_and_a_batch_never_end(sandbox, client):
    sandbox.faults(stuck_finalizing=True)
    stuck = create(client, [chat_line("1")])
    wait_for(lambda: client.batches.retrieve(stuck.id).status == "finalizing")
    sandbox.faults(never_ending=True)
    endless = create(client, [chat_line(str(n)) for n in range(1500)])
    wait_for(lambda: client.batches.retrieve(endless.id).request_counts.completed)

    assert client.batches.retrieve(stuck.id).status == "finalizing"
    assert client.batches.retrieve(endless.id).status == "in_progress"

    client.batches.cancel(stuck.id)
    sandbox.clear_faults()
    assert finished(client, stuck.id).status == "cancelled"
    assert finished(client, endless.id).status == "completed"


def test_a_batch_can_expire_with_partial_output(sandbox, client):
    sandbox.faults(expire_partial=0.25)

    done = run(client, [chat_line(str(n)) for n in range(8)])

    assert done.status == "expired"
    assert done.request_counts.to_dict() == {"total": 8, "completed": 2, "failed": 0}
    assert len(results(client, done.output_file_id)) == 2
    assert len(results(client, done.error_file_id)) == 6


def test_expired_lines_can_be_counted(sandbox, client):
    sandbox.faults(expire_partial=0.25, expire_counted=True)

    done = run(client, [chat_line(str(n)) for n in range(8)])

    assert done.request_counts.failed == 6


def test_quota_can_run_out_between_two_lines(sandbox, client):
    sandbox.faults(quota_gone=0.5)

    done = run(client, [chat_line(str(n)) for n in range(8)])

    assert done.status == "completed"
    errors = results(client, done.error_file_id)
    assert {line["response"]["status_code"] for line in errors} == {429}
    assert errors[0]["response"]["body"]["error"]["code"] == "insufficient_quota"
    assert done.request_counts.to_dict() == {"total": 8, "completed": 4, "failed": 4}


def test_missing_file_ids_can_be_empty_strings(sandbox, client):
    sandbox.faults(empty_string_ids=True)

    done = run(client, [chat_line("1")])

    assert done.output_file_id
    assert done.error_file_id == ""


def test_files_of_no_bytes_can_be_given(sandbox, client):
    sandbox.faults(empty_files=True)

    done = run(client, [chat_line("1")])

    assert client.files.content(done.error_file_id).content == b""
    assert client.files.retrieve(done.error_file_id).bytes == 0


# --- all together ---------------------------------------------------------------------


def test_a_seeded_mix_is_survived_by_a_patient_client(sandbox):
    sandbox.faults(random={"rate": 0.3, "seed": 11})
    with sandbox.client(max_retries=8) as patient:
        failures = 0
        for _ in range(60):
            try:
                patient.with_options(max_retries=0).batches.list(limit=1)
            except openai.APIError:
                failures += 1
        sandbox.clear_faults()

        assert 5 < failures < 30
        assert patient.batches.list(limit=1) is not None


def test_the_mix_can_be_limited_to_some_faults():
    faults = Faults(seed=5)
    faults.change({"random": {"rate": 1, "names": ["reset"]}})

    struck = {faults.random_strike("batches.create")[0] for _ in range(50)}

    assert struck == {"reset"}


def test_the_mix_loses_answers_too(sandbox, client):
    sandbox.faults(random={"rate": 1, "names": ["lost_create_answer"]})

    with pytest.raises(openai.APIConnectionError):
        create(client, [chat_line("1")], metadata={"token": "mixed"})

    assert {"token": "mixed"} in [b.metadata for b in client.batches.list()]


def test_the_mix_reaches_every_operations_own_faults():
    faults = Faults(seed=5)
    faults.change({"random": 1.0})

    struck = {faults.random_strike("batches.create")[0] for _ in range(200)}

    assert {"lost_create_answer", "late_create", "http_500", "list_delay"} <= struck
    assert "cut_download" not in struck
