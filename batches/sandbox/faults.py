"""What the sandbox can be told to do wrong, and whether it does so this time.

A fault is set to `true` (always), to a number or to an object of options, and taken
back with `false`, `null` or 0. Every fault knows the options `times` (how often it
strikes before it switches itself off) and `rate` (share of the occasions, 0 to 1); a
fault of requests also `on` (operations it is limited to, as `batches.create`), a fault
of lines also `custom_ids` and `containing` (a text that stands in the request's line:
the same requests are struck in whatever batch they come). A bare number is the option
named in `main`.
"""

import hashlib
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Options = dict[str, Any]

OPERATIONS = (
    "files.create",
    "files.list",
    "files.retrieve",
    "files.content",
    "files.delete",
    "batches.create",
    "batches.list",
    "batches.retrieve",
    "batches.cancel",
    "models.list",
    "models.retrieve",
    "chat.completions.create",
    "responses.create",
    "embeddings.create",
    "organization",
    "webhooks",
)


class FaultError(ValueError):
    """A fault that does not exist, or a value that it does not take."""


@dataclass(frozen=True)
class Kind:
    """One fault: its summary, the option a bare number means, and its defaults."""

    summary: str
    main: str = "times"
    options: Mapping[str, Any] = field(default_factory=dict)


# A lost answer may be preceded by so many seconds of silence, or replaced by the error
# of a gateway in between.
LOST = {"hold": None, "status": None}

KINDS: dict[str, Kind] = {
    # --- requests ---------------------------------------------------------------------
    "http_409": Kind("answers 409 Conflict"),
    "http_429": Kind("answers 429 with Retry-After", options={"retry_after": 1}),
    "http_500": Kind("answers 500", options={"retry_after": None}),
    "http_502": Kind("answers 502 as a gateway does: HTML, no error object"),
    "http_503": Kind("answers 503 with Retry-After", options={"retry_after": 1}),
    "reset": Kind("resets the connection instead of answering"),
    "slow": Kind("drips the answer over so many seconds", "seconds", {"seconds": 5.0}),
    "wrong_key": Kind("answers 401 to every key"),
    "no_quota": Kind(
        "answers 429 insufficient_quota to what costs money",
        options={
            "on": [
                "batches.create",
                "chat.completions.create",
                "responses.create",
                "embeddings.create",
            ]
        },
    ),
    # --- files ------------------------------------------------------------------------
    "lost_upload_answer": Kind(
        "stores the upload, then drops the connection", options=LOST
    ),
    "lost_delete_answer": Kind(
        "deletes the file, then drops the connection", options=LOST
    ),
    "late_delete": Kind(
        "confirms a delete, but validation still finds the file for so long",
        "seconds",
        {"seconds": 5.0},
    ),
    "invisible_file": Kind("hides a new file for so long", "seconds", {"seconds": 5.0}),
    "file_lifetime": Kind(
        "new files expire after so long", "seconds", {"seconds": 5.0}
    ),
    "cut_download": Kind(
        "sends a share of the bytes that Content-Length announces, then closes",
        "share",
        {"share": 0.5},
    ),
    "cut_download_unannounced": Kind(
        "sends a share of the bytes without Content-Length, then closes",
        "share",
        {"share": 0.5},
    ),
    # --- batches ----------------------------------------------------------------------
    "lost_create_answer": Kind(
        "creates the batch, then drops the connection", options=LOST
    ),
    "late_create": Kind(
        "drops the connection, and creates the batch so much later",
        "seconds",
        {"seconds": 2.0},
    ),
    "repeated_create": Kind("creates the batch twice, and answers with the second"),
    "late_validation": Kind(
        "begins to validate so much later", "seconds", {"seconds": 5.0}
    ),
    "list_delay": Kind(
        "lists a new batch only after so long", "seconds", {"seconds": 5.0}
    ),
    "file_needed": Kind("a batch whose input file is deleted while it runs dies"),
    "token_limit": Kind(
        "refuses what would queue more input tokens of a model than this; `untold` "
        "keeps the limit out of the refusal",
        "tokens",
        {"tokens": 100_000, "untold": False},
    ),
    "billing_limit": Kind("refuses at validation: billing_hard_limit_reached"),
    "stuck_finalizing": Kind("stays finalizing until the fault is taken back"),
    "never_ending": Kind("stays in_progress, half done, until taken back"),
    "expire_partial": Kind(
        "expires when a share of the lines is answered; expired lines are not counted",
        "share",
        {"share": 0.5},
    ),
    "expire_after": Kind(
        "sets the window of new batches to so many seconds", "seconds", {"seconds": 1.0}
    ),
    "expire_counted": Kind("counts expired lines as failed"),
    "quota_gone": Kind(
        "after a share of the lines all others fail: 429 insufficient_quota",
        "share",
        {"share": 0.5},
    ),
    "empty_string_ids": Kind('shows file ids of final batches as "" and not null'),
    "empty_files": Kind("always gives both result files, one of them of 0 bytes"),
    "no_batch_usage": Kind("shows final batches without `usage`"),
    "other_batch_usage": Kind(
        "shows a share of the tokens of its lines as the usage of a final batch",
        "share",
        {"share": 1.5},
    ),
    # --- lines ------------------------------------------------------------------------
    "all_lines_fail": Kind("every line fails", options={"status": 500}),
    "failed_lines": Kind("lines fail", "rate", {"rate": 0.1, "status": 500}),
    "status_code_0": Kind("lines of the output file with status code 0", "rate"),
    "duplicate_lines": Kind("answers that appear twice", "rate"),
    "missing_lines": Kind("lines billed and counted, but in neither file", "rate"),
    "unknown_lines": Kind("extra lines with ids that nobody sent", "rate"),
    "garbage_lines": Kind("extra lines that are not JSON", "rate"),
    "oversized_lines": Kind(
        "lines with a member of so many bytes", "rate", {"bytes": 5_000_000}
    ),
    "no_usage": Kind("answers without `usage`, billed all the same", "rate"),
    "crlf": Kind("result files end their lines in CR LF"),
    "raw_separators": Kind(
        "U+2028, U+2029 and U+0085 unescaped in each answer", "rate"
    ),
    # --- answers ----------------------------------------------------------------------
    "truncated_answers": Kind("answers cut at the output limit", "rate"),
    "refused_answers": Kind("answers that are refusals", "rate"),
    "filtered_answers": Kind("answers stopped by the content filter", "rate"),
    "non_json_answers": Kind("prose where JSON was asked for", "rate"),
    "wrong_language": Kind("answers in a language nobody asked for", "rate"),
    "obey_text": Kind("answers that obey the text instead of translating it", "rate"),
    # --- webhooks ---------------------------------------------------------------------
    "webhook_duplicates": Kind("delivers every event twice"),
    "webhook_disorder": Kind(
        "holds an event back until the next is delivered, at most for so long",
        "seconds",
        {"seconds": 2.0},
    ),
    "webhook_bad_signature": Kind("signs with another secret"),
    # --- all together -----------------------------------------------------------------
    "random": Kind(
        "a seeded mix of the faults that a careful client survives",
        "rate",
        {"rate": 0.1, "seed": None, "names": None},
    ),
}

