"""One sandbox: its storage, its faults, who answers, and the threads of its batches."""

import threading
from dataclasses import dataclass
from pathlib import Path

from batches.sandbox.clock import Clock
from batches.sandbox.faults import Faults
from batches.sandbox.rates import Rates
from batches.sandbox.responders import Responder
from batches.sandbox.runner import Runner
from batches.sandbox.storage import Storage
from batches.sandbox.webhooks import Webhooks

SWEEP_SECONDS = 60


@dataclass
class Options:
    """What the command line asks for; seconds where it says so."""

    directory: Path
    latency_seconds: float = 1.0
    validation_seconds: float | None = None  # None: a fifth of the latency
    seed: int = 0
    token_limit: int | None = None
    api_key: str | None = None


@dataclass(frozen=True)
class Pace:
    """How many seconds a batch takes at least, in each of its states."""

    validating: float
    running: float
    finalizing: float

    @classmethod
    def of(cls, latency: float, validating: float | None) -> "Pace":
        if validating is None:
            validating = latency / 5
        rest = max(latency - validating, 0.0)
        return cls(validating, rest * 3 / 4, rest / 4)


class Sandbox:
    """Everything behind the HTTP server."""

    def __init__(self, options: Options, faults: Faults, responder: Responder) -> None:
        self.pace = Pace.of(options.latency_seconds, options.validation_seconds)
        self.seed = options.seed
        self.api_key = options.api_key
        self.faults = faults
        self.responder = responder
        self._token_limit = options.token_limit
        self._closing = threading.Event()
        self.clock = Clock()
        self.storage = Storage(options.directory, self.clock)
        self.webhooks = Webhooks(self.storage, faults)
        self.rates = Rates()
        self.runner = Runner(self)

    def start(self) -> None:
        """Take up what a stop or a kill left, and keep house from now on."""
        self.storage.drop_torn_uploads()
        self.webhooks.start()
        self.runner.resume()
        threading.Thread(target=self._keep_house, name="house", daemon=True).start()

    def stop(self) -> None:
        self._closing.set()
        self.responder.stop()
        self.runner.stop()
        self.webhooks.stop()
        self.storage.close()

    @property
    def is_stopping(self) -> bool:
        return self._closing.is_set()

    @property
    def late_delete_seconds(self) -> float:
        """How long after its confirmed delete validation still finds a file."""
        fault = self.faults.on("late_delete")
        return 0.0 if fault is None else float(fault["seconds"])

    def drop_unused_contents(self) -> None:
        self.storage.drop_unused_contents(self.late_delete_seconds)

    def token_limit(self, model: str) -> int | None:
        """How many input tokens of a model may be queued; the client is not told."""
        fault = self.faults.on("token_limit")
        if fault is None:
            return self._token_limit
        by_model = fault.get("models")
        if by_model is not None:
            return by_model.get(model, self._token_limit)
        return int(fault["tokens"])

    def _keep_house(self) -> None:
        from batches.sandbox import tokens

        tokens.warm_up()  # so that the first batch need not wait for it
        while not self._closing.wait(SWEEP_SECONDS):
            self.drop_unused_contents()
