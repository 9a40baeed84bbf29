# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a CA for the whole run, an httpd for each test."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import backends
from harness.certs import Authority, key_pem
from harness.clients import s_client
from harness.diagnosis import write_private
from harness.differential import ClientCertificateSet
from harness.httpd import Httpd, Installation
from harness.ports import Ports
from harness.ssl_pair import SslPair
from harness.ssl_server import SslServer
from harness.stacks import RECORDS, Stack


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture(scope="session")
def installation():
    return Installation()


@pytest.fixture(scope="session")
def ports():
    return Ports()


@contextlib.contextmanager
def new_httpd(installation, ports, authority):
    # Not pytest's directory: the user that httpd runs as has no access to it.
    root = Path(tempfile.mkdtemp(prefix="tls-"))
    server = Httpd(installation, root, ports, authority)
    try:
        yield server
        server.stop()
        server.log.check()
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def httpd(installation, ports, authority):
    """An httpd that the test configures and starts. The test fails if the error log has lines that it did not
    expect."""
    with new_httpd(installation, ports, authority) as server:
        yield server


@pytest.fixture
def server(httpd):
    """An httpd that serves a.test."""
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
    return httpd


@pytest.fixture
def second_httpd(installation, ports, authority):
    """A second httpd, as on another machine."""
    with new_httpd(installation, ports, authority) as server:
        yield server


@pytest.fixture(scope="session")
def rustls_client():
    """The C client on rustls-ffi. It requests / twice, the second time on a resumed session. Returns its output."""
    built = Path(__file__).resolve().parent.parent / "build/target/release/rustls-client"
    program = os.environ.get("TLS_RUSTLS_CLIENT", built)

    def fetch(httpd, host="a.test", port=None):
        command = [program, str(port or httpd.port), host, httpd.ca_file]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert run.returncode == 0, run
        return run.stdout

    return fetch


@pytest.fixture(scope="session")
def build_module(installation, tmp_path_factory):
    """Builds a C module of the tests. Returns its LoadModule line."""

    def build(name, *sources):
        folder = Path(__file__).parent / "modules"
        built = tmp_path_factory.mktemp("modules") / f"mod_{name}.so"
        query = installation.query
        flags = subprocess.run(
            [query("APR_CONFIG"), "--includes", "--cppflags"], check=True, capture_output=True, text=True
        ).stdout.split()
        command = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I", query("INCLUDEDIR"), *flags]
        subprocess.run([*command, "-o", built, *(folder / source for source in sources)], check=True)
        return f"LoadModule {name}_module {built}"

    return build


@pytest.fixture(scope="session")
def test_module(build_module):
    """The LoadModule line of the module that acts as mod_md."""
    return build_module("tls_test", "mod_tls_test.c")


@pytest.fixture(scope="session")
def contract_module(build_module):
    """The LoadModule line of the module that calls the filters for test_30."""
    return build_module("tls_contract", "mod_tls_contract.c", "contract_buckets.c")


@pytest.fixture
def start_both(httpd, authority):
    """Starts a.test with an ECDSA and an RSA certificate. Returns openssl s_client for it."""

    def start(*lines, **options):
        certs = [authority.server("a.test", kind=kind).write(httpd.root, kind) for kind in ("p256", "rsa2048")]
        host = httpd.vhost("a.test", *(f"TLSCertificate {cert}" for cert in certs), *lines, cert=False)
        httpd.start(f"TLSEngine {httpd.port}", host, **options)
        return lambda *args: s_client(httpd, *args, name="a.test")

    return start


@pytest.fixture
def backend(httpd, ports, authority):
    """Starts a backend. Its certificate is for localhost by default."""
    running = []

    def start(kind=backends.Backend, issued=None, host="127.0.0.1", **options):
        port = ports.take()
        issued = issued or authority.server("localhost")
        running.append(kind(port, backends.context(httpd.root, issued, f"backend{port}", **options), host))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture(params=RECORDS)
def stack(request, httpd):
    """The test runs with this module and its directives, with this module and mod_ssl's directives, and with
    mod_ssl."""
    return Stack(httpd, request.param)


@pytest.fixture
def proxy(httpd):
    """Starts httpd with TLS to backends. With `ca`, the tests' CA is trusted for backends."""

    def start(*lines, ca=True, modules=(), **options):
        cas = [f"TLSProxyCA {httpd.ca_file}"] if ca else []
        httpd.start("TLSProxyEngine on", *cas, *lines, modules=[*backends.PROXY_MODULES, *modules], **options)

    return start


@pytest.fixture
def own_host(httpd, authority):
    """Writes files for a.test: own.pem and own.key with the contents `certificate` and `key`. Returns the virtual
    host."""
    issued = authority.server("a.test")

    def make(*lines, certificate=None, key=None, arguments="own.pem own.key"):
        write_private(httpd.root / "own.pem", issued.chain_pem if certificate is None else certificate)
        write_private(httpd.root / "own.key", key_pem(issued.key) if key is None else key)
        return httpd.vhost("a.test", *lines, cert=arguments)

    make.issued = issued
    return make


@pytest.fixture
def ssl_server(httpd):
    return SslServer(httpd)


@pytest.fixture
def pair(httpd, second_httpd, authority, ports):
    """This module and mod_ssl, with the same configuration."""
    return SslPair(httpd, second_httpd, authority, ports)


@pytest.fixture
def client_certs(pair):
    """Client certificates: valid, expired, revoked and so on."""
    return ClientCertificateSet(pair.root)
