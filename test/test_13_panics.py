# SPDX-License-Identifier: Apache-2.0
"""A panic in Rust ends one connection and is logged. Other connections go on."""

import pytest

from harness.clients import MemoryClient, connect, context, curl, plaintext_alert, raw_connection, read_all, request

INTERNAL_ERROR = 80


@pytest.fixture
def server(httpd):
    names = [f"panic-at-{phase}.test" for phase in ("hello", "accept", "receive", "read", "write", "close")]
    httpd.start(
        f"TLSEngine {httpd.port}",
        "<Location /status>\nSetHandler server-status\n</Location>",
        httpd.vhost("a.test"),
        *(httpd.vhost(name) for name in names),
        module=httpd.installation.panic_module,
    )
    return httpd


def internal_errors(httpd):
    text = curl(httpd, "a.test", "/status?auto").text
    return int(next(line for line in text.splitlines() if line.startswith("TLSInternalErrors: ")).split()[1])


@pytest.mark.parametrize("phase", ["hello", "accept", "receive", "read", "write", "close"])
def test_01_only_that_connection_ends(server, phase):
    name = f"panic-at-{phase}.test"
    children = server.children()
    with connect(server, "a.test") as other:
        try:
            with connect(server, name, ctx=context(server)) as tls:
                tls.sendall(request(name))
                got = read_all(tls)
            assert phase == "close" or b"200 OK" not in got
        except OSError:
            pass
        server.log.expect(rf"internal error, please report it: .*injected in phase {phase}")
        other.sendall(request("a.test"))
        assert read_all(other).endswith(b"hello\n")
    assert internal_errors(server) == 1
    assert server.children() == children


@pytest.mark.parametrize("phase", ["hello", "accept"])
def test_02_the_client_is_told(server, phase):
    with raw_connection(server) as sock:
        sock.sendall(MemoryClient(server, f"panic-at-{phase}.test").hello())
        assert plaintext_alert(read_all(sock)) == INTERNAL_ERROR
    server.log.expect("injected in phase")
