"""Under ASGI, what is streamed from a plain iterator goes out piece by piece.

Django would read all of it before the first byte is sent: a million rows of an export.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse


class StreamsPieceByPiece:
    """Middleware, around all others; does nothing under WSGI."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(request, ASGIRequest) and response.streaming:
            streamed = cast(StreamingHttpResponse, response)
            if not streamed.is_async:
                streamed.streaming_content = _pieces(
                    cast(Iterator[bytes], streamed.streaming_content)
                )
        return response


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    # On the request's own thread: a row after the other of one cursor.
    fetch = sync_to_async(lambda: next(content, None))
    while (piece := await fetch()) is not None:
        yield piece
