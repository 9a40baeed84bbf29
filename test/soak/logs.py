# SPDX-License-Identifier: Apache-2.0
"""The error log: each serious line needs a rule and, if the rule says so, a disturbance at that time."""

import re
import time
from dataclasses import dataclass

from harness.log import ALARMING, HARMLESS, SERIOUS, STOPPING
from soak.accounting import BACKEND, BROKEN, DESCRIPTORS, DISK, KEYD, KILL
from soak.processes import child_of_log_line

CLIENT = re.compile(r"\[(?:client|remote) [^\]]*:(\d+)\]")
STAMP = re.compile(r"^\[(\w+ \w+ +\d+ [\d:]+)\.(\d+) (\d+)\]")
# A line may be logged shortly before the recorded start of its disturbance.
SLACK = 1


@dataclass
class Rule:
    """Lines with `pattern` are allowed during one of the disturbances, or at any time if there are none."""

    pattern: str
    reason: str
    disturbances: tuple = ()


RULES = [
    Rule("AH02608|AH01097", "the client has broken off its upload", (BROKEN,)),
    Rule(r"\(24\)Too many open files", "nothing can be opened or accepted", (DESCRIPTORS,)),
    Rule(r"\(28\)No space left on device", "the file system is full", (DISK,)),
    Rule("AH00957|AH01114", "the backend accepts no connections", (BACKEND, DESCRIPTORS)),
    Rule("AH01102|AH01110|AH00898|AH01084|AH01097", "the backend has gone in the middle", (BACKEND, KILL, DESCRIPTORS)),
    Rule("tls: handshake with backend", "the backend has gone in the handshake", (BACKEND, KILL, DESCRIPTORS, KEYD)),
    Rule("tls: tls-keyd", "tls-keyd was killed", (KEYD,)),
    Rule("tls: handshake failed: tls-keyd", "tls-keyd was killed", (KEYD,)),
    Rule("tls: handshake failed: this process cannot connect to tls-keyd", "no descriptors", (DESCRIPTORS,)),
    Rule(r"tls: \d+ more failures with the code TLS", "they are like the lines before, which have rules"),
]


class Log:
    def __init__(self, path, disturbances, killed):
        self._path, self._disturbances, self._killed = path, disturbances, killed

    def unexpected(self):
        """The lines that no rule explains."""
        with open(self._path, errors="replace") as lines:
            return [line.rstrip() for line in lines if self._is_serious(line) and not self._is_explained(line)]

    @staticmethod
    def _is_serious(line):
        if HARMLESS.search(line) or STOPPING.search(line):
            return False
        return bool(SERIOUS.search(line) or ALARMING.search(line))

    def _is_explained(self, line):
        ended = child_of_log_line(line)
        if ended:
            return ended[1] == "Killed" and ended[0] in self._killed
        when = _time(line)
        return any(re.search(rule.pattern, line) and self._applies(rule, line, when) for rule in RULES)

    def _applies(self, rule, line, when):
        if not rule.disturbances:
            return True
        if not when:
            return False
        found = [w for kind in rule.disturbances for w in self._disturbances.during(kind, when - SLACK, when + SLACK)]
        client = CLIENT.search(line)
        return any(w.kind != BROKEN or (client and int(client.group(1)) in w.ports) for w in found)


def _time(line):
    found = STAMP.match(line)
    if not found:
        return None
    day, fraction, year = found.groups()
    return time.mktime(time.strptime(f"{day} {year}", "%a %b %d %H:%M:%S %Y")) + float(f"0.{fraction}")
