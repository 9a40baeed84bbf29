# SPDX-License-Identifier: Apache-2.0
"""Instructions of pieces of the Rust half, counted by callgrind: the same figure however busy the machine is."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parent.parent
# Each with how often it is done.
PIECES = {
    "handshake": ("full handshake of TLS 1.3, both ends", 20),
    "resumed": ("resumed handshake of TLS 1.3, both ends", 20),
    "out": ("record of 16 KiB out", 50),
    "in": ("record of 16 KiB in, and the client's encryption", 50),
    "lookup": ("one of 100,000 names", 1000),
    "compile": ("100 hosts, at start", 2),
}


def build():
    """The program that does the pieces."""
    command = [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--no-run", "-p", "mod-tls-core"]
    run = subprocess.run(
        [*command, "--bench", "count_pieces", "--message-format=json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return next(message["executable"] for message in messages if message.get("executable"))


def count(program, piece, times):
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", program, piece, str(times)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def measure(say):
    """A row for each piece. What comes before and after the pieces falls out by doing them twice as often."""
    say("instructions: building")
    program = build()
    rows = []
    for piece, (title, times) in PIECES.items():
        each = (count(program, piece, 2 * times) - count(program, piece, times)) / times
        say(f"instructions: {piece} {each:.0f}")
        rows.append(report.row(f"instructions-{piece}", title, "instructions", {"mod_tls": [each]}, None, True))
    return rows
