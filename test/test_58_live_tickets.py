# SPDX-License-Identifier: Apache-2.0
"""A seed file of ticket keys that is replaced while httpd runs."""

import os
import ssl

import pytest

from harness.clients import connect, context, read_all, request
from harness.httpd import wait_for
from harness.keyd import kill
from harness.live import MPMS, PLACES, THREE_CHILDREN, allow_prefork, replace

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
CHANGED = "has changed: tickets have keys of the new seed from now on"


class Fleet:
    """Two httpds with a seed file each, on which both are to agree."""

    def __init__(self, *machines):
        self.machines = machines
        self.contexts = {}
        self.write(os.urandom(48))

    def write(self, seed, *machines):
        for machine in machines or self.machines:
            replace(machine.root / "seed", seed)

    def start(self, *lines, place="tls-keyd", mpm="event", **options):
        for machine in self.machines:
            allow_prefork(machine, mpm)
            machine.start(
                f"TLSEngine {machine.port}",
                "Protocols http/1.1",
                "TLSSessionTicketKeyFile seed",
                machine.vhost("a.test"),
                *PLACES[place],
                *lines,
                mpm=mpm,
                limits=THREE_CHILDREN[mpm],
                **options,
            )

    def visit(self, machine, version, session=None):
        """Makes a request. Returns whether the session was resumed, and the session."""
        ctx = self.contexts.setdefault(version, context(self.machines[0], version))
        with connect(machine, "a.test", ctx=ctx, session=session) as tls:
            tls.sendall(request("a.test"))
            read_all(tls)
            return tls.session_reused, tls.session

    def accepts(self, machine, version, session, times=9):
        """In how many of these visits the session was resumed: whether in all, none, or some."""
        found = {self.visit(machine, version, session)[0] for _ in range(times)}
        return found.pop() if len(found) == 1 else None


@pytest.fixture
def fleet(httpd, second_httpd):
    return Fleet(httpd, second_httpd)


class TestSeeds:
    @MPMS
    @pytest.mark.parametrize("place", PLACES)
    def test_01_replaced(self, httpd, second_httpd, fleet, mpm, place):
        """In all child processes, which stay. Machines with the same new seed agree again."""
        fleet.start(mpm=mpm, place=place)
        children = set(httpd.children())
        sessions = {version: fleet.visit(second_httpd, version)[1] for version in VERSIONS}
        for version, session in sessions.items():
            assert fleet.accepts(httpd, version, session)
        seed = os.urandom(48)
        fleet.write(seed, httpd)
        for version, session in sessions.items():
            wait_for(lambda v=version, s=session: fleet.accepts(httpd, v, s) is False, "the new seed", 10)
        fleet.write(seed, second_httpd)

        def agree():
            return all(
                fleet.accepts(two, version, fleet.visit(one, version)[1], times=6)
                for one, two in ((httpd, second_httpd), (second_httpd, httpd))
                for version in VERSIONS
            )

        wait_for(agree, "all to have the same keys", 20)
        assert children <= set(httpd.children())
        wait_for(lambda: CHANGED in httpd.log.text(), "the message")
        if place == "tls-keyd":
            assert httpd.log.text().count(CHANGED) == 1

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("kind", ["short", "missing"])
    def test_02_not_whole(self, httpd, fleet, kind, place):
        """The keys of before stay, with one warning."""
        httpd.log.allow("has changed and is not used")
        fleet.start(place=place)
        version = VERSIONS[1]
        session = fleet.visit(httpd, version)[1]
        file = httpd.root / "seed"
        if kind == "short":
            file.write_bytes(b"short")
        else:
            file.unlink()

        def is_warned():
            assert fleet.accepts(httpd, version, session, times=2)
            return "has changed and is not used" in httpd.log.text()

        if kind == "short" or place == "tls-keyd":
            wait_for(is_warned, "the warning", 10)
        assert fleet.accepts(httpd, version, session)
        if place == "tls-keyd":
            assert httpd.log.text().count("has changed and is not used") == 1
        fleet.write(os.urandom(48), httpd)
        wait_for(lambda: fleet.accepts(httpd, version, session) is False, "the new seed", 10)

    def test_03_touched(self, httpd, fleet):
        """The same content is nothing to talk about, and sessions go on."""
        fleet.start()
        session = fleet.visit(httpd, VERSIONS[1])[1]
        fleet.write(httpd.root.joinpath("seed").read_bytes(), httpd)
        httpd.authority.server("a.test", number=1).write(httpd.root, "a.test")
        wait_for(lambda: "a.test: the renewed certificate" in httpd.log.text(), "something else", 10)
        assert fleet.accepts(httpd, VERSIONS[1], session)
        assert CHANGED not in httpd.log.text()

    @AS_ROOT
    def test_04_files_of_root(self, httpd, fleet):
        """Child processes cannot read it, and need not."""
        for machine in fleet.machines:
            machine.root.joinpath("seed").chmod(0o600)
        fleet.start()
        session = fleet.visit(httpd, VERSIONS[1])[1]
        file = httpd.root / "seed.new"
        file.write_bytes(os.urandom(48))
        file.chmod(0o600)
        file.rename(httpd.root / "seed")
        wait_for(lambda: fleet.accepts(httpd, VERSIONS[1], session) is False, "the new seed", 10)
        session = fleet.visit(httpd, VERSIONS[1])[1]
        assert fleet.accepts(httpd, VERSIONS[1], session)

    def test_05_reloads(self, httpd, fleet):
        fleet.start()
        session = fleet.visit(httpd, VERSIONS[1])[1]
        fleet.write(os.urandom(48), httpd)
        wait_for(lambda: fleet.accepts(httpd, VERSIONS[1], session) is False, "the new seed", 10)
        session = fleet.visit(httpd, VERSIONS[1])[1]
        httpd.graceful()
        wait_for(lambda: fleet.accepts(httpd, VERSIONS[1], session), "the same seed after a reload", 10)

    def test_06_tls_keyd_is_killed(self, httpd, fleet):
        """It reads the file. What is replaced while there is none is used when there is another one."""
        httpd.log.allow("has changed and is not used: .*tls-keyd")
        fleet.start()
        session = fleet.visit(httpd, VERSIONS[1])[1]
        kill(httpd, wait=False)
        fleet.write(os.urandom(48), httpd)
        wait_for(lambda: fleet.accepts(httpd, VERSIONS[1], session) is False, "the new seed", 20)
        session = fleet.visit(httpd, VERSIONS[1])[1]
        assert fleet.accepts(httpd, VERSIONS[1], session)

    def test_07_not_watched(self, httpd, fleet):
        fleet.start("TLSWatch off")
        session = fleet.visit(httpd, VERSIONS[1])[1]
        fleet.write(os.urandom(48), httpd)
        assert fleet.accepts(httpd, VERSIONS[1], session)
        httpd.graceful()
        wait_for(lambda: fleet.accepts(httpd, VERSIONS[1], session) is False, "the new seed", 10)
