"""Under ASGI a plain iterator is not read to its end before the first byte goes out."""

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from batchsite.asgi_streams import StreamsPieceByPiece


@pytest.fixture
def read() -> list[int]:
    """Which pieces were asked for so far."""
    return []


@pytest.fixture
def middleware(read) -> StreamsPieceByPiece:
    def pieces():
        for number in range(3):
            read.append(number)
            yield b"" if number == 1 else b"%d" % number

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces())

    return StreamsPieceByPiece(view)


def test_pieces_go_out_one_by_one_and_an_empty_one_ends_nothing(middleware, read):
    request = AsyncRequestFactory().get("/")
    assert isinstance(request, ASGIRequest)

    @async_to_sync
    async def serve() -> tuple[bytes, list[int], list[bytes]]:
        content = middleware(request).streaming_content
        first = await anext(content)
        return first, list(read), [piece async for piece in content]

    assert serve() == (b"0", [0], [b"", b"2"])


def test_a_threaded_server_is_left_alone(middleware, read):
    response = middleware(RequestFactory().get("/"))

    assert (response.is_async, read) == (False, [])
    assert b"".join(response) == b"02"