LINE_FAULTS = frozenset(
    {
        "all_lines_fail",
        "failed_lines",
        "status_code_0",
        "duplicate_lines",
        "missing_lines",
        "unknown_lines",
        "garbage_lines",
        "oversized_lines",
        "no_usage",
        "raw_separators",
        "truncated_answers",
        "refused_answers",
        "filtered_answers",
        "non_json_answers",
        "wrong_language",
        "obey_text",
    }
)

# What `random` picks from: nothing here changes what is billed or what a careful client
# ends with. Per operation: a lost answer belongs to the call whose answer it loses.
RANDOM_REQUEST_FAULTS: dict[str, tuple[str, ...]] = {
    "": ("http_429", "http_500", "http_502", "http_503", "reset", "slow"),
    "files.create": ("lost_upload_answer", "invisible_file"),
    "files.delete": ("lost_delete_answer",),
    "files.content": ("cut_download", "cut_download_unannounced"),
    "batches.create": (
        "lost_create_answer",
        "late_create",
        "late_validation",
        "list_delay",
    ),
}
RANDOM_LINE_FAULTS = (
    "duplicate_lines",
    "unknown_lines",
    "garbage_lines",
    "raw_separators",
)
# Short enough that a run of many of them ends.
RANDOM_OPTIONS: dict[str, Options] = {
    "http_429": {"retry_after": 0},
    "http_503": {"retry_after": 0},
    "slow": {"seconds": 0.3},
    "invisible_file": {"seconds": 0.5},
    "late_create": {"seconds": 0.5},
    "late_validation": {"seconds": 0.5},
    "list_delay": {"seconds": 0.5},
}


