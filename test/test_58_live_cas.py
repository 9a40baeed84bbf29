# SPDX-License-Identifier: Apache-2.0
"""Files of CAs that are replaced while httpd runs: clients and backends are verified by what is in them now."""

import os
import re
import signal
import ssl
import subprocess
import threading

import pytest

from harness.client_certs import ClientCa
from harness.clients import connect, context, plain_get, read_response, request, s_client
from harness.httpd import wait_for
from harness.keyd import keyd
from harness.live import MPMS, PLACES, THREE_CHILDREN, allow_prefork, replace

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ASKS = ["TLSClientCertificate required", 'Header always set X-Resumed "%{SSL_SESSION_RESUMED}s"']
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Clients:
    """An httpd with a host for the clients of some CAs."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.file = httpd.root / "people.pem"
        self.old, self.new = ClientCa("Old CA"), ClientCa("New CA")
        self.alice, self.bob = self.old.client("alice"), self.new.client("bob")
        self._contexts = {}
        self.trust(self.old)

    def trust(self, *cas):
        replace(self.file, b"".join(ca.pem for ca in cas))

    def start(self, *lines, place="tls-keyd", mpm="event", cas=None, **options):
        allow_prefork(self.httpd, mpm)
        cas = cas or f"TLSClientCA {self.file}"
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            "Protocols http/1.1",
            self.httpd.vhost("a.test", cas, *ASKS, *lines),
            *PLACES[place],
            mpm=mpm,
            **options,
        )

    def context(self, who, version=None):
        if (who, version) not in self._contexts:
            made = context(self.httpd, version=version)
            _, cert, _, key = who.write(self.httpd.root, f"client{len(self._contexts)}")
            made.load_cert_chain(cert, key)
            self._contexts[who, version] = made
        return self._contexts[who, version]

    def get(self, who, version=None, session=None):
        """The status of a request, whether its session was resumed, and a session for later. None if the handshake was
        refused."""
        try:
            ctx = self.context(who, version)
            with connect(self.httpd, "a.test", ctx=ctx, session=session) as tls, tls.makefile("rb") as stream:
                tls.sendall(request("a.test", close=True))
                status, headers, _ = read_response(stream)
                return status, headers["x-resumed"] == "Resumed", tls.session
        except OSError:
            return None

    def admits(self, who, **options):
        got = self.get(who, **options)
        return got is not None and got[0] == 200

    def becomes(self, *, admitted, refused):
        wait_for(lambda: self.admits(admitted) and not self.admits(refused), "the new CAs", 10)


def told_names(httpd):
    """The names of CAs that clients are told."""
    text = s_client(httpd, name="a.test").output
    told = text.partition("Acceptable client certificate CA names\n")[2]
    return set(re.findall(r"^CN ?= ?(.*)$", told.partition("Requested Signature")[0], re.MULTILINE))


@pytest.fixture
def clients(httpd):
    return Clients(httpd)


class TestClients:
    @MPMS
    @pytest.mark.parametrize("place", PLACES)
    def test_01_replaced(self, httpd, clients, mpm, place):
        """In all child processes, which stay. Who comes from a CA that was removed does not come in by resumption."""
        clients.start(mpm=mpm, place=place, limits=THREE_CHILDREN[mpm])
        children = set(httpd.children())
        assert clients.admits(clients.alice) and not clients.admits(clients.bob)
        sessions = {version: clients.get(clients.alice, version)[2] for version in VERSIONS}
        for version in VERSIONS:
            again = clients.get(clients.alice, version, session=sessions[version])
            assert again[:2] == (200, True)
            sessions[version] = again[2]
        clients.trust(clients.old, clients.new)
        wait_for(lambda: clients.admits(clients.bob), "another CA", 10)
        assert clients.admits(clients.alice)
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)

        def all_children():
            # So many that none of them gets no connection.
            return not any(clients.admits(clients.alice) for _ in range(48))

        wait_for(all_children, "all children", 10)
        for version in VERSIONS * 6:
            assert clients.get(clients.alice, version, session=sessions[version]) is None
            assert clients.admits(clients.bob, version=version)
        assert children <= set(httpd.children())
        wait_for(lambda: f"TLSClientCA {clients.file} has changed, and is used" in httpd.log.text(), "the message")
        if place == "tls-keyd":
            assert httpd.log.text().count("has changed, and is used from now on") == 2

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("kind", ["cut", "empty", "garbage", "missing", "no CA"])
    def test_02_not_whole(self, httpd, clients, kind, place):
        """The CAs of before stay, with one warning."""
        httpd.log.allow("has changed and is not used|cannot be trusted as a CA|the CAs of before")
        clients.start(place=place)
        whole = clients.old.pem + clients.new.pem
        content = {
            "cut": whole[:-200],
            "empty": b"",
            "garbage": b"-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----\n",
            "no CA": httpd.ca_file.with_name("a.test.key").read_bytes(),
            "missing": None,
        }[kind]
        if content is None:
            clients.file.unlink()
        else:
            clients.file.write_bytes(content)

        def is_warned():
            assert clients.admits(clients.alice) and not clients.admits(clients.bob)
            return "has changed and is not used" in httpd.log.text()

        if content is not None or place == "tls-keyd":
            wait_for(is_warned, "the warning", 10)
        for _ in range(10):
            assert clients.admits(clients.alice) and not clients.admits(clients.bob)
        assert httpd.log.text().count("has changed and is not used") <= 1
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)

    @pytest.mark.parametrize("place", PLACES)
    def test_03_a_directory(self, httpd, clients, place):
        """CAs are added and removed as files."""
        directory = httpd.root / "cas"
        directory.mkdir()
        directory.chmod(0o755)
        directory.joinpath("old.pem").write_bytes(clients.old.pem)
        clients.start(cas=f"TLSClientCA {directory}", place=place)
        assert clients.admits(clients.alice) and not clients.admits(clients.bob)
        directory.joinpath("new.pem").write_bytes(clients.new.pem)
        wait_for(lambda: clients.admits(clients.bob), "another CA", 10)
        assert clients.admits(clients.alice)
        directory.joinpath("old.pem").unlink()
        clients.becomes(admitted=clients.bob, refused=clients.alice)

    def test_04_mod_ssls_directives(self, httpd, clients):
        cert, key = httpd.authority.server("a.test").write(httpd.root, "a.test").split()
        httpd.start(
            f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nSSLCertificateFile {cert}",
            f"SSLCertificateKeyFile {key}\nSSLCACertificateFile {clients.file}\nSSLVerifyClient require",
            ASKS[1],
            "</VirtualHost>",
            records=("ssl",),
        )
        assert clients.admits(clients.alice)
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)
        assert f"SSLCACertificateFile {clients.file} has changed" in httpd.log.text()

    @pytest.mark.parametrize("place", PLACES)
    def test_05_links_by_hash(self, httpd, clients, place):
        """`openssl rehash` makes the links by which CAs are found, and removes those that lead nowhere."""
        directory = httpd.root / "cas"
        directory.mkdir()
        directory.chmod(0o755)

        def rehash():
            subprocess.run(["openssl", "rehash", directory], check=True, capture_output=True)

        directory.joinpath("old.pem").write_bytes(clients.old.pem)
        rehash()
        cert, key = httpd.authority.server("a.test").write(httpd.root, "a.test").split()
        httpd.start(
            f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nSSLCertificateFile {cert}",
            f"SSLCertificateKeyFile {key}\nSSLCACertificatePath {directory}\nSSLVerifyClient require",
            ASKS[1],
            "</VirtualHost>",
            *PLACES[place],
            records=("ssl", "tls"),
        )
        httpd.log.allow("has changed and is not used: there is no CA in it")
        assert clients.admits(clients.alice) and not clients.admits(clients.bob)
        directory.joinpath("new.pem").write_bytes(clients.new.pem)
        rehash()
        wait_for(lambda: clients.admits(clients.bob), "another CA", 10)
        assert clients.admits(clients.alice)
        directory.joinpath("old.pem").unlink()
        rehash()
        clients.becomes(admitted=clients.bob, refused=clients.alice)

    def test_06_names_of_cas(self, httpd, clients):
        """Those that clients are told, of `TLSClientCA` and of `TLSClientCANames`."""

        clients.start()
        assert told_names(httpd) == {"Old CA"}
        clients.trust(clients.old, clients.new)
        wait_for(lambda: told_names(httpd) == {"Old CA", "New CA"}, "the names", 10)

    def test_07_only_names(self, httpd, clients):
        file = httpd.root / "names.pem"
        file.write_bytes(clients.new.pem)
        clients.start(f"TLSClientCANames {file}")
        assert told_names(httpd) == {"New CA"}
        replace(file, clients.old.pem)
        wait_for(lambda: told_names(httpd) == {"Old CA"}, "the names", 10)
        wait_for(lambda: f"TLSClientCANames {file} has changed" in httpd.log.text(), "the message")

    @AS_ROOT
    def test_08_files_of_root(self, httpd, clients):
        """Child processes need not be able to read them with tls-keyd."""
        directory = httpd.root / "private"
        directory.mkdir()
        clients.file = directory / "people.pem"
        clients.trust(clients.old)
        directory.chmod(0o700)
        clients.start()
        assert clients.admits(clients.alice)
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)

    def test_09_under_handshakes(self, httpd, clients):
        """Who is trusted before and after is never refused, while the file is written again and again."""
        httpd.log.allow("has changed and is not used")
        clients.start()
        failed, is_over = [], threading.Event()
        clients.context(clients.alice)

        def handshakes():
            while not is_over.is_set():
                if not clients.admits(clients.alice):
                    failed.append(1)

        threads = [threading.Thread(target=handshakes) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                for cas, is_in in ((clients.old.pem + clients.new.pem, True), (clients.old.pem, False)):
                    for part in (cas[:100], cas):
                        clients.file.write_bytes(part)
                    wait_for(lambda is_in=is_in: clients.admits(clients.bob) == is_in, "the CAs", 20)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not failed

    def test_10_reloads_and_later_children(self, httpd, clients):
        clients.start()
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)
        httpd.graceful()
        assert clients.admits(clients.bob) and not clients.admits(clients.alice)
        clients.trust(clients.old)
        clients.becomes(admitted=clients.alice, refused=clients.bob)

    def test_11_the_watcher_is_killed(self, httpd, clients):
        """What is replaced while there is none is noticed by the next one."""
        clients.start()
        for other in set(httpd.key_processes()) - {keyd(httpd)}:
            os.kill(other, signal.SIGKILL)
        clients.trust(clients.new)
        clients.becomes(admitted=clients.bob, refused=clients.alice)
        clients.trust(clients.old)
        clients.becomes(admitted=clients.alice, refused=clients.bob)

    def test_12_not_watched(self, httpd, clients):
        clients.start()
        httpd.configure(
            f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TLSClientCA {clients.file}", *ASKS), "TLSWatch off"
        )
        httpd.graceful()
        clients.trust(clients.new)
        assert clients.admits(clients.alice) and not clients.admits(clients.bob)
        httpd.graceful()
        assert clients.admits(clients.bob) and not clients.admits(clients.alice)


class TestBackends:
    @MPMS
    @pytest.mark.parametrize("place", PLACES)
    def test_01_replaced(self, httpd, proxy, backend, authority, mpm, place):
        """A backend whose CA was removed is refused, also where its session would be resumed."""
        allow_prefork(httpd, mpm)
        file = httpd.root / "backends.pem"
        file.write_bytes(ClientCa("Others").pem)
        one = backend()
        proxy(
            f"TLSProxyCA {file}",
            f"ProxyPass / https://localhost:{one.port}/ enablereuse=off",
            *PLACES[place],
            ca=False,
            mpm=mpm,
            limits=THREE_CHILDREN[mpm],
        )
        httpd.log.allow("certificate of the backend refused: .* its issuer is not among TLSProxyCA|TLS3001|AH0")
        assert plain_get(httpd)[0] == 502
        replace(file, authority.root_pem)
        wait_for(lambda: [plain_get(httpd)[0] for _ in range(9)] == [200] * 9, "the CA", 10)
        assert one.resumed > 0
        replace(file, ClientCa("Others").pem)
        wait_for(lambda: {plain_get(httpd)[0] for _ in range(9)} == {502}, "the other CA", 10)
        assert f"TLSProxyCA {file} has changed, and is used from now on" in httpd.log.text()
