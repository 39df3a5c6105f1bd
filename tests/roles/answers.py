"""What every answer must have, whoever asked for whatever."""

import re
from typing import Any

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A script or a style in the page itself, or an attribute that is one.
INLINE = re.compile(
    r"<script(?![^>]*\b(?:src=|type=\"application/json\"))[^>]*>|<style\b|"
    r"<[^>]+\s(?:style|on[a-z]+)\s*=|href=\"javascript:",
    re.IGNORECASE,
)


def policy_of(response: Any) -> dict[str, str]:
    """{directive: what it lets} of an answer's Content-Security-Policy."""
    parts = response["Content-Security-Policy"].split("; ")
    return {name: lets for name, _, lets in (part.partition(" ") for part in parts)}


def check_answer(response: Any) -> None:
    """Its headers; and of a page, that its policy leaves it whole."""
    path = response.wsgi_request.path_info
    for name, value in ALWAYS.items():
        assert response[name] == value, (path, name)
    assert "camera=()" in response["Permissions-Policy"]
    policy = policy_of(response)
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    if path.startswith("/api/") and path != "/api/docs":
        assert set(policy) == {"default-src", "frame-ancestors"}
        assert "private" in response["Cache-Control"]
    elif path != "/api/docs":
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["base-uri"] == "'none'" and policy["form-action"] == "'self'"
    if response.get("Content-Type", "").startswith("text/html"):
        found = INLINE.search(response.content.decode())
        assert found is None, (path, found)
