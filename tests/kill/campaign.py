"""Rounds of work in which workers die, each held against one in which nobody did."""

import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.kill import workers
from tests.kill.ledger import compare, read_ledger
from tests.kill.places import Databases, copied
from tests.kill.probes import KILLED, Orders
from tests.sandbox.fixtures import SandboxProcess, running_sandbox

ROUND_SECONDS = 300.0
EXAMINE_SECONDS = 60.0
LOOK_SECONDS = 0.01
PREPARE_SECONDS = 120.0
# A worker that ends by itself with work left was told no by the provider for too long;
# the next one goes on, but not for ever.
MOST_GIVEN_UP = 5
# The list of batches stays one page long.
ROUNDS_PER_SANDBOX = 8
# How many workers may die at new boundaries in one round: more than there are
# boundaries, and it still ends.
NEW_DEATHS = 120
# Some boundaries are reached only after a death elsewhere: at most so many rounds more,
# until every one that was reached was died at as well.
ROUNDS_MORE = 12
KINDS = ("step", "moment", "pair", "storm", "step", "step")


@dataclass
class Round:
    """What one round was, and what it showed.

    `kind`: `undisturbed`; `step`, killed at boundaries; `moment`, at random times;
    `pair`, at random times with two workers at once; `storm`, the same while the
    provider has bad hours.
    """

    number: int
    kind: str
    seconds: float = 0.0
    deaths: list[str] = field(default_factory=list)  # the last boundary before each
    mismatches: list[str] = field(default_factory=list)
    files_left: int = 0


@dataclass
class Campaign:
    """All rounds, and how often each boundary was reached and died at."""

    databases: Databases
    seed: int
    reached: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311
        self.usual: Counter[str] = Counter()  # boundaries of the undisturbed run
        # Of the others, at which usual ones a worker died before they were reached.
        self.led_by: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.expected: dict[str, Any] = {}

    def run(self, rounds: int) -> Iterator[Round]:
        """An undisturbed round, then `rounds` others; each as it ends.

        More of kind `step` follow while a boundary was reached and never died at.
        """
        kinds = ["undisturbed", *(KINDS[n % len(KINDS)] for n in range(rounds))]
        kinds += ["step"] * ROUNDS_MORE
        for start in range(0, len(kinds), ROUNDS_PER_SANDBOX):
            with running_sandbox(f"--seed={self.seed + start}") as sandbox:
                for number in range(start, min(start + ROUNDS_PER_SANDBOX, len(kinds))):
                    if number > rounds and not self.never_hit:
                        return
                    yield self._round(Round(number, kinds[number]), sandbox)
                    if self.rounds[0].mismatches:
                        return  # there is nothing to hold the others against

    @property
    def never_hit(self) -> list[str]:
        """Boundaries that were reached, and where no worker ever died."""
        return sorted(name for name in self.reached if not self.killed[name])

    def _round(self, this: Round, sandbox: SandboxProcess) -> Round:
        before = read_ledger(sandbox)
        sandbox.clear_faults()
        sandbox.faults(**workers.FAULTS)
        if this.kind == "storm":
            sandbox.faults(random={**workers.STORM, "seed": self.seed + this.number})
        began = time.monotonic()
        with copied(self.databases) as (name, directory):
            place = workers.Place(name, directory, sandbox.url)
            try:
                getattr(self, f"_{this.kind}")(this, place)
                sandbox.clear_faults()
                ledger = read_ledger(sandbox).since(before)
                found = examined(place)
            except NotDone as err:
                this.mismatches.append(f"{err}\n{_end_of(place.log)}")
            else:
                this.files_left = len(ledger.files)
                this.mismatches += compare(ledger, found)
                this.mismatches += self._compare(found)
        this.seconds = time.monotonic() - began
        self.rounds.append(this)
        return this

    def _compare(self, found: dict[str, Any]) -> list[str]:
        """What differs from the undisturbed round; the first of them is the measure."""
        wrong = list(found["differences"])
        if found["open"]:
            wrong.append(f"{found['open']} open items are left")
        if not self.expected:
            self.expected = found["dump"]
            ends = Counter(row[3] for row in found["dump"]["items"])
            if ends != workers.ENDS:
                wrong.append(f"items ended as {dict(ends)} and not {workers.ENDS}")
        for part, rows in self.expected.items():
            missing = [row for row in rows if row not in found["dump"][part]]
            new = [row for row in found["dump"][part] if row not in rows]
            wrong += [f"{part}: lacks {row}" for row in missing]
            wrong += [f"{part}: has {row}" for row in new]
            if not (missing or new) and len(rows) != len(found["dump"][part]):
                wrong.append(f"{part}: {len(found['dump'][part])} and not {len(rows)}")
        return wrong

    # --- kinds of rounds --------------------------------------------------------------

    def _undisturbed(self, this: Round, place: workers.Place) -> None:
        with self._watching(this, place) as crew:
            while not crew.is_done:
                crew.start(Orders())
                crew.wait()
        self.usual = Counter(self.reached)

    def _step(self, this: Round, place: workers.Place) -> None:
        """Die wherever nobody died yet, then at boundaries where fewest did."""
        planned = self._planned()
        with self._watching(this, place) as crew:
            while not crew.is_done:
                at = frozenset(planned.items())
                crew.start(Orders(spared=self._spared(crew), at=at))
                crew.wait()
                if crew.deaths:
                    planned.pop(crew.deaths[-1], None)

    def _planned(self) -> dict[str, int]:
        """Boundaries to die at, each when it is reached for the n-th time.

        With one that is only reached after a death elsewhere goes such a death.
        """
        names = sorted(self.reached)
        self.random.shuffle(names)
        names.sort(key=lambda name: self.killed[name])
        planned = {}
        for name in names[: self.random.randint(2, 4)]:
            if leads := self.led_by[name]:
                (lead,) = self.random.choices(list(leads), list(leads.values()))
                planned[lead] = self.random.randint(1, self.usual[lead])
            planned[name] = self.random.randint(1, self.usual[name] or 1)
        return planned

    def _moment(self, this: Round, place: workers.Place) -> None:
        self._at_random(this, place, at_once=1)

    def _pair(self, this: Round, place: workers.Place) -> None:
        self._at_random(this, place, at_once=2)

    _storm = _pair

    def _at_random(self, this: Round, place: workers.Place, *, at_once: int) -> None:
        """Kill some worker every now and then; new boundaries are died at as well."""
        kills = self.random.randint(3, 9)
        with self._watching(this, place) as crew:
            while not crew.is_done:
                while len(crew.alive) < at_once:
                    crew.start(Orders(spared=self._spared(crew)))
                crew.wait_for_work()
                crew.wait(seconds=self._pause_seconds() if kills else None)
                if kills and len(crew.alive) == at_once:
                    kills -= 1
                    crew.kill(self.random.choice(crew.alive))

    def _spared(self, crew: "Crew") -> frozenset[str] | None:
        if len(crew.deaths) >= NEW_DEATHS:
            return None
        return frozenset(self.killed) | frozenset(crew.killed)

    def _pause_seconds(self) -> float:
        """Until the next kill: from a moment to a third of a round."""
        return self.random.uniform(0, self.rounds[0].seconds / 3)

    @contextmanager
    def _watching(self, this: Round, place: workers.Place) -> Iterator["Crew"]:
        crew = Crew(place)
        try:
            yield crew
            crew.finish()
        finally:
            crew.end()
            this.deaths += crew.deaths
            self.reached += crew.reached
            self.killed += crew.killed
            self._note_leads(crew)

    def _note_leads(self, crew: "Crew") -> None:
        lead = ""
        for names in crew.lives:
            if lead:
                for name in {name for name in names if not self.usual[name]}:
                    self.led_by[name][lead] += 1
            if names and self.usual[names[-1]]:
                lead = names[-1]


