"""Where OpenAI delivers its webhooks; switched on by OPENAI_WEBHOOK_SECRET.

It stands outside the API's document: who calls is told by a signature, not by a key.
"""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from batches.api.envelopes import error_response
from batches.api.middleware import no_such_address
from batches.providers.openai_webhooks import BadWebhook, read_webhook
from batches.services.asking import name_actor
from batches.services.provider_webhooks import take_webhook

MOST_BYTES = 64 * 1024  # an event has a few hundred


@csrf_exempt
@require_POST
def openai_webhook(request: HttpRequest) -> HttpResponse:
    """200 for an event, told before or not; else it is delivered again for days."""
    if not settings.OPENAI_WEBHOOK_SECRET:
        return no_such_address(request)
    if len(request.body) > MOST_BYTES:
        return error_response(
            request,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A webhook has at most {MOST_BYTES:,} bytes.",
        )
    try:
        event = read_webhook(
            request.body, request.headers, settings.OPENAI_WEBHOOK_SECRET
        )
    except BadWebhook as err:
        return error_response(request, HTTPStatus.BAD_REQUEST, str(err), err.code)
    name_actor("openai")
    return JsonResponse({"received": True, "new": take_webhook(event)})
