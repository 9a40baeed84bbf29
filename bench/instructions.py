# SPDX-License-Identifier: Apache-2.0
"""Instructions of single operations of the Rust library, counted by callgrind: independent of the machine's load."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parent.parent
# The title of each, and how often it is run.
OPERATIONS = {
    "handshake": ("full handshake of TLS 1.3, both ends", 20),
    "resumed": ("resumed handshake of TLS 1.3, both ends", 20),
    "out": ("record of 16 KiB out", 50),
    "in": ("record of 16 KiB in, and the client's encryption", 50),
    "lookup": ("one of 100,000 names", 1000),
    "compile": ("100 hosts, at start", 2),
}


def build():
    """Builds the benchmark program; returns its path."""
    command = [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--no-run", "-p", "mod-tls-core"]
    run = subprocess.run(
        [*command, "--bench", "count_operations", "--message-format=json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return next(message["executable"] for message in messages if message.get("executable"))


def count(program, operation, times):
    with tempfile.TemporaryDirectory() as directory:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={directory}/out",
            program,
            operation,
            str(times),
        ]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def measure(say):
    """A row for each operation. The difference of two runs, one with twice as many operations, leaves out set-up and
    clean-up."""
    say("instructions: building")
    program = build()
    rows = []
    for operation, (title, times) in OPERATIONS.items():
        each = (count(program, operation, 2 * times) - count(program, operation, times)) / times
        say(f"instructions: {operation} {each:.0f}")
        rows.append(report.row(f"instructions-{operation}", title, "instructions", {"mod_tls": [each]}))
    return rows
