"""The one family of errors that services raise and edges put into words."""

from datetime import datetime


class BatchError(Exception):
    """Something a person can act on; the text names the thing and the next step.

    `code` is stable and machine-readable; APIs show it beside the text.
    """

    code = "error"


class BadOptions(BatchError):
    """Options of a run that its workload refuses."""

    code = "bad_options"


class IllegalMove(BatchError):
    """A move that the tables in `states.py` do not draw."""

    code = "illegal_move"


class LostLease(BatchError):
    """Another process holds the job now; whoever sees this stops at once."""

    code = "lost_lease"


class HeldBack(BatchError):
    """Nothing may be sent now: a hold, a switch, or a database that is a copy."""

    code = "held"


class ProviderRests(BatchError):
    """A provider did not answer several times in a row; it is asked again `until`."""

    code = "provider_rests"

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class SubjectGone(BatchError):
    """Rows that answers are for were deleted meanwhile: {item id: what is gone}.

    A workload raises it out of `store`; these items end failed, the others are stored.
    """

    code = "subject_gone"

    def __init__(self, gone: dict[int, str]) -> None:
        super().__init__(f"{len(gone)} of these subjects were deleted meanwhile.")
        self.gone = gone


class SliceEnded(BatchError):
    """The time that one task may take is over; the next goes on with the work."""

    code = "slice_ended"


class MachineTrouble(BatchError):
    """A disk, a database or a line of ours did not do what it was asked; work waits."""

    code = "machine_trouble"


class BadPrice(BatchError):
    """A price that cannot be used, such as one that is negative or overlaps another."""

    code = "bad_price"


class UnknownPrice(BatchError):
    """No price is known for a model, so no work may be sent to it."""

    code = "unknown_price"


class UnknownWorkload(BatchError):
    code = "unknown_workload"


class UnknownProvider(BatchError):
    code = "unknown_provider"


class ConfigError(BatchError):
    """A setting or an override has a value that cannot be used."""

    code = "bad_setting"


class PromptIsFixed(BatchError):
    """A prompt version was to be changed, which answers name as what they came of."""

    code = "prompt_is_fixed"

    def __init__(self, version: str, changed: list[str]) -> None:
        super().__init__(
            f"{version} never changes ({', '.join(changed)} was to be another); "
            "write a new version."
        )


class AuditIsFixed(BatchError):
    """An entry of the audit log was to be changed or deleted."""

    code = "audit_is_fixed"

    def __init__(self) -> None:
        super().__init__(
            "The audit log only grows: an entry is never changed and never deleted."
        )


class BadPrompt(BatchError):
    """A prompt's text, or the share of subjects to try it on, that cannot be used."""

    code = "bad_prompt"


class NotPossible(BatchError):
    """What is asked for cannot be done to this row as it is now."""

    code = "conflict"
