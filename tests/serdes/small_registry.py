"""A small schema registry that speaks the REST interface of Confluent's, for tests: no real one can run here.

Subjects, versions, ids, references, and a compatibility check that knows one rule: a new version of an Avro record may not
gain a field without a default. `down` makes it refuse everything.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse


class SmallRegistry:
    def __init__(self):
        self.schemas = []  # id - 1 -> {"schema", "schemaType", "references"}
        self.subjects = {}  # name -> ids in order of version
        self.requests = []
        self.down = False
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def register(self, subject, schema):
        kept = {key: schema.get(key) for key in ("schema", "schemaType", "references")}
        if kept not in self.schemas:
            self.schemas.append(kept)
        number = self.schemas.index(kept) + 1
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            if versions and not self._compatible(self.schemas[versions[-1] - 1], kept):
                return 409, {"error_code": 409, "message": "the new schema is incompatible with an earlier one"}
            versions.append(number)
        return 200, {"id": number}

    def version(self, subject, version):
        versions = self.subjects.get(subject)
        if not versions:
            return 404, {"error_code": 40401, "message": f"subject {subject} not found"}
        index = len(versions) if version == "latest" else int(version)
        return 200, self._shown(subject, index, versions[index - 1])

    def _shown(self, subject, version, number):
        schema = {key: value for key, value in self.schemas[number - 1].items() if value is not None}
        return {"subject": subject, "version": version, "id": number, **schema}

    @staticmethod
    def _compatible(old, new):
        if (old.get("schemaType") or "AVRO") != "AVRO":
            return True
        before = {field["name"] for field in json.loads(old["schema"]).get("fields", [])}
        fields = json.loads(new["schema"]).get("fields", [])
        return all(field["name"] in before or "default" in field for field in fields)

    def answer(self, method, path, body):  # noqa: PLR0911 - one line a route
        self.requests.append((method, path))
        if self.down:
            return 503, {"error_code": 50301, "message": "the registry is down"}
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["subjects", subject, "versions"] if method == "POST":
                return self.register(subject, body)
            case ["subjects", subject, "versions", version]:
                return self.version(subject, version)
            case ["subjects", subject] if method == "POST":
                kept = {key: body.get(key) for key in ("schema", "schemaType", "references")}
                number = self.schemas.index(kept) + 1 if kept in self.schemas else 0
                versions = self.subjects.get(subject, [])
                if number in versions:
                    return 200, self._shown(subject, versions.index(number) + 1, number)
                return 404, {"error_code": 40403, "message": "schema not found"}
            case ["schemas", "ids", number]:
                if 0 < int(number) <= len(self.schemas):
                    kept = self.schemas[int(number) - 1]
                    return 200, {key: value for key, value in kept.items() if value is not None}
                return 404, {"error_code": 40403, "message": f"schema {number} not found"}
        return 404, {"error_code": 404, "message": f"{method} {path}"}


class _Handler(BaseHTTPRequestHandler):
    registry: SmallRegistry

    def _handle(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        status, answer = self.registry.answer(self.command, urlparse(self.path).path, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the base class looks for these names

    def log_message(self, *_arguments):
        pass
