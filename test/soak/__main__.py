# SPDX-License-Identifier: Apache-2.0
"""python -m soak: load and disturbances for some minutes, then a summary; the exit status says whether all was well."""

import argparse
import os
import random
import shutil
import sys
import threading
import time

from soak import loads, memory, report
from soak.accounting import Disturbances, Ledger
from soak.disturbances import Disturber
from soak.hostile import Broken, Slow
from soak.loads_by_program import Programs
from soak.site import Site

# Of the time, this part at the end passes without reloads and kills: growth is judged by it, once new children have
# filled their caches.
STEADY, WARM_UP = 0.35, 0.1
# Who asks, how many of them, and how often each does something, in operations a second.
CROWD = [(loads.Load, 4, 4), (Programs, 1, 2), (Slow, 1, 1), (Broken, 2, 3)]
# Seconds between disturbances, on average.
PAUSE = 3


def arguments():
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=None, help="what chance is made of; default: another one each time")
    parser.add_argument("--asan", action="store_true", help="the module was built with AddressSanitizer")
    parser.add_argument("--keep", action="store_true", help="keep logs and samples, as if something were wrong")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("only root can mount the file system that is filled")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "big")
    return options


class Crowd:
    """Threads with clients."""

    def __init__(self, site, ledger, seed):
        self._stop, self._threads, self._ledger = threading.Event(), [], ledger
        self._clients = [
            (kind(site, ledger, random.Random(f"{seed} {kind.__name__} {i}")), rate)
            for kind, number, rate in CROWD
            for i in range(number)
        ]

    def _run(self, client, rate):
        try:
            loads.run(client, self._stop, rate)
        except Exception as e:
            self._ledger.failures.append(f"a client is broken: {e!r}")
            raise

    def start(self):
        """For the first time, or again after a stop."""
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run, args=client, daemon=True) for client in self._clients]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def soak(site, options):
    """Runs everything; returns the report."""
    ledger = Ledger(Disturbances())
    disturber = Disturber(site, ledger, random.Random(f"{options.seed} disturbances"))
    crowd, sampler = Crowd(site, ledger, options.seed), memory.Sampler(site, ledger)
    seconds = options.minutes * 60
    crowd.start()
    sampler.start()
    over = threading.Event()
    threading.Timer(seconds * (1 - STEADY), over.set).start()
    disturber.run(over, PAUSE)
    disturber.settle()
    time.sleep(seconds * WARM_UP)
    crowd.stop()
    before = memory.descriptors_at_rest(site)
    crowd.start()
    steady_since = time.time()
    time.sleep(seconds * (STEADY - WARM_UP))
    sampler.stop()
    crowd.stop()
    after = memory.descriptors_at_rest(site)
    if site.sanitizer:
        # A stop ends children in the middle of something, where nothing was freed yet; a reload does not.
        disturber.settle()
        site.sanitizer.reports_end(site.httpd.children())
    site.httpd.stop()
    memory.write(sampler.samples, site.root / "samples")
    verdicts = memory.judge(sampler.samples, steady_since, options.asan)
    return report.Report(site, ledger, disturber.killed, [memory.judge_descriptors(before, after), *verdicts])


def main():
    options = arguments()
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    site, good = Site(options.seed, sanitize=options.asan), False
    try:
        site.start()
        result = soak(site, options)
        good = result.good
        print(result.text(), flush=True)
    finally:
        site.stop()
        if options.keep or not good:
            print(f"logs are in {site.root}", flush=True)
        else:
            shutil.rmtree(site.root, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
