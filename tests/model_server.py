"""A small OpenAI-compatible chat server, a process of its own: `python -m …`.

It answers with an instance of the JSON schema in `response_format`, with words of the
request where the schema asks for text. It shares no code with the sandbox.
"""

import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

WORD = re.compile(r"[^\W\d_]{3,}")


def instance(schema, words: Iterator[str], root):
    """A value of the schema, of the kind that a small model writes: short, and right
    in its form."""
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], words, root)
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], words, root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"]
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        parts = schema["properties"].items()
        return {name: instance(part, words, root) for name, part in parts}
    if kind == "array":
        return [instance(schema["items"], words, root) for _ in range(2)]
    plain = {"integer": 1, "number": 0.5, "boolean": True, "null": None}
    return plain[kind] if kind in plain else " ".join(next(words) for _ in range(4))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send({"object": "list", "data": [{"id": "gpt-4o-mini"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = body["messages"][-1]["content"]
        words = cycle(WORD.findall(asked) or ["word"])
        wanted = body.get("response_format", {})
        if wanted.get("type") == "json_schema":
            schema = wanted["json_schema"]["schema"]
            answer = json.dumps(instance(schema, words, schema))
        else:
            answer = " ".join(next(words) for _ in range(6))
        usage = {
            "prompt_tokens": len(asked) // 4,
            "completion_tokens": len(answer) // 4,
        }
        self._send(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": answer},
                    }
                ],
                "usage": {**usage, "total_tokens": sum(usage.values())},
            }
        )

    def _send(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/v1\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
