# SPDX-License-Identifier: Apache-2.0
"""Groups, policies, key logs, compressed certificates and small records."""

import contextlib
import re
import socket
import stat
import struct
import subprocess
import threading

import pytest

from harness.clients import connect, context, curl, read_all, records, request, s_client
from harness.httpd import CRYPTO, HAS_POST_QUANTUM, wait_for

KEX = 'Header set X-Kex "%{SSL_KEX}s"'


@pytest.fixture
def serve(httpd):
    def start(*lines, base=()):
        httpd.start(f"TLSEngine {httpd.port}", *base, httpd.vhost("a.test", KEX, *lines))
        return lambda *args: curl(httpd, "a.test", "/", *args)

    return start


def dump(httpd):
    return httpd.configtest("DUMP_TLS")[1]


class TestGroups:
    @pytest.mark.parametrize("group,kex", [("X25519", "X25519"), ("P-256", "secp256r1"), ("P-384", "secp384r1")])
    def test_01_each(self, serve, group, kex):
        if group == "X25519" and CRYPTO == "fips":
            pytest.skip("X25519 is not approved by FIPS 140-3")
        assert serve()("--curves", group).headers["x-kex"] == kex

    def test_02_prefer(self, serve):
        fetch = serve("TLSGroupsPrefer secp384r1:P-256")
        assert fetch("--curves", "X25519:P-256:P-384").headers["x-kex"] in ("X25519", "secp384r1")
        # The client has sent no share for a supported group: the server requests the first of its own.
        assert fetch("--curves", "P-521:P-256:P-384").headers["x-kex"] == "secp384r1"

    def test_03_suppress(self, serve, httpd):
        fetch = serve("TLSGroupsSuppress x25519 X25519MLKEM768")
        assert fetch("--curves", "X25519:P-256").headers["x-kex"] == "secp256r1"
        assert s_client(httpd, "-groups", "X25519", name="a.test").alert == "40"

    @pytest.mark.skipif(not HAS_POST_QUANTUM, reason=f"{CRYPTO} has no post-quantum groups")
    def test_04_post_quantum_only(self, serve, httpd, rustls_client):
        fetch = serve("TLSGroupsSuppress x25519 secp256r1 secp384r1")
        httpd.log.allow("it will not be spoken")
        assert fetch().exit != 0
        assert "X-Kex: X25519MLKEM768" in rustls_client(httpd)
        assert re.search(r"Groups +X25519MLKEM768\n", dump(httpd))
        assert re.search(r"Protocols +TLSv1.3\n", dump(httpd))

    @pytest.mark.parametrize(
        "line,text",
        [
            ("TLSGroupsPrefer nonsense", '"nonsense" is not a known group; the known groups are '),
            ("TLSGroupsSuppress", "takes at least one argument"),
            (
                "TLSGroupsSuppress x25519 secp256r1 secp384r1 X25519MLKEM768 SecP256r1MLKEM768 MLKEM768 MLKEM1024",
                "leaves no group at all",
            ),
            ("TLSProtocol TLSv1.2\nTLSGroupsSuppress x25519 secp256r1 secp384r1", "leaves no group"),
        ],
    )
    def test_05_mistakes(self, httpd, line, text):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", line))
        code, output = httpd.configtest()
        assert code != 0 and text in output, output

    def test_06_known_but_not_supported(self, serve, httpd):
        httpd.log.expect("TLSGroupsPrefer: brainpoolP256r1 is known but not supported")
        assert serve("TLSGroupsPrefer brainpoolP256r1")().code == 200


