"""Servers that do not do ranges as they should."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from batches.errors import SliceEnded
from batches.providers.errors import ProviderError
from batches.providers.openai_batch import BatchProvider
from tests.batches.slicing import after_blocks, nothing

pytestmark = pytest.mark.django_db

CONTENT = b"".join(b'{"custom_id":"%d"}\n' % n for n in range(100_000))


class Files(http.server.BaseHTTPRequestHandler):
    """Serves one file, in the way that `mode` of the server says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        mode = self.server.mode
        self.server.ranges.append(self.headers.get("range"))
        if not self.path.endswith("/content"):
            self._send(200, orjson.dumps({"id": "file-x", "bytes": len(CONTENT)}))
        elif mode == "no ranges" or not self.headers.get("range"):
            self._send(200, CONTENT)
        elif mode == "wrong range":
            self._send(206, CONTENT[5:], {"content-range": "bytes 5-9/10"})
        elif mode == "refuses":
            self._send(416, b'{"error": {"message": "No such range."}}')

    def _send(self, status, body, headers=None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Nothing on stderr."""


@contextmanager
def files_server(mode: str) -> Iterator[tuple[http.server.HTTPServer, BatchProvider]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.mode, server.ranges = mode, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    provider = BatchProvider(
        "sandbox",
        base_url=f"http://127.0.0.1:{server.server_port}/v1",
        api_key="x",
        timeout_seconds=10,
        is_sandbox=True,
    )
    try:
        yield server, provider
    finally:
        provider.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("mode", ["no ranges", "wrong range", "refuses"])
def test_without_ranges_a_download_begins_anew_and_ends_whole(mode, tmp_path):
    to = tmp_path / "x.result"
    with files_server(mode) as (server, provider):
        with pytest.raises(SliceEnded):
            provider.download(
                "file-x", to, on_block=after_blocks(2, SliceEnded("over"))
            )
        try:
            provider.download("file-x", to, on_block=nothing)
        except ProviderError:
            assert mode != "no ranges"
            provider.download("file-x", to, on_block=nothing)

    assert any(server.ranges)
    assert to.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x.result"]


def test_a_provider_that_falls_silent_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr("batches.providers.openai_batch.STALL_SECONDS", 0.3)
    with files_server("silent") as (server, provider):
        to = tmp_path / "x.result"
        (tmp_path / "x.result.kept").write_bytes(CONTENT[:1000])

        with pytest.raises(ProviderError, match="no answer|broke off"):
            provider.download("file-x", to, on_block=nothing)

    # What was there before is not lost for it.
    assert (tmp_path / "x.result.kept").read_bytes() == CONTENT[:1000]
