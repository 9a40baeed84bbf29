# SPDX-License-Identifier: Apache-2.0
"""A server with all that tells about it: the status page, metrics that are scraped every second, a log of failures, and
an access log with the variables for it."""

import contextlib
import threading
import urllib.request

INTERVAL = 1
# The fields of the access logs: those of httpd, and those of this module.
PLAIN = r"%h %t \"%r\" %>s %b"
VARIABLES = (
    "SSL_PROTOCOL",
    "SSL_CIPHER",
    "SSL_KEX",
    "SSL_SIGNATURE_SCHEME",
    "SSL_SESSION_RESUMED",
    "SSL_HANDSHAKE_MS",
    "SSL_JA4",
    "SSL_CLIENT_OFFER",
    "SSL_CLIENT_ECH",
    "SSL_CLIENT_GREASE",
)


def access_log(root, fields):
    return [f'LogFormat "{fields}" bench', f"CustomLog {root}/access_log bench"]


def lines(kind, root):
    """The lines of a server of this kind, besides those that all have."""
    if kind == "logged":
        return access_log(root, PLAIN)
    if kind != "monitored":
        return []
    places = [
        f"<Location /{name}>\nSetHandler {name}\nRequire local\n</Location>" for name in ("tls-status", "tls-metrics")
    ]
    fields = " ".join([PLAIN, *(f"%{{{name}}}x" for name in VARIABLES)])
    return [*places, f"TLSLogFailures {root}/failures", *access_log(root, fields)]


class Scraper:
    """Reads the metrics of a server again and again, as Prometheus does."""

    def __init__(self, port):
        self._url = f"http://127.0.0.1:{port}/tls-metrics"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def scrape(self):
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(urllib.request.Request(self._url, headers=headers), timeout=10) as response:
            return response.read()

    def _run(self):
        while not self._stopping.wait(INTERVAL):
            # While the server stops, it does not answer.
            with contextlib.suppress(OSError):
                self.scrape()

    def stop(self):
        self._stopping.set()
        self._thread.join()
