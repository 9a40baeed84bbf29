# SPDX-License-Identifier: Apache-2.0
"""httpd's modules that make or change content, over each stack: bodies arrive complete and without delay."""

import gzip
import hashlib
import os
import re
import time
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cgi import DIGEST, Gate, add_cgi
from harness.clients import connect, curl, raw_connection, read_all, read_response, request
from harness.content import PartialResponse, digest, file_digest, post

MIB = 1 << 20
LINES = b"".join(b"line %d of a text that repeats itself, and itself\n" % n for n in range(40_000))


def inflated(response):
    """The readable part of an incomplete response that is chunked and compressed."""
    head, _, rest = response.partition(b"\r\n\r\n")
    body = b""
    while match := re.match(rb"([0-9a-f]+)\r\n", rest):
        size = int(match[1], 16)
        body += rest[match.end() : match.end() + size]
        rest = rest[match.end() + size + 2 :]
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body)


class TestCgid:
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_01_upload(self, stack, http):
        data = os.urandom(3 * MIB + 1)
        stack.add_scripts(digest=DIGEST)
        stack.start(top=["Protocols h2 http/1.1"])
        assert post(stack, "/cgi-bin/digest", data, http).text == digest(data)

    def test_02_first_half_before_the_second(self, stack):
        gate = Gate(stack.httpd.root)
        stack.add_scripts(slow=gate.script())
        stack.start()
        slow = PartialResponse(stack, "/cgi-bin/slow")
        assert gate.LAST.encode() not in slow.read_until(gate.FIRST)
        gate.open()
        slow.read_until(gate.LAST)

    def test_03_script_that_makes_the_header(self, stack):
        """The output of the script reaches the TLS filter as a pipe bucket. The available data is sent before the next
        read blocks."""
        gate = Gate(stack.httpd.root)
        head = "printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n"
        script = gate.script().replace("printf 'Content-Type: text/event-stream\\n\\n", head)
        add_cgi(stack.httpd, "nph-slow", script)
        stack.add_scripts(digest=DIGEST)
        stack.start()
        slow = PartialResponse(stack, "/cgi-bin/nph-slow")
        assert slow.read_until(gate.FIRST).startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain")
        gate.open()
        slow.read_until(gate.LAST)


class TestExtFilter:
    DEFINE = [
        'ExtFilterDefine upper mode=output cmd="/usr/bin/tr a-z A-Z"',
        'ExtFilterDefine rot13 mode=input cmd="/usr/bin/tr A-Za-z N-ZA-Mn-za-m"',
    ]

    def test_01_output(self, stack):
        stack.httpd.docs.joinpath("text").write_bytes(LINES)
        stack.start("SetOutputFilter upper", top=self.DEFINE, modules=["ext_filter"])
        assert digest(curl(stack.httpd, "a.test", "/text").body) == digest(LINES.upper())

    def test_02_input(self, stack):
        """The filter's program gets the body as it was sent, and the script reads the program's output."""
        lines = ["<Location /cgi-bin>", "SetInputFilter rot13", "</Location>"]
        stack.add_scripts(digest=DIGEST)
        stack.start(*lines, top=self.DEFINE, modules=["ext_filter"])
        data = b"uryyb\n" * 20_000
        assert post(stack, "/cgi-bin/digest", data).text == digest(b"hello\n" * 20_000)


