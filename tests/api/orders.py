"""Orders of words, as a user's program sends them."""

from tests.api.conftest import Caller

BATCH = "/api/v1/ai/batch"
ORDER = {"words": ["patience", "serendipity"], "features": {"smart_summary": True}}


def ordered(caller: Caller, **changes) -> str:
    answer = caller.post(BATCH, {**ORDER, **changes})
    assert answer.status_code == 202, answer.content
    return answer.json()["jobId"]
