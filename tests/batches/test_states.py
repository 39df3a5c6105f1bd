import pytest

from batches.states import (
    ITEM_FINAL,
    ITEM_OPEN,
    ITEM_TRANSITIONS,
    JOB_FINAL,
    JOB_TRANSITIONS,
    PLAIN_JOB_STATUS,
    ItemStatus,
    JobStatus,
    RunStatus,
    run_status,
)


def test_every_status_has_a_row_in_its_table():
    assert set(JOB_TRANSITIONS) == set(JobStatus)
    assert set(ITEM_TRANSITIONS) == set(ItemStatus)
    assert set(PLAIN_JOB_STATUS) == set(JobStatus)


def test_final_jobs_are_those_that_no_arrow_leaves():
    assert set(JOB_FINAL) == {
        JobStatus.PROCESSED,
        JobStatus.EXPIRED,
        JobStatus.CANCELLED,
        JobStatus.FAILED,
    }


def test_an_item_is_open_or_final():
    assert set(ITEM_OPEN) | set(ITEM_FINAL) == set(ItemStatus)
    assert not set(ITEM_OPEN) & set(ITEM_FINAL)


@pytest.mark.parametrize("start", [s for s in JobStatus if s not in JOB_FINAL])
def test_every_unfinished_job_can_reach_an_ending(start):
    seen, ways = set(), {start}
    while ways:
        seen |= ways
        ways = {to for status in ways for to in JOB_TRANSITIONS[status]} - seen

    assert seen & set(JOB_FINAL)


@pytest.mark.parametrize(
    ("figures", "status"),
    [
        (dict(is_collected=False, items=0, open_=0), RunStatus.COLLECTING),
        (dict(items=0, open_=0), RunStatus.COMPLETED),
        (dict(items=3, open_=3), RunStatus.PENDING),
        (dict(items=3, open_=3, sent=3), RunStatus.PROCESSING),
        (dict(items=3, open_=1, sent=3, complete=2), RunStatus.PROCESSING),
        (dict(items=3, open_=0, sent=3, complete=3), RunStatus.COMPLETED),
        (dict(items=3, open_=0, sent=3, complete=1), RunStatus.COMPLETED),
        (dict(items=3, open_=0, sent=3, complete=0), RunStatus.FAILED),
        (
            dict(items=3, open_=0, sent=3, complete=1, is_cancelled=True),
            RunStatus.CANCELLED,
        ),
        (dict(items=3, open_=2, sent=3, is_cancelled=True), RunStatus.PROCESSING),
    ],
)
def test_a_runs_status_follows_from_its_figures(figures, status):
    given = dict(is_collected=True, is_cancelled=False, complete=0, sent=0) | figures

    assert run_status(**given) == status
