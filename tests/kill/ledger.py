"""What the provider accepted, billed and still keeps, against our own attempts."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from tests.sandbox.fixtures import FINAL, SandboxProcess, wait_for

APPLIED = "applied"  # the outcome after which an item is never sent again


@dataclass(frozen=True)
class Ledger:
    """What is at the provider: batches and files by id, and the lines it executed.

    A line is [custom_id, batch, status, input, cached and output tokens].
    """

    batches: dict[str, Any]
    files: dict[str, str]  # what each is for
    lines: list[list[Any]]

    def since(self, earlier: "Ledger") -> "Ledger":
        """What came after `earlier`; other rounds use the same sandbox."""
        return Ledger(
            {k: v for k, v in self.batches.items() if k not in earlier.batches},
            {k: v for k, v in self.files.items() if k not in earlier.files},
            [line for line in self.lines if line[1] not in earlier.batches],
        )


def read_ledger(sandbox: SandboxProcess) -> Ledger:
    """All there is, once every batch has ended."""
    with sandbox.client() as client:
        wait_for(lambda: all(batch.status in FINAL for batch in client.batches.list()))
        batches = {batch.id: batch for batch in client.batches.list(limit=100)}
        files = {file.id: file.purpose for file in client.files.list()}
    lines = [
        [
            custom_id,
            line["batch"],
            line["status"],
            line["input_tokens"],
            line["cached_tokens"],
            line["output_tokens"],
        ]
        for custom_id, found in sandbox.ledger()["by_custom_id"].items()
        for line in found
    ]
    return Ledger(batches, files, lines)


def compare(ledger: Ledger, found: dict[str, Any]) -> list[str]:
    """What does not add up between the provider's ledger and the database; [] is well.

    `found` is what `workers.examine` wrote.
    """
    wrong = _compare_batches(ledger, found["jobs"])
    wrong += _compare_lines(ledger, found["attempts"])
    wrong += _sent_again_without_need(found["attempts"])
    wrong += [f"{id_} ({what}) is left" for id_, what in ledger.files.items()]
    return wrong


def _compare_batches(ledger: Ledger, jobs: list[list[Any]]) -> list[str]:
    """Every accepted batch belongs to exactly one job."""
    wrong = []
    accepted = {id_ for id_, batch in ledger.batches.items() if batch.in_progress_at}
    owners = Counter(batch_id for _, _, batch_id in jobs if batch_id)
    wrong += [f"{id_} was accepted, no job knows it" for id_ in accepted - set(owners)]
    wrong += [f"{id_} belongs to {n} jobs" for id_, n in owners.items() if n > 1]
    wrong += [f"{id_} is not at the provider" for id_ in set(owners) - accepted]
    return wrong


def _compare_lines(ledger: Ledger, attempts: list[list[Any]]) -> list[str]:
    """Every executed line is one attempt with its tokens, and the reverse."""
    executed = Counter(tuple(line) for line in ledger.lines)
    booked = Counter(
        (item_id, batch, status, *tokens)
        for item_id, batch, _, status, *tokens in attempts
        if status is not None
    )
    wrong = [f"executed {n} times: {line}" for line, n in executed.items() if n > 1]
    wrong += [f"executed, not booked: {line}" for line in executed - booked]
    wrong += [f"booked, not executed: {line}" for line in booked - executed]
    return wrong


def _sent_again_without_need(attempts: list[list[Any]]) -> list[str]:
    """Items that went out again although they had their answer."""
    outcomes: defaultdict[str, list[str]] = defaultdict(list)
    for item_id, _, outcome, *_ in attempts:
        outcomes[item_id].append(outcome)
    return [
        f"item {item_id} was sent again, after {earlier}"
        for item_id, (*earlier, _) in outcomes.items()
        if APPLIED in earlier
    ]
