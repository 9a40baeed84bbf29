# SPDX-License-Identifier: Apache-2.0
"""ALPN and HTTP/2."""

import re
import subprocess

import pytest

from harness.clients import curl, s_client

NO_APPLICATION_PROTOCOL = "120"


@pytest.fixture
def server(httpd):
    httpd.start(f"TLSEngine {httpd.port}", "Protocols h2 http/1.1", httpd.vhost("a.test", "TLSOptions +StdEnvVars"))
    httpd.docs.joinpath("big").write_bytes(b"x" * 1_000_000)
    return httpd


class TestAlpn:
    @pytest.mark.parametrize(
        "offer, chosen",
        [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("foo,http/1.1", "http/1.1")],
    )
    def test_01_choice(self, server, offer, chosen):
        assert s_client(server, "-alpn", offer, name="a.test").alpn == chosen

    def test_02_none_offered(self, server):
        session = s_client(server, name="a.test")
        assert session.alpn is None and session.protocol == "TLSv1.3"

    def test_03_nothing_in_common(self, server):
        assert s_client(server, "-alpn", "foo,bar", name="a.test").alert == NO_APPLICATION_PROTOCOL

    def test_04_without_h2(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", "Protocols http/1.1", httpd.vhost("a.test"))
        assert s_client(httpd, "-alpn", "h2,http/1.1", name="a.test").alpn == "http/1.1"

    def test_05_of_the_virtual_host(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", "Protocols h2 http/1.1"),
            httpd.vhost("b.test", "Protocols http/1.1"),
        )
        assert s_client(httpd, "-alpn", "h2,http/1.1", name="a.test").alpn == "h2"
        assert s_client(httpd, "-alpn", "h2,http/1.1", name="b.test").alpn == "http/1.1"


class TestHttp2:
    def test_01_curl(self, server):
        response = curl(server, "a.test", "/", "--http2")
        assert (response.version, response.text) == ("2", "hello")

    def test_02_big(self, server):
        assert len(curl(server, "a.test", "/big", "--http2").body) == 1_000_000

    def test_03_other_host_on_the_connection(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "Protocols h2 http/1.1",
            httpd.vhost("a.test"),
            httpd.vhost("b.test", "TLSProtocol TLSv1.3"),
        )
        assert curl(httpd, "b.test", "/", "--http2", connect="a.test").code == 421

    def test_04_nghttp(self, server):
        run = subprocess.run(
            ["nghttp", "-nv", "--no-verify-peer", f"https://127.0.0.1:{server.port}/big"],
            capture_output=True,
            text=True,
        )
        assert ":status: 200" in run.stdout, run

    def test_05_h2load(self, server):
        run = subprocess.run(
            ["h2load", "-n", "2000", "-c", "10", "-m", "20", f"https://127.0.0.1:{server.port}/"],
            capture_output=True,
            text=True,
        )
        assert re.search(r"2000 succeeded, 0 failed, 0 errored", run.stdout), run.stdout
