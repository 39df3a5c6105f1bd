"""Progress pushed by a real ASGI server to a real client, while the work is done."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from batches.api.user_batches.stream import MOST_EACH
from tests.api.test_stream import Told, read
from tests.asgi_site import BATCH, Site, own_database, running_site
from tests.processes import ROOT, manage
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.slow

ORDER = {"words": ["patience", "calm", "run"], "features": {"etymology": True}}


@dataclass
class Follower:
    """A client that reads a stream on a thread of its own, with the time of each."""

    site: Site
    path: str
    told: list[tuple[float, Told]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.connection = self.site.connect(
            "GET", self.path, Accept="text/event-stream"
        )
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        if self.status == 200:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        block = ""
        while line := self.answer.readline().decode():
            block += line
            if line == "\n":
                if told := read(block):
                    self.told.append((time.monotonic(), told))
                block = ""
        self.answer.close()
        self.connection.close()
        self.is_over.set()

    @property
    def names(self) -> list[str]:
        return [told.event for _, told in self.told if told.id]

    def close(self) -> None:
        """Hang up, as a browser does whose page is left."""
        assert self.connection.sock
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        assert self.is_over.wait(10)


def follow(site: Site, job: str) -> Follower:
    return Follower(site, f"{BATCH}/{job}/events")


@pytest.fixture
def site(sandbox_process, tmp_path, request) -> Iterator[Site]:
    with (
        own_database(request.config) as database,
        running_site(sandbox_process.url, tmp_path, database) as site,
    ):
        yield site


def test_a_run_is_followed_while_it_is_worked_off(site):
    status, accepted = site.ask("POST", BATCH, ORDER)
    job = accepted["jobId"]
    follower = follow(site, job)
    wait_for(lambda: follower.names == ["job:created"], seconds=10)
    began = time.monotonic()

    done = manage("process_batches", "--until-done", env=site.env)

    assert (status, done.returncode) == (202, 0), done.stderr
    assert follower.is_over.wait(20)
    assert follower.names == [
        "job:created",
        "job:started",
        "job:progress",
        "job:completed",
    ]
    started = next(at for at, told in follower.told if told.event == "job:started")
    ended = time.monotonic()
    assert began < started < ended
    figures = [told.data for _, told in follower.told if told.event == "figures"]
    assert (figures[0]["progress"], figures[-1]["progress"]) == (0, 100)
    last = [told.id for _, told in follower.told if told.id][-1]
    again = site.ask(
        "GET", follower.path, Accept="text/event-stream", Last_Event_ID=last
    )
    assert again == (204, None)


def test_followers_take_no_place_from_others_and_give_theirs_back(site):
    _, accepted = site.ask("POST", BATCH, ORDER)
    job = accepted["jobId"]
    followers = [follow(site, job) for _ in range(MOST_EACH)]
    assert [one.status for one in followers] == [200] * MOST_EACH
    wait_for(lambda: all(one.names for one in followers), seconds=10)

    too_many, refused = site.ask(
        "GET", f"{BATCH}/{job}/events", Accept="text/event-stream"
    )
    beside = [site.ask("GET", f"{BATCH}/{job}")[0] for _ in range(20)]
    for one in followers:
        one.close()

    assert (too_many, refused["code"]) == (429, "too_many_streams")
    assert beside == [200] * 20

    def is_free() -> bool:
        late = follow(site, job)
        if late.status == 200:
            late.close()
        else:
            late.connection.close()
        return late.status == 200

    wait_for(is_free, seconds=20)


def test_files_come_whole_from_such_a_server_too(site):
    _, accepted = site.ask("POST", BATCH, ORDER)
    assert manage("process_batches", "--until-done", env=site.env).returncode == 0

    with closing(site.connect("GET", "/static/batches/live.js")) as connection:
        script = connection.getresponse().read()

    assert script == (ROOT / "batches/static/batches/live.js").read_bytes()
    assert site.ask("GET", f"{BATCH}/{accepted['jobId']}")[1]["progress"] == 100
