# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy for plain HTTP, which keeps a list of what has passed."""

import contextlib
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.forward(None)

    def do_POST(self):
        self.forward(self.rfile.read(int(self.headers["Content-Length"])))

    def forward(self, body):
        self.server.requests.append(f"{self.command} {self.path}")
        headers = {"Content-Type": self.headers["Content-Type"]} if body is not None else {}
        request = urllib.request.Request(self.path, body, headers, method=self.command)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError):
            try:
                answer = direct.open(request, timeout=10)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                content = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


class Proxy:
    def start(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.requests = self.requests = []
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