class TestCompression:
    @pytest.mark.parametrize("module,coding", [("deflate", "gzip"), ("brotli", "br")])
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_01_output(self, stack, module, coding, http):
        stack.httpd.docs.joinpath("text").write_bytes(LINES)
        name = {"deflate": "DEFLATE", "brotli": "BROTLI_COMPRESS"}[module]
        top = ["Protocols h2 http/1.1"]
        stack.start(f"SetOutputFilter {name}", top=top, modules=["filter", module])
        response = curl(stack.httpd, "a.test", "/text", http, "-H", f"Accept-Encoding: {coding}", "--compressed")
        assert response.headers["content-encoding"] == coding
        assert digest(response.body) == digest(LINES)

    def test_02_compressed_upload(self, stack):
        lines = ["<Location /cgi-bin>", "SetInputFilter DEFLATE", "DeflateInflateRatioBurst 1000", "</Location>"]
        stack.add_scripts(digest=DIGEST)
        stack.start(*lines, modules=["deflate"])
        compressed = gzip.compress(LINES)
        response = post(stack, "/cgi-bin/digest", compressed, "-H", "Content-Encoding: gzip")
        assert response.text == digest(LINES)

    def test_03_flushed_in_the_middle(self, stack):
        """Flushed data can be decompressed before the response is complete."""
        gate = Gate(stack.httpd.root)
        script = stack.httpd.root / "slow.lua"
        script.write_text(gate.lua())
        stack.start(
            "SetOutputFilter DEFLATE", f"LuaMapHandler /slow {script} slow", modules=["filter", "deflate", "lua"]
        )
        slow = PartialResponse(stack, "/slow", "Accept-Encoding: gzip\r\n")
        received = slow.read_until(gate.FIRST, inflated)
        gate.open()
        assert gate.LAST.encode() in inflated(received + read_all(slow.tls))