class TestPolicies:
    def test_01_modern(self, serve, httpd):
        fetch = serve("TLSPolicy modern")
        assert fetch().code == 200
        assert fetch("--tlsv1.2", "--tls-max", "1.2").exit != 0
        assert re.search(r"Protocols +TLSv1.3\n", dump(httpd))

    def test_02_intermediate_over_the_base_server(self, serve):
        fetch = serve("TLSPolicy intermediate", base=["TLSProtocol TLSv1.3+"])
        assert fetch("--tlsv1.2", "--tls-max", "1.2").code == 200

    def test_03_later_directives_win(self, serve):
        fetch = serve("TLSPolicy modern", "TLSProtocol TLSv1.2+")
        assert fetch("--tlsv1.2", "--tls-max", "1.2").code == 200

    def test_04_unknown(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSPolicy ancient"))
        code, output = httpd.configtest()
        assert code != 0 and 'takes modern or intermediate, not "ancient"' in output


class TestKeyLog:
    def test_01_secrets(self, httpd):
        """The log has the same secrets as the client's own log, from all children, and is private."""
        ours, theirs = httpd.root / "server-keys", httpd.root / "client-keys"
        ours.write_text("")
        ours.chmod(0o644)
        httpd.log.expect(r"\[tls:warn\].*TLSKeyLogFile .*the secrets of all connections are written to this file")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSKeyLogFile {ours}", httpd.vhost("a.test"))
        for version in ("-tls1_3", "-tls1_2"):
            s_client(httpd, version, "-keylogfile", theirs, name="a.test", send=request("a.test"))
        assert stat.S_IMODE(ours.stat().st_mode) == 0o600
        written = {line for line in theirs.read_text().lower().splitlines() if not line.startswith("#")}
        wait_for(lambda: written <= set(ours.read_text().lower().splitlines()), "the secrets")
        assert any(line.startswith("client_random") for line in written)
        assert any(line.startswith("client_traffic_secret_0") for line in written)

    def test_02_reload_appends(self, httpd):
        file = httpd.root / "keys"
        httpd.log.expect("TLSKeyLogFile")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSKeyLogFile {file}", httpd.vhost("a.test"))
        curl(httpd, "a.test")
        before = wait_for(lambda: file.read_text(), "the secrets")
        httpd.graceful()
        curl(httpd, "a.test")
        wait_for(lambda: len(file.read_text()) > len(before), "more secrets")
        assert file.read_text().startswith(before)

    def test_03_test_leaves_nothing(self, httpd):
        file = httpd.root / "keys"
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSKeyLogFile {file}", httpd.vhost("a.test"))
        assert httpd.configtest()[0] == 0
        assert not file.exists()

    @pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
    def test_04_wireshark_reads_it(self, httpd, version):
        keys, capture = httpd.root / "keys", httpd.root / "capture.pcap"
        httpd.log.expect("TLSKeyLogFile")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSKeyLogFile {keys}", httpd.vhost("a.test"))
        relay = Relay(httpd.port)
        s_client(httpd, version, name="a.test", send=request("a.test", "/?secret"), port=relay.port)
        write_capture(capture, relay.passed)
        command = ["tshark", "-r", capture, "-o", f"tls.keylog_file:{keys}", "-d", "tcp.port==443,tls", "-Y", "http"]
        command += ["-T", "fields", "-e", "http.request.uri", "-e", "http.response.code"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert run.stdout.split() == ["/?secret", "200"], run

    def test_05_unwritable(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSKeyLogFile none/keys", httpd.vhost("a.test"))
        httpd.log.expect("TLSKeyLogFile .*none/keys: no such file")
        httpd.log.allow("the secrets of all connections are written")
        httpd.log.expect("the configuration has errors")
        httpd.log.allow("AH00020|AH00016")
        with pytest.raises(AssertionError, match="did not start"):
            httpd.start()


class Relay:
    """Forwards connections and records the bytes with their direction."""

    def __init__(self, port):
        self.passed = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._copy, args=(client, server, True), daemon=True).start()
                self._copy(server, client, False)
                client.close()

    def _copy(self, source, target, from_client):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.passed.append((from_client, data))
                target.sendall(data)

    @property
    def from_server(self):
        return b"".join(data for from_client, data in self.passed if not from_client)


def write_capture(file, passed):
    """Writes the recorded bytes as packets for Wireshark: raw IPv4 with the server at port 443."""
    packets = []
    sequence = {True: 1, False: 1}

    def packet(from_client, flags, data=b""):
        ports = (50_000, 443) if from_client else (443, 50_000)
        tcp = struct.pack(
            "!HHIIBBHHH", *ports, sequence[from_client], sequence[not from_client], 0x50, flags, 65535, 0, 0
        )
        addresses = [b"\x0a\0\0\1", b"\x0a\0\0\2"]
        source, target = addresses if from_client else addresses[::-1]
        length = 20 + len(tcp) + len(data)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, source, target)
        whole = ip + tcp + data
        packets.append(struct.pack("<IIII", len(packets), 0, len(whole), len(whole)) + whole)
        sequence[from_client] += len(data)

    ack = 0x10
    for from_client, data in passed:
        for start in range(0, len(data), 1400):
            packet(from_client, ack, data[start : start + 1400])
    raw_ip = 101
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, raw_ip) + b"".join(packets))


