# SPDX-License-Identifier: Apache-2.0
"""Each example is started with other ports, and requests are made."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.backends import Backend, context
from harness.client_certs import DER, ClientCa
from harness.clients import curl
from harness.httpd import CRYPTO, HAS_POST_QUANTUM, wait_for
from harness.ocsp_responder import Responder

EXAMPLES = Path(__file__).resolve().parent.parent / "conf-examples"
# test_28_migration.py tests the examples for the migration from mod_ssl.
ALL = sorted(EXAMPLES.rglob("*.conf"))
FILES = [path for path in ALL if path.parent == EXAMPLES]


def certificates(text):
    """The TLSCertificate lines of a configuration, each with the names of its virtual host."""
    for host in re.findall(r"<VirtualHost [^>]*>(.*?)</VirtualHost>", text, re.S):
        names = re.findall(r"^\s*Server(?:Name|Alias) (.*)$", host, re.M)
        for files in re.findall(r"^\s*TLSCertificate (.*)$", host, re.M):
            yield files.split(), " ".join(names).split()


def looked_up(root, text):
    """Names whose certificates are looked up, with their directories."""
    if "TLSCertificateStore" in text:
        for name in ("www.example.com", "shop.example.net"):
            yield name, root / "sites" / name


class Hello(Backend):
    """A backend that responds with "hello"."""

    def handle(self, sock):
        with sock:
            while sock.recv(10_000):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_01_example(httpd, authority, ports, rustls_client, file):
    text = file.read_text()
    if "TLSGroupsSuppress" in text and not HAS_POST_QUANTUM:
        pytest.skip(f"{CRYPTO} has no post-quantum groups")
    if "TLSFIPS on" in text and CRYPTO != "fips":
        pytest.skip("for builds with --enable-fips")
    tls = httpd.root / "tls"
    tls.mkdir()
    (httpd.root / "logs").mkdir()
    hosts = []
    for (cert, key), names in certificates(text):
        kind = "rsa2048" if "rsa" in cert else "p256"
        authority.server(*names, kind=kind).write(tls, Path(cert).stem)
        assert Path(key).stem == Path(cert).stem
        hosts += [name.replace("*", "any") for name in names]
    for name, files in looked_up(httpd.root, text):
        (files / "htdocs").mkdir(parents=True)
        (files / "htdocs/index.html").write_text("hello\n")
        authority.server(name).write(files, "cert")
        (files / "cert.key").rename(files / "key.pem")
        hosts.append(name)
    (tls / "ticket-seed").write_bytes(os.urandom(48))
    client_ca = ClientCa()
    (tls / "people-ca.pem").write_bytes(client_ca.pem)
    (tls / "people.crl").write_bytes(client_ca.crl())
    somebody = client_ca.client("alice").write(tls, "alice")
    client_ca.client("machine").write(tls, "machine")
    (tls / "backend-ca.pem").write_bytes(authority.root_pem)
    behind = []
    for port in ("8443", "8444"):
        if f":{port}" in text:
            certificate = context(tls, authority.server("localhost"), port)
            behind.append(Hello(ports.take(), certificate))
            text = text.replace(port, str(behind[-1].port))
    responder = Responder(client_ca).start()
    responder.documents["/people.crl"] = client_ca.crl(encoding=DER), None
    text = text.replace("http://ocsp.example.org/", responder.url())
    text = text.replace("http://ca.example.org/people.crl", responder.url("people.crl"))
    text = text.replace("/srv/sites", str(httpd.root / "sites"))
    text = text.replace("/var/cache/apache2", str(httpd.root))
    # The common part of the configuration has the Listen lines.
    text = re.sub(r"^Listen .*$", "", text, flags=re.M)
    text = re.sub(r"\b443\b", str(httpd.port), text)
    text = re.sub(r"\b80\b", str(httpd.plain_port), text)
    modules = ["proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm"] if behind else []
    modules += ["vhost_alias"] if "VirtualDocumentRoot" in text else []
    httpd.log.allow("it will not be spoken")
    try:
        httpd.start(text, modules=modules)
        assert hosts
        for host in hosts:
            if "TLSGroupsSuppress" in text:
                assert "hello" in rustls_client(httpd, host)
                continue
            response = curl(httpd, host, "/", *somebody)
            assert (response.code, response.text) == (200, "hello"), host
    finally:
        responder.stop()
        for backend in behind:
            backend.stop()


def test_02_all_are_listed():
    listed = set(re.findall(r"`([a-z0-9/_-]+\.conf)`", (EXAMPLES / "README.md").read_text()))
    assert listed == {str(path.relative_to(EXAMPLES)) for path in ALL}


def test_03_a_private_ca(httpd):
    """The commands of docs/client-certificates.md, including the revocation of the certificate that they make."""
    text = (EXAMPLES.parent / "docs/client-certificates.md").read_text()
    commands = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    *make, revoke = commands
    directory = httpd.root / "people"
    directory.mkdir()
    run = {"shell": True, "check": True, "cwd": directory, "capture_output": True}
    for command in make:
        subprocess.run(command, **run)
    lines = re.search(r"TLSClientCA.*?TLSUserName [^\n]*", text, re.S).group().splitlines()
    lines = [line.replace("ca.pem", "people/ca.pem").replace("people.crl", "people/people.crl") for line in lines]
    show = 'Header set X-User "expr=%{REMOTE_USER}"'
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("www.example.org", *lines, show))
    alice = ["--cert", directory / "alice.pem", "--key", directory / "alice.key"]
    assert curl(httpd, "www.example.org", "/", *alice).headers["x-user"] == "alice"
    subprocess.run(revoke, **run)
    wait_for(lambda: curl(httpd, "www.example.org", "/", *alice).exit, "the revocation")


def test_04_an_ocsp_responder(httpd, ports):
    """The commands of docs/client-certificates.md, with `openssl ocsp` as responder."""
    text = (EXAMPLES.parent / "docs/client-certificates.md").read_text()
    *make, revoke = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    certificate, responder = re.findall(r"^```shell\n(.*?)^```$", text, re.M | re.S)
    directory = httpd.root / "people"
    directory.mkdir()
    run = {"shell": True, "check": True, "cwd": directory, "capture_output": True}
    for command in [*make, certificate]:
        subprocess.run(command, **run)
    port = str(ports.take())
    answering = [answer_ocsp(responder.replace("2560", port), directory)]
    try:
        lines = re.search(r"TLSClientOCSP leaf\n.*?TLSClientOCSPResponder [^\n]*", text, re.S).group().splitlines()
        lines = [line.replace("ca.example.org:2560", f"127.0.0.1:{port}") for line in lines]
        required = ["TLSClientCertificate required", "TLSClientCA people/ca.pem"]
        httpd.log.expect(r"\[TLS1305\]")
        httpd.log.allow(r"\[TLS1320\]")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *required, *lines))
        alice = ["--cert", directory / "alice.pem", "--key", directory / "alice.key"]
        wait_for(lambda: curl(httpd, "a.test", "/", *alice).code == 200, "an answer of the responder")
        subprocess.run(revoke, **run)
        # What they know ends with both.
        httpd.stop()
        answering.pop().kill()
        answering.append(answer_ocsp(responder.replace("2560", port), directory))
        httpd.start()
        wait_for(lambda: "certificate revoked" in curl(httpd, "a.test", "/", *alice).trace, "the revocation")
    finally:
        for process in answering:
            process.kill()


def answer_ocsp(command, directory):
    return subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=directory)
