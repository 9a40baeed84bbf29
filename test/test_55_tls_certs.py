# SPDX-License-Identifier: Apache-2.0
"""tls-certs: its commands."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.certs import key_pem
from harness.certs_tool import CertsTool, renew, replace, serial, start
from harness.httpd import resident, wait_for
from harness.keyd import companion

MPMS = pytest.mark.parametrize("mpm", ["event", "prefork"])


class TestCheck:
    """Files without a server."""

    @pytest.fixture
    def tool(self, httpd):
        return CertsTool(httpd, socket=None)

    @pytest.fixture
    def check(self, httpd, tool):
        def run(*arguments, **options):
            return tool.run("check", "--ca", httpd.ca_file, *arguments, **options)

        os.umask(0o077)
        yield run
        os.umask(0o022)

    def test_01_pairs(self, httpd, authority, tool, check):
        files = authority.server("a.test", "*.b.test").write(httpd.root, "a").split()
        text = check(*files, "--name", "a.test", "--name", "x.b.test")
        assert f"{files[0]}: OK\n" in text and "names     a.test, *.b.test" in text and "ECDSA P-256" in text
        one = authority.server("c.test", kind="rsa2048").write(httpd.root, "c", combined=True)
        found = tool.json("check", "--ca", httpd.ca_file, *files, one)
        assert found["ok"] and [pair["certificate"]["key"] for pair in found["pairs"]] == ["ECDSA P-256", "RSA 2048"]
        pair = found["pairs"][0]
        assert pair["key_file"] == files[1] and pair["certificate"]["days_left"] in (28, 29)
        # The certificate alone, with its issuers in another file.
        issued = authority.server("a.test")
        leaf, chain = httpd.root / "leaf.pem", httpd.root / "chain.pem"
        leaf.write_bytes(issued.cert_pem)
        chain.write_bytes(issued.chain_pem[len(issued.cert_pem) :])
        check(leaf, files[1], "--chain", chain)
        assert "is neither in the file nor among the CAs" in check(leaf, files[1], status=1)
        assert "is neither in the file nor among" in tool.run("check", *files, status=1)

    def test_02_names_and_expiry(self, httpd, authority, check):
        files = authority.server("a.test").write(httpd.root, "a").split()
        assert "is not for b.test, but for a.test" in check(*files, "--name", "b.test", status=1)
        check(*files, "--expires-within", "27d")
        assert "expires soon" in check(*files, "--expires-within", "30d", status=1)
        old = authority.server("a.test", start=-3, days=2).write(httpd.root, "old").split()
        assert "has expired: clients will refuse it" in check(*old, status=1)
        early = authority.server("a.test", start=2).write(httpd.root, "early").split()
        assert "is not valid yet" in check(*early, status=1)

    def test_03_wrong_files(self, httpd, authority, check):
        issued = authority.server("a.test")
        cert, key = issued.write(httpd.root, "a").split()
        assert "exchange the two names" in check(key, cert, status=1)
        other = httpd.root / "other.key"
        other.write_bytes(key_pem(authority.key("p256", 7)))
        assert "does not belong to this certificate" in check(cert, other, status=1)
        assert "no such file" in check(cert, httpd.root / "missing", status=1)
        assert "no private key in this file" in check(cert, status=1)
        locked = httpd.root / "locked.key"
        locked.write_bytes(key_pem(issued.key, password=b"secret"))
        text = check(cert, locked, status=1)
        assert "the private key is encrypted" in text and "openssl pkey" in text
        swapped = httpd.root / "swapped.pem"
        swapped.write_bytes(issued.cert_pem + authority.root_pem + issued.chain_pem[len(issued.cert_pem) :])
        assert "has not issued the one before it" in check(swapped, key, status=1)
        Path(key).chmod(0o644)
        assert "all users of this machine can read it" in check(cert, key, status=1)
        assert "--ca" in check(cert, key, "--ca", httpd.root / "missing", status=2)

    def test_04_weak(self, httpd, authority, check):
        key = rsa.generate_private_key(65537, 1024)
        files = authority.issue_for("a.test", key).write(httpd.root, "weak").split()
        text = check(*files, status=1)
        assert "the private key cannot be used" in text and "2048" in text
        alone = authority.server("a.test", self_signed=True).write(httpd.root, "self").split()
        assert "is self-signed" in check(*alone, status=0)

    def test_05_command_line(self, tool):
        assert "Usage" in tool.run(status=2)
        assert "unrecognized subcommand" in tool.run("chek", status=2)
        assert "a time is a number with s, m, h, d or w" in tool.run("list", "--expires-within", "soon", status=2)
        for shell, word in [
            ("bash", "-o default tls-certs"),
            ("zsh", "#compdef tls-certs"),
            ("fish", "complete -c tls-certs"),
        ]:
            assert word in tool.run("completion", shell)
        assert tool.run("--version").startswith("tls-certs ")


class TestServer:
    """What a running httpd tells."""

    @MPMS
    def test_01_list(self, httpd, authority, mpm):
        second = authority.server("b.test", kind="rsa2048", days=20).write(httpd.root, "b-rsa", combined=True)
        tool = start(
            httpd,
            httpd.vhost("a.test", "ServerAlias *.a.test"),
            httpd.vhost("b.test", f"TLSCertificate {second}"),
            httpd.vhost("none.test", cert=False),
            mpm=mpm,
        )
        httpd.log.allow("none.test .* is on a TLS port but has no certificate|is not covered by")
        text = tool.run("list")
        lines = text.splitlines()
        assert lines[0].split() == ["EXPIRES", "DAYS", "KEY", "HOST", "CERTIFICATE", "CONFIGURATION"]
        # What expires first is first.
        assert "RSA 2048" in lines[1] and "b.test" in lines[1] and second in lines[1]
        assert "a.test,*.a.test" in text and "none.test" in text.partition("\n\n")[2]
        rows = tool.json("list", "--sort", "name")
        assert rows["process"] == httpd.pid and rows["server"].startswith("mod_tls/")
        assert [row["host"] for row in rows["certificates"]] == ["a.test", "b.test", "b.test"]
        row = rows["certificates"][0]
        assert row["host_names"] == ["*.a.test", "a.test"] and row["key_in"] == "tls-keyd" and not row["refused"]
        assert row["certificate"]["names"] == ["a.test"] and row["key_file"] == str(httpd.root / "a.test.key")
        file, _, line = row["configuration"].rpartition(":")
        assert file == str(httpd.conf_file)
        assert "<VirtualHost" in httpd.conf_file.read_text().splitlines()[int(line) - 1]
        assert [row["host"] for row in rows["without_certificate"]] == ["none.test"]
        # Filters. Certificates that expire are a problem.
        assert set(tool.rows("*b.te?t")) == {"b.test"} and set(tool.rows(f"{httpd.root}/a.*")) == {"a.test"}
        assert tool.json("list", "--expires-within", "10d")["certificates"] == []
        assert set(tool.rows("--expires-within", "20d", status=1)) == {"b.test"}

    def test_02_show(self, httpd, authority):
        tool = start(
            httpd,
            httpd.vhost("a.test", "ServerAlias www.a.test *.wild.test"),
            httpd.vhost("b.test"),
            httpd.vhost("c.test", address="127.0.0.2"),
        )
        httpd.log.allow("is not covered by")
        text = tool.run("show", "a.test", "--address", str(httpd.port))
        assert f"a.test at *:{httpd.port}: a.test ({httpd.conf_file}:" in text
        assert "it is the ServerName of the host" in text and f"{httpd.root}/a.test.pem" in text

        def shown(name, address, status=0):
            [at] = tool.json("show", name, "--address", address, status=status)["addresses"]
            return at["host"], at["because"]

        everywhere, second = f"127.0.0.1:{httpd.port}", f"127.0.0.2:{httpd.port}"
        assert shown("B.test", everywhere) == ("b.test", "it is the ServerName of the host")
        assert shown("www.a.test", everywhere, 1) == ("a.test", "it is a ServerAlias of the host")
        assert shown("x.wild.test", everywhere, 1)[1] == "it matches the ServerAlias *.wild.test of the host"
        assert shown("127.0.0.1", everywhere, 1)[0] == "a.test"
        assert shown("c.test", second) == ("c.test", "it is the ServerName of the host")
        host, because = shown("c.test", everywhere, 1)
        assert host is None and "TLSStrictSNI" in because
        assert shown("a.test", second, 1)[0] is None
        # All addresses.
        both = tool.json("show", "c.test", status=1)["addresses"]
        assert [at["address"] for at in both] == [f"*:{httpd.port}", second]
        assert "it has *:" in tool.run("show", "a.test", "--address", "1", status=2)
        # The same as a client sees.
        assert serial(httpd, "b.test") == int(
            tool.json("show", "b.test", "--address", everywhere)["addresses"][0]["certificates"][0]["certificate"][
                "serial"
            ],
            16,
        )

    def test_03_default_host_and_ssl(self, httpd, authority):
        cert, key = authority.server("s.test").write(httpd.root, "s").split()
        httpd.start(
            f"<VirtualHost *:{httpd.port}>\nServerName s.test\nSSLEngine on",
            f"SSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n</VirtualHost>",
            f"<VirtualHost *:{httpd.port}>\nServerName plain.test\n</VirtualHost>",
            records=("ssl",),
        )
        tool = CertsTool(httpd)
        [at] = tool.json("show", "other.test", status=1)["addresses"]
        assert (at["host"], at["because"]) == (
            "s.test",
            "no host has the name, and this is the first host of the address",
        )
        [at] = tool.json("show", "plain.test", status=1)["addresses"]
        assert at["host"] == "s.test" and "it has no TLS itself" in at["because"]
        assert tool.rows()["s.test"]["key_file"] == key

    def test_04_renewals(self, httpd, authority):
        """A renewal is in the catalogue that was read before, and so is one that was refused."""
        tool = start(httpd, httpd.vhost("a.test"), httpd.vhost("b.test"))
        before = tool.rows()
        issued = authority.server("a.test", number=1, days=60)
        renew(httpd, issued)
        text = tool.run("wait", "a.test")
        assert f"{httpd.root}/a.test.pem: used since" in text
        assert serial(httpd) == issued.cert.serial_number
        after = tool.rows()
        assert int(after["a.test"]["certificate"]["serial"], 16) == issued.cert.serial_number
        assert after["b.test"] == before["b.test"] and after["a.test"] != before["a.test"]
        # The certificate without its key.
        other = authority.server("a.test", number=2)
        replace(httpd.root / "a.test.pem", other.chain_pem)
        httpd.log.expect("has changed and is not used")
        text = tool.run("wait", "a.test", status=1)
        assert "NOT USED, refused at" in text and "does not belong to this certificate" in text
        row = tool.rows(status=1)["a.test"]
        assert "does not belong" in row["refused"]["why"] and row["used_since"] is None
        assert int(row["certificate"]["serial"], 16) == issued.cert.serial_number
        assert "renewal     REFUSED" in tool.run("show", "a.test")
        [one] = tool.json("wait", "a.test", status=1)["certificates"]
        assert one["state"] == "refused" and "does not belong" in one["why"]
        replace(httpd.root / "a.test.key", key_pem(other.key))
        tool.run("wait", httpd.root / "a.test.key")
        assert serial(httpd) == other.cert.serial_number
        assert tool.rows()["a.test"]["refused"] is None
        # Another name.
        replace(httpd.root / "b.test.pem", authority.server("c.test").chain_pem)
        assert "it is not for b.test" in tool.run("wait", "b.test", status=1)

    def test_05_the_old_files_come_back(self, httpd, authority):
        tool = start(httpd, httpd.vhost("a.test"))
        old = httpd.root / "old.pem"
        (httpd.root / "a.test.pem").rename(old)
        httpd.log.expect("has changed and is not used")
        assert "no such file" in tool.run("wait", "a.test", status=1)
        old.rename(httpd.root / "a.test.pem")
        tool.run("wait", "a.test")
        assert tool.rows()["a.test"]["refused"] is None

    def test_06_targets(self, httpd, authority):
        live = httpd.root / "live/a.test"
        live.mkdir(parents=True)
        (httpd.root / "live").chmod(0o755)
        live.chmod(0o755)
        cert = authority.server("a.test").write(live, "a")
        tool = start(httpd, httpd.vhost("a.test", "ServerAlias *.a.test", cert=cert), httpd.vhost("b.test"))
        httpd.log.allow("is not covered by")
        for target in ["a.test", "x.a.test", live, live / "a.pem", live / "a.key", httpd.root / "live/../live/a.test"]:
            [one] = tool.json("wait", target)["certificates"]
            assert one["certificate_file"] == str(live / "a.pem") and one["state"] == "used"
        assert len(tool.json("wait", "a.test", "b.test")["certificates"]) == 2
        assert "./a.pem: the server uses no certificate" not in tool.run("wait", "./a.pem", cwd=live)
        (httpd.root / "link").symlink_to(live)
        tool.run("wait", httpd.root / "link")
        assert "no host of this name" in tool.run("wait", "c.test", status=1)
        assert "uses no certificate from there" in tool.run("wait", "/etc/c", status=1)
        assert f"{live}/a.pem: looked at" in tool.run("reload", "a.test")
        assert "no host of this name" in tool.run("reload", "c.test", status=1)

    def test_07_reload_reads_again_what_was_refused(self, httpd, authority):
        """Though its files have not changed."""
        tool = start(httpd, httpd.vhost("a.test"))
        issued = authority.server("a.test", number=1)
        replace(httpd.root / "a.test.pem", issued.chain_pem)
        httpd.log.expect("has changed and is not used")
        tool.run("wait", "a.test", status=1)
        count = httpd.log.text().count("has changed and is not used")
        tool.run("reload", "a.test")
        wait_for(lambda: httpd.log.text().count("has changed and is not used") > count, "another attempt")

    def test_08_time_is_up(self, httpd, authority):
        """httpd's parent process is stopped."""
        tool = start(httpd, httpd.vhost("a.test"))
        tool.rows()
        os.kill(httpd.pid, signal.SIGSTOP)
        try:
            renew(httpd, authority.server("a.test", number=1))
            begin = time.monotonic()
            text = tool.run("wait", "a.test", "--timeout", "1s", status=1)
            assert "the time is up" in text and 0.9 < time.monotonic() - begin < 10
        finally:
            os.kill(httpd.pid, signal.SIGCONT)
        tool.run("wait", "a.test")

    def test_09_a_reload_meanwhile(self, httpd, authority):
        """The certificate has another number after it."""
        tool = start(httpd, httpd.vhost("a.test"))
        tool.rows()
        os.kill(httpd.pid, signal.SIGSTOP)
        issued = authority.server("a.test", number=1)
        renew(httpd, issued)
        waiting = tool.start("wait", "a.test")
        try:
            time.sleep(0.5)
        finally:
            os.kill(httpd.pid, signal.SIGCONT)
        httpd.graceful()
        assert waiting.wait(30) == 0, waiting.stdout.read()
        waiting.stdout.close()
        row = tool.rows()["a.test"]
        assert int(row["certificate"]["serial"], 16) == issued.cert.serial_number

    def test_10_reloads(self, httpd, authority):
        """The catalogue is that of the configuration that is used."""
        tool = start(httpd, httpd.vhost("a.test"))
        assert set(tool.rows()) == {"a.test"}
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), httpd.vhost("b.test"))
        for restart in (httpd.graceful, httpd.full_restart):
            restart()
            assert set(tool.rows()) == {"a.test", "b.test"}

    def test_11_not_watched(self, httpd):
        tool = start(httpd, httpd.vhost("a.test"), "TLSWatch off")
        assert set(tool.rows()) == {"a.test"}
        assert "TLSWatch off" in tool.run("wait", "a.test", status=1)

    def test_12_key_process_off(self, httpd):
        tool = start(httpd, httpd.vhost("a.test"), "TLSKeyProcess off")
        text = tool.run("list", status=2)
        assert "no such socket" in text and "TLSKeyProcess off" in text and "`tls-certs check` works" in text
        tool.socket = None
        tool.environment["TLS_CERTS_SOCKET"] = str(httpd.root / "nowhere")
        assert "nowhere: no such socket" in tool.run("list", status=2)

    def test_13_ten_thousand_sites(self, httpd, authority):
        """The list takes seconds at most, and memory of a few MiB for the process that serves it."""
        cert = authority.server("*.many.test").write(httpd.root, "many")
        hosts = [
            f"<VirtualHost *:{httpd.port}>\nServerName h{n}.many.test\nTLSCertificate {cert}\n</VirtualHost>"
            for n in range(9000)
        ]
        own = authority.server("own.test").write(httpd.root, "own").split()
        for n in range(1000):
            shutil.copy(own[0], httpd.root / f"own{n}.pem")
            hosts.append(
                f"<VirtualHost *:{httpd.port}>\nServerName own{n}.test\n"
                f"TLSCertificate {httpd.root}/own{n}.pem {own[1]}\n</VirtualHost>"
            )
        httpd.log.allow("is not covered by")
        tool = start(httpd, *hosts)
        before = resident(companion(httpd, "--watch"))
        begin = time.monotonic()
        rows = tool.json("list")["certificates"]
        first = time.monotonic() - begin
        begin = time.monotonic()
        tool.run("list", "h77.many.test")
        second = time.monotonic() - begin
        after = resident(companion(httpd, "--watch"))
        print(f"first list {first:.2f} s, second {second:.2f} s, watcher {before} KiB, {after} KiB")
        assert len(rows) == 10000 and first < 10 and second < 5
        assert after - before < 4096


class TestStore:
    """A host with TLSCertificateStore, whose certificates the server looks up when a client asks for them."""

    @pytest.fixture
    def store(self, httpd, authority):
        directory = httpd.root / "sites"
        directory.mkdir()

        def put(name, *names, **options):
            issued = authority.server(*(names or [name]), **options)
            (directory / f"{name}.key").write_bytes(key_pem(issued.key))
            (directory / f"{name}.pem").write_bytes(issued.chain_pem)
            return issued

        put.directory = directory
        return put

    @pytest.fixture
    def tool(self, httpd, store):
        line = f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%n.key"
        return start(httpd, "TLSStrictSNI off", httpd.vhost("own.test", "ServerAlias *.test", line))

    def test_01_list_and_show(self, httpd, store, tool):
        store("x.test")
        assert f"looked up in {store.directory}/%n.pem" in tool.run("list")
        [entry] = tool.json("list")["with_store"]
        assert entry["host"] == "own.test" and entry["store"] == f"{store.directory}/%n.pem {store.directory}/%n.key"
        text = tool.run("show", "x.test")
        assert "its store has a certificate for the name" in text and f"{store.directory}/x.test.pem" in text
        [at] = tool.json("show", "x.test")["addresses"]
        assert serial(httpd, "x.test") == int(at["stored"]["certificate"]["serial"], 16)
        # The host's own certificate is for this name.
        assert tool.json("show", "own.test")["addresses"][0]["stored"] is None
        assert "its store has no certificate for the name" in tool.run("show", "y.test", status=1)
        store("z.test", "other.test")
        [at] = tool.json("show", "z.test", status=1)["addresses"]
        assert "is not for z.test" in at["stored"]["problem"] and len(at["certificates"]) == 1

    def test_03_no_other_certificate(self, httpd, store):
        line = f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%n.key"
        tool = start(httpd, httpd.vhost("sites.test", "ServerAlias *.test", line, cert=False))
        store("x.test")
        assert tool.json("show", "x.test")["addresses"][0]["certificates"] == []
        assert "so that the handshake is refused" in tool.run("show", "y.test", status=1)
        assert "sites.test" in tool.run("list") and "503" not in tool.run("list")

    def test_02_wait(self, httpd, authority, store, tool):
        for number, target in enumerate(["x.test", store.directory / "x.test.pem", store.directory / "x.test.key"]):
            issued = store("x.test", number=number)
            [one] = [row for row in tool.json("wait", target)["certificates"] if row["state"] == "on_demand"]
            assert one["certificate_file"] == f"{store.directory}/x.test.pem"
            assert serial(httpd, "x.test") == issued.cert.serial_number
        # A name that only the store knows, on the host that answers for all names.
        store("www.example.org")
        assert "used when a client asks for it" in tool.run("wait", "www.example.org")
        assert "no host of this name" in tool.run("wait", "www.example.com", status=1)
        assert "no such file" in tool.run("wait", "y.test", status=1)
        store("x.test", "x.test", start=-3, days=2)
        httpd.log.allow("has changed and is not used|has expired")
        assert "has expired" in tool.run("wait", store.directory / "x.test.pem", status=1)
        assert "the server uses no certificate from there" in tool.run("wait", store.directory, status=1)

    def test_04_elsewhere(self, httpd, ports):
        """The tool does not look into a Redis server, and does not show its password."""
        key = httpd.root / "sealing.key"
        CertsTool(httpd, socket=None).run("seal", "--new-key", key)
        line = f"TLSCertificateStore redis://:secret@127.0.0.1:{ports.take()}/ {key}"
        httpd.log.allow("[Rr]edis")
        tool = start(httpd, httpd.vhost("own.test", "ServerAlias *.test", line))
        text = tool.run("list")
        assert "looked up in redis://" in text and "secret" not in tool.run("--json", "list") + text
        assert "which only the server does" in tool.run("show", "x.test")
        assert "because       it is the ServerName of the host\n" in tool.run("show", "own.test")
        tool.run("wait", "own.test")
        assert "into which only the server looks" in tool.run("wait", "x.test", status=1)
