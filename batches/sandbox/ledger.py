"""What was accepted and what is billed: `GET /_sandbox/ledger`."""

from typing import TYPE_CHECKING, Any

from batches.sandbox.wire import ApiError, Reply, Request, json_reply

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox


def show(sandbox: "Sandbox", request: Request) -> Reply:
    """All figures; `?by_custom_id=false` leaves the long part out.

    `batches` passed validation (or still wait for it), `refused` did not; `lines` are
    those answered with 200, the only ones with tokens. `files` can still be fetched.
    `?since=` and `?until=` (unix seconds of the sandbox's clock) bound the time over
    which the mean of the queue is taken.
    """
    ledger = {
        **_batches(sandbox),
        **_totals(sandbox),
        "by_model": _by_model(sandbox),
        "enqueued": _enqueued(
            sandbox, since=_time(request, "since"), until=_time(request, "until")
        ),
        "files": sandbox.storage.live_files(),
    }
    if request.one("by_custom_id") not in ("0", "false"):
        ledger["by_custom_id"] = _by_custom_id(sandbox)
    return json_reply(ledger)


def _batches(sandbox: "Sandbox") -> dict[str, int]:
    # Only validation ends a batch as failed without a moment of being in progress.
    rows = sandbox.storage.rows(
        "SELECT status = 'failed' AND document ->> 'in_progress_at' IS NULL, COUNT(*)"
        " FROM batches GROUP BY 1"
    )
    counts = dict(rows)
    return {"batches": counts.get(0, 0), "refused": counts.get(1, 0)}


def _totals(sandbox: "Sandbox") -> dict[str, int]:
    row = sandbox.storage.rows(
        "SELECT COUNT(*), COALESCE(SUM(input_tokens), 0),"
        " COALESCE(SUM(output_tokens), 0) FROM lines WHERE status = 200"
    )[0]
    return {"lines": row[0], "input_tokens": row[1], "output_tokens": row[2]}


def _by_model(sandbox: "Sandbox") -> dict[str, dict[str, int]]:
    rows = sandbox.storage.rows(
        "SELECT model, COUNT(*), SUM(input_tokens), SUM(cached_tokens),"
        " SUM(output_tokens) FROM lines JOIN batches ON seq = batch"
        " WHERE lines.status = 200 GROUP BY model"
    )
    names = ("lines", "input_tokens", "cached_tokens", "output_tokens")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def _by_custom_id(sandbox: "Sandbox") -> dict[str, list[dict[str, Any]]]:
    """Every executed line, also those that failed and cost nothing, oldest first."""
    rows = sandbox.storage.rows(
        "SELECT custom_id, id, line, model, lines.status, input_tokens, cached_tokens,"
        " output_tokens FROM lines JOIN batches ON seq = batch ORDER BY batch, line"
    )
    names = (
        "batch",
        "line",
        "model",
        "status",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for custom_id, *row in rows:
        found.setdefault(custom_id, []).append(dict(zip(names, row, strict=True)))
    return found


def _time(request: Request, name: str) -> float | None:
    given = request.one(name)
    if not given:
        return None
    try:
        return float(given)
    except ValueError as err:
        raise ApiError(
            400, f"{name} is {given!r}; it must be a time in unix seconds.", param=name
        ) from err


def _enqueued(
    sandbox: "Sandbox", *, since: float | None, until: float | None
) -> dict[str, dict[str, Any]]:
    """Per model the limit, the highest queue and its mean, all in input tokens.

    The mean is taken over time: from `since`, else from the first refusal for want of
    room, and up to `until`, else to the moment at which the queue last became empty (or
    now). Null without a refusal, where no time was asked for.
    """
    refusals = dict(
        sandbox.storage.rows(
            "SELECT model, MIN(document ->> 'failed_at') FROM batches"
            " WHERE status = 'failed' AND"
            " document ->> '$.errors[0].code' = 'token_limit_exceeded' GROUP BY model"
        )
    )
    changes: dict[str, list[tuple[float, int]]] = {}
    for at, model, tokens in sandbox.storage.rows(
        "SELECT at, model, tokens FROM queue_changes ORDER BY rowid"
    ):
        changes.setdefault(model, []).append((at, tokens))
    return {
        model: {
            "limit": sandbox.token_limit(model),
            "peak": max((tokens for _, tokens in changes.get(model, [])), default=0),
            "mean": _mean(
                changes.get(model, []),
                since or refusals.get(model),
                until,
                now=sandbox.clock.now(),
            ),
        }
        for model in sorted(changes.keys() | refusals.keys())
    }


def _mean(
    changes: list[tuple[float, int]],
    since: float | None,
    until: float | None,
    *,
    now: float,
) -> float | None:
    if since is None:
        return None
    end = until or now
    if until is not None:
        changes = [(at, tokens) for at, tokens in changes if at <= until]
    elif changes and changes[-1][1] == 0:
        end = max(since, changes[-1][0])
    area, level, start = 0.0, 0, since
    for at, tokens in changes:
        if at > since:
            area += level * (at - start)
            start = at
        level = tokens
    area += level * max(0.0, end - start)
    return area / (end - since) if end > since else float(level)