class Faults:
    """The faults that are on now; all methods may be called from any thread."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._active: dict[str, Options] = {}
        self._lock = threading.Lock()
        self._occasions: dict[str, int] = {}
        self._line_faults_on = False

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Switch faults on or off; all of them are checked before any is changed."""
        checked = {name: _options(name, value) for name, value in wanted.items()}
        with self._lock:
            for name, options in checked.items():
                if options is None:
                    self._active.pop(name, None)
                else:
                    self._active[name] = options
            self._note_line_faults()

    def clear(self) -> None:
        with self._lock:
            self._active.clear()
            self._note_line_faults()

    def active(self) -> dict[str, Options]:
        with self._lock:
            return {name: dict(options) for name, options in self._active.items()}

    def on(self, name: str) -> Options | None:
        """The options of a fault that is a state (`never_ending`), not an occasion."""
        with self._lock:
            return self._active.get(name)

    def strikes(self, name: str, operation: str = "") -> Options | None:
        """Whether the fault happens on this occasion; uses one of its `times` up."""
        with self._lock:
            options = self._active.get(name)
            if options is None or not _covers(options, operation):
                return None
            if options.get("rate", 1) < 1 and self._chance(name) >= options["rate"]:
                return None
            self._use_up(name, options)
            return options

    def random_strike(self, operation: str) -> tuple[str, Options] | None:
        """The fault that the seeded mix picks for this request, if any."""
        with self._lock:
            options = self._active.get("random")
            if options is None:
                return None
            chance = self._chance(f"random {operation}", options["seed"])
            if chance >= options["rate"]:
                return None
            names = (
                *RANDOM_REQUEST_FAULTS[""],
                *RANDOM_REQUEST_FAULTS.get(operation, ()),
            )
            names = tuple(n for n in names if n in (options["names"] or names))
            if not names:
                return None
            pick = self._chance(f"random pick {operation}", options["seed"])
            name = names[int(pick * len(names))]
            self._use_up("random", options)
            return name, {**KINDS[name].options, **RANDOM_OPTIONS.get(name, {})}

    @property
    def touch_lines(self) -> bool:
        """Whether any fault of lines is on; spares asking for each of 50,000 lines."""
        return self._line_faults_on

    def strikes_line(
        self, name: str, batch: int, custom_id: str, request: bytes
    ) -> Options | None:
        """Whether the fault happens to this line of the batch with this sequence.

        The same seed, sequence and custom_id always give the same answer, whatever the
        order of the lines; another batch with the same custom_id gives another.
        """
        with self._lock:
            options = self._active.get(name)
            seed = self.seed
            if options is None and name in RANDOM_LINE_FAULTS:
                options = self._active.get("random")
                if options is not None:
                    if options["names"] is not None and name not in options["names"]:
                        return None
                    seed = self.seed if options["seed"] is None else options["seed"]
            if options is None:
                return None
            wanted = options.get("custom_ids")
            if wanted is not None and custom_id not in wanted:
                return None
            if options.get("containing", "").encode() not in request:
                return None
            rate = options.get("rate", 1)
            if rate < 1 and _dice(f"{seed} {name} {batch} {custom_id}") >= rate:
                return None
            if name in self._active:
                self._use_up(name, options)
            return options

    def _use_up(self, name: str, options: Options) -> None:
        if options.get("times") is not None:
            options["times"] -= 1
            if options["times"] <= 0:
                self._active.pop(name, None)
                self._note_line_faults()

    def _chance(self, what: str, seed: int | None = None) -> float:
        """The next number of the sequence that seed and occasion name."""
        count = self._occasions[what] = self._occasions.get(what, 0) + 1
        return _dice(f"{self.seed if seed is None else seed} {what} {count}")

    def _note_line_faults(self) -> None:
        self._line_faults_on = "random" in self._active or bool(
            LINE_FAULTS & self._active.keys()
        )


def _dice(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _covers(options: Options, operation: str) -> bool:
    wanted = options.get("on")
    if wanted is None or not operation:
        return True
    return operation in ([wanted] if isinstance(wanted, str) else wanted)


def _options(name: str, value: Any) -> Options | None:
    """The options that a value from a flag or from HTTP means; None is off."""
    kind = KINDS.get(name)
    if kind is None:
        raise FaultError(
            f"There is no fault {name!r}. The faults are: {', '.join(sorted(KINDS))}."
        )
    if value is None or value is False or (value == 0 and value is not True):
        return None
    known = {**kind.options, "times": None}
    if value is True:
        given: Options = {}
    elif isinstance(value, int | float):
        given = {kind.main: value}
    elif isinstance(value, dict):
        given = value
    else:
        raise FaultError(
            f"Fault {name} takes true, false, a number ({kind.main}) or an object of "
            f"options, not {value!r}."
        )
    allowed = {
        *known,
        kind.main,
        "rate",
        *(("custom_ids", "containing") if name in LINE_FAULTS else ("on",)),
    }
    if name == "token_limit":
        allowed.add("models")
    unknown = given.keys() - allowed
    if unknown:
        raise FaultError(
            f"Fault {name} does not know the option {sorted(unknown)[0]!r}; it knows "
            f"{', '.join(sorted(allowed))}."
        )
    operations = given.get("on") or []
    for operation in [operations] if isinstance(operations, str) else operations:
        if operation not in OPERATIONS:
            raise FaultError(
                f"Fault {name}: no operation {operation!r}. The operations are: "
                f"{', '.join(OPERATIONS)}."
            )
    for option in ("times", "rate", "share", "seconds", "tokens", "bytes", "hold"):
        number = given.get(option)
        if number is not None and (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or number < 0
        ):
            raise FaultError(
                f"Fault {name}: {option} is a number of 0 or more, not {number!r}."
            )
    if not isinstance(given.get("containing", ""), str):
        raise FaultError(
            f"Fault {name}: containing is a text, not {given['containing']!r}."
        )
    if given.keys() & {"custom_ids", "containing"}:
        given = {"rate": 1, **given}  # those that are named, not a share of them
    return {**known, **given}


def seeded(*parts: object) -> random.Random:
    """A generator that depends on the parts alone; for shuffling, not for secrets."""
    return random.Random(" ".join(str(part) for part in parts))  # noqa: S311
