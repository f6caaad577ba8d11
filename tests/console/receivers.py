"""Who gets alerts in tests: a real HTTP server and a real, small SMTP server, each on a loopback port of its own."""

import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hook:
    """What a webhook got, and what it shall answer."""

    def __init__(self):
        self.got = []
        self.answers = []
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook?key=secret"


@contextmanager
def webhook():
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.got.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
            )
            status, headers = hook.answers.pop(0) if hook.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield hook
        server.shutdown()
        thread.join()


class Mailbox:
    """What a mail server took; addresses in ``refused`` are not taken."""

    def __init__(self):
        self.got = []
        self.refused = set()
        self.port = 0


@contextmanager
def mail_server():
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 sink")
            receivers = []
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "RCPT":
                    address = line.partition("<")[2].partition(">")[0]
                    if address in box.refused:
                        self.say("550 unknown")
                        continue
                    receivers.append(address)
                if verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline().decode()) != ".\r\n":
                        lines.append(text)
                    box.got.append((receivers, "".join(lines)))
                if verb == "QUIT":
                    self.say("221 bye")
                    return
                self.say("250 well")

        def say(self, text):
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join()