class TestCompression:
    @pytest.mark.parametrize("kind", ["p256", "rsa2048"])
    def test_01_certificates_are_smaller(self, httpd, authority, rustls_client, kind):
        names = [f"host{number}.example.test" for number in range(60)]
        cert = authority.server("a.test", "b.test", "localhost", *names, kind=kind).write(httpd.root, "many")
        httpd.start(
            f"TLSEngine {httpd.port}",
            "TLSStrictSNI off",
            httpd.vhost("a.test", KEX, "TLSCertificateCompression off", cert=cert),
            httpd.vhost("b.test", KEX, cert=cert),
        )
        sizes = {}
        for host in ("a.test", "b.test"):
            for _ in range(2):
                relay = Relay(httpd.port)
                assert "X-Kex" in rustls_client(httpd, host, port=relay.port)
                sizes[host] = len(relay.from_server)
        assert sizes["b.test"] < sizes["a.test"] - 500, sizes


class TestRecords:
    def test_01_small(self, serve, httpd):
        serve("TLSMaxFragmentSize 512")
        httpd.docs.joinpath("big").write_bytes(b"x" * 100_000)
        with connect(httpd, "a.test", ctx=context(httpd)) as tls:
            tls.sendall(request("a.test", "/big"))
            sizes = set()
            while data := tls.recv(65536):
                sizes.add(len(data))
        assert max(sizes) <= 512

    def test_02_default(self, serve, httpd):
        serve()
        httpd.docs.joinpath("big").write_bytes(b"x" * 100_000)
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/big"))
            assert len(read_all(tls)) > 100_000

    def test_03_grow(self, serve, httpd):
        """The first records fit into one segment, later ones are large."""
        serve()
        httpd.docs.joinpath("small").write_bytes(b"x" * 3000)
        httpd.docs.joinpath("big").write_bytes(b"x" * 300_000)
        overhead = 1 + 16  # the content type and the tag
        for path, expected in (("/small", None), ("/big", [1300] * 4 + [4096] * 7)):
            relay = Relay(httpd.port)
            with connect(httpd, "a.test", port=relay.port) as tls:
                before = len(relay.from_server)
                tls.sendall(request("a.test", path))
                response = read_all(tls)
            sizes = [len(payload) - overhead for kind, payload in records(relay.from_server[before:]) if kind == 23]
            # Tickets may come first, close_notify is last.
            sizes = [size for size in sizes if size > 400]
            if expected is None:
                assert len(sizes) == 1, sizes
                continue
            assert sizes[: len(expected)] == expected, sizes
            # The size of a read from the file is not always a multiple of the largest record.
            assert max(sizes) == 16_384 and len(sizes) < len(expected) + 25, sizes
            assert sum(sizes) == len(response)

    @pytest.mark.parametrize("size", ["63", "16385", "small"])
    def test_04_mistakes(self, httpd, size):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TLSMaxFragmentSize {size}"))
        code, output = httpd.configtest()
        assert code != 0 and "takes a number of bytes from 64 to 16384" in output
