# SPDX-License-Identifier: Apache-2.0
"""Certificates that are renewed while httpd runs: they are used without a reload."""

import json
import os
import signal
import ssl
import threading
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.clients import connect, context, curl, read_response, request
from harness.httpd import wait_for
from harness.keyd import keyd, kill
from harness.live import THREE_CHILDREN, replace

MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def start(httpd, *lines, mpm="event", cert=None, **options):
    if mpm == "prefork":
        httpd.log.allow("AH10034")  # mod_http2 requires threads
    httpd.start(
        f"TLSEngine {httpd.port}", "Protocols http/1.1", httpd.vhost("a.test", cert=cert), *lines, mpm=mpm, **options
    )


def serial(httpd, name="a.test", **options):
    """The serial number of the certificate that is presented now, which the client has verified."""
    with connect(httpd, name, **options) as tls:
        return int(tls.getpeercert()["serialNumber"], 16)


def renew(httpd, authority, name="a.test", *, names=(), directory=None, number=1, **options):
    """Writes a new certificate with another key over the files of `name`, one after the other. Returns it."""
    issued = authority.server(*(names or [name]), number=number, **options)
    directory = directory or httpd.root
    replace(directory / f"{name}.pem", issued.chain_pem)
    replace(directory / f"{name}.key", key_pem(issued.key))
    return issued


def is_presented(httpd, issued, name="a.test"):
    wait_for(lambda: serial(httpd, name) == issued.cert.serial_number, "the new certificate", 10)


class TestRenewal:
    """A certificate and its key are replaced, in one of the usual ways."""

    @MPMS
    def test_01_files_are_replaced(self, httpd, authority, mpm):
        """In all child processes, which stay."""
        start(httpd, mpm=mpm, limits=THREE_CHILDREN[mpm])
        children = set(httpd.children())
        before = serial(httpd)
        issued = renew(httpd, authority)
        is_presented(httpd, issued)
        assert {serial(httpd) for _ in range(30)} == {issued.cert.serial_number} != {before}
        assert children <= set(httpd.children())
        wait_for(lambda: "a.test: the renewed certificate in" in httpd.log.text(), "the message")
        assert httpd.log.text().count("the renewed certificate in") == 1
        again = renew(httpd, authority, number=2)
        is_presented(httpd, again)

    def test_02_files_are_written(self, httpd, authority):
        start(httpd)
        issued = authority.server("a.test", number=1)
        httpd.root.joinpath("a.test.key").write_bytes(key_pem(issued.key))
        httpd.root.joinpath("a.test.pem").write_bytes(issued.chain_pem)
        is_presented(httpd, issued)

    def test_03_one_file(self, httpd, authority):
        cert = authority.server("a.test").write(httpd.root, "a.test", combined=True)
        start(httpd, cert=cert)
        issued = authority.server("a.test", number=1)
        replace(httpd.root / "a.test.pem", issued.chain_pem + key_pem(issued.key))
        is_presented(httpd, issued)

    def test_04_the_same_key(self, httpd, authority):
        start(httpd)
        issued = authority.server("a.test", days=60)
        replace(httpd.root / "a.test.pem", issued.chain_pem)
        is_presented(httpd, issued)

    @AS_ROOT
    def test_05_certbot(self, httpd, authority):
        """Links in live/ to files in archive/, in directories that only root may enter."""
        live, archive = httpd.root / "live", httpd.root / "archive/a.test"
        for directory in (live / "a.test", archive):
            directory.mkdir(parents=True)

        def write(issued, number):
            for name, content in {
                "privkey": key_pem(issued.key),
                "cert": issued.cert_pem,
                "chain": issued.chain_pem[len(issued.cert_pem) :],
                "fullchain": issued.chain_pem,
            }.items():
                archive.joinpath(f"{name}{number}.pem").write_bytes(content)
            for name in ("privkey", "cert", "chain", "fullchain"):
                link = live / "a.test" / f"{name}.pem"
                link.unlink(missing_ok=True)
                link.symlink_to(f"../../archive/a.test/{name}{number}.pem")

        write(authority.server("a.test"), 1)
        for directory in (live, archive.parent):
            directory.chmod(0o700)
        start(httpd, cert=f"{live}/a.test/fullchain.pem {live}/a.test/privkey.pem")
        for number in (2, 3):
            issued = authority.server("a.test", number=number)
            write(issued, number)
            is_presented(httpd, issued)

    def test_06_kubernetes(self, httpd, authority):
        """A directory that is replaced by turning a link."""
        secret = httpd.root / "secret"
        secret.mkdir()

        def write(issued, version):
            directory = secret / f"..{version}"
            directory.mkdir()
            directory.joinpath("tls.crt").write_bytes(issued.chain_pem)
            directory.joinpath("tls.key").write_bytes(key_pem(issued.key))
            secret.joinpath("..data_tmp").symlink_to(directory.name)
            secret.joinpath("..data_tmp").rename(secret / "..data")

        write(authority.server("a.test"), 1)
        for name in ("tls.crt", "tls.key"):
            secret.joinpath(name).symlink_to(f"..data/{name}")
        start(httpd, cert=f"{secret}/tls.crt {secret}/tls.key")
        for number in (2, 3):
            issued = authority.server("a.test", number=number)
            write(issued, number)
            is_presented(httpd, issued)

    def test_07_mod_ssls_directives(self, httpd, authority):
        cert, key = authority.server("a.test").write(httpd.root, "a.test").split()
        httpd.start(
            f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nSSLCertificateFile {cert}\n"
            f"SSLCertificateKeyFile {key}\n</VirtualHost>",
            records=("ssl",),
        )
        is_presented(httpd, renew(httpd, authority))

    def test_08_one_of_many(self, httpd, authority):
        """Others are not touched. One certificate may serve several hosts."""
        shared = authority.server("b.test", "c.test").write(httpd.root, "b.test")
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test"),
            httpd.vhost("b.test", cert=shared),
            httpd.vhost("c.test", cert=shared),
        )
        before = serial(httpd)
        issued = renew(httpd, authority, "b.test", names=["b.test", "c.test"])
        is_presented(httpd, issued, "b.test")
        assert serial(httpd, "c.test") == issued.cert.serial_number
        assert serial(httpd) == before

    def test_09_sessions_survive(self, httpd, authority):
        start(httpd)
        ctx = context(httpd, version=ssl.TLSVersion.TLSv1_2)
        with connect(httpd, "a.test", ctx=ctx) as tls:
            session = tls.session
        is_presented(httpd, renew(httpd, authority))
        with connect(httpd, "a.test", ctx=ctx, session=session) as tls:
            assert tls.session_reused

    def test_10_connections_survive(self, httpd, authority):
        start(httpd)
        with connect(httpd, "a.test") as tls, tls.makefile("rb") as stream:
            is_presented(httpd, renew(httpd, authority))
            tls.sendall(request("a.test", close=False))
            assert b"hello" in read_response(stream)[-1]

    def test_11_variables_and_status(self, httpd, authority):
        """Both are of the certificate that is presented."""
        status = "<Location /status>\nSetHandler tls-status\n</Location>"
        shown = "Header set serial expr=%{SSL_SERVER_M_SERIAL}"
        start(httpd, status, shown)
        issued = renew(httpd, authority, days=77)
        is_presented(httpd, issued)
        assert int(curl(httpd, "a.test").headers["serial"], 16) == issued.cert.serial_number
        sites = json.loads(curl(httpd, "a.test", "/status?format=json").text)["sites"]["list"]
        (certificate,) = next(site for site in sites if site["name"] == "a.test")["certificates"]
        assert certificate["not_after"] == int(issued.cert.not_valid_after_utc.timestamp())


