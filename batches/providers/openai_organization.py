"""An organisation's own usage and costs, read with an admin key.

What an account used in batches as OpenAI counts it: to hold our figures against. The
client does not page here by itself. Amounts come as floats of dollars; they are shown
beside ours, never booked.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import openai

from batches.providers.errors import ProviderError, ProviderUnreachable
from batches.providers.openai_batch import new_client

MOST_USAGE_BUCKETS = {"1m": 1_440, "1h": 168, "1d": 31}  # in a page
MOST_COSTS_BUCKETS = 180
# More than any range asked for here has; a server whose pages go in a circle has more.
MOST_PAGES = 200
ADVICE = (
    " Usage and costs of an organisation are read with an admin key, which its owner "
    "makes under “Admin keys”; set it as OPENAI_ADMIN_KEY. For costs it also needs the "
    "permission to see billing."
)


# What usage can be narrowed to, and under which name of the client's; costs know
# neither models nor, everywhere, users.
NARROWS_USAGE = {
    "model": "models",
    "project": "project_ids",
    "api_key": "api_key_ids",
    "user": "user_ids",
}
NARROWS_COSTS = {"project": "project_ids", "api_key": "api_key_ids"}


@dataclass(frozen=True)
class RemoteUsage:
    """What batches of one model used in one bucket, as the provider counts it."""

    start: datetime
    project: str
    model: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class RemoteCost:
    """What one line item cost on one day; of batches and of all else."""

    start: datetime
    project: str
    line_item: str
    usd: Decimal


class OrganizationUsage:
    """Raises ProviderError, and nothing else, when it is not told what it asks."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        admin_key: str,
        timeout_seconds: float,
        is_sandbox: bool,
    ) -> None:
        self.key = key
        self.base_url = base_url
        self._admin_key = admin_key
        self._advice = (
            "Start the sandbox with `python manage.py sandbox` in another terminal."
            if is_sandbox
            else "Check the network and OPENAI_BASE_URL."
        )
        client = new_client(
            self,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            is_sandbox=is_sandbox,
            admin_api_key=admin_key,
        )
        self._usage = client.admin.organization.usage

    def usage(
        self,
        start: datetime,
        end: datetime,
        *,
        bucket: str = "1d",
        only: Mapping[str, str] | None = None,
    ) -> Iterator[RemoteUsage]:
        """Usage of batches by model and project, oldest first; buckets are of UTC."""
        buckets = self._pages(
            self._usage.completions,
            start_time=int(start.timestamp()),
            end_time=int(end.timestamp()),
            bucket_width=bucket,
            limit=MOST_USAGE_BUCKETS[bucket],
            batch=True,
            group_by=["model", "project_id"],
            **_narrowed(only, NARROWS_USAGE),
        )
        for at, result in buckets:
            yield RemoteUsage(
                at,
                result.project_id or "",
                result.model or "",
                result.num_model_requests or 0,
                result.input_tokens or 0,
                result.input_cached_tokens or 0,
                result.output_tokens or 0,
            )

    def costs(
        self, start: datetime, end: datetime, *, only: Mapping[str, str] | None = None
    ) -> Iterator[RemoteCost]:
        """Costs by day, line item and project; what is of batches its name may say."""
        buckets = self._pages(
            self._usage.costs,
            start_time=int(start.timestamp()),
            end_time=int(end.timestamp()),
            bucket_width="1d",
            limit=MOST_COSTS_BUCKETS,
            group_by=["line_item", "project_id"],
            **_narrowed(only, NARROWS_COSTS),
        )
        for at, result in buckets:
            amount = result.amount
            currency = (amount.currency if amount else None) or "usd"
            if currency != "usd":
                raise ProviderError(
                    f"{self.key} gives costs in {currency}; only usd can be compared."
                )
            value = amount.value if amount and amount.value is not None else 0
            yield RemoteCost(
                at,
                result.project_id or "",
                result.line_item or "",
                Decimal(str(value)),
            )

    def _pages(
        self, ask: Callable[..., Any], **question: Any
    ) -> Iterator[tuple[datetime, Any]]:
        """Each result with the beginning of its bucket, page by page."""
        for _ in range(MOST_PAGES):
            with self._told():
                answer = ask(**question)
                for bucket in answer.data or ():
                    at = datetime.fromtimestamp(bucket.start_time, UTC)
                    for result in bucket.results or ():
                        yield at, result
            if not answer.next_page:
                return
            question["page"] = answer.next_page
        raise ProviderError(
            f"{self.key} gave {MOST_PAGES} pages and still more; ask for fewer days."
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as err:
            body = err.body if isinstance(err.body, dict) else {}
            message = self._masked(str(body.get("message") or err.message))
            advice = ADVICE if err.status_code in (401, 403) else ""
            raise ProviderError(
                f"{self.key} answered {err.status_code}: {message}{advice}",
                status=err.status_code,
                error_code=str(err.code or ""),
            ) from err
        except openai.APIConnectionError as err:
            if isinstance(err.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout)):
                raise ProviderUnreachable(
                    f"{self.base_url} cannot be reached for usage and costs. "
                    + self._advice
                ) from err
            raise ProviderError(f"{self.key} gave no answer ({err}).") from err
        except (openai.OpenAIError, httpx2.HTTPError) as err:
            raise ProviderError(f"{self.key} gave no usable answer ({err}).") from err

    def _masked(self, text: str) -> str:
        return text.replace(self._admin_key, "…")


def _narrowed(
    only: Mapping[str, str] | None, names: Mapping[str, str]
) -> dict[str, list[str]]:
    return {
        names[name]: [value] for name, value in (only or {}).items() if name in names
    }
