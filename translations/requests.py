"""The request for one part of a text, with all that helps to translate it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model

from batches.workloads import Request
from translations.fields import Part, max_length_of
from translations.glossary.sending import for_model
from translations.known import shown_before
from translations.prompt import build_body, texts_of
from translations.registry import Registered
from translations.segments import segments_of, to_json


def request_for(
    entry: Registered,
    row: Model,
    part: Part,
    *,
    prompt: str,
    response_format: dict[str, Any],
    notes: Sequence[str] = (),
    repair: Mapping[str, Any] | None = None,
) -> Request:
    """`notes` is what reviewers held against earlier translations of this text,
    `repair` what an earlier answer failed, for a request to do better.
    """
    source_language = entry.language_of(row)
    aids = {
        "glossary": for_model(part.rows),
        "examples": [
            {"source": example.source, "translation": example.text}
            for example in part.examples
        ],
        "already_translated": shown_before(segments_of(part.pieces), part.known),
        **(repair or {}),
    }
    body = build_body(
        prompt=prompt,
        response_format=response_format,
        object_type=str(entry.model._meta.verbose_name),
        field=part.field,
        format=part.format,
        source_language=source_language,
        target_language=part.language,
        context=entry.context(row) if entry.context else {},
        pieces=part.pieces,
        known=part.known,
        aids=aids,
        notes=notes,
    )
    context: dict[str, Any] = {
        "field": part.field,
        "language": part.language,
        "source_language": source_language,
        "format": part.format,
        "source_hash": part.source_hash,
        "part": part.number,
        "parts": part.total,
        "pieces": to_json(part.pieces),
        "asked": texts_of(part.pieces, part.known),
    }
    further = {
        "max_length": max_length_of(entry, part.field),
        "glossary": part.rows,
        "known": part.known,
        "cut": part.cut,
        "is_pretended": part.is_pretended,
        "approved": part.approved,
        "is_repair": repair is not None,
    }
    context |= {name: told for name, told in further.items() if told}
    return Request(body=body, context=context)