BROKEN = {
    "key": (lambda a: authority_files(a.server("a.test", number=1))[0], "does not belong to this certificate"),
    "expired": (lambda a: authority_files(a.server("a.test", number=1, start=-9, days=3)), "it has expired"),
    "later": (lambda a: authority_files(a.server("a.test", number=1, start=2)), "it is not valid yet"),
    "names": (lambda a: authority_files(a.server("b.test", number=1)), "it is not for a.test"),
    "garbage": (lambda a: (b"-----BEGIN CERTIFICATE-----\ngarbage\n", None), ""),
    "empty": (lambda a: (b"", None), "no certificate in this file"),
}


def authority_files(issued):
    return issued.chain_pem, key_pem(issued.key)


class TestNotWhole:
    """What must not be used is not; the certificate of before stays."""

    @pytest.mark.parametrize("kind", BROKEN)
    def test_01_is_not_used(self, httpd, authority, kind):
        httpd.log.allow("has changed and is not used")
        make, why = BROKEN[kind]
        start(httpd)
        before = serial(httpd)
        made = make(authority)
        cert, key = made if isinstance(made, tuple) else (made, None)
        if key:
            replace(httpd.root / "a.test.key", key)
        replace(httpd.root / "a.test.pem", cert)
        wait_for(lambda: "has changed and is not used" in httpd.log.text(), "the warning", 10)
        line = next(line for line in httpd.log.text().splitlines() if "is not used" in line)
        assert why in line and "the one of before is used, which expires on" in line
        assert serial(httpd) == before
        # Whatever was wrong, files that are whole are used.
        is_presented(httpd, renew(httpd, authority, number=2))

    def test_02_a_missing_file(self, httpd, authority):
        httpd.log.allow("has changed and is not used")
        start(httpd)
        before = serial(httpd)
        httpd.root.joinpath("a.test.key").unlink()
        wait_for(lambda: "no such file" in httpd.log.text(), "the warning", 10)
        assert serial(httpd) == before
        is_presented(httpd, renew(httpd, authority))

    def test_03_touched(self, httpd, authority):
        """The same content is nothing to talk about."""
        start(httpd, httpd.vhost("b.test"))
        path = httpd.root / "a.test.pem"
        replace(path, path.read_bytes())
        is_presented(httpd, renew(httpd, authority, "b.test"), "b.test")
        assert f"certificate in {path}" not in httpd.log.text()

    def test_04_under_handshakes(self, httpd, authority):
        """None fails and none has the key of another certificate while both files are written again and again, piece by
        piece and in either order."""
        httpd.log.allow("has changed and is not used")
        start(httpd)
        seen, errors, is_over = set(), [], threading.Event()

        def handshakes():
            while not is_over.is_set():
                try:
                    seen.add(serial(httpd))
                except OSError as error:
                    errors.append(error)

        threads = [threading.Thread(target=handshakes) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 5):
                issued = authority.server("a.test", number=number)
                files = [("pem", issued.chain_pem), ("key", key_pem(issued.key))]
                for kind, content in files if number % 2 else reversed(files):
                    path = httpd.root / f"a.test.{kind}"
                    for part in (content[:100], content):
                        path.write_bytes(part)
                wait_for(lambda issued=issued: issued.cert.serial_number in seen or errors, "the new certificate", 20)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not errors


