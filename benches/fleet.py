#!/usr/bin/env python3
"""A fleet of simulated installations through a staged rollout that a server steers.

    benches/fleet.py [--installations 100000] [--crash 3] [--kill 5] [--data postgres://…] [--bin target/release]

Two releases are published: 1.0.0, which every installation has, and 2.0.0 with a plan of 1, 10, 50
and 100 % whose stages last as long as their samples need, and which a share of the installations
(`--crash`, in percent) cannot start. `kuzflow serve --steer` conducts it. Each installation speaks
the launcher's protocol over loopback: the next root, timestamp, and what is new of snapshot, words
and offer, each proved by the digest in the document before it (signatures are not); its share by
the launcher's rule; the package; and one batch of reports for what became of it, until the server
has acknowledged it. Time is compressed: one check of all installations follows the other.

A rollout that ends by a halt is then recalled with the offline keys, and the installations that
have the release go back. At the end the figures of `kuzflow stats`, of the API and of the page are
compared with what the installations counted themselves, and the time from a report to the page is
measured. `--kill N` ends the server N times by SIGKILL at random moments while installations work:
the figures stay exact.
"""

import argparse
import collections
import gzip
import hashlib
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

PLATFORM = "Linux_x86_64"
REGIONS = ("Asia-Pacific", "Europe", "Americas", "Global")
OFFER = f"sample.stable.{PLATFORM}.offer"
# Percent of installations of each stage.
STAGES = (1, 10, 50, 100)
# Steps of an update that comes up, in the order in which they are reported.
STEPS = ("offered", "started", "fetched", "installed", "switched")
PROCESSES, THREADS = 2, 24
MOST_ROUNDS = 60


class Lost(Exception):
    """The server went away in the middle of a request."""


