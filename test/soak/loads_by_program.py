# SPDX-License-Identifier: Apache-2.0
"""Correct clients that are programs: curl for HTTP/2, openssl for early data."""

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.clients import request
from soak.accounting import BACKEND, Wrong
from soak.loads import DIRECT, FILES, choose

TIMEOUT = 40
PATHS = {"download": "/", "through https://": "/self/", "through h2://": "/self2/"}


class Programs:
    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng
        self._directory = Path(tempfile.mkdtemp(dir=site.root))

    def operations(self):
        return {self.streams: 6, self.upload: 2, self.early_data: 1}

    # --- HTTP/2 ---

    def _curl(self, port, *args):
        """Runs curl. Returns its output for each URL: number, status, curl's exit code, local port."""
        command = [
            "curl",
            "-sS",
            "--no-progress-meter",
            "--http2",
            "--max-time",
            str(TIMEOUT),
            "--cacert",
            self.site.httpd.ca_file,
        ]
        command += ["--resolve", f"a.test:{port}:127.0.0.1"]
        command += ["-w", "%{urlnum} %{http_code} %{exitcode} %{local_port} %{http_version}\\n", *args]
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT + 10)
        self.ledger.note("connections")
        lines = [line.split() for line in run.stdout.splitlines()]
        return {int(line[0]): [int(line[1]), int(line[2]), int(line[3]), line[4]] for line in lines}, run.stderr

    def streams(self):
        """Several requests at the same time on one connection."""
        port = self.rng.choice([self.site.httpd.port, self.site.ssl_port])
        requests = [
            (choose(self.rng, {p: 1 for p in PATHS}), choose(self.rng, FILES)) for _ in range(self.rng.randint(1, 8))
        ]
        with contextlib.ExitStack() as stack:
            files = [self._directory / f"{i}" for i in range(len(requests))]
            urls = [f"https://a.test:{port}{PATHS[kind]}{name}" for kind, name in requests]
            pairs = [arg for url, file in zip(urls, files) for arg in ("-o", str(file), url)]
            entries = [stack.enter_context(self._entry(kind)) for kind, _ in requests]
            results, errors = self._curl(port, "-Z", *pairs)
            found = {}
            for i, (_, name) in enumerate(requests):
                entries[i].port = None if "through" in requests[i][0] else results.get(i, [0, 0, None])[2]
                found[i] = self._problem(results.get(i), files[i], self.site.digests[name], errors)
                entries[i].is_session_lost = self._is_session_lost(results.get(i), files[i])
                files[i].unlink(missing_ok=True)
            self._settle(entries, found)

    @contextlib.contextmanager
    def _entry(self, kind, harmed_by=DIRECT):
        """The entry of a request. Its problem, if any, is known only after all requests of the same run have ended."""
        with contextlib.suppress(Exception), self.ledger.request(f"HTTP/2 {kind}", harmed_by) as entry:
            entry.problem = AssertionError("curl did not run")
            yield entry
            if entry.problem:
                raise entry.problem

    @staticmethod
    def _settle(entries, problems):
        for number, entry in enumerate(entries):
            entry.problem = problems[number]

    @staticmethod
    def _problem(result, file, digest, errors):
        """The problem of one answer as an exception, or None."""
        status, code, _, version = result or (0, 0, 0, "")
        body = file.read_bytes() if file.exists() else b""
        if (status, code, version) == (200, 0, "2") and hashlib.sha256(body).hexdigest() == digest:
            return None
        kind = Wrong if (status, code) == (200, 0) else AssertionError
        return kind(f"status {status}, version {version}, {len(body)} bytes, exit status {code}: {errors}")

    @staticmethod
    def _is_session_lost(result, file):
        """Whether the connection ended (CURLE_PARTIAL_FILE, CURLE_HTTP2) before any byte of the answer."""
        status, code, _, _ = result or (0, 18, 0, "")
        return status == 0 and code in (16, 18) and not file.exists()

    def upload(self):
        """A POST over HTTP/2 that a backend echoes."""
        port = self.rng.choice([self.site.httpd.port, self.site.ssl_port])
        body = self.rng.randbytes(self.rng.choice([1, 5000, 300_000]))
        sent, received = self._directory / "sent", self._directory / "received"
        sent.write_bytes(body)
        with self._entry("echo", (*DIRECT, BACKEND)) as entry:
            args = ("--data-binary", f"@{sent}", "-H", "Expect:", "-o", str(received), f"https://a.test:{port}/echo")
            results, errors = self._curl(port, *args)
            entry.port = results.get(0, [0, 0, None])[2]
            entry.problem = self._problem(results.get(0), received, hashlib.sha256(body).hexdigest(), errors)
            entry.is_session_lost = self._is_session_lost(results.get(0), received)
        received.unlink(missing_ok=True)

    # --- early data ---

    def early_data(self):
        """A request as early data of a resumed connection. If it is refused, the request after it is answered."""
        session, early = self._directory / "session", self._directory / "early"
        early.write_bytes(request("early.test", "/tiny", close=False))
        last = request("early.test", "/tiny")
        with contextlib.suppress(Exception), self.ledger.request("early data", DIRECT):
            session.unlink(missing_ok=True)
            self._openssl(last, "-sess_out", session)
            assert session.exists(), "no session"
            output = self._openssl(last, "-sess_in", session, "-early_data", early)
            accepted = b"Early data was accepted" in output
            self.ledger.note("early data accepted" if accepted else "early data refused")
            answers = output.count(self.site.httpd.docs.joinpath("tiny").read_bytes())
            assert answers == (2 if accepted else 1), f"{answers} answers, accepted: {accepted}\n{output[-2000:]}"

    def _openssl(self, data, *args):
        port = self.site.httpd.port
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "early.test", "-ign_eof"]
        run = subprocess.run([*command, "-groups", "P-256", *args], input=data, capture_output=True, timeout=TIMEOUT)
        self.ledger.note("connections")
        return run.stdout

    def close(self):
        shutil.rmtree(self._directory, ignore_errors=True)
