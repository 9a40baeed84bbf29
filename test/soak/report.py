# SPDX-License-Identifier: Apache-2.0
"""The summary at the end, with all problems."""

import collections

from soak.accounting import SHOWN_FAILURES
from soak.logs import Log

SHOWN_LINES = 40


class Report:
    def __init__(self, site, ledger, killed, verdicts):
        self._site, self._ledger, self._verdicts = site, ledger, verdicts
        logs = [site.root / name for name in ("error_log", "upload_error_log", "tmpfs/error_log")]
        logs = [Log(path, ledger.disturbances, killed) for path in logs if path.exists()]
        self._lines = [line for log in logs for line in log.unexpected()]
        self.problems = list(self._find_problems())

    @property
    def good(self):
        return not self.problems

    def _find_problems(self):
        ledger = self._ledger
        yield from ledger.failures[:SHOWN_FAILURES]
        if len(ledger.failures) > SHOWN_FAILURES:
            yield f"{len(ledger.failures) - SHOWN_FAILURES} more of these"
        if not ledger.accounted:
            yield "requests sent and requests answered or explained are not equal"
        for kind in ledger.sent:
            if not ledger.answered[kind]:
                yield f"no request was answered: {kind}"
        if not ledger.notes["sessions resumed"]:
            yield "no session was resumed"
        yield from (f"growth: {verdict}" for verdict in self._verdicts if not verdict.good)
        if self._lines:
            yield f"{len(self._lines)} unexpected lines in error logs:\n" + "\n".join(self._lines[:SHOWN_LINES])
        if self._site.sanitizer:
            yield from self._site.sanitizer.reports()
        yield from (f"a core file: {file}" for file in self._site.root.glob("**/core*"))
        if self._site.httpd.exit_status:
            yield f"httpd ended with status {self._site.httpd.exit_status}"

    def text(self):
        parts = ["\nrequests                   sent  answered  explained", *self._requests()]
        parts += ["\nexplained by", *self._explained()]
        parts += ["\ndisturbances", *self._counted(self._ledger.disturbances.counts())]
        parts += ["\nbesides", *self._counted(self._ledger.notes)]
        parts += ["\ngrowth", *(f"  {verdict}" for verdict in self._verdicts)]
        parts += ["\n" + "\n\n".join(f"PROBLEM: {problem}" for problem in self.problems)] if self.problems else []
        verdict = "all is well" if self.good else f"{len(self.problems)} problems"
        return "\n".join([*parts, f"\nsoak: {verdict}"])

    def _requests(self):
        ledger, explained = self._ledger, collections.Counter()
        for (kind, _), number in ledger.excused.items():
            explained[kind] += number
        for kind in sorted(ledger.sent):
            yield self._row(kind, ledger.sent[kind], ledger.answered[kind], explained[kind])
        totals = (sum(counter.values()) for counter in (ledger.sent, ledger.answered, explained))
        yield self._row("all", *totals)

    @staticmethod
    def _row(what, *numbers):
        return f"  {what:<23}" + "".join(f"{number:>{width}}" for number, width in zip(numbers, (6, 10, 11)))

    def _explained(self):
        reasons = collections.Counter()
        for (_, reason), number in self._ledger.excused.items():
            reasons[reason] += number
        return self._counted(reasons)

    @staticmethod
    def _counted(counter):
        return [f"  {what:<35}{number:>7}" for what, number in sorted(counter.items())]