class Connection:
    """A connection that stays open; http.client costs more than the server that is measured."""

    def __init__(self, address):
        self.address, self.socket, self.rest = address, None, b""

    def ask(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            if self.socket is None:
                self.socket, self.rest = socket.create_connection(self.address, timeout=60), b""
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(head.encode() + b"\r\n" + body)
            return self.answer()
        except (OSError, ValueError) as error:
            if self.socket:
                self.socket.close()
            self.socket = None
            raise Lost(path) from error

    def more(self):
        part = self.socket.recv(65536)
        if not part:
            raise OSError("closed")
        self.rest += part

    def answer(self):
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(fields["content-length"])
        while len(self.rest) < length:
            self.more()
        body, self.rest = self.rest[:length], self.rest[length:]
        if fields.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return int(lines[0].split()[1]), body


class Metadata:
    """Documents that were read before, so that each is parsed and proved once in a process."""

    def __init__(self):
        self.parsed = {}

    def read(self, body, expected=None):
        digest = hashlib.sha256(body).hexdigest()
        assert expected in (None, digest), "a document is not the one that is signed"
        if digest not in self.parsed:
            self.parsed[digest] = json.loads(body)["signed"]
        return self.parsed[digest]


def share(plan, word):
    """The launcher's rule for a plan whose stages have no hours (model/rollout_plan.rs)."""
    stages, stage = plan["stages"], plan.get("stage", 0)
    if word and (word.get("halted") or word.get("recalled")):
        return 0
    if word and word.get("plan") == digest_of(plan) and 0 <= word["stage"] < len(stages):
        stage = word["stage"]
    return stages[stage]["permille"]


def digest_of(plan):
    """What a word names a plan by: SHA-256 of stages, beginning and scope, in the launcher's order."""

    def ordered(value, names):
        return {name: value[name] for name in names if name in value}

    names = ("permille", "hours", "success", "rollbacks", "samples")
    stages = [ordered(stage, names) for stage in plan["stages"]]
    only = ordered(plan.get("only", {}), ("platforms", "from", "regions", "rings"))
    text = json.dumps([stages, plan["begins"], only], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def bucket(installation, container):
    """The launcher's rule for membership (model/audience.rs)."""
    digest = hashlib.sha256(f"{installation}\n{container}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 1000


class Installation:
    """One installation: what it has, what it knows of the repository, and what it has yet to report."""

    __slots__ = ("active", "crashes", "failed", "id", "known", "region", "reporter", "timestamp")

    def __init__(self, source, crash):
        self.id = f"{source.getrandbits(128):032x}"
        self.reporter = f"{source.getrandbits(128):032x}"
        self.region = source.choice(REGIONS)
        self.crashes = source.random() * 100 < crash
        self.active, self.failed, self.known, self.timestamp = "1.0.0", False, {}, 0


class Client:
    """Works for some installations over one connection, one after the other."""

    def __init__(self, address, metadata, source, counts):
        self.connection = Connection(address)
        self.metadata, self.source, self.counts = metadata, source, counts

    def ask(self, method, path, body=b""):
        """Asks until there is an answer: a server that was killed comes back."""
        until = time.monotonic() + 120
        while True:
            try:
                return self.connection.ask(method, path, body)
            except Lost:
                assert time.monotonic() < until, "the server does not come back"
                time.sleep(0.05)

    def document(self, name, entry=None):
        status, body = self.ask("GET", f"/metadata/{name}")
        assert status == 200, f"{name}: {status}"
        return self.metadata.read(body, entry and entry.get("hashes", {}).get("sha256"))

    def check(self, installation):
        """What the launcher asks for at a check; the offer and the words that hold."""
        assert self.ask("GET", "/metadata/2.root.json")[0] == 404
        timestamp = self.document("timestamp.json")
        assert timestamp["version"] >= installation.timestamp, "the timestamp went back"
        if timestamp["version"] != installation.timestamp:
            entry = timestamp["meta"]["snapshot.json"]
            snapshot = self.document(f"{entry['version']}.snapshot.json", entry)
            for role in ("targets", "rollout", OFFER):
                entry = snapshot["meta"].get(f"{role}.json")
                known = installation.known.get(role)
                if entry and (known is None or known["version"] != entry["version"]):
                    name = f"{entry['version']}.{role}.json"
                    installation.known[role] = self.document(name, entry)
            installation.timestamp = timestamp["version"]
        offer = installation.known[OFFER]["targets"]
        words = installation.known.get("rollout", {}).get("targets", {})
        return offer, words

    def work(self, installation, active):
        """One check, what follows from it, and the reports."""
        reports = []
        if active:
            reports.append(self.report(installation, "active", installation.active))
        offer, words = self.check(installation)
        releases = {
            target["custom"]["release"]["container"].split("_")[1]: (name, target)
            for name, target in offer.items()
            if "release" in target.get("custom", {})
        }
        for version, (name, target) in releases.items():
            release = target["custom"]["release"]
            recalled = release.get("recalled")
            if recalled and installation.active == version:
                self.go_back(installation, version, recalled["to"], reports)
            elif version > installation.active and not installation.failed:
                word = words.get(f"sample_{version}.rollout", {}).get("custom")
                plan = release.get("plan")
                permille = share(plan, word) if plan else release.get("rollout_permille", 1000)
                is_open = not recalled and not release.get("halted", False)
                container = f"sample_{version}_{PLATFORM}"
                if is_open and bucket(installation.id, container) < permille:
                    self.update(installation, version, (name, target), reports)
        self.send(reports)
        return bool(reports) and not active

    def update(self, installation, version, wanted, reports):
        name, target = wanted
        digest = target["hashes"]["sha256"]
        status, package = self.ask("GET", f"/targets/{digest}.{name}")
        assert status == 200 and hashlib.sha256(package).hexdigest() == digest
        number = f"{self.source.getrandbits(128):032x}"
        for kind in STEPS:
            more = {"way": "full"} if kind in ("started", "fetched") else {}
            if kind == "fetched":
                size = len(package)
                nodes = [{"node": "one", "bytes": size}]
                more |= {"bytes": size, "full_bytes": size, "milliseconds": 20, "nodes": nodes}
            reports.append(self.report(installation, kind, version, number, **more))
        if installation.crashes:
            installation.failed = True
            end = self.report(installation, "rolled_back", version, number, reason="crashed")
        else:
            end = self.report(installation, "up", version, number)
            installation.active = version
        reports.append(end)

    def go_back(self, installation, version, to, reports):
        number = f"{self.source.getrandbits(128):032x}"
        for kind, more in (("offered", {}), ("switched", {"reason": "recalled"}), ("up", {})):
            report = self.report(installation, kind, to, number, **more)
            reports.append({**report, "from": version})
        installation.active = to

    def report(self, installation, kind, to, update=None, **more):
        detail = more.get("reason") or more.get("way") or ""
        self.counts[to, kind, detail] += 1
        return {
            "id": f"{self.source.getrandbits(128):032x}",
            "installation": installation.reporter,
            "at": int(time.time()) // 60 * 60,
            "kind": kind,
            "app": "sample",
            "channel": "stable",
            "platform": PLATFORM,
            "to": to,
            "launcher": "0.1.0",
            "region": installation.region,
            **({"update": update, "from": installation.active} if update else {}),
            **more,
        }

    def send(self, reports):
        """Sends until the server has acknowledged them; the ids make a repetition harmless."""
        if not reports:
            return
        body = json.dumps({"reports": reports, "dropped": 0}).encode()
        while True:
            status, answer = self.ask("POST", "/api/reports", body)
            if status == 200:
                answer = json.loads(answer)
                assert answer["accepted"] + answer["known"] == len(reports), answer
                return
            assert status == 503, f"{status}: {answer}"
            time.sleep(0.2)


def worker(address, count, crash, seed, orders, answers):
    """A process with its share of the installations; works through all of them for each order."""
    source = random.Random(seed)
    installations = [Installation(source, crash) for _ in range(count)]
    metadata = Metadata()
    counts = [collections.Counter() for _ in range(THREADS)]
    clients = [Client(address, metadata, random.Random(source.random()), own) for own in counts]
    while (order := orders.get()) is not None:
        source.shuffle(installations)
        moved, faults = [0] * THREADS, []

        def go(place, active=order == "first", moved=moved, faults=faults):
            try:
                for installation in installations[place::THREADS]:
                    moved[place] += clients[place].work(installation, active)
            except BaseException as fault:  # handed to the process that waits
                faults.append(repr(fault))

        threads = [threading.Thread(target=go, args=(place,)) for place in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        have = collections.Counter(installation.active for installation in installations)
        failed = sum(installation.failed for installation in installations)
        total = sum(counts, collections.Counter())
        answers.put((sum(moved), have, failed, total, faults))


class Fleet:
    """All processes."""

    def __init__(self, address, count, crash, seed):
        self.answers = multiprocessing.Queue()
        self.orders = [multiprocessing.Queue() for _ in range(PROCESSES)]
        self.count = count
        self.processes = []
        for number, orders in enumerate(self.orders):
            own = count * (number + 1) // PROCESSES - count * number // PROCESSES
            process = multiprocessing.Process(
                target=worker, args=(address, own, crash, seed + number, orders, self.answers)
            )
            process.start()
            self.processes.append(process)

    def round(self, order):
        for orders in self.orders:
            orders.put(order)
        moved, have, failed, counts = 0, collections.Counter(), 0, collections.Counter()
        for _ in self.orders:
            own = self.answers.get()
            assert not own[4], own[4][0]
            moved, have, failed, counts = (
                moved + own[0],
                have + own[1],
                failed + own[2],
                counts + own[3],
            )
        return moved, have, failed, counts

    def end(self):
        for orders in self.orders:
            orders.put(None)
        for process in self.processes:
            process.join()


class Server:
    """`kuzflow serve --steer`, which can be killed and comes back at its address."""

    def __init__(self, kuzflow, publisher, place):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        listen = f"127.0.0.1:{self.address[1]}"
        words = ["serve", "--repo", publisher, "--listen", listen, "--data", place, "--steer"]
        words += ["--health-interval", "0", "--connections-per-address", "512", "--json"]
        self.command = [str(word) for word in (kuzflow, *words)]
        self.kills = 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout.readline(), "the server does not start"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.start()

    def ask(self, method, path, body=None, **fields):
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text


class Operator:
    """Looks at the page, at the API and at the rollout, as a person would."""

    def __init__(self, server, token):
        self.server, self.bearer = server, f"Bearer {token}"
        form = urllib.parse.urlencode({"token": token})
        answer, _ = server.ask(
            "POST", "/fleet/login", form, **{"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status == 303, answer.status
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]

    def json(self, path):
        answer, text = self.server.ask("GET", path, Authorization=self.bearer)
        assert answer.status == 200, text
        return json.loads(text)

    def rollout(self):
        return self.json("/api/rollouts")["rollouts"][0]

    def page(self, release):
        """The row of a release: offered, fetched, installed, up, rolled back, failed."""
        answer, text = self.server.ask("GET", "/fleet?days=7&lang=en", Cookie=self.cookie)
        assert answer.status == 200, text
        section = text.split('id="funnel"', 1)[1].split("</section>", 1)[0]
        rows = [row for row in section.split("<tr>") if f">{release}<" in row]
        if not rows:
            return [0] * 6
        return [int(cell) for cell in re.findall(r'<data value="(\d+)">', rows[0])]


def run(*command):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def publish(folder, kuzflow, version, *more):
    app, package = folder / "app", folder / "sample.kuzflow"
    app.mkdir(exist_ok=True)
    (app / "run.sh").write_text(f"#!/bin/sh\necho {version}\n")
    (app / "run.sh").chmod(0o755)
    words = ["--name", "sample", "--app-version", version, "--entry", "exe:run.sh"]
    words += ["--platform", PLATFORM, "--runtime", "none", "--level", "1", "--out", package]
    run(kuzflow, "build", "--app", app, *words)
    run(kuzflow, "publish", package, "--repo", folder / "publisher", "--no-patches", *more)


def plan_for(installations):
    """Stages that last as long as a fifth of their installations need, and no hours."""
    text = ""
    for percent in STAGES[:-1]:
        samples = max(10, installations * percent // 500)
        text += f"[[stages]]\npercent = {percent}\nsuccess = 90\nrollbacks = 1\nsamples = {samples}\n\n"
    return f"{text}[[stages]]\npercent = {STAGES[-1]}\n"


def killing(server, times, over):
    """Kills the server so many times, at random moments, while installations work."""
    for _ in range(times):
        if over.wait(random.uniform(0.2, 3)):
            return
        server.kill()


def freshness(server, operator, counts, samples):
    """Seconds from a report to the page, the slowest of so many."""
    slowest = 0.0
    for _ in range(samples):
        before = operator.page("2.0.0")[5]
        report = {
            "id": f"{random.getrandbits(128):032x}",
            "installation": f"{random.getrandbits(128):032x}",
            "update": f"{random.getrandbits(128):032x}",
            "at": int(time.time()) // 60 * 60,
            "kind": "failed",
            "problem": "disk_full",
            "app": "sample",
            "channel": "stable",
            "platform": PLATFORM,
            "from": "1.0.0",
            "to": "2.0.0",
            "launcher": "0.1.0",
            "region": "Europe",
        }
        began = time.monotonic()
        body = json.dumps({"reports": [report], "dropped": 0})
        answer, text = server.ask("POST", "/api/reports", body)
        assert answer.status == 200 and json.loads(text)["accepted"] == 1, text
        counts["2.0.0", "failed", "disk_full"] += 1
        while operator.page("2.0.0")[5] == before:
            time.sleep(0.02)
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def compare(counts, operator, kuzflow, data):
    """The figures of the server are those of the installations, each of them."""
    own = {key: number for key, number in counts.items() if number}

    def rows(statistics):
        found = collections.Counter()
        for row in statistics["outcomes"]:
            found[row["version"], row["kind"], row["detail"]] += row["n"]
        return dict(found)

    api = rows(operator.json("/api/statistics?days=7"))
    lines = run(kuzflow, "stats", "--data", data, "--days", "7", "--json").splitlines()
    terminal = rows(json.loads(lines[-1])["result"]["statistics"])
    assert api == own, f"the API differs: {api}\n{own}"
    assert terminal == own, f"kuzflow stats differs: {terminal}\n{own}"
    for version in ("1.0.0", "2.0.0"):
        expected = [
            sum(number for (to, kind, _), number in own.items() if (to, kind) == (version, step))
            for step in ("offered", "fetched", "installed", "up", "rolled_back", "failed")
        ]
        page = operator.page(version)
        assert page == expected or not any(expected), f"the page differs: {page}\n{expected}"
    return sum(own.values())


def rollout(fleet, operator, given, began):
    """Rounds until the rollout has ended, one way or the other."""
    state, touched, counts = operator.rollout(), 0, None
    for number in range(1, MOST_ROUNDS + 1):
        moved, have, failed, counts = fleet.round("check")
        state, before = operator.rollout(), touched
        touched = have["2.0.0"] + failed
        share = touched / given.installations
        print(
            f"round {number}, {time.monotonic() - began:.0f} s: stage {state['stage']} of {state['stages']}"
            f"{', halted' if state['halted'] else ''}; {moved} moved; {touched} have had 2.0.0 ({share:.2%})"
        )
        if (state["halted"] and touched == before) or touched == given.installations:
            break
        if moved == 0:
            # The conductor looks every ten seconds.
            time.sleep(1)
    return state, touched, counts


def measure(folder, kuzflow, given):
    began, data = time.monotonic(), given.data or folder / "data"
    run(kuzflow, "init", folder / "publisher", "--app", "sample", "--node", "http://127.0.0.1:9/")
    publish(folder, kuzflow, "1.0.0")
    server = Server(kuzflow, folder / "publisher", data)
    words = ("--name", "bench", "--role", "operate", "--data", data)
    token = run(kuzflow, "token", "new", *words).split()[-1]
    operator = Operator(server, token)
    fleet = Fleet(server.address, given.installations, given.crash, given.seed)
    try:
        fleet.round("first")
        print(f"{given.installations} installations have 1.0.0, {time.monotonic() - began:.0f} s")
        plan = folder / "plan.toml"
        plan.write_text(plan_for(given.installations))
        publish(folder, kuzflow, "2.0.0", "--plan", plan)
        over = threading.Event()
        killer = threading.Thread(target=killing, args=(server, given.kill, over))
        killer.start()
        state, touched, counts = rollout(fleet, operator, given, began)
        over.set()
        killer.join()
        if state["halted"]:
            updates = state["updates"]
            print(
                f"halted by itself at {state['permille']} permille, stage {state['stage']}, {updates};"
                f" {touched} of {given.installations} installations have had it ({touched / given.installations:.2%})"
            )
            words = ("--to", "1.0.0", "--reason", "en=It crashes")
            run(kuzflow, "recall", "2.0.0", *words, "--repo", folder / "publisher")
            # A server sees the new list within a second.
            time.sleep(2)
            moved, have, _, counts = fleet.round("check")
            print(f"recalled: {moved} went back; {dict(have)} in use")
            assert have == {"1.0.0": given.installations}, have
        slowest = freshness(server, operator, counts, 20)
        total = compare(counts, operator, kuzflow, data)
        print(f"{total} reports, the same on the page, in the API and in kuzflow stats")
        print(f"from a report to the page: {slowest * 1000:.0f} ms, the slowest of 20")
        print(f"the server was killed {server.kills} times; {time.monotonic() - began:.0f} s in all")
        load, cores = os.getloadavg()[0], os.cpu_count()
        print(f"load of this computer: {load:.1f} on {cores} cores")
    finally:
        fleet.end()
        server.process.terminate()
        server.process.wait()


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--installations", type=int, default=100_000)
    arguments.add_argument("--crash", type=float, default=3)
    arguments.add_argument("--kill", type=int, default=0)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--data", help="a new PostgreSQL database in place of a folder")
    arguments.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/release"))
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kuzflow-fleet-") as name:
        measure(pathlib.Path(name), (given.bin / "kuzflow").resolve(), given)


if __name__ == "__main__":
    main()