class NotDone(Exception):
    """A round did not come to its end."""


class Crew:
    """The workers of one round. `is_done` once one of them ended with nothing left."""

    def __init__(self, place: workers.Place) -> None:
        self.place = place
        self.alive: list[ForkServerProcess] = []
        self.is_done = False
        self.deaths: list[str] = []  # the last boundary before each
        self.reached: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.lives: list[list[str]] = []  # per worker the boundaries it reached
        self._reports: dict[ForkServerProcess, Path] = {}
        self._numbers = count(1)
        self._given_up = 0
        self._deadline = time.monotonic() + ROUND_SECONDS

    def start(self, orders: Orders) -> None:
        report = self.place.directory / f"worker-{next(self._numbers)}.report"
        report.touch()
        worker = workers.fork(workers.work, self.place, orders, report)
        self._reports[worker] = report
        self.alive.append(worker)

    def wait(self, *, seconds: float | None = None) -> None:
        """Until some worker ends, or so long; raises NotDone when it takes too long."""
        left = max(0.0, self._deadline - time.monotonic())
        until = left if seconds is None else min(left, seconds)
        ended = wait([worker.sentinel for worker in self.alive], timeout=until)
        for worker in [w for w in self.alive if w.sentinel in ended]:
            self._bury(worker)
        self._check_time()

    def wait_for_work(self) -> None:
        """Until every worker has reached something, or one of them ended."""
        while any(not self._reports[w].stat().st_size for w in self.alive):
            if wait([worker.sentinel for worker in self.alive], timeout=LOOK_SECONDS):
                return
            self._check_time()

    def finish(self) -> None:
        """Let those who are left see that all is done."""
        while self.alive:
            self.wait()

    def kill(self, worker: ForkServerProcess) -> None:
        worker.kill()  # SIGKILL
        self._bury(worker)

    def end(self) -> None:
        for worker in list(self.alive):
            self.kill(worker)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise NotDone(f"not done after {ROUND_SECONDS:.0f} s")

    def _bury(self, worker: ForkServerProcess) -> None:
        """Note how a worker ended, and what it reported."""
        worker.join()
        self.alive.remove(worker)
        names = self._reports.pop(worker).read_text().splitlines()
        if names and names[-1] == KILLED:
            names.pop()
            self.killed[names[-1]] += 1
        self.reached.update(names)
        self.lives.append(names)
        if worker.exitcode == 0:
            self.is_done = True
        elif worker.exitcode == -signal.SIGKILL:
            self.deaths.append(names[-1] if names else "the start")
        else:
            self._given_up += 1
            if self._given_up > MOST_GIVEN_UP:
                raise NotDone(f"workers gave up {self._given_up} times")


def examined(place: workers.Place) -> dict[str, Any]:
    """What `workers.examine` finds at a place."""
    to = place.directory / "found.json"
    examiner = workers.fork(workers.examine, place, to)
    examiner.join(EXAMINE_SECONDS)
    if examiner.exitcode != 0:
        raise NotDone("the database could not be examined")
    return dict(json.loads(to.read_text()))


def prepare(databases: Databases, directory: Path) -> None:
    """Fill the template; raises NotDone with what the process said."""
    place = workers.Place(databases.template, directory, "")
    preparer = workers.fork(workers.prepare, place)
    preparer.join(PREPARE_SECONDS)
    if preparer.exitcode != 0:
        raise NotDone(f"the template was not prepared\n{_end_of(place.log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-40:])
