# SPDX-License-Identifier: Apache-2.0
"""What our filters return to those who read and write through them, compared with mod_ssl's: the same calls in the same
order, with a peer whose every byte is known. Every difference is one that `EXPECTED` explains."""

import pytest

from harness.contract import Station
from harness.lockstep import KINDS_WITH_DATA, Lockstep

# How an error of the network shows.
BROKEN = {"ECONNABORTED", "ECONNRESET", "EPIPE"}

# What is different: where, why, what has to hold of the two values, ours and mod_ssl's, and whether nothing can be
# compared after it.
EXPECTED = [
    (
        ".*/read/(EATCRLF|EXHAUSTIVE)/.*/(status|kinds)",
        "httpd's core has these modes, mod_ssl has not",
        lambda o, t: t in ("ENOTIMPL", []),
        False,
    ),
    (
        ".*/write.*/left",
        "who has passed a brigade on gets it back empty; mod_ssl leaves in it what came after a failure",
        lambda o, t: o == 0,
        False,
    ),
    (
        "backend/.*/open/nonblock",
        "mod_ssl cannot shake hands with a backend without blocking",
        lambda o, t: (o, t) == ("SUCCESS", "EGENERAL"),
        True,
    ),
    (
        "backend/.*/fin/finish/end",
        "OpenSSL takes an end without close_notify for a record that is broken, and says so to whoever has gone",
        lambda o, t: o == "fin" and "decode error" in t,
        False,
    ),
    (
        "backend/.*/(fin|reset)/.*/aborted",
        "as with httpd's core, who reads nothing more may still write; with mod_ssl the connection is aborted",
        lambda o, t: (o, t) == (False, True),
        True,
    ),
    (
        ".*/read/GETLINE/.*/kept",
        "what mod_ssl has of a line is lost if the rest does not come in time",
        lambda o, t: (o, t) == (1, 0),
        True,
    ),
    (
        ".*/(close_notify|closed|reset)/read/GETLINE/.*/status",
        "the last line need not have an end; mod_ssl loses it",
        lambda o, t: (o, t) == ("SUCCESS", "EOF"),
        True,
    ),
    (
        ".*/1.3/.*/read/.*/nonblock/(status|kinds|data)",
        "with mod_ssl a ticket or a KeyUpdate hides what is behind it from the read that meets it",
        lambda o, t: t == "EAGAIN" or t in ([], b""),
        False,
    ),
    (
        ".*/write/(broken|cut)/aborted",
        "as with httpd's core: who reads must not take for the whole what came before a failure",
        lambda o, t: (o, t) == (True, False),
        False,
    ),
    (
        ".*/eoc/write/late/(status|aborted)",
        "mod_ssl sends in plaintext what comes after the end",
        lambda o, t: (o, t) == ("ECONNABORTED", "SUCCESS"),
        True,
    ),
    (
        ".*/write/(broken|cut)/status",
        "ours says why; the part of mod_ssl that keeps a little data says only that something is wrong",
        lambda o, t: o not in ("SUCCESS", "FILTER_ERROR") and t == "FILTER_ERROR",
        False,
    ),
    (
        ".*/write/cut/status",
        "with mod_ssl a file that has become shorter looks whole to who reads it",
        lambda o, t: (o, t) == ("EOF", "SUCCESS"),
        False,
    ),
    (
        ".*/1.3/reset/read/.*/aborted",
        "a read that has something to send first, ours tickets, mod_ssl an answer to a KeyUpdate, meets the reset so",
        lambda o, t: o != t,
        True,
    ),
    (
        "backend/.*/finish/end",
        "a socket that is closed before everything was read resets the connection; mod_ssl may have read less",
        lambda o, t: {o, t} == {"fin", "reset"},
        False,
    ),
    (
        ".*/fin/read/.*/(status|levelled)",
        "without a close_notify somebody may have cut the connection: what was read is not the whole",
        lambda o, t: o == "ECONNABORTED" and t in ("EOF", "EGENERAL"),
        False,
    ),
    (
        ".*/reset/read/.*/(status|levelled)",
        "a reset stays an error, which one depends on who has met it first; mod_ssl forgets it once it was told",
        lambda o, t: o in BROKEN and t in {*BROKEN, "EOF", "EGENERAL"},
        False,
    ),
    (
        ".*/aborted/write/status",
        "mod_ssl keeps a little data until there is more, and says so then",
        lambda o, t: (o, t) == ("ECONNABORTED", "SUCCESS"),
        False,
    ),
    (
        ".*/reset/write/status",
        "the same; who has nothing to send meets no error",
        lambda o, t: {o, t} <= {*BROKEN, "SUCCESS"},
        False,
    ),
    (
        ".*/reset/write/aborted",
        "httpd's core marks the connection of who meets the error",
        lambda o, t: o != t,
        True,
    ),
    (
        ".*/read/.*/intact",
        "a peek behind a line overwrites what mod_ssl keeps of the rest, which lies in the same buffer",
        lambda o, t: (o, t) == (True, False),
        True,
    ),
    (
        "backend/.*/fin/(write|read/INIT)/.*",
        "who has closed without a close_notify may still read; OpenSSL has given up",
        lambda o, t: (o, t) == ("SUCCESS", "EGENERAL"),
        True,
    ),
    (
        ".*/reset/read/.*/(status|levelled)",
        "what has come before a reset can be read; mod_ssl loses what it has kept",
        lambda o, t: o == "SUCCESS" and t in {*BROKEN, "EGENERAL"},
        True,
    ),
]


@pytest.fixture(params=["tls", "ssl"])
def stations(request, httpd, second_httpd, ports, authority, contract_module):
    """Ours, under the name of this record, and mod_ssl."""
    httpd.log.allow(r"\[tls:|\[ssl:")
    second_httpd.log.allow(r"\[ssl:")
    ours, theirs = (Station(server, ports, authority) for server in (httpd, second_httpd))
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
def test_01_programs(stations, backend):
    for steps in PROGRAMS.values():
        for version, how in (("1.2", "block"), ("1.3", "write")):
            Lockstep(stations, EXPECTED, backend, version).program([("open", how), *steps])
