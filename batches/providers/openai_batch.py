"""The Files and Batches API through the official client.

Speaks to OpenAI, to the sandbox, and to anything that takes the same calls at another
base URL. Facts it rests on were measured with openai 3.54 in November 2026: the client
repeats POSTs by itself, so calls that cost money go out with retries off; it reads a
`Path` whole into memory, so an open file is passed; a download cut by the peer raises
an error of the HTTP library, not of the client.
"""

import io
import json
import os
import re
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any

import httpx2
import openai

from batches.errors import SliceEnded
from batches.providers.errors import (
    IncompleteDownload,
    ProviderError,
    ProviderUnreachable,
)

CONNECT_TIMEOUT_SECONDS = 5
# A file may take as long as a slow line needs, as far as its caller's slice goes; what
# is bounded here is the silence between two blocks, and that between the last block of
# an upload and its answer. PROVIDER_TIMEOUT_SECONDS is for the small calls.
STALL_SECONDS = 60
UPLOAD_ANSWER_SECONDS = 120
INPUT_FILE_LIFETIME_SECONDS = 30 * 24 * 3600

# What a server says to whoever asks for a part of a file that it cannot give.
REFUSES_THE_REST = frozenset({400, 412, 416})

# `x-ratelimit-limit-requests: 5000`, `x-ratelimit-reset-tokens: 6m0s` and the like.
RATE_LIMIT = "x-ratelimit-"
RATE_LIMIT_HEADER = re.compile(r"x-ratelimit-[a-z-]{1,40}")
RATE_LIMIT_CHARACTERS = 40
MOST_RATE_LIMITS = 20

# What a person can do about a refusal, by the provider's code or the HTTP status.
ADVICE = {
    "401": " Check the key (OPENAI_API_KEY); what waits goes out when it is right.",
    "403": " Check what the key may do; what waits goes out when it may.",
    "insufficient_quota": " Top up the account; what waits goes out then.",
}


@dataclass(frozen=True)
class RemoteBatch:
    """A batch as the provider tells it; empty texts and None where it tells nothing."""

    id: str
    status: str
    input_file_id: str = ""
    output_file_id: str = ""
    error_file_id: str = ""
    total: int = 0
    completed: int = 0
    failed: int = 0
    began: bool = False
    created_at: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    raw: str = ""

    @property
    def has_run(self) -> bool:
        """Whether any of its lines may have been executed, and billed."""
        return bool(
            self.began
            or self.output_file_id
            or self.error_file_id
            or self.total
            or self.completed
            or self.failed
        )


@dataclass(frozen=True)
class RemoteFile:
    id: str
    filename: str
    bytes: int
    created_at: int
    purpose: str


class _Broken(ProviderError):
    """A download broke off; what came of it is the file's true beginning."""

    code = "incomplete_download"


class _WatchedFile(io.BufferedReader):
    """A file to send, which says before each block that it is about to go out."""

    def __init__(self, path: Path, on_block: Callable[[], None]) -> None:
        super().__init__(io.FileIO(path))
        self._on_block = on_block

    def read(self, size: int | None = -1, /) -> bytes:
        self._on_block()
        return super().read(size)


