# SPDX-License-Identifier: Apache-2.0
"""MPMs and restarts: connections, memory, descriptors."""

import os
import threading

import pytest

from harness.clients import connect, context, curl, read_all, request
from harness.httpd import resident, wait_for
from harness.unprivileged import run_as


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_01_mpms(httpd, mpm):
    protocols = "Protocols http/1.1" if mpm == "prefork" else "Protocols h2 http/1.1"
    httpd.start(f"TLSEngine {httpd.port}", protocols, httpd.vhost("a.test"), mpm=mpm)
    if mpm == "prefork":
        httpd.log.expect("AH10034")  # mod_http2 requires threads
    for _ in range(5):
        assert curl(httpd, "a.test").text == "hello"


def test_02_renewed_certificates_are_used_after_a_reload(httpd, authority):
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
    before = serial(httpd)
    authority.server("a.test", number=1).write(httpd.root, "a.test")
    assert serial(httpd) == before
    httpd.graceful()
    wait_for(lambda: serial(httpd) != before, "the new certificate")


def serial(httpd):
    with connect(httpd, "a.test") as tls:
        return tls.getpeercert()["serialNumber"]


def test_03_graceful_restarts_under_load(httpd):
    """Connections survive reloads, and the memory of the parent does not grow."""
    httpd.start(f"TLSEngine {httpd.port}", *[httpd.vhost(f"h{i}.test") for i in range(20)])
    ctx = context(httpd)
    failures, stop, served = [], threading.Event(), [0]

    def load(number):
        while not stop.is_set():
            try:
                with connect(httpd, f"h{number}.test", ctx=ctx) as tls:
                    tls.sendall(request(f"h{number}.test"))
                    assert read_all(tls).endswith(b"hello\n")
                    served[0] += 1
            except Exception as e:
                failures.append(e)

    threads = [threading.Thread(target=load, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    sizes = []
    restarts = int(os.environ.get("TLS_TEST_RESTARTS", "200"))
    for count in range(restarts):
        httpd.graceful()
        wait_for(lambda count=count: served[0] > count or failures, "a connection")
        sizes.append(resident(httpd.pid))
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
    first, last = max(sizes[restarts // 2 : restarts * 3 // 4]), max(sizes[restarts * 3 // 4 :])
    assert last - first < 400, f"the memory of the parent grows: {sizes}"


def test_04_beside_mod_ssl(httpd, authority, ports):
    cert, key = authority.server("b.test").write(httpd.root, "b").split()
    other = ports.take()
    httpd.start(
        f"TLSEngine {httpd.port}",
        f"Listen {other}",
        httpd.vhost("a.test", 'Header set X-A "%{SSL_VERSION_INTERFACE}s"'),
        f"<VirtualHost *:{other}>\nServerName b.test\nSSLEngine on\nSSLCertificateFile {cert}\n"
        f'SSLCertificateKeyFile {key}\nHeader set X-A "%{{SSL_VERSION_INTERFACE}}s %{{SSL_PROTOCOL}}s"\n'
        '<Location "/ssl">\nRequire ssl\n</Location>\n</VirtualHost>',
        modules=["ssl"],
    )
    assert curl(httpd, "a.test").headers["x-a"].startswith("mod_tls/")
    response = curl(httpd, "b.test", port=other)
    assert response.code == 200 and "mod_ssl" in response.headers["x-a"]
    assert curl(httpd, "b.test", "/ssl", port=other).code == 404


def test_05_as_an_ordinary_user(httpd):
    """The whole server belongs to the user. Nothing requires root."""
    httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
    run_as(httpd, "nobody")
    httpd.start()
    assert curl(httpd, "a.test").text == "hello"
