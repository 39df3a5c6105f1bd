"""A provider's queue of input tokens, and jobs of a given size."""

from batches.models import BatchJob, TokenQueue
from batches.states import JobStatus
from tests.factories import (
    make_job,
)

MODEL = "gpt-4o-mini"


def queue() -> TokenQueue:
    return TokenQueue.objects.get(provider="sandbox", model=MODEL)


def with_tokens(tokens: int, status=JobStatus.VALIDATING, **given) -> BatchJob:
    """A job of one item that counts as so many tokens."""
    return make_job(1, status=status, queued_tokens=tokens, **given)
