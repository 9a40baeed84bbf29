# SPDX-License-Identifier: Apache-2.0
"""Backends of a balancer, and backends that restart under load."""

import http.client
import threading
import time

import pytest

from harness import backends
from harness.clients import plain_get
from harness.httpd import Httpd, wait_for

BALANCER = ["proxy_balancer", "lbmethod_byrequests"]


class TestBalancers:
    def members(self, *running, options=""):
        lines = [f"BalancerMember https://localhost:{one.port} {options}" for one in running]
        return ["<Proxy balancer://pool>", *lines, "</Proxy>", "ProxyPass / balancer://pool/"]

    def test_01_members(self, httpd, proxy, backend):
        running = [backend(), backend()]
        proxy(*self.members(*running), modules=BALANCER)
        answered = {plain_get(httpd)[1].splitlines()[0] for _ in range(6)}
        assert answered == {f"client=None port={one.port}" for one in running}

    @pytest.mark.parametrize("kind", [backends.PlainText, backends.Resetting])
    def test_02_failover(self, httpd, proxy, backend, kind):
        """A member that fails in the handshake has received nothing of the request: the request goes to the next
        member."""
        good, bad = backend(), backend(kind)
        proxy(*self.members(bad, good, options="retry=600"), modules=BALANCER)
        httpd.log.expect("handshake with backend localhost .* failed: the backend")
        httpd.log.expect("AH0")
        for _ in range(6):
            code, body = plain_get(httpd)
            assert code == 200 and f"port={good.port}" in body

    def test_03_bodies_do_not_fail_over(self, httpd, proxy, backend):
        """The part of the body that was already read would be lost."""
        good, bad = backend(), backend(backends.PlainText)
        proxy(*self.members(bad, good), modules=BALANCER)
        httpd.log.expect("handshake with backend localhost .* failed")
        httpd.log.expect("AH0")
        codes = [plain_get(httpd, "/", "--data", "x=1")[0] for _ in range(4)]
        assert 502 in codes and 200 in codes

    def test_04_health_checks(self, httpd, proxy, backend):
        one = backend()
        proxy(
            *self.members(one, options="hcmethod=GET hcinterval=1 hcuri=/health"),
            modules=[*BALANCER, "proxy_hcheck", "watchdog"],
        )
        wait_for(lambda: one.handshakes >= 2, "health checks")
        assert plain_get(httpd)[0] == 200


class TestLoad:
    def test_01_restarts_of_backends(self, httpd, proxy, ports, authority):
        """20,000 requests, 32 at a time, while the backend is restarted repeatedly. Each response is correct, or 502 or
        503."""
        installation = httpd.installation
        root = httpd.root / "back"
        root.mkdir()
        root.chmod(0o755)
        back = Httpd(installation, root, ports, authority)
        cert = authority.server("localhost").write(root, "localhost")
        for number in range(50):
            back.docs.joinpath(f"{number}.txt").write_text(f"answer {number}\n" * 100)
        back.start(f"TLSEngine {back.port}", back.vhost("localhost", cert=cert))
        try:
            proxy(
                f"ProxyPass / https://localhost:{back.port}/ retry=0",
                limits="StartServers 2\nThreadsPerChild 32\nMinSpareThreads 64\nMaxRequestWorkers 256",
            )
            httpd.log.expect("AH0|tls:")
            httpd.log.allow("proxy|tls: ")
            done, wrong, failed, refused, lock = [0], [], [], [0], threading.Lock()

            def fetch(client, number):
                client.request("GET", f"/{number}.txt")
                response = client.getresponse()
                return response, response.read().decode()

            def ask_all():
                try:
                    ask()
                except OSError as error:
                    failed.append(error)

            def ask():
                client = http.client.HTTPConnection("127.0.0.1", httpd.plain_port, timeout=30)
                while True:
                    with lock:
                        number = done[0]
                        if number >= 20_000:
                            return
                        done[0] += 1
                    try:
                        response, body = fetch(client, number % 50)
                    except ConnectionError:
                        # The server may close an idle connection.
                        client.close()
                        response, body = fetch(client, number % 50)
                    if response.status in (502, 503):
                        refused[0] += 1
                    elif (response.status, body) != (200, f"answer {number % 50}\n" * 100):
                        wrong.append((response.status, number, body[:100]))

            threads = [threading.Thread(target=ask_all) for _ in range(32)]
            for thread in threads:
                thread.start()
            restarts = 0
            while done[0] < 20_000:
                time.sleep(3)
                back.graceful()
                restarts += 1
            for thread in threads:
                thread.join()
            assert not wrong, wrong[:5]
            assert not failed, failed[:5]
            assert restarts >= 2
            # Requests during a restart of the backend.
            assert refused[0] < 400
        finally:
            back.stop()
