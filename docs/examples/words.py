"""The API for words from end to end: asks, follows, cancels, and checks what it gets.

    export BATCHSITE=http://127.0.0.1:8000
    export MY_KEY=…  # of a user, with the scopes submit, operate and read:content
    python3 docs/examples/words.py

Needs Python alone. A worker must be running. Prints a line for each thing that holds,
and ends with status 1 at the first that does not.
"""

import json
import os
import sys
import time
import uuid
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BATCH = f"{os.environ['BATCHSITE']}/api/v1/ai/batch"
KEY = os.environ["MY_KEY"]
PATIENCE_SECONDS = 300
FINAL = ("completed", "failed", "cancelled")
KNOWN_EVENTS = (
    *("job:created", "job:started", "job:progress", "job:completed"),
    *("job:failed", "job:cancelled", "job:retry"),
)


def call(method, path="", body=None, *, key=KEY, **headers):
    """(status, answer as JSON), for errors too."""
    data = None if body is None else json.dumps(body).encode()
    headers |= {"X-API-Key": key, "Content-Type": "application/json"}
    request = Request(f"{BATCH}{path}", data, headers, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def check(what, holds, seen):
    if not holds:
        sys.exit(f"FAILED: {what}; got {json.dumps(seen)[:1000]}")
    print(f"ok: {what}")  # noqa: T201


def order(*words, **options):
    features = {"smart_summary": True, "etymology": True}
    return {"words": list(words), "features": features, "options": options}


def submission():
    """The id of a job that was asked for."""
    once = {"Idempotency-Key": str(uuid.uuid4())}
    asked = order("patience", "calm", priority="high", notifyProgress=True)
    status, made = call("POST", "", asked, **once)
    check("an order is taken", status == 202 and made["totalItems"] == 4, made)
    _, again = call("POST", "", asked, **once)
    check("sent twice, it is one job", again["jobId"] == made["jobId"], again)
    _, other = call("POST", "", order("quiet"))
    check("each job has its own id", other["jobId"] != made["jobId"], other)
    status, refused = call("POST", "", {"words": [], "features": {}})
    check("an order for nothing is refused", status == 400, refused)
    status, refused = call("GET", key="nobody's")
    check("a key that is none is refused", status == 401, refused)
    return made["jobId"]


def progress(job):
    """Follows the job to its end; progress only grows."""
    percents, until = [], time.monotonic() + PATIENCE_SECONDS
    while True:
        _, seen = call("GET", f"/{job}")
        percents.append(seen["progress"])
        if seen["status"] in FINAL:
            break
        if time.monotonic() > until:
            sys.exit(f"FAILED: nothing came of {job}: is a worker running? {seen}")
        time.sleep(1)
    grew = percents == sorted(percents) and percents[-1] == 100
    check("progress grows to 100 %", grew, percents)
    result = seen["result"]
    whole = result["successCount"] + result["failureCount"] == seen["totalItems"]
    check("every word is answered or has an error", whole, result)
    check("answers come in their order", in_order(result["results"]), result)


def in_order(results):
    places = [one["index"] for one in results]
    return bool(places) and places == sorted(places)


def events(job):
    _, told = call("GET", f"/{job}/events")
    names = [event["event_type"] for event in told["events"]]
    check("all events are known ones", set(names) <= set(KNOWN_EVENTS), names)
    check("first it is made", names[0] == "job:created", names)
    check("it is started", "job:started" in names, names)
    check("last it is done", names[-1] == "job:completed", names)
    times = [event["created_at"] for event in told["events"]]
    check("they come in their order", times == sorted(times), times)


def cancellation():
    _, made = call("POST", "", order("still", priority="low"))
    status, answer = call("DELETE", f"/{made['jobId']}")
    _, seen = call("GET", f"/{made['jobId']}")
    # A worker may have been quicker.
    if status == 409:
        check("what has ended is not cancelled", seen["status"] in FINAL, seen)
        return
    check("a job is cancelled", status == 200, answer)
    status, answer = call("DELETE", f"/{uuid.uuid4()}")
    check("a job that is not there is not found", status == 404, answer)


def history(job):
    _, told = call("GET", "?limit=100")
    ids = [one["jobId"] for one in told["jobs"]]
    check("the list has the job", job in ids and told["total"] >= 3, told["total"])
    _, stats = call("GET", "/stats")
    check("statistics count it", stats["jobs"]["completed"] >= 1, stats)
    _, told = call("GET", "/metrics")
    asked_for = told["metrics"]["totalRequests"]
    check("metrics count its requests", asked_for >= 4, told)


if __name__ == "__main__":
    job = submission()
    progress(job)
    events(job)
    cancellation()
    history(job)
    print("All of it holds.")  # noqa: T201
