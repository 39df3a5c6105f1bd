"""Real trouble: a line that is slow or cut, a full disk, a folder that is read-only."""

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BLOCK_BYTES = 64 * 1024
NOBODY = 65_534


class Line:
    """Listens on a port of its own and passes everything on to `target`.

    `bytes_per_second` bounds either way; `received` counts what the target sent.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.bytes_per_second: float | None = None
        self.received = 0
        self._is_up = True
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that what is sent waits at its sender.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK_BYTES)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones until `mend`."""
        self._is_up = False
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._is_up = True

    def close(self) -> None:
        self.cut()
        # Wakes the thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_up:
                near.close()
                continue
            try:
                far = socket.create_connection(self.target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            for source, sink, is_answer in ((near, far, False), (far, near, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, is_answer), daemon=True
                ).start()

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK_BYTES):
                if is_answer:
                    self.received += len(block)
                if self.bytes_per_second:
                    time.sleep(len(block) / self.bytes_per_second)
                sink.sendall(block)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()


@contextmanager
def line_to(host: str, port: int) -> Iterator[Line]:
    """A line that is gone when the block ends."""
    line = Line((host, port))
    try:
        yield line
    finally:
        line.close()


@contextmanager
def full_disk(after_bytes: int = 0) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes, as under a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """This process may read a folder and not write to it, also where it is root's."""
    user = os.geteuid()
    modes = {folder: folder.stat().st_mode}
    try:
        if user == 0:  # whom no mode keeps out: be another, who may pass, and look
            for path in folder.parents:
                mode = path.stat().st_mode
                if not mode & 0o001:
                    modes[path] = mode
                    path.chmod(mode | 0o001)
            os.seteuid(NOBODY)
        else:
            folder.chmod(0o555)
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
