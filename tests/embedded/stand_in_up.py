"""`up` with the real Kafka and Redis, and trivial parts in place of the console's and the engine's.

python stand_in_up.py --data-dir D [--port P]
"""

import sys

from engine.embedded import parts, probes, up
from engine.embedded.part import Kind, Part

WEB = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def console(stack):
    command = parts._python(stack, "web", "-c", WEB, str(stack.web_port))
    ready = probes.http_ok("127.0.0.1", stack.web_port, "/healthz")
    return [Part("web", command, after=("kafka", "redis"), ready=ready, address=f"127.0.0.1:{stack.web_port}")]


def demo(stack):
    command = parts._python(stack, "feeder", "-c", "pass")
    return [Part("feeder", command, Kind.TASK, after=("web",), application="flights")]


if __name__ == "__main__":
    parts._libraries = lambda _stack: []
    parts._database = lambda _stack: []
    parts._console = console
    parts._demo = demo
    sys.exit(up.main(sys.argv[1:]))
