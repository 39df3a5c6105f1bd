"""What kind of failure a line is, and so what comes of its item: one table for all.

A failure that passes sends the item out again by itself, in a later job, up to
BATCH_MAX_ATTEMPTS attempts in all. What was never executed, and what the account is to
blame for, uses no attempt up, but may come back only so often.
"""

from enum import Enum


class Failure(Enum):
    NOT_EXECUTED = "not executed"  # expired or cancelled before it ran; never billed
    RETRYABLE = "retryable"  # the provider had a bad hour
    ACCOUNT = "account"  # a wrong key or an empty account: everything waits
    TRUNCATED = "truncated"  # cut off at its output limit: again with a higher one
    INVALID_ANSWER = "invalid answer"  # the model may do better when asked again
    PERMANENT = "permanent"  # the same request would fail again


# Returned this often, an item fails instead of going round for ever.
MOST_RETURNS = 5

BY_CODE = {
    "batch_expired": Failure.NOT_EXECUTED,
    "batch_cancelled": Failure.NOT_EXECUTED,
    "rate_limit_exceeded": Failure.RETRYABLE,
    "request_timeout": Failure.RETRYABLE,
    "timeout": Failure.RETRYABLE,
    "server_error": Failure.RETRYABLE,
    "internal_error": Failure.RETRYABLE,
    "temporary_error": Failure.RETRYABLE,
    "no_response": Failure.RETRYABLE,
    "insufficient_quota": Failure.ACCOUNT,
    "billing_hard_limit_reached": Failure.ACCOUNT,
    "billing_not_active": Failure.ACCOUNT,
    "account_deactivated": Failure.ACCOUNT,
    "invalid_api_key": Failure.ACCOUNT,
    "truncated": Failure.TRUNCATED,
    "refused": Failure.INVALID_ANSWER,
    "invalid_json": Failure.INVALID_ANSWER,
    "schema_mismatch": Failure.INVALID_ANSWER,
    "empty_answer": Failure.INVALID_ANSWER,
    "unreadable_answer": Failure.INVALID_ANSWER,
}
# Asked only where the code says nothing; 0 is a status that the provider never had.
BY_STATUS = {
    0: Failure.RETRYABLE,
    401: Failure.ACCOUNT,
    403: Failure.ACCOUNT,
    408: Failure.RETRYABLE,
    409: Failure.RETRYABLE,
    429: Failure.RETRYABLE,
}


def classify(
    code: str, *, http_status: int | None = None, finish_reason: str = ""
) -> Failure:
    """The kind of a failure by its code, HTTP status and finish reason.

    An answer cut off at its limit is truncated, whatever its workload made of the
    stump. What nobody has heard of is permanent: only what surely passes is paid again.
    """
    known = BY_CODE.get(code)
    if known is Failure.INVALID_ANSWER and finish_reason == "length":
        return Failure.TRUNCATED
    if known is not None:
        return known
    if http_status is None:
        return Failure.PERMANENT
    if http_status >= 500:
        return Failure.RETRYABLE
    return BY_STATUS.get(http_status, Failure.PERMANENT)
