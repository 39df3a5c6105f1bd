"""What can go wrong between us and a provider, in our own words."""

from batches.errors import BatchError


class ProviderError(BatchError):
    """A call to a provider that did not do what it was asked.

    `status` is the HTTP status, None where no answer came. `is_definite` is true only
    when the provider said no in its own words: then nothing was accepted. In every
    other case it may have done what it was asked although we were not told.
    """

    code = "provider_error"

    # With the provider's own error body these say that nothing was accepted; 408, 409
    # and 5xx do not, whoever words them.
    DEFINITE = frozenset({400, 401, 403, 404, 413, 422, 429})

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        error_code: str = "",
        has_error_body: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.is_definite = has_error_body and status in self.DEFINITE

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_account_trouble(self) -> bool:
        """A wrong key or an empty account: nothing goes out until a person mends it."""
        return self.status in {401, 403} or self.error_code in {
            "insufficient_quota",
            "billing_hard_limit_reached",
        }

    @property
    def is_bad_hour(self) -> bool:
        """No usable answer, or one that says to come back later: the provider's load,
        not what it was asked."""
        if self.is_account_trouble:
            return False
        return self.status is None or self.status in {408, 429} or self.status >= 500


class ProviderUnreachable(ProviderError):
    """No connection could be made, so nothing was sent."""

    code = "provider_unreachable"


class IncompleteDownload(ProviderError):
    """A file came down shorter or longer than the provider says it is."""

    code = "incomplete_download"
