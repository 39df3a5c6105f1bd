"""The Files and Batches API through the official client: the only file that imports it.

Speaks to OpenAI, to the sandbox, and to anything that takes the same calls at another
base URL. Facts it rests on were measured with openai 3.54 in November 2026: the client
repeats POSTs by itself, so calls that cost money go out with retries off; it reads a
`Path` whole into memory, so an open file is passed; a download cut by the peer raises
an error of the HTTP library, not of the client.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai

from batches.providers.errors import (
    IncompleteDownload,
    ProviderError,
    ProviderUnreachable,
)

BLOCK_BYTES = 256 * 1024
CONNECT_TIMEOUT_SECONDS = 5
# A result file is read in one call that may take as long as a slow line needs; what is
# bounded is the silence between two blocks.
INPUT_FILE_LIFETIME_SECONDS = 30 * 24 * 3600

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


class BatchProvider:
    """One provider, under the key that items and jobs keep for life.

    Every method raises ProviderError, and nothing else, when the provider does not do
    what it is asked.
    """

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
        timeout = httpx2.Timeout(timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
        self._client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            # A proxy of the environment has no business with a sandbox on this machine.
            http_client=openai.DefaultHttpxClient(
                base_url=base_url, timeout=timeout, trust_env=not is_sandbox
            ),
        )
        self._once = self._client.with_options(max_retries=0)

    def close(self) -> None:
        self._client.close()

    def check(self) -> None:
        """Ask a question that costs nothing, to see that address and key are right."""
        with self._told():
            self._once.models.list()

    def upload(self, path: Path, name: str) -> str:
        """Send a batch input file under `name`, streamed; return its id."""
        with self._told(), path.open("rb") as file:
            answer = self._once.files.create(
                file=(name, file),
                purpose="batch",
                expires_after={
                    "anchor": "created_at",
                    "seconds": INPUT_FILE_LIFETIME_SECONDS,
                },
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

    def download(self, file_id: str, to: Path) -> int:
        """Stream a file to disk and return its length in bytes.

        `to` appears whole or not at all. Raises IncompleteDownload when what came is
        not as long as the provider says the file is, or has no folder to go to.
        """
        expected = self.file(file_id).bytes
        # A name of its own: whoever held the job before may still be at the same file.
        part = to.with_name(f"{to.name}.{uuid.uuid4().hex}.part")
        try:
            received = self._stream(file_id, part)
            if received == expected:
                part.replace(to)
        except FileNotFoundError as err:
            raise IncompleteDownload(
                f"File {file_id} has nowhere to go: {to.parent} was removed meanwhile, "
                "as when another process ends the job."
            ) from err
        if received != expected:
            part.unlink(missing_ok=True)
            raise IncompleteDownload(
                f"File {file_id} came down with {received:,} of {expected:,} bytes; "
                "it is downloaded again."
            )
        return received

    def _stream(self, file_id: str, to: Path) -> int:
        """Write what comes of a file, as it comes; the number of bytes."""
        received = 0
        with (
            self._told(),
            to.open("wb") as out,
            self._once.files.with_streaming_response.content(file_id) as answer,
        ):
            for block in answer.iter_bytes(BLOCK_BYTES):
                out.write(block)
                received += len(block)
            out.flush()
            os.fsync(out.fileno())
        return received

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
                raise ProviderUnreachable(self._unreachable()) from err
            raise ProviderError(f"{self.key} gave no answer ({err}).") from err
        except (openai.OpenAIError, httpx2.HTTPError) as err:
            raise ProviderError(f"{self.key} gave no usable answer ({err}).") from err

    def _unreachable(self) -> str:
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