class TestProcesses:
    """Whatever ends or begins meanwhile."""

    def test_01_tls_keyd_is_killed(self, httpd, authority):
        start(httpd)
        first = renew(httpd, authority)
        is_presented(httpd, first)
        kill(httpd)
        assert serial(httpd) == first.cert.serial_number
        is_presented(httpd, renew(httpd, authority, number=2))

    def test_02_the_watcher_is_killed(self, httpd, authority):
        """What is renewed while there is none is noticed by the next one."""
        start(httpd)
        pid = keyd(httpd)
        for other in set(httpd.key_processes()) - {pid}:
            os.kill(other, signal.SIGKILL)
        is_presented(httpd, renew(httpd, authority))
        is_presented(httpd, renew(httpd, authority, number=2))
        assert keyd(httpd) == pid

    def test_03_reloads(self, httpd, authority):
        start(httpd)
        for number in range(1, 4):
            issued = renew(httpd, authority, number=number)
            is_presented(httpd, issued)
            httpd.graceful()
            assert serial(httpd) == issued.cert.serial_number
        # A renewal that the reload itself has seen.
        issued = renew(httpd, authority, number=4)
        httpd.graceful()
        is_presented(httpd, issued)

    @MPMS
    def test_04_children_that_start_later(self, httpd, authority, mpm):
        httpd.log.allow("AH00052|AH00051|AH10215")  # a child that was killed
        start(httpd, mpm=mpm)
        issued = renew(httpd, authority)
        is_presented(httpd, issued)
        old = set(httpd.children())
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(httpd.children()) - old, "another child", 15)
        assert serial(httpd) == issued.cert.serial_number
        is_presented(httpd, renew(httpd, authority, number=2))


def watches(pid):
    """How many directories the kernel watches for a process."""
    infos = Path(f"/proc/{pid}/fdinfo").iterdir()
    return sum(info.read_text().count("inotify wd:") for info in infos)


class TestOff:
    def test_01_not_watched(self, httpd, authority):
        start(httpd, "TLSWatch off")
        before = serial(httpd)
        assert not any(map(watches, httpd.key_processes()))
        issued = renew(httpd, authority)
        assert serial(httpd) == before
        httpd.graceful()
        assert serial(httpd) == issued.cert.serial_number
        assert "Watched files: off" in httpd.configtest("DUMP_TLS")[1]
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        httpd.graceful()
        assert any(map(watches, httpd.key_processes()))

    @MPMS
    def test_02_keys_in_httpds_processes(self, httpd, authority, mpm):
        """Child processes look themselves, at what they may read."""
        start(httpd, "TLSKeyProcess off", mpm=mpm)
        for number in (1, 2):
            issued = authority.server("a.test", number=number)
            replace(httpd.root / "a.test.pem", issued.chain_pem)
            key = httpd.root / "a.test.new"
            key.write_bytes(key_pem(issued.key))
            key.chmod(0o644)
            httpd.log.allow("is readable by all users|has changed and is not used")
            key.rename(httpd.root / "a.test.key")
            is_presented(httpd, issued)

    @AS_ROOT
    def test_03_keys_that_they_may_not_read(self, httpd, authority):
        httpd.log.allow("has changed and is not used")
        start(httpd, "TLSKeyProcess off")
        before = serial(httpd)
        issued = authority.server("a.test", number=1)
        key = httpd.root / "a.test.new"
        key.write_bytes(key_pem(issued.key))
        key.chmod(0o600)
        key.rename(httpd.root / "a.test.key")
        replace(httpd.root / "a.test.pem", issued.chain_pem)
        wait_for(lambda: serial(httpd) == before and "not readable by" in httpd.log.text(), "the warning", 10)
        assert curl(httpd, "a.test").text == "hello"

    def test_04_wrong_words(self, httpd):
        for words in ("yes", "0", "86401", "1 2"):
            httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), f"TLSWatch {words}")
            status, text = httpd.configtest()
            assert status != 0 and "TLSWatch" in text
        for words in ("on", "60"):
            httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), f"TLSWatch {words}")
            assert httpd.configtest()[0] == 0