class TestOutputFilters:
    def test_01_substitute(self, stack):
        stack.httpd.docs.joinpath("text.txt").write_bytes(LINES)
        filters = ["AddType text/plain .txt", "AddOutputFilterByType SUBSTITUTE text/plain"]
        substitutions = ['Substitute "s/itself/TLS/n"', 'Substitute "s/^line ([0-9]+)/$1./"']
        stack.start(*filters, *substitutions, modules=["mime", "filter", "substitute"], top=["TypesConfig /dev/null"])
        changed = re.sub(rb"(?m)^line (\d+)", rb"\1.", LINES.replace(b"itself", b"TLS"))
        assert digest(curl(stack.httpd, "a.test", "/text.txt").body) == digest(changed)

    def test_02_ratelimit(self, stack):
        """Each part is sent when it is due. None is held back."""
        data = os.urandom(100_000)
        stack.httpd.docs.joinpath("file").write_bytes(data)
        stack.start("SetOutputFilter RATE_LIMIT", "SetEnv rate-limit 100", modules=["ratelimit"])
        received, times = b"", []
        with connect(stack.httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/file"))
            while piece := tls.recv(65536):
                received += piece
                times.append((time.monotonic(), len(received)))
        assert digest(received.partition(b"\r\n\r\n")[2]) == digest(data)
        # 100 KiB a second, 20 KiB every 200 ms: after 30 KiB, 60 KiB remain.
        begin = next(at for at, size in times if size > 30_000)
        assert 0.3 < times[-1][0] - begin < 5, times

    def test_03_buffer(self, stack):
        data = os.urandom(400_000)
        buffered = ["SetInputFilter BUFFER", "SetOutputFilter BUFFER", "</Location>"]
        stack.add_scripts(digest=DIGEST)
        stack.start("<Location />\nBufferSize 1000000", *buffered, modules=["buffer"])
        stack.httpd.docs.joinpath("file").write_bytes(data)
        assert post(stack, "/cgi-bin/digest", data).text == digest(data)
        assert curl(stack.httpd, "a.test", "/file").body == data

    def test_04_reflector(self, stack):
        """The response body is sent while the request body arrives: neither direction blocks the other. Over HTTP/2
        mod_reflector makes no response on any stack."""
        data = os.urandom(10 * MIB)
        reflect = ["<Location /echo>", "SetHandler reflector", "</Location>"]
        stack.start(*reflect, modules=["reflector"])
        assert digest(post(stack, "/echo", data).body) == digest(data)


class TestReqtimeout:
    """`RequestReadTimeout` applies below and above the TLS filters."""

    MODULES = ["reqtimeout"]

    def start(self, stack, limits):
        stack.httpd.log.allow("AH01382|AH00592|AH01270|AH02550|Error reading request entity data")
        stack.add_scripts(digest=DIGEST)
        stack.start(top=[f"RequestReadTimeout {limits}"], modules=self.MODULES)

    def test_01_header(self, stack):
        self.start(stack, "header=1 body=0")
        began = time.monotonic()
        with connect(stack.httpd, "a.test") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a.te")
            assert read_all(tls).startswith(b"HTTP/1.1 408 ")
        assert 0.9 < time.monotonic() - began < 10

    def test_02_header_that_trickles(self, stack):
        """Received bytes extend the time up to a limit."""
        self.start(stack, "header=1-2,MinRate=5 body=0")
        began, answer = time.monotonic(), b""
        with connect(stack.httpd, "a.test") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
            tls.settimeout(0.05)
            while b"408" not in answer and time.monotonic() - began < 10:
                try:
                    answer += tls.recv(1000)
                except TimeoutError:
                    tls.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 1.8 < time.monotonic() - began < 8

    def test_03_body(self, stack):
        """The script does not get an incomplete body, and the client gets an error."""
        self.start(stack, "header=0 body=1")
        with connect(stack.httpd, "a.test") as tls:
            head = request("a.test", "/cgi-bin/digest", method="POST", headers="Content-Length: 100\r\n")
            tls.sendall(head + b"x" * 50)
            assert b"HTTP/1.1 408 " in read_all(tls)

    def test_04_handshake(self, stack):
        self.start(stack, "handshake=1 header=0 body=0")
        began = time.monotonic()
        with raw_connection(stack.httpd) as sock:
            sock.sendall(b"\x16\x03\x01")
            assert len(read_all(sock)) < 100
        assert 0.9 < time.monotonic() - began < 10

    def test_05_body_at_the_least_rate(self, stack):
        """A client above the minimum rate is not disconnected, whatever the total time is."""
        self.start(stack, "header=1 body=1,MinRate=1000")
        with connect(stack.httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/cgi-bin/digest", method="POST", headers="Content-Length: 8000\r\n"))
            for _ in range(8):
                time.sleep(0.2)
                tls.sendall(b"x" * 1000)
            assert digest(b"x" * 8000).encode() in read_all(tls)


class TestLua:
    HANDLER = """
function handle(r)
    r.content_type = "text/plain"
    local body = r:requestbody()
    r:puts(tostring(r.is_https), " ", r:ssl_var_lookup("SSL_PROTOCOL"), " ", r.useragent_ip, " ", r:sha1(body), "\\n")
    return apache2.OK
end

function much(r)
    for i = 1, 20000 do r:puts(i, " of many lines\\n") end
    return apache2.OK
end

function check(r)
    if r:ssl_var_lookup("SSL_TLS_SNI") ~= "a.test" then return 403 end
    return apache2.DECLINED
end
"""

    def test_01_handler(self, stack):
        script = stack.httpd.root / "handler.lua"
        script.write_text(self.HANDLER)
        hooks = [f"LuaMapHandler /lua {script} handle", f"LuaMapHandler /much {script} much"]
        stack.start(*hooks, f"LuaHookAccessChecker {script} check", modules=["lua"])
        data = os.urandom(MIB // 2)
        protocol = re.compile(r"true TLSv1\.[23] 127\.0\.0\.1 " + hashlib.sha1(data).hexdigest())
        assert protocol.fullmatch(post(stack, "/lua", data).text)
        much = "".join(f"{n} of many lines\n" for n in range(1, 20001))
        assert curl(stack.httpd, "a.test", "/much").body.decode() == much


LOCK = """<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>
<D:locktype><D:write/></D:locktype><D:owner>matrix</D:owner></D:lockinfo>"""


class TestDav:
    # The size in MiB: that of large files today, and less for the other stacks.
    LARGE = {"tls": 1024, "ssl": 64, "mod_ssl": 64}

    @pytest.fixture
    def store(self, stack):
        store = stack.httpd.root / "dav"
        locks = stack.httpd.root / "locks"
        for directory in (store, locks):
            directory.mkdir()
            directory.chmod(0o777)
        top = [f"DavLockDB {locks}/db", "LimitRequestBody 0"]
        dav = [f"Alias /dav {store}", f"<Directory {store}>", "Require all granted", "Dav on", "</Directory>"]
        stack.start(*dav, top=top, modules=["dav", "dav_fs"])
        return store

    def test_01_large_file(self, stack, store):
        """Each block of the file has a number: lost, repeated and exchanged blocks are found."""
        block = b"\0" * 8 + os.urandom(MIB - 8)
        count, sent = self.LARGE[stack.record], hashlib.sha256()
        with connect(stack.httpd, "a.test") as tls:
            headers = f"Content-Length: {count * MIB}\r\n"
            tls.sendall(request("a.test", "/dav/large", method="PUT", headers=headers, close=False))
            for number in range(count):
                data = number.to_bytes(8, "big") + block[8:]
                sent.update(data)
                tls.sendall(data)
            stream = tls.makefile("rb")
            assert read_response(stream)[0] == 201
            assert file_digest(store / "large") == sent.hexdigest()
            first = (count - 1) * MIB
            tls.sendall(request("a.test", "/dav/large", headers=f"Range: bytes={first}-{first + 15}\r\n"))
            status, _, body = read_response(stream)
            assert (status, body) == (206, (count - 1).to_bytes(8, "big") + block[8:16])

    def test_02_ranges(self, stack, store):
        data = os.urandom(300_000)
        assert post(stack, "/dav/file", data, "-X", "PUT").code == 201
        response = curl(stack.httpd, "a.test", "/dav/file", "-r", "0-9,100000-250000,-5")
        boundary = re.search("boundary=(.*)", response.headers["content-type"])[1].encode()
        parts = [part.partition(b"\r\n\r\n")[2] for part in response.body.split(b"\r\n--" + boundary)[1:-1]]
        assert parts == [data[:10], data[100_000:250_001], data[-5:]]

    def test_03_locks(self, stack, store):
        def ask(method, data=b"", *headers):
            args = [arg for header in headers for arg in ("-H", header)]
            return post(stack, "/dav/file", data, "-X", method, *args)

        assert ask("PUT", b"one").code == 201
        lock = ask("LOCK", LOCK.encode(), "Timeout: Second-600", "Content-Type: text/xml")
        assert lock.code == 200
        token = lock.headers["lock-token"]
        stack.httpd.log.expect("This resource is locked")
        assert ask("PUT", b"two").code == 423
        assert ask("PUT", b"three", f"If: ({token})").code == 204
        found = ElementTree.fromstring(ask("PROPFIND", b"", "Depth: 0").body)
        locks = found.iterfind(".//{DAV:}locktoken/{DAV:}href")
        assert [f"<{lock.text}>" for lock in locks] == [token]
        assert ask("UNLOCK", b"", f"Lock-Token: {token}").code == 204
        assert ask("PUT", b"four").code == 204
        assert Path(store / "file").read_bytes() == b"four"

    def test_04_destination(self, stack, store):
        """MOVE has its destination as a URL. Scheme and port have to be those of the client's connection."""
        post(stack, "/dav/one", b"content", "-X", "PUT")
        url = f"https://a.test:{stack.httpd.port}/dav/two"
        assert curl(stack.httpd, "a.test", "/dav/one", "-X", "MOVE", "-H", f"Destination: {url}").code == 201
        other = url.replace("https:", "http:")
        assert curl(stack.httpd, "a.test", "/dav/two", "-X", "MOVE", "-H", f"Destination: {other}").code == 502
        assert (store / "two").read_bytes() == b"content"
