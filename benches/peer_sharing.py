#!/usr/bin/env python3
"""An office behind one line: launchers in network namespaces on one bridge update at once, with and without peers.

    benches/peer_sharing.py [--launchers 20] [--megabytes 64] [--mbit 100] [--bin target/release] [alone] [office] [hostile] [late]

Needs root, iproute2, tc and nginx. What is counted are all bytes (headers, handshakes and metadata included) that leave the origin's
interface towards the office, through a token bucket of the line's rate. Every launcher is the real
`kuzflow-launcher update`, with a home of its own, and finds the others by multicast DNS on the bridge. The scenarios:

    alone     sharing is off
    office    sharing is on, all start at once
    hostile   the same, with one computer more that says it has everything and sends wrong bytes, and one more that vanishes midway
    late      one after another: each while the one before still runs its app, and so is still there (three of them)
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PREFIX = "kzoffice-"
NET, HUB = PREFIX + "net", PREFIX + "hub"


def run(*command, check=True, **more):
    return subprocess.run([str(part) for part in command], check=check, text=True, capture_output=True, **more)


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *[str(part) for part in command]]


class Lan:
    """The namespaces: the origin, the router with the bridge, the computers."""

    def __init__(self, count, mbit):
        self.down()
        self.count = count
        for name in (NET, HUB):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "up0", "netns", HUB, "type", "veth", "peer", "name", "line0", "netns", NET)
        run("ip", "-n", HUB, "addr", "add", "10.99.0.2/30", "dev", "up0")
        run("ip", "-n", NET, "addr", "add", "10.99.0.1/30", "dev", "line0")
        run("ip", "-n", HUB, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", HUB, "addr", "add", "10.88.0.254/24", "dev", "br0")
        for namespace, device in ((HUB, "up0"), (NET, "line0"), (HUB, "br0")):
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", NET, "route", "add", "10.88.0.0/24", "via", "10.99.0.2")
        run(*inside(HUB, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        # Large segments count as what they are on a wire.
        for namespace, device in ((NET, "line0"), (HUB, "up0")):
            run(*inside(namespace, "ethtool", "-K", device, "tso", "off", "gso", "off"), check=False)
            shape = ("tbf", "rate", f"{mbit}mbit", "burst", "64kb", "latency", "150ms")
            run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", *shape)
        for number in range(1, count + 3):
            name = PREFIX + str(number)
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"port{number}", "netns", HUB)
            run("ip", "-n", name, "addr", "add", f"10.88.0.{number}/24", "brd", "+", "dev", "eth0")
            run("ip", "-n", HUB, "link", "set", f"port{number}", "master", "br0", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "route", "add", "default", "via", "10.88.0.254")

    def counted(self):
        return int(run(*inside(NET, "cat", "/sys/class/net/line0/statistics/tx_bytes")).stdout)

    @staticmethod
    def down():
        for line in run("ip", "netns", "list").stdout.splitlines():
            if line.startswith(PREFIX):
                run("ip", "netns", "del", line.split()[0])


def publish(folder, tools, megabytes):
    """A repository with one release of noise, and nginx's configuration for it."""
    app = folder / "app"
    app.mkdir()
    (app / "run.sh").write_text('#!/bin/sh\necho up >> "$KUZFLOW_HEALTH"\nexec sleep "${STAY:-0}"\n')
    (app / "run.sh").chmod(0o755)
    (app / "lib").mkdir()
    for number in range(200):
        (app / "lib" / f"part{number:03}.bin").write_bytes(os.urandom(megabytes * 5000))
    kuzflow, publisher, package = tools / "kuzflow", folder / "publisher", folder / "1.0.0.kuzflow"
    run(kuzflow, "init", publisher, "--app", "sample", "--display-name", "Sample", "--node", "http://10.99.0.1/")
    run(kuzflow, "build", "--app", app, "--name", "sample", "--app-version", "1.0.0", "--entry", "exe:run.sh", "--runtime", "none",
        "--display-name", "Sample", "--level", "1", "--out", package)
    run(kuzflow, "publish", package, "--repo", publisher, "--no-patches")
    (folder / "nginx").mkdir()
    scratch = " ".join(f"{kind}_temp_path {folder}/nginx/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx/error.log; events {{}} http {{ access_log off; "
        f"sendfile on; {scratch} server {{ listen 80; root {publisher}/repository; }} }}\n")
    return publisher, package.stat().st_size


def configure(folder, publisher, name, more):
    place = folder / f"settings-{name}"
    place.mkdir()
    shutil.copy(publisher / "launcher" / "root.json", place)
    text = (publisher / "launcher" / "launcher.toml").read_text()
    (place / "launcher.toml").write_text(text + more)
    return place / "launcher.toml"


def launcher(number, tools, home, config, *verb, log=None, **variables):
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key} | variables
    command = inside(PREFIX + str(number), tools / "kuzflow-launcher", "--json", "-v", "--home", home, "--config", config, *verb)
    out = open(log, "w") if log else subprocess.DEVNULL
    error = open(str(log) + ".err", "w") if log else subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=out, stderr=error, start_new_session=True)


