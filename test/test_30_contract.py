# SPDX-License-Identifier: Apache-2.0
"""The results of the connection filters for their callers, compared with mod_ssl's: the same calls in the same order,
with a peer whose bytes are all known. `EXPECTED` has every difference."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.contract import ContractServer
from harness.lockstep import KINDS_WITH_DATA, Lockstep

# The number of random programs for each record and direction. A number in the environment gives new programs at each
# run.
EXAMPLES = int(os.environ.get("TLS_CONTRACT_EXAMPLES", "100"))

# The statuses of a network error.
BROKEN = {"ECONNABORTED", "ECONNRESET", "EPIPE"}

# The expected differences: a pattern for the place, the reason, a predicate on both values (this module's and
# mod_ssl's), and whether the comparison ends there.
EXPECTED = [
    (
        ".*/read/(EATCRLF|EXHAUSTIVE)/.*/(status|kinds)",
        "httpd's core has these modes, mod_ssl does not",
        lambda o, t: t in ("ENOTIMPL", []),
        False,
    ),
    (
        ".*/write.*/left",
        "the caller's brigade is empty after a write; mod_ssl leaves the buckets after a failure in it",
        lambda o, t: o == 0,
        False,
    ),
    (
        "backend/.*/open/nonblock",
        "mod_ssl has no non-blocking handshake with a backend",
        lambda o, t: (o, t) == ("SUCCESS", "EGENERAL"),
        True,
    ),
    (
        "backend/.*/fin/finish/end",
        "OpenSSL takes an end without close_notify for an invalid record, and sends an alert",
        lambda o, t: o == "fin" and "decode error" in t,
        False,
    ),
    (
        "backend/.*/(fin|reset)/.*/aborted",
        "as with httpd's core, the connection can still be written to; with mod_ssl it is aborted",
        lambda o, t: (o, t) == (False, True),
        True,
    ),
    (
        ".*/read/GETLINE/.*/kept",
        "mod_ssl loses the beginning of a line if the rest is late",
        lambda o, t: (o, t) == (1, 0),
        True,
    ),
    (
        ".*/(close_notify|closed|reset)/read/GETLINE/.*/status",
        "the last line needs no line end; mod_ssl loses it",
        lambda o, t: (o, t) == ("SUCCESS", "EOF"),
        True,
    ),
    (
        ".*/1.3/.*/read/.*/nonblock/(status|kinds|data)",
        "with mod_ssl a read that meets a ticket or a KeyUpdate does not return the data after it",
        lambda o, t: t == "EAGAIN" or t in ([], b""),
        False,
    ),
    (
        ".*/write/(broken|cut)/aborted",
        "as with httpd's core: the data before a failure must not look complete to the peer",
        lambda o, t: (o, t) == (True, False),
        False,
    ),
    (
        ".*/eoc/write/late/(status|aborted)",
        "mod_ssl sends data after the end in plaintext",
        lambda o, t: (o, t) == ("ECONNABORTED", "SUCCESS"),
        True,
    ),
    (
        ".*/write/(broken|cut)/status",
        "this module returns the error of the bucket; mod_ssl's coalescing filter returns a general error",
        lambda o, t: o not in ("SUCCESS", "FILTER_ERROR") and t == "FILTER_ERROR",
        False,
    ),
    (
        ".*/write/cut/status",
        "with mod_ssl a truncated file looks complete to the peer",
        lambda o, t: (o, t) == ("EOF", "SUCCESS"),
        False,
    ),
    (
        ".*/1.3/reset/read/.*/aborted",
        "a read may send first (tickets here, the answer to a KeyUpdate in mod_ssl), and then sees the reset by that",
        lambda o, t: o != t,
        True,
    ),
    (
        "backend/.*/finish/end",
        "closing a socket with unread data resets the connection; mod_ssl may have read less",
        lambda o, t: {o, t} == {"fin", "reset"},
        False,
    ),
    (
        ".*/fin/read/.*/(status|levelled)",
        "without a close_notify the connection may have been truncated: the data is incomplete",
        lambda o, t: o == "ECONNABORTED" and t in ("EOF", "EGENERAL"),
        False,
    ),
    (
        ".*/reset/read/.*/(status|levelled)",
        "every read after a reset is an error, whose code depends on what saw it first; mod_ssl returns it once",
        lambda o, t: o in BROKEN and t in {*BROKEN, "EOF", "EGENERAL"},
        False,
    ),
    (
        ".*/aborted/write/status",
        "mod_ssl buffers a small amount of data, and returns the error with later data",
        lambda o, t: (o, t) == ("ECONNABORTED", "SUCCESS"),
        False,
    ),
    (
        ".*/reset/write/status",
        "the same; without data to send there is no error",
        lambda o, t: {o, t} <= {*BROKEN, "SUCCESS"},
        False,
    ),
    (
        ".*/reset/write/aborted",
        "httpd's core marks the connection in the call that sees the error",
        lambda o, t: o != t,
        True,
    ),
    (
        ".*/read/.*/intact",
        "a speculative read after a line overwrites the rest of mod_ssl's data in the same buffer",
        lambda o, t: (o, t) == (True, False),
        True,
    ),
    (
        "backend/.*/fin/(write|read/INIT)/.*",
        "a peer that has closed without a close_notify may still read; OpenSSL has ended the connection",
        lambda o, t: (o, t) == ("SUCCESS", "EGENERAL"),
        True,
    ),
    (
        ".*/reset/read/.*/(status|levelled)",
        "data before a reset can be read; mod_ssl loses its buffered data",
        lambda o, t: o == "SUCCESS" and t in {*BROKEN, "EGENERAL"},
        True,
    ),
]


@pytest.fixture(params=["tls", "ssl"])
def servers(request, httpd, second_httpd, ports, authority, contract_module):
    """This module under the name of this record, and mod_ssl."""
    httpd.log.allow(r"\[tls:|\[ssl:")
    second_httpd.log.allow(r"\[ssl:")
    ours, theirs = (ContractServer(server, ports, authority) for server in (httpd, second_httpd))
    try:
        yield [ours.start(contract_module, request.param), theirs.start(contract_module, "mod_ssl")]
    finally:
        ours.stop()
        theirs.stop()


PROGRAMS = {
    "a line in parts": [("part", 60, 0.5), ("read", "GETLINE", "nonblock", 1, 1), ("rest",)]
    + [("read", "GETLINE", "block", 25, 1), ("send", 9000), ("read", "GETLINE", "nonblock", 1, 1)],
    "half a line and its time": [
        ("send", 3),
        ("read", "GETLINE", "nonblock", 1, 1),
        ("read", "GETLINE", "block", 25, 1),
    ],
    "long lines": ([("send", 40_000)] + [("read", "GETLINE", "nonblock", 1, 1)] * 10) * 2,
    "the last line": [("send", 3), ("close_notify",), ("read", "GETLINE", "block", 1000, 1)],
    "a peek takes nothing": [("send", 100, 100), ("read", "SPECULATIVE", "nonblock", 1, 50)]
    + [("read", "SPECULATIVE", "block", 1, 50), ("read", "READBYTES", "block", 1, 100)],
    "a peek behind a line": [("send", 4096), ("read", "GETLINE", "block", 1, 1)]
    + [("read", "SPECULATIVE", "block", 1, 100), ("read", "READBYTES", "block", 1, 1)],
    "a cut": [("send", 3), ("fin",)] + [("read", "READBYTES", "block", 1, 2)] * 3 + [("write", "flush")],
    "a reset": [("send", 3), ("reset",), ("read", "SPECULATIVE", "block", 1, 1)]
    + [("read", "READBYTES", "block", 1, 9)] * 3
    + [("write", "heap:1", "flush"), ("read", "READBYTES", "block", 1, 1)],
    "until time is up": [("send", 40_000), ("read", "EXHAUSTIVE", "block", 1000, 0), ("send", 1), ("close_notify",)]
    + [("read", "EXHAUSTIVE", "nonblock", 1, 0)],
    "all that is there": ([("send", 40_000)] + [("read", "READBYTES", "nonblock", 1, 1 << 20)] * 5) * 2,
    "keys change": [("key_update", True), ("send", 5), ("read", "READBYTES", "block", 25, 9), ("key_update", False)]
    + [
        ("read", "READBYTES", "block", 25, 9),
        ("write", "heap:5", "flush"),
        ("send", 5),
        ("read", "GETLINE", "block", 1, 1),
    ],
    "tickets": [("ticket",), ("ticket",), ("send", 5), ("ticket",), ("read", "READBYTES", "block", 25, 9)],
    "a header that must be kept": [("respond",), ("write", "transient:100"), ("write", "flush")],
    "a header of several kinds": [
        ("respond",),
        ("write", "transient:100", "pool:100", "mmap:100", "file:100", "slow:1"),
    ]
    + [("write", "heap:1", "flush")],
    "a header that cannot be kept": [("respond",), ("write", "transient:100", "stubborn:100", "transient:100")]
    + [("write", "flush")],
    "a request ends": [("respond",), ("write", "pool:100"), ("write", "eor"), ("write", "flush")],
    "a request ends with its data": [("respond",), ("write", "pool:70000", "eos", "eor", "pool:5", "eor", "flush")],
    "every kind": [("write", *(f"{kind}:20000" for kind in KINDS_WITH_DATA), "mark", "flush")],
    "nothing": [("write",), ("write", "heap:0"), ("write", "heap:0", "flush"), ("write", "heap:1", "heap:0", "flush")],
    "larger than memory should be": [("write", "heap:1", f"sparse:{50 << 20}", "heap:1", "flush")],
    "what fails to be read": [("write", "heap:10", "broken:EGENERAL", "heap:10", "flush")],
    "what fails in time": [("write", "heap:10", "broken:TIMEUP", "flush")],
    "what ends early": [("write", "heap:10", "broken:EOF", "flush")],
    "a file that was cut": [("write", "heap:10", "cut:200000:50000", "flush")],
    "an error to be told": [("write", "error:502", "flush"), ("write", "heap:1", "error:400", "eos", "flush")],
    "the end": [("write", "heap:10", "eoc", "flush"), ("write", "eor"), ("write", "flush")],
    "after the end": [("write", "heap:10", "eoc", "flush"), ("write", "heap:10", "flush")],
    "an end that is answered": [("close_notify",), ("read", "READBYTES", "block", 1, 1), ("write", "heap:1", "flush")],
    "aborted": [("send", 10), ("abort",), ("read", "READBYTES", "block", 1, 1), ("write", "heap:1", "flush")]
    + [("write", "mark"), ("write",)],
    "aborted, with nothing to send": [("abort",), ("write", "heap:0")],
}


@pytest.mark.parametrize("backend", [False, True], ids=["front", "backend"])
def test_01_programs(servers, backend):
    for steps in PROGRAMS.values():
        for version, how in (("1.2", "block"), ("1.3", "write")):
            Lockstep(servers, EXPECTED, backend, version).program([("open", how), *steps])


SIZES = [1, 2, 100, 4096, 8191, 8192, 16384, 16385, 40000]
TIMES = [1, 25, 1000, 5000]
modes = st.sampled_from(
    ["READBYTES", "READBYTES", "GETLINE", "GETLINE", "SPECULATIVE", "EATCRLF", "EXHAUSTIVE", "INIT"]
)
sizes = st.sampled_from(SIZES)
reads = st.tuples(
    st.just("read"),
    modes,
    st.sampled_from(["block", "nonblock"]),
    st.sampled_from(TIMES),
    st.sampled_from([1, 2, 100, 8191, 8192, 16384, 1 << 20]),
)
data = st.builds(
    "{}:{}".format,
    st.sampled_from(["heap", "transient", "immortal", "pool", "stubborn", "slow", "mmap", "file"]),
    st.sampled_from([1, 2, 100, 8000, 16384, 16385, 70000, 300000]),
)
odd = st.sampled_from(["heap:0", "transient:0", "immortal:0", "pipe:0", "pipe:1", "pipe:60000"])
metadata = st.sampled_from(["flush", "flush", "eos", "eor", "mark", "error:502"])
buckets = st.one_of(data, data, metadata, metadata, odd)
writes = st.lists(buckets, max_size=6).map(lambda found: ("write", *found))
peers = st.one_of(
    st.tuples(st.just("send"), sizes),
    st.tuples(st.just("send"), sizes, sizes),
    st.tuples(st.just("part"), sizes, st.sampled_from([0.01, 0.5, 0.99])),
    st.tuples(st.just("rest")),
    st.tuples(st.just("key_update"), st.booleans()),
    st.tuples(st.just("ticket")),
)
endings = st.sampled_from(
    [[], [("abort",)], [("close_notify",)], [("fin",)], [("close_notify",), ("fin",)], [("reset",)]]
)
steps = st.one_of(peers, reads, reads, writes, st.tuples(st.just("respond")))
openings = st.sampled_from(["block", "block", "nonblock", "write", "metadata"])


@st.composite
def programs(draw):
    begin = [("open", draw(openings))]
    return (
        begin
        + draw(st.lists(steps, max_size=12))
        + draw(endings)
        + draw(st.lists(st.one_of(reads, writes), max_size=4))
    )


def explore(servers, backend):
    @settings(
        max_examples=EXAMPLES,
        derandomize="TLS_CONTRACT_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(programs(), st.sampled_from(["1.2", "1.3"]))
    def run(program, version):
        Lockstep(servers, EXPECTED, backend, version).program(program)

    run()


@pytest.mark.parametrize("backend", [False, True], ids=["front", "backend"])
def test_02_any_order(servers, backend):
    explore(servers, backend)


@pytest.mark.parametrize("limit", [1, 25, 1000, 50_000, 1_000_000])
def test_03_time_limits(servers, limit):
    """A read with a time limit returns the data so far, or a timeout. No data is lost."""
    for backend in (False, True):
        connection = servers[0].connection(backend)
        connection.handshake()
        connection.peer.endpoint.write(b"hello")
        connection.deliver(0.5)
        answer = connection.read("READBYTES", "block", timeout=limit)
        assert answer.status == "TIMEUP" and limit - 1000 <= answer.took < limit + 900_000, answer
        connection.deliver()
        answer = connection.read("READBYTES", "block", timeout=limit)
        assert (answer.status, answer.data) == ("SUCCESS", b"hello")
        connection.finish()


# --- The contract in docs/architecture.md ---

ARCHITECTURE = Path(__file__).parent.parent / "docs/architecture.md"
MODES = ["INIT", "GETLINE", "READBYTES", "SPECULATIVE", "EATCRLF", "EXHAUSTIVE"]


def say(*texts, share=1.0):
    def act(peer):
        for text in texts:
            peer.endpoint.write(text)
        return share

    return act


def close(peer):
    peer.endpoint.close_notify()


def update_keys(peer):
    peer.endpoint.key_update(True)


# What the peer has sent since the handshake.
READ_SITUATIONS = {
    "nothing": [],
    "half a record": [say(b"a line\n", share=0.5)],
    "a part of a line": [say(b"a line")],
    "a line and more": [say(b"a line\nand more")],
    "line ends": [say(b"\r\n\n")],
    "a KeyUpdate": [update_keys],
    "a KeyUpdate, then a line": [update_keys, say(b"a line\n")],
    "a part of a line, then close_notify": [say(b"a line"), close],
    "close_notify": [close],
    "the end without close_notify": ["fin"],
    "a reset": ["reset"],
    "a line; then the connection was aborted": [say(b"a line\n"), "abort"],
}
WRITES = [("heap:10", "flush"), ("heap:10",), ("flush",), ("eor",), ("eoc",), ()]
WRITE_SITUATIONS = {
    "before the handshake": None,
    "after the handshake": [],
    "after EOC": [("write", "eoc")],
    "after close_notify of the peer": [close],
    "after a reset": ["reset"],
    "after the connection was aborted": ["abort"],
}


def reach(server, actions):
    """A connection in a situation."""
    connection = server.connection()
    if actions is None:
        connection.peer.send()
        return connection
    connection.handshake()
    for action in actions:
        if action == "abort":
            connection.run("abort")
        elif isinstance(action, str):
            getattr(connection.peer, action)()
            connection.run("hangup")
        elif isinstance(action, tuple):
            connection.run(*action)
        else:
            connection.deliver(action(connection.peer) or 1.0)
    return connection


def outcome(answer):
    if answer.status != "SUCCESS":
        return answer.status
    found = [f"{len(answer.data)} bytes"] if answer.data else []
    return ", ".join(found + [kind for kind in answer.kinds if kind != "data"]) or "SUCCESS"


def reading(mode, block):
    def ask(connection):
        return outcome(connection.read(mode, block, size=100, timeout=1000))

    return ask


def writing(buckets):
    def ask(connection):
        connection.run("timeout", 10_000_000)
        return connection.write(*buckets).status

    return ask


def cell(servers, actions, questions):
    """The module's answer to each question, and in brackets mod_ssl's where it differs."""
    answers = []
    for ask in questions:
        ours, theirs = (ask(reach(server, actions)) for server in servers)
        answers.append(ours if ours == theirs else f"{ours} ({theirs})")
    return answers[0] if len(set(answers)) == 1 else " / ".join(answers)


def table(servers, title, situations, columns):
    rows = [[title, *columns], ["---"] * (len(columns) + 1)]
    for name, actions in situations.items():
        rows.append([name, *(cell(servers, actions, questions) for questions in columns.values())])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def test_04_documented(servers):
    """The tables in docs/architecture.md are correct."""
    reads = {mode: [reading(mode, block) for block in ("nonblock", "block")] for mode in MODES}
    writes = {" ".join(kinds).upper().replace("HEAP:10", "data") or "nothing": [writing(kinds)] for kinds in WRITES}
    tables = [
        table(servers, "what has come", READ_SITUATIONS, reads),
        table(servers, "when", WRITE_SITUATIONS, writes),
    ]
    text = ARCHITECTURE.read_text()
    missing = [each for each in tables if each not in text]
    assert not missing, "docs/architecture.md should have\n" + "\n\n".join(missing)
