# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 backends: mod_proxy_http2 reads with time limits, and keeps idle connections."""

import os
import time

import pytest

from harness.backends import nghttpd
from harness.clients import curl
from harness.httpd import wait_for


@pytest.fixture
def backend(httpd, authority, ports):
    """Starts nghttpd. Returns its port, and the function that returns its output."""
    port = ports.take()
    with nghttpd(httpd.root, authority.server("localhost"), port, "--echo-upload", "-v") as said:
        yield port, said


def start(httpd, *lines):
    modules = ["proxy", "proxy_http2", "proxy_http", "slotmem_shm"]
    httpd.start(f"TLSEngine {httpd.port}", "Protocols h2 http/1.1", httpd.vhost("a.test", *lines), modules=modules)


class TestEcho:
    """The backend answers while the request is being sent. mod_proxy_http2 polls for the answer with time limits from
    25 µs up, and continues to send if there is none."""

    @pytest.fixture
    def server(self, httpd, backend):
        proxy = ["TLSProxyEngine on", f"TLSProxyCA {httpd.ca_file}"]
        start(httpd, *proxy, f"ProxyPass /echo h2://localhost:{backend[0]}/echo")
        return httpd

    def check(self, httpd, size, *args):
        upload = httpd.root / "upload"
        upload.write_bytes(os.urandom(size))
        response = curl(httpd, "a.test", "/echo", "--data-binary", f"@{upload}", *args)
        assert (response.exit, response.code) == (0, 200)
        assert response.body == upload.read_bytes()

    @pytest.mark.parametrize("size", [1, 1000, 50_000, 1_000_000, 8_000_000])
    @pytest.mark.parametrize("version", ["--http1.1", "--http2"])
    def test_01_uploads_come_back_whole(self, server, size, version):
        self.check(server, size, version)

    def test_02_a_slow_upload(self, server):
        """The client pauses, and the backend sends nothing."""
        self.check(server, 400_000, "--http2", "--limit-rate", "200k")


class TestKept:
    """Connections that mod_proxy keeps. TLSProxyEngine is in a <Proxy> section, whose settings apply to a request, and
    not to an idle connection."""

    @pytest.fixture
    def server(self, httpd, backend):
        def serve(parameters):
            start(
                httpd,
                f"ProxyPass / h2://localhost:{backend[0]}/ {parameters}",
                f'<Proxy "h2://localhost:{backend[0]}/">\nTLSProxyEngine on\nTLSProxyCA {httpd.ca_file}\n</Proxy>',
            )
            return lambda: [line for line in backend[1]() if "recv GOAWAY" in line]

        return serve

    def test_01_time_to_live(self, httpd, server):
        """The next request after the time to live closes the connection and opens another one."""
        farewells = server("ttl=1")
        assert curl(httpd, "a.test", "/index.html").code == 200
        time.sleep(1.5)
        assert curl(httpd, "a.test", "/index.html").code == 200
        wait_for(farewells, "GOAWAY")

    def test_02_reload(self, httpd, server):
        farewells = server("")
        assert curl(httpd, "a.test", "/index.html").code == 200
        httpd.graceful()
        wait_for(farewells, "GOAWAY")
