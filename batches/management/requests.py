"""A preview of requests as the shell prints it."""

import json

from batches.models.money import to_usd
from batches.services.preview import Preview, Shown


def in_words(found: Preview) -> str:
    """Each request with its tokens and price above it; the body one value a line."""
    parts = [
        f"{found.workload.key} {found.subject.object_id}, under {found.version} "
        f"({found.version.label.label.lower()}), to {found.model} at {found.provider}."
    ]
    parts += [f"No request: {count} × {why}." for why, count in found.skipped.items()]
    parts += [_request(shown) for shown in found.requests]
    return "\n\n".join(parts)


def _request(shown: Shown) -> str:
    if not shown.body:
        return f"{shown.target}: would fail before it is sent. {shown.trouble}"
    costs = shown.costs
    body = json.dumps(json.loads(shown.body), ensure_ascii=False, indent=2)
    return (
        f"{shown.target}: {costs.input_tokens:,} tokens in, about "
        f"{costs.output_tokens:,} out; probably ${to_usd(costs.expected):f}, "
        f"at worst ${to_usd(costs.worst):f}.\n{body}"
    )


def as_json(found: Preview) -> str:
    """One object; each `body` is a text, the very one that would be sent."""
    return json.dumps(
        {
            "workload": found.workload.key,
            "subject": found.subject.object_id,
            "prompt": found.version.number,
            "provider": found.provider,
            "model": found.model,
            "skipped": found.skipped,
            "requests": [
                {
                    "target": shown.target,
                    "body": shown.body,
                    "trouble": shown.trouble,
                    "input_tokens": shown.costs.input_tokens,
                    "output_tokens": shown.costs.output_tokens,
                    "expected_usd": f"{to_usd(shown.costs.expected):f}",
                    "high_usd": f"{to_usd(shown.costs.high):f}",
                    "worst_usd": f"{to_usd(shown.costs.worst):f}",
                }
                for shown in found.requests
            ],
        }
    )