def new_client(
    owner: object,
    *,
    base_url: str,
    timeout_seconds: float,
    is_sandbox: bool,
    on_response: Sequence[Callable[[httpx2.Response], None]] = (),
    **key: str,
) -> openai.OpenAI:
    """The official client; `key` is its `api_key` or its `admin_api_key`.

    It is closed with its owner: one that is no longer asked for would leave its
    connections open.
    """
    timeout = httpx2.Timeout(timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
    client = openai.OpenAI(
        **key,  # type: ignore[arg-type]
        base_url=base_url,
        timeout=timeout,
        # A proxy of the environment has no business with a sandbox on this machine.
        http_client=openai.DefaultHttpxClient(
            base_url=base_url,
            timeout=timeout,
            trust_env=not is_sandbox,
            event_hooks={"response": list(on_response)},
        ),
    )
    weakref.finalize(owner, client.close)
    return client


class BatchProvider:
    """One provider, under the key that items and jobs keep for life.

    Every method raises ProviderError, and nothing else, when the provider does not do
    what it is asked. Transfers call `on_block` before every block; what that raises
    stops them, and comes out as it is.
    """

    longest_silence_seconds = float(max(STALL_SECONDS, UPLOAD_ANSWER_SECONDS))

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        api_key: str,
        timeout_seconds: float,
        is_sandbox: bool,
    ) -> None:
        self.key = key
        self.base_url = base_url
        self.is_sandbox = is_sandbox
        self.answers = 0  # that came, and were not about the provider's own trouble
        self.rate_limits: dict[str, str] = {}  # as it last told them
        self._client = new_client(
            self,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            is_sandbox=is_sandbox,
            on_response=[self._note],
            api_key=api_key,
        )
        self._once = self._client.with_options(max_retries=0)

    def close(self) -> None:
        self._client.close()

    def _note(self, answer: httpx2.Response) -> None:
        """Of every answer, refusals too: that it came, and what it says of rates."""
        if answer.status_code < 500 and answer.status_code not in (408, 429):
            self.answers += 1
        told = {
            name.removeprefix(RATE_LIMIT): value[:RATE_LIMIT_CHARACTERS]
            for name, value in answer.headers.items()
            if RATE_LIMIT_HEADER.fullmatch(name)
        }
        if told and len(told) <= MOST_RATE_LIMITS:
            self.rate_limits = told

    def check(self) -> None:
        """Ask a question that costs nothing, to see that address and key are right."""
        with self._told():
            self._once.models.list()

    def upload(self, path: Path, name: str, *, on_block: Callable[[], None]) -> str:
        """Send a batch input file under `name`, streamed; return its id."""
        patience = httpx2.Timeout(
            STALL_SECONDS, connect=CONNECT_TIMEOUT_SECONDS, read=UPLOAD_ANSWER_SECONDS
        )
        with _WatchedFile(path, on_block) as file, self._told():
            answer = self._once.files.create(
                file=(name, file),
                purpose="batch",
                expires_after={
                    "anchor": "created_at",
                    "seconds": INPUT_FILE_LIFETIME_SECONDS,
                },
                timeout=patience,
            )
            return self._text(answer.id, "an id for the uploaded file")

    def create(
        self, *, file_id: str, endpoint: str, metadata: dict[str, str]
    ) -> RemoteBatch:
        """Create a batch: one request, never repeated, whatever the answer."""
        with self._told():
            return self._batch(
                self._once.batches.create(
                    input_file_id=file_id,
                    endpoint=endpoint,  # type: ignore[arg-type]  # any that a workload names
                    completion_window="24h",
                    metadata=metadata,
                )
            )

    def retrieve(self, batch_id: str) -> RemoteBatch:
        with self._told():
            return self._batch(self._client.batches.retrieve(batch_id))

    def cancel(self, batch_id: str) -> RemoteBatch:
        with self._told():
            return self._batch(self._once.batches.cancel(batch_id))

    def batches_since(self, created_at: int) -> Iterator[RemoteBatch]:
        """All batches of the account back to a time (unix seconds), newest first."""
        with self._told():
            for answer in self._client.batches.list(limit=100):
                batch = self._batch(answer)
                if batch.created_at and batch.created_at < created_at:
                    return
                yield batch

    def file(self, file_id: str) -> RemoteFile:
        with self._told():
            return self._file(self._client.files.retrieve(file_id))

    def input_files(self) -> Iterator[RemoteFile]:
        """All batch input files of the account, newest first."""
        with self._told():
            for answer in self._client.files.list(
                purpose="batch", order="desc", limit=1000
            ):
                yield self._file(answer)

    def delete_file(self, file_id: str) -> None:
        """Delete a file; returning means that it is gone, now or already."""
        try:
            with self._told():
                self._client.files.delete(file_id)
        except ProviderError as err:
            if not err.is_not_found:
                raise

    def download(self, file_id: str, to: Path, *, on_block: Callable[[], None]) -> int:
        """Stream a file to disk and return its length in bytes.

        `to` appears whole or not at all. What came before the slice ended or the line
        broke is kept beside it, and gone on from when it is asked for again, where the
        provider can send the rest alone. Raises IncompleteDownload when what came is
        not as long as the provider says the file is.
        """
        expected = self.file(file_id).bytes
        kept = to.with_name(f"{to.name}.kept")
        # A name of its own: a process that lost the job may still be writing to its.
        part = to.with_name(f"{to.name}.{uuid.uuid4().hex}.part")
        try:
            self._receive(file_id, part, kept, expected, on_block)
            received = part.stat().st_size
            if received != expected:
                raise IncompleteDownload(
                    f"File {file_id} came down with {received:,} of {expected:,} "
                    "bytes; it is downloaded again."
                )
            part.replace(to)
            kept.unlink(missing_ok=True)
        except (SliceEnded, _Broken):
            part.replace(kept)
            raise
        except BaseException as err:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            if isinstance(err, ProviderError) and err.status in REFUSES_THE_REST:
                kept.unlink(missing_ok=True)
            raise
        return received

    def _receive(
        self,
        file_id: str,
        part: Path,
        kept: Path,
        expected: int,
        on_block: Callable[[], None],
    ) -> None:
        """Write a file into `part`: all of it, or onto what was kept of it.

        Raises _Broken when the line breaks and what came can be relied on.
        """
        start = kept.stat().st_size if kept.exists() else 0
        # Compressed, neither lengths nor places in the file would be those on disk.
        headers = {"Accept-Encoding": "identity"}
        if 0 < start < expected:
            headers["Range"] = f"bytes={start}-"
        patience = httpx2.Timeout(STALL_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        with (
            self._told(),
            self._once.files.with_streaming_response.content(
                file_id, extra_headers=headers, timeout=patience
            ) as answer,
        ):
            goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
            if goes_on:
                wanted = f"bytes {start}-{expected - 1}/{expected}"
                sent = answer.headers.get("content-range")
                if start:
                    kept.rename(part)
                if sent != wanted or (start and part.stat().st_size != start):
                    raise IncompleteDownload(
                        f"Asked for {wanted} of file {file_id}, {self.key} sent "
                        f"{sent}; it is downloaded again from its beginning."
                    )
            left = expected - start if goes_on else expected
            is_sound = answer.headers.get("content-length") == str(left)
            with part.open("ab" if goes_on else "wb") as out:
                try:
                    # As the blocks come: gathered into larger ones, a slow line would
                    # keep the lease and the end of the slice waiting.
                    for block in answer.iter_bytes():
                        on_block()
                        out.write(block)
                except httpx2.HTTPError as err:
                    if not is_sound:
                        raise
                    raise _Broken(
                        f"File {file_id} broke off ({err}); the rest is fetched when "
                        "it is asked for again."
                    ) from err
                finally:
                    out.flush()
                    os.fsync(out.fileno())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Put whatever the client or its HTTP library raises into our words."""
        try:
            yield
        except openai.APIStatusError as err:
            body = err.body if isinstance(err.body, dict) else {}
            message = str(body.get("message") or err.message)
            advice = ADVICE.get(str(err.code)) or ADVICE.get(str(err.status_code), "")
            raise ProviderError(
                f"{self.key} answered {err.status_code}: {message}{advice}",
                status=err.status_code,
                error_code=str(err.code or ""),
                has_error_body=bool(body.get("message")),
            ) from err
        except openai.APIConnectionError as err:
            if isinstance(err.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout)):
                raise ProviderUnreachable(self._unreachable(err.__cause__)) from err
            raise ProviderError(f"{self.key} gave no answer ({err}).") from err
        except (openai.OpenAIError, httpx2.HTTPError) as err:
            raise ProviderError(f"{self.key} gave no usable answer ({err}).") from err

    def _unreachable(self, cause: BaseException) -> str:
        if certificate := _certificate_trouble(cause):
            advice = (
                "The sandbox speaks plain HTTP: SANDBOX_URL begins with http://."
                if self.is_sandbox
                else "Check OPENAI_BASE_URL; where the certificate is one of your own, "
                "name its authority's file in SSL_CERT_FILE."
            )
            return (
                f"{self.base_url} shows a certificate that is not trusted "
                f"({certificate}). Nothing was sent. {advice}"
            )
        if self.is_sandbox:
            return (
                f"The sandbox at {self.base_url} does not answer. "
                "Start it with `python manage.py sandbox` in another terminal."
            )
        return (
            f"{self.base_url} cannot be reached. Check the network and OPENAI_BASE_URL."
        )

    def _text(self, value: Any, what: str) -> str:
        if not isinstance(value, str) or not value:
            raise ProviderError(f"{self.key} answered without {what}.")
        return value

    def _batch(self, answer: Any) -> RemoteBatch:
        # The client builds its objects without validation: an absent field is None.
        counts = answer.request_counts
        errors = answer.errors.data if answer.errors and answer.errors.data else []
        return RemoteBatch(
            id=self._text(answer.id, "an id for the batch"),
            status=self._text(answer.status, "a status for the batch"),
            input_file_id=answer.input_file_id or "",
            output_file_id=answer.output_file_id or "",
            error_file_id=answer.error_file_id or "",
            total=(counts.total or 0) if counts else 0,
            completed=(counts.completed or 0) if counts else 0,
            failed=(counts.failed or 0) if counts else 0,
            began=bool(answer.in_progress_at),
            created_at=answer.created_at or 0,
            metadata=dict(answer.metadata or {}),
            errors=[
                {"code": e.code, "message": e.message, "param": e.param, "line": e.line}
                for e in errors
            ],
            raw=json.dumps(answer.to_dict(), ensure_ascii=False),
        )

    def _file(self, answer: Any) -> RemoteFile:
        return RemoteFile(
            id=self._text(answer.id, "an id for the file"),
            filename=answer.filename or "",
            bytes=answer.bytes or 0,
            created_at=answer.created_at or 0,
            purpose=answer.purpose or "",
        )


def _certificate_trouble(err: BaseException | None) -> str:
    """What is wrong with the peer's certificate, if that is why it was not reached."""
    while err is not None:
        if isinstance(err, SSLCertVerificationError):
            return err.verify_message
        err = err.__cause__ or err.__context__
    return ""
