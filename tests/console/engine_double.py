"""An engine's HTTP service as far as the console uses it, in a thread: what it was asked, and answers that tests choose."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "canary-token-of-the-engines"  # noqa: S105 - a test's own


class EngineDouble:
    """``orders`` counts what was begun; ``phases`` are given out one a question, the last for ever.

    So are ``phases_of_cancel`` once an order was cancelled. What has ended cannot be cancelled, nor what is not known.
    """

    def __init__(self):
        self.tasks = []
        self.entries = {"entries": [], "cursor": None, "sources": []}
        self.phases = ["queued", "swapped"]
        self.phases_of_cancel = ["cancelled"]
        self.facts = {}
        self.orders = []
        self.cancelled = []
        self.known = {}
        self.asked = []
        self.on_done = lambda _job: None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def forget(self):
        """Restart: nothing of what was ordered is known any more."""
        self.known.clear()

    def answer(self, method, path, query, body):
        self.asked.append((method, path))
        parts = path.split("/")
        if path == "/v1/control/tasks":
            return 200, {"tasks": self.tasks}
        if parts[1:3] == ["v1", "stores"]:
            return 200, {**self.entries, "query": query}
        what, job = parts[7], parts[8] if len(parts) > 8 else body.get("job")
        if method == "POST" and parts[-1] == "cancel":
            return self._cancel(job)
        if method == "POST":
            if job not in self.known:
                self.orders.append((what, job, body.get("generation")))
                self.known[job] = list(self.phases)
            return 202, self._progress(job)
        if job not in self.known:
            return _refusal(404, "not-found", "no such job here")
        return 200, self._progress(job)

    def _cancel(self, job):
        if job not in self.known:
            return _refusal(404, "not-found", "no such job here")
        if self.known[job][0] in {"swapped", "done", "failed"}:
            return _refusal(409, "conflict", "it has ended")
        self.cancelled.append(job)
        self.known[job] = list(self.phases_of_cancel)
        return 202, self._progress(job)

    def _progress(self, job):
        phases = self.known[job]
        phase = phases.pop(0) if len(phases) > 1 else phases[0]
        if phase in {"swapped", "done"}:
            self.on_done(job)
        return {
            "job": job,
            "phase": phase,
            "position": 10,
            "end": 10,
            "error": "it broke" if phase == "failed" else None,
            **self.facts,
        }

    def _handler(double):  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.respond("GET")

            def do_POST(self):
                self.respond("POST")

            def respond(self, method):
                url = urlsplit(self.path)
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length) or b"{}") if length else {}
                if self.headers["authorization"] != f"Bearer {TOKEN}":
                    status, answer = _refusal(401, "unauthorized", "no")
                else:
                    status, answer = double.answer(method, url.path, parse_qs(url.query), body)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_args):
                pass

        return Handler


def _refusal(status, code, words):
    return status, {"error": {"code": code, "message": words, "retryable": False, "state": None}}
