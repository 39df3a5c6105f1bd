"""/v1/models, and the endpoints that answer one request at once."""

import zlib
from typing import TYPE_CHECKING

import orjson

from batches.sandbox import models, tokens
from batches.sandbox.lines import change_of_answer
from batches.sandbox.wire import ApiError, Reply, Request, json_reply

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

REQUIRED = {
    "/v1/chat/completions": ("model", "messages"),
    "/v1/responses": ("model", "input"),
    "/v1/embeddings": ("model", "input"),
}


def list_models(sandbox: "Sandbox", request: Request) -> Reply:
    found = sandbox.responder.models()
    return json_reply(
        {"object": "list", "data": [models.to_wire(model) for model in found]}
    )


def retrieve_model(sandbox: "Sandbox", request: Request, model: str) -> Reply:
    if not (models.is_known(model) or model in sandbox.responder.models()):
        raise _no_such_model(model)
    return json_reply(models.to_wire(model))


def answer(sandbox: "Sandbox", request: Request) -> Reply:
    endpoint = request.path
    body = request.json_object()
    for name in REQUIRED[endpoint]:
        if body.get(name) in (None, "", []):
            raise ApiError(
                400,
                f"Missing required parameter: '{name}'.",
                param=name,
                code="missing_required_parameter",
            )
    if body.get("stream"):
        raise ApiError(
            400,
            "This sandbox does not stream.",
            param="stream",
            code="unsupported_value",
        )
    model = body["model"]
    if not isinstance(model, str):
        raise ApiError(
            400,
            "Invalid type for 'model': expected a string.",
            param="model",
            code="invalid_type",
        )
    if not (sandbox.responder.any_model or models.is_known(model)):
        raise _no_such_model(model)
    count, _ = tokens.input_tokens(endpoint, body)
    sent = orjson.dumps(body)
    change = change_of_answer(sandbox.faults, 0, str(zlib.crc32(sent)), sent)
    outcome = sandbox.responder.respond(
        endpoint, body, input_tokens=count, change=change
    )
    return json_reply(outcome.body, status=outcome.status)


def _no_such_model(model: str) -> ApiError:
    return ApiError(
        404,
        f"The model '{model}' does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )
