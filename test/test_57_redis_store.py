# SPDX-License-Identifier: Apache-2.0
"""TLSCertificateStore with a Redis server, which many machines use, and the commands of tls-certs that write to it."""

import base64
import os
import signal
from pathlib import Path

import pytest

from harness.certificate_store import FAILED, NOT_FOUND, is_refused, presented, visited
from harness.certs import key_pem
from harness.certs_tool import CertsTool
from harness.clients import curl
from harness.httpd import Httpd, wait_for
from harness.keyd import companion, keyd, kill
from harness.process_memory import Secrets
from harness.redis_server import RedisServer

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def redis(ports):
    server = RedisServer(ports.take())
    yield server
    server.stop()


class Fleet:
    """A Redis server with certificates, the tool that writes them, and servers that use them."""

    def __init__(self, httpd, authority, redis, root):
        self.httpd, self.authority, self.redis, self.root = httpd, authority, redis, root
        self.tool = CertsTool(httpd, socket=None)
        self.sealing_key = root / "sealing.key"
        self.tool.run("seal", "--new-key", self.sealing_key)
        self.options = ["--store", redis.url]

    def put(self, *names, number=0, tool_options=(), status=0, **options):
        """Stores a certificate for these names. Returns it."""
        issued = self.authority.server(*names, number=number, **options)
        cert, key = issued.write(self.root, "put").split()
        self.tool.run("put", *self.options, "--sealing-key", self.sealing_key, *tool_options, cert, key, status=status)
        return issued

    def remove(self, *names, status=0):
        return self.tool.run("remove", *self.options, *names, status=status)

    def host(self, httpd, *lines, url=None, store=()):
        arguments = [url or self.redis.url, str(self.sealing_key), *store]
        return httpd.vhost(
            "sites.test", "ServerAlias *.test", f"TLSCertificateStore {' '.join(arguments)}", *lines, cert=False
        )

    def start(self, httpd=None, *lines, mpm="event", **options):
        httpd = httpd or self.httpd
        if mpm == "prefork":
            httpd.log.allow("AH10034")  # mod_http2 requires threads
        httpd.start(f"TLSEngine {httpd.port}", "TLSStrictSNI off", self.host(httpd, **options), *lines, mpm=mpm)


@pytest.fixture
def fleet(httpd, authority, redis, tmp_path):
    return Fleet(httpd, authority, redis, tmp_path)


@pytest.fixture
def second(httpd, ports, authority, tmp_path):
    """Another server."""
    root = tmp_path / "second"
    root.mkdir()
    root.chmod(0o755)
    server = Httpd(httpd.installation, root, ports, authority)
    yield server
    server.stop()
    server.log.check()


class TestLookup:
    @pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
    def test_01_found_and_not_found(self, httpd, fleet, mpm):
        issued = fleet.put("a.test", "b.test")
        httpd.log.expect(f"{NOT_FOUND}")
        fleet.start(mpm=mpm)
        for name in ("a.test", "b.test", "a.test"):
            assert presented(httpd, name) == issued.cert.serial_number
        assert is_refused(httpd, "c.test")
        assert curl(httpd, "a.test").code == 200

    def test_02_wildcards(self, httpd, fleet):
        """A certificate under the name itself comes first."""
        wildcard = fleet.put("*.many.test")
        exact = fleet.put("b.many.test", number=1)
        httpd.log.expect(NOT_FOUND)
        fleet.start()
        assert presented(httpd, "a.many.test") == wildcard.cert.serial_number
        assert presented(httpd, "b.many.test") == exact.cert.serial_number
        assert is_refused(httpd, "a.b.many.test")

    @pytest.mark.parametrize("kind", ["p384", "rsa2048", "ed25519"])
    def test_03_kinds_of_keys(self, httpd, fleet, kind):
        issued = fleet.put("a.test", kind=kind)
        fleet.start()
        assert presented(httpd, "a.test") == issued.cert.serial_number

    def test_04_one_write_is_used_by_all_servers(self, httpd, second, fleet):
        first = fleet.put("a.test")
        fleet.start()
        fleet.start(second)
        for server in (httpd, second):
            assert presented(server, "a.test") == first.cert.serial_number
        children = httpd.children(), second.children()
        issued = fleet.put("a.test", number=1)
        for server in (httpd, second):
            wait_for(lambda s=server: presented(s, "a.test") == issued.cert.serial_number, "the new one", 5)
            server.log.expect("a.test: the renewed certificate in a.test in .* is used now")
            server.log.expect(NOT_FOUND)
        fleet.remove("a.test")
        for server in (httpd, second):
            wait_for(lambda s=server: is_refused(s, "a.test"), "refusal", 5)
        fleet.put("a.test", number=2)
        for server in (httpd, second):
            wait_for(lambda s=server: not is_refused(s, "a.test"), "the certificate", 6)
        assert children == (httpd.children(), second.children())


class TestServerIsAway:
    def test_01_stopped_emptied_and_started_again(self, httpd, fleet, redis):
        """What is in use is used on, other names are refused, and all of it ends when there is a server with data."""
        issued = fleet.put("a.test")
        fleet.put("b.test", number=1)
        httpd.log.expect(f"the certificate for b.test cannot be looked up: .*{FAILED}")
        httpd.log.allow(NOT_FOUND)
        fleet.start()
        assert presented(httpd, "a.test") == issued.cert.serial_number
        redis.stop()
        assert is_refused(httpd, "b.test")
        seen = []
        wait_for(lambda: seen.append(presented(httpd, "a.test")) or len(seen) > 100, "many handshakes")
        assert set(seen) == {issued.cert.serial_number}
        redis.start()
        wait_for(lambda: is_refused(httpd, "b.test"), "an answer of the server, which is empty")
        assert presented(httpd, "a.test") == issued.cert.serial_number
        again = fleet.put("b.test", number=2)
        wait_for(lambda: not is_refused(httpd, "b.test"), "the certificate", 10)
        assert presented(httpd, "b.test") == again.cert.serial_number
        renewed = fleet.put("a.test", number=3)
        wait_for(lambda: presented(httpd, "a.test") == renewed.cert.serial_number, "the new certificate", 10)

    def test_02_emptied_while_it_runs(self, httpd, fleet, redis):
        issued = fleet.put("a.test")
        httpd.log.allow(NOT_FOUND)
        fleet.start()
        presented(httpd, "a.test")
        redis.cli("flushall")
        assert is_refused(httpd, "b.test")
        assert presented(httpd, "a.test") == issued.cert.serial_number
        renewed = fleet.put("a.test", number=1)
        wait_for(lambda: presented(httpd, "a.test") == renewed.cert.serial_number, "the new certificate", 5)

    def test_03_it_does_not_answer(self, httpd, fleet, redis):
        issued = fleet.put("a.test")
        fleet.put("b.test", number=1)
        httpd.log.expect(FAILED)
        fleet.start()
        presented(httpd, "a.test")
        redis.signal(signal.SIGSTOP)
        try:
            assert is_refused(httpd, "b.test")
            assert presented(httpd, "a.test") == issued.cert.serial_number
        finally:
            redis.signal(signal.SIGCONT)
        wait_for(lambda: not is_refused(httpd, "b.test"), "the certificate", 15)

    def test_04_not_there_at_the_start(self, httpd, fleet, redis):
        fleet.put("a.test")
        redis.stop()
        httpd.log.expect(FAILED)
        httpd.log.allow(NOT_FOUND)
        fleet.start()
        assert is_refused(httpd, "a.test")
        redis.start()
        fleet.put("a.test")
        wait_for(lambda: not is_refused(httpd, "a.test"), "the certificate", 15)

    def test_05_processes_are_killed(self, httpd, fleet):
        issued = fleet.put("a.test")
        fleet.put("b.test", number=1)
        httpd.log.allow(FAILED)
        fleet.start()
        presented(httpd, "a.test")
        kill(httpd)
        assert presented(httpd, "a.test") == issued.cert.serial_number
        wait_for(lambda: not is_refused(httpd, "b.test"), "the store", 10)
        httpd.log.expect("which gets certificates from other machines, has ended")
        old = companion(httpd, "--fetch")
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: companion(httpd, "--fetch") not in (None, old), "another process", 10)
        fleet.put("c.test", number=2)
        wait_for(lambda: not is_refused(httpd, "c.test"), "the store", 10)

    def test_06_written_under_load(self, httpd, fleet):
        """Handshakes neither fail nor mix certificates while they are written."""
        known = {fleet.put("a.test").cert.serial_number}
        fleet.start()
        with visited(httpd, "a.test", known, clients=3):
            for number in range(1, 6):
                issued = fleet.authority.server("a.test", number=number)
                known.add(issued.cert.serial_number)
                cert, key = issued.write(fleet.root, "load").split()
                fleet.tool.run("put", *fleet.options, "--sealing-key", fleet.sealing_key, cert, key)
                wait_for(lambda one=issued: presented(httpd, "a.test") == one.cert.serial_number, "the new one", 5)


class TestSecrets:
    def test_01_keys_are_sealed(self, fleet, redis):
        issued = fleet.put("a.test")
        stored = redis.cli("hget", "mod_tls:certificate:a.test", "key")
        assert "MOD_TLS SEALED KEY" in stored
        sealed = base64.b64decode("".join(stored.split("-----")[2].split()))
        number = issued.key.private_numbers().private_value.to_bytes(32, "big")
        assert number not in sealed and key_pem(issued.key)[40:80] not in sealed
        assert "BEGIN CERTIFICATE" in redis.cli("hget", "mod_tls:certificate:a.test", "certificate")

    @pytest.mark.parametrize("what", ["key", "name", "garbage"])
    def test_02_what_was_not_sealed_for_it(self, httpd, fleet, redis, what):
        """With another sealing key, moved to another name, or damaged."""
        fleet.put("a.test")
        fleet.put("good.test", number=1)
        if what == "key":
            other = fleet.root / "other.key"
            fleet.tool.run("seal", "--new-key", other)
            cert, key = fleet.authority.server("a.test").write(fleet.root, "x").split()
            fleet.tool.run("put", *fleet.options, "--sealing-key", other, cert, key)
        elif what == "name":
            fleet.put("a.test", "b.test")
            moved = redis.cli("hget", "mod_tls:certificate:b.test", "key")
            redis.cli("hset", "mod_tls:certificate:a.test", "key", moved)
        else:
            redis.cli("hset", "mod_tls:certificate:a.test", "key", "garbage")
        httpd.log.expect(f"the certificate for a.test cannot be used: .*{FAILED}")
        fleet.start()
        assert is_refused(httpd, "a.test")
        presented(httpd, "good.test")

    def test_03_a_new_sealing_key(self, httpd, fleet):
        """In front of the old one, which still opens what was sealed with it."""
        old = fleet.put("a.test")
        new_key = fleet.root / "new.key"
        fleet.tool.run("seal", "--new-key", new_key)
        fleet.sealing_key.write_bytes(new_key.read_bytes() + fleet.sealing_key.read_bytes())
        new = fleet.put("b.test", number=1)
        fleet.start()
        assert presented(httpd, "a.test") == old.cert.serial_number
        assert presented(httpd, "b.test") == new.cert.serial_number

    @AS_ROOT
    def test_04_no_key_is_outside_of_tls_keyd(self, httpd, fleet):
        issued = fleet.put("a.test")
        fleet.start()
        for _ in range(3):
            presented(httpd, "a.test")
        secrets = Secrets()
        secrets.add_key("key", issued.key)
        secrets.add("sealing key", bytes.fromhex(fleet.sealing_key.read_text().strip()))
        others = [httpd.pid, *httpd.children(), *(pid for pid in httpd.key_processes() if pid != keyd(httpd))]
        assert companion(httpd, "--fetch") in others
        assert secrets.in_process(keyd(httpd)), "the search works"
        for pid in others:
            assert not secrets.in_process(pid), pid

    @AS_ROOT
    def test_05_what_the_process_may_do(self, httpd, fleet):
        fleet.put("a.test")
        fleet.start()
        text = Path(f"/proc/{companion(httpd, '--fetch')}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2" and int(fields["CapEff"], 16) == 0


class TestConnections:
    def test_01_user_and_password(self, httpd, fleet, redis):
        issued = fleet.put("a.test")
        rights = ["~mod_tls:*", "&mod_tls:*", "+hgetall", "+subscribe", "+ping", "+select", "+client", "+hello"]
        redis.cli("acl", "setuser", "httpd", "on", ">se:cret", *rights)
        redis.cli("acl", "setuser", "default", "off")
        url = redis.url.replace("//", "//httpd:se%3Acret@")
        fleet.start(url=url)
        assert presented(httpd, "a.test") == issued.cert.serial_number
        code, output = httpd.configtest("DUMP_TLS")
        assert code == 0 and "redis://httpd@localhost" in output and "cret" not in output
        assert "cret" not in httpd.log.text()

    def test_02_wrong_password(self, httpd, fleet, redis):
        fleet.put("a.test")
        redis.cli("config", "set", "requirepass", "right")
        httpd.log.expect(FAILED)
        fleet.start(url=redis.url.replace("//", "//:wrong@"))
        assert is_refused(httpd, "a.test")
        assert "wrong@" not in httpd.log.text()

    def test_03_tls(self, httpd, authority, ports, tmp_path):
        cert, key = authority.server("localhost").write(tmp_path, "redis").split()
        ca = tmp_path / "ca.pem"
        ca.write_bytes(authority.root_pem)
        tls = [
            "--tls-cert-file",
            cert,
            "--tls-key-file",
            key,
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            str(ca),
        ]
        server = RedisServer(ports.take(), tls=tls)
        try:
            fleet = Fleet(httpd, authority, server, tmp_path)
            fleet.options += ["--store-ca", ca]
            issued = fleet.put("a.test")
            fleet.start(store=[str(ca)])
            assert presented(httpd, "a.test") == issued.cert.serial_number
            httpd.stop()
            # Its certificate is verified.
            httpd.log.expect(FAILED)
            fleet.start()
            assert is_refused(httpd, "a.test")
        finally:
            server.stop()


class TestConfiguration:
    @pytest.mark.parametrize(
        "words,text",
        [
            ("redis://localhost", "behind the URL of a Redis server"),
            ("redis:// {root}/sealing.key", "takes the URL of a Redis server"),
            ("redis://localhost {root}/nowhere.key", "nowhere.key: no such file"),
            ("rediss://localhost {root}/sealing.key {root}/no-ca.pem", "no-ca.pem: no such file"),
        ],
    )
    def test_01_errors(self, httpd, fleet, words, text):
        host = httpd.vhost("a.test", f"TLSCertificateStore {words.format(root=fleet.root)}", cert=False)
        httpd.configure(f"TLSEngine {httpd.port}", host)
        code, output = httpd.configtest()
        assert code != 0 and "TLSCertificateStore" in output and text in output

    def test_02_without_tls_keyd(self, httpd, fleet):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSKeyProcess off", fleet.host(httpd))
        code, output = httpd.configtest()
        assert code != 0 and "unsealed by tls-keyd alone" in output

    def test_03_a_sealing_key_that_others_can_read(self, httpd, fleet):
        fleet.sealing_key.chmod(0o644)
        httpd.configure(f"TLSEngine {httpd.port}", fleet.host(httpd))
        code, output = httpd.configtest()
        assert code == 0 and "unseal all private keys" in output

    def test_04_a_sealing_key_that_is_none(self, httpd, fleet):
        fleet.put("a.test")
        fleet.sealing_key.write_text("secret\n")
        httpd.log.expect(f"sealing.key: line 1 is not a sealing key.*{FAILED}")
        fleet.start()
        assert is_refused(httpd, "a.test")


class TestTool:
    def test_01_put(self, fleet):
        cert, key = fleet.authority.server("a.test", "*.b.test").write(fleet.root, "t").split()
        store = [*fleet.options, "--sealing-key", fleet.sealing_key]
        text = fleet.tool.run("put", *store, cert, key)
        assert "a.test: stored, expires " in text and "*.b.test: stored" in text
        done = fleet.tool.json("put", *store, cert, key, "--name", "c.b.test")
        assert done["names"] == ["c.b.test"] and done["certificate"]["names"] == ["a.test", "*.b.test"]

    @pytest.mark.parametrize("what", ["mismatch", "expired", "no-key", "encrypted", "name"])
    def test_02_what_is_not_put(self, fleet, redis, what):
        issued = fleet.authority.server("a.test", **({"days": 1, "start": -2} if what == "expired" else {}))
        cert, key = issued.write(fleet.root, "t").split()
        options, text = [], what
        if what == "mismatch":
            Path(key).write_bytes(key_pem(fleet.authority.key("p256", 3)))
            text = "does not match|does not belong|belongs"
        elif what == "no-key":
            Path(key).write_bytes(b"")
            text = "key"
        elif what == "encrypted":
            Path(key).write_bytes(key_pem(issued.key, password=b"secret"))
        elif what == "name":
            options, text = ["--name", "a/b"], "no host name"
        output = fleet.tool.run(
            "put", *fleet.options, "--sealing-key", fleet.sealing_key, *options, cert, key, status=2
        )
        assert any(part in output for part in text.split("|"))
        assert redis.cli("keys", "*").strip() == ""

    def test_03_remove(self, fleet, redis):
        fleet.put("a.test")
        assert fleet.remove("a.test") == "a.test: removed\n"
        assert fleet.remove("a.test", status=1) == "a.test: there is no certificate\n"
        assert fleet.tool.json("remove", *fleet.options, "x.test", status=1) == {"removed": [], "missing": ["x.test"]}
        assert int(redis.cli("ttl", "mod_tls:certificate:a.test")) > 0

    def test_04_sealing_keys(self, fleet):
        assert fleet.sealing_key.stat().st_mode & 0o777 == 0o600
        assert "is not replaced" in fleet.tool.run("seal", "--new-key", fleet.sealing_key, status=2)
        issued = fleet.authority.server("a.test")
        _, key = issued.write(fleet.root, "t").split()
        sealed = fleet.tool.run("seal", "--sealing-key", fleet.sealing_key, "a.test", key)
        assert sealed.startswith("-----BEGIN MOD_TLS SEALED KEY-----\n")
        assert "required" in fleet.tool.run("seal", status=2)

    def test_05_no_server(self, fleet, redis):
        redis.stop()
        assert f"localhost:{redis.port}" in fleet.remove("a.test", status=2)
        fleet.options = ["--store", "http://localhost"]
        assert "--store" in fleet.remove("a.test", status=2)