def reported(log):
    events = [json.loads(line) for line in open(log) if line.startswith("{")]
    nodes = {}
    for event in events:
        for node in event.get("nodes", []):
            nodes[node["id"]] = node["done"]
    from_peers = sum(done for name, done in nodes.items() if name.startswith("near:"))
    faults = [(event["node"], event["fault"]) for event in events if event.get("event") == "node_fault"]
    return from_peers, sum(nodes.values()), faults


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def at_once(lan, folder, tools, config, name, size, hostile=None):
    """All launchers at once; what they needed."""
    homes = folder / f"homes-{name}"
    homes.mkdir()
    others = []
    if hostile:
        liar = homes / "liar"
        prepare = launcher(lan.count + 1, tools, liar, config, "update", log=homes / "prepare.log")
        prepare.wait()
        others.append(launcher(lan.count + 1, tools, liar, config, "peers", "serve", log=homes / "liar.log"))
        time.sleep(3)
        for cached in (liar / "neighbours").glob("*.object"):
            with open(cached, "r+b") as file:
                for at in range(0, cached.stat().st_size, 64 << 10):
                    file.seek(at)
                    file.write(b"lies")
    before, began = lan.counted(), time.monotonic()
    if hostile:
        others.append(launcher(lan.count + 2, tools, homes / "vanishes", config, "update", log=homes / "vanishes.log"))
    running = {
        number: launcher(number, tools, homes / str(number), config, "update", log=homes / f"{number}.log")
        for number in range(1, lan.count + 1)
    }
    seconds, vanished = {}, not hostile
    while running:
        for number, process in list(running.items()):
            if process.poll() is not None:
                seconds[number] = time.monotonic() - began
                if process.returncode != 0:
                    print(open(homes / f"{number}.log.err").read()[-3000:], file=sys.stderr)
                    raise SystemExit(f"launcher {number} ended with status {process.returncode}")
                del running[number]
        if not vanished and time.monotonic() - began > hostile:
            run("ip", "-n", PREFIX + str(lan.count + 2), "link", "set", "eth0", "down")
            vanished = True
        time.sleep(0.02)
    fetched = lan.counted() - before
    for process in others:
        end(process)
    if hostile:
        run("ip", "-n", PREFIX + str(lan.count + 2), "link", "set", "eth0", "up")
        run("ip", "-n", PREFIX + str(lan.count + 2), "route", "add", "default", "via", "10.88.0.254", check=False)
    answers = [reported(homes / f"{number}.log") for number in seconds]
    report(name, lan.count, size, fetched, list(seconds.values()))
    print(f"    from neighbours: {sum(part for part, _, _ in answers) / max(sum(whole for _, whole, _ in answers), 1):.1%} of what was fetched; "
          f"faults told: {count(fault for _, _, faults in answers for fault in faults)}")
    if lan.keep:
        for log in homes.glob("*.log*"):
            shutil.copy(log, lan.keep)
    shutil.rmtree(homes)


def count(faults):
    kinds = {}
    for node, fault in faults:
        key = f"{'neighbour' if node.startswith('near:') else 'node'} {fault}"
        kinds[key] = kinds.get(key, 0) + 1
    return kinds or "none"


def one_after_another(lan, folder, tools, config, name, size, many=3):
    homes = folder / f"homes-{name}"
    homes.mkdir()
    staying, seconds, before = [], [], lan.counted()
    for number in range(1, many + 1):
        began = time.monotonic()
        update = launcher(number, tools, homes / str(number), config, "update", log=homes / f"{number}.log")
        if update.wait() != 0:
            raise SystemExit(f"launcher {number} failed")
        seconds.append(time.monotonic() - began)
        staying.append(launcher(number, tools, homes / str(number), config, "run", log=homes / f"run-{number}.log", STAY="600"))
        time.sleep(6)
    fetched = lan.counted() - before
    for process in staying:
        end(process)
    report(name, many, size, fetched, seconds)
    shutil.rmtree(homes)


def report(name, launchers, size, fetched, seconds):
    print(f"{name:8} {launchers} launchers: {fetched / 1e6:8.1f} MB over the line = {fetched / size:5.2f} packages of {size / 1e6:.1f} MB; "
          f"median {statistics.median(seconds):6.1f} s, slowest {max(seconds):6.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launchers", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--mbit", type=int, default=100)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/release"))
    parser.add_argument("--keep", type=pathlib.Path, help="where the launchers' logs are left")
    parser.add_argument("scenarios", nargs="*", default=[])
    arguments = parser.parse_args()
    tools = arguments.bin.resolve()
    scenarios = arguments.scenarios or ["alone", "office", "hostile", "late"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kuzflow-lan-"))
    lan = Lan(arguments.launchers, arguments.mbit)
    lan.keep = arguments.keep
    try:
        publisher, size = publish(folder, tools, arguments.megabytes)
        run(*inside(NET, "nginx", "-c", folder / "nginx.conf", "-e", folder / "nginx" / "error.log"))
        plain = configure(folder, publisher, "alone", "")
        shared = configure(folder, publisher, "office", "\n[peers]\nenabled = true\n")
        for scenario in scenarios:
            if scenario == "alone":
                at_once(lan, folder, tools, plain, scenario, size)
            elif scenario == "office":
                at_once(lan, folder, tools, shared, scenario, size)
            elif scenario == "hostile":
                at_once(lan, folder, tools, shared, scenario, size, hostile=3.0)
            elif scenario == "late":
                one_after_another(lan, folder, tools, shared, scenario, size)
            else:
                parser.error(f"no such scenario: {scenario}")
    finally:
        pid = folder / "nginx.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        lan.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
