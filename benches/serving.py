#!/usr/bin/env python3
"""Update checks a second beside nginx, and what 10,000 listeners cost.

    benches/serving.py [--seconds 4] [--rounds 5] [--listeners 10000] [--bin target/release]

Needs wrk and nginx. `kuzflow serve` and nginx run on the same core, one at a time, wrk on another:
`GET /api/containers/check_update` of the server against nginx that sends the same bytes from a
file, and `timestamp.json` from both. Rounds are pairs that follow each other, so that the load of
the computer counts for both; the figure is the median of the pairs' ratios. nginx has one worker,
sendfile, and its access log, as the server has its own.

Then launchers listen at `/api/events` from loopback addresses, 200 of each: the server's resident
memory, the update checks and their 99th percentile while they listen, and how long a halt takes
until the last of them has heard of it.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

CHECK = "/api/containers/check_update?platform=Linux_x86_64&current_version=1.0.0"
TIMESTAMP = "/metadata/timestamp.json"
OF_ONE_ADDRESS = 200
CONNECTIONS = 32

NGINX = """daemon off;
worker_processes 1;
worker_rlimit_nofile 4096;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/json;
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port};
    location = /api/containers/check_update {{ alias {folder}/answer.json; }}
    location = /metadata/timestamp.json {{ alias {folder}/timestamp.json; }}
  }}
}}
"""


def run(*command):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def publish(folder, kuzflow, version):
    app, package = folder / "app", folder / "sample.kuzflow"
    app.mkdir(exist_ok=True)
    (app / "run.sh").write_text(f"#!/bin/sh\necho {version}\n")
    (app / "run.sh").chmod(0o755)
    words = ["--name", "sample", "--app-version", version, "--entry", "exe:run.sh"]
    words += ["--platform", "Linux_x86_64", "--runtime", "none", "--level", "1", "--out", package]
    run(kuzflow, "build", "--app", app, *words)
    run(kuzflow, "publish", package, "--repo", folder / "publisher", "--no-patches")


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return answer.read()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def until_open(port):
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "nobody answers"
            time.sleep(0.05)


def wrk(core, port, path, seconds):
    """Requests a second, and the 99th percentile in milliseconds."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    text = run("taskset", "-c", core, "wrk", *options, f"http://127.0.0.1:{port}{path}")
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    slow, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return rate, float(slow) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def beside_nginx(server, nginx, given):
    for path in (CHECK, TIMESTAMP):
        assert get(server, path) == get(nginx, path), "both send the same bytes"
        pairs = []
        for _ in range(given.rounds):
            own, other = (wrk(1, port, path, given.seconds) for port in (server, nginx))
            pairs.append((own, other))
        ratio = statistics.median(other[0] / own[0] for own, other in pairs)
        rate = [statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)]
        slow = [statistics.median(pair[side][1] for pair in pairs) for side in (0, 1)]
        print(
            f"{path.split('?')[0]}: {rate[0]:.0f} a second, 99 of 100 within {slow[0]:.1f} ms;"
            f" nginx {rate[1]:.0f}, {slow[1]:.1f} ms; nginx is {ratio:.2f} times as fast"
        )


def memory(process):
    """Resident bytes."""
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


class Listeners:
    """Launchers that wait for news of a release."""

    def __init__(self, port, count):
        self.selector, self.sockets = selectors.DefaultSelector(), []
        request = b"GET /api/events?app=sample HTTP/1.1\r\nHost: x\r\n\r\n"
        for number in range(count):
            own = f"127.1.{number // OF_ONE_ADDRESS // 250}.{number // OF_ONE_ADDRESS % 250 + 1}"
            listener = socket.create_connection(
                ("127.0.0.1", port), timeout=60, source_address=(own, 0)
            )
            listener.sendall(request)
            head = b""
            while b"id: " not in head:
                part = listener.recv(4096)
                assert part, head
                head += part
            assert head.startswith(b"HTTP/1.1 200"), head
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ)
            self.sockets.append(listener)

    def heard(self, began):
        """Seconds until each has heard of a change."""
        times, waiting = [], set(self.sockets)
        while waiting:
            ready = self.selector.select(60)
            assert ready, f"{len(waiting)} have heard nothing"
            for key, _ in ready:
                if b"event: release" in key.fileobj.recv(65536):
                    times.append(time.monotonic() - began)
                    waiting.discard(key.fileobj)
        return sorted(times)


def listening(process, port, folder, kuzflow, given):
    before = memory(process)
    began = time.monotonic()
    listeners = Listeners(port, given.listeners)
    took = time.monotonic() - began
    after = memory(process)
    print(
        f"{given.listeners} listeners came in {took:.1f} s: {after / 1e6:.1f} MB resident,"
        f" {before / 1e6:.1f} before; {(after - before) / given.listeners / 1000:.1f} kB each"
    )
    results = [wrk(1, port, CHECK, given.seconds) for _ in range(given.rounds)]
    rate, slow = (statistics.median(result[part] for result in results) for part in (0, 1))
    print(f"while they listen: {rate:.0f} checks a second, 99 of 100 within {slow:.1f} ms")
    words = ("rollout", "--version", "1.1.0", "--halt", "--repo", folder / "publisher")
    run(kuzflow, *words)
    times = listeners.heard(time.monotonic())
    middle, last = statistics.median(times), times[-1]
    print(f"a halt is heard {middle:.2f} s after it was signed, by the last one {last:.2f} s")
    print(f"after it {memory(process) / 1e6:.1f} MB resident")


def measure(folder, kuzflow, given):
    run(kuzflow, "init", folder / "publisher", "--app", "sample", "--node", "http://127.0.0.1:9/")
    publish(folder, kuzflow, "1.0.0")
    publish(folder, kuzflow, "1.1.0")
    words = ["serve", "--repo", folder / "publisher", "--listen", "127.0.0.1:0", "--json"]
    words += ["--health-interval", "0", "--listeners", given.listeners + 10]
    words += ["--listeners-per-address", OF_ONE_ADDRESS]
    command = [str(word) for word in ("taskset", "-c", "0", kuzflow, *words)]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=(folder / "log").open("w"), text=True
    )
    processes = [server]
    try:
        port = int(json.loads(server.stdout.readline())["address"].rsplit(":", 1)[1])
        (folder / "answer.json").write_bytes(get(port, CHECK))
        (folder / "timestamp.json").write_bytes(get(port, TIMESTAMP))
        other = free_port()
        settings = folder / "nginx.conf"
        settings.write_text(NGINX.format(folder=folder, port=other))
        # The worker of nginx is another user, who has to read what is here.
        for path in (folder, folder / "answer.json", folder / "timestamp.json"):
            path.chmod(0o755)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        processes.append(
            subprocess.Popen(["taskset", "-c", "0", program, "-c", settings, "-p", folder])
        )
        until_open(other)
        beside_nginx(port, other, given)
        listening(server.pid, port, folder, kuzflow, given)
        load, cores = os.getloadavg()[0], os.cpu_count()
        print(f"load of this computer: {load:.1f} on {cores} cores, wrk counted in")
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--listeners", type=int, default=10_000)
    arguments.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/release"))
    given = arguments.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard == resource.RLIM_INFINITY or hard > given.listeners + 2000, "raise `ulimit -Hn`"
    with tempfile.TemporaryDirectory(prefix="kuzflow-serving-") as name:
        measure(pathlib.Path(name), (given.bin / "kuzflow").resolve(), given)


if __name__ == "__main__":
    main()
