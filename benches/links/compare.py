#!/usr/bin/env python3
"""Compares downloads over four emulated links: each node alone, all four with this project's downloader, tuned aria2c.

    benches/links/compare.py [--congestion bbr|cubic] [--runs 3] [--fault none|dark|stop|die] [--only ours|aria2c] ...

Needs root, nginx-light, iproute2, gcc, aria2 (apt) and `cargo build --release --no-default-features --example fetch_file`.
Prints one line a download and a summary; see README.md beside this file.
"""
import argparse, hashlib, json, os, pathlib, shutil, signal, statistics, subprocess, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NODES_SH = str(HERE / "nodes.sh")
RATES = [40, 20, 8, 60]  # Mbit/s, as in nodes.sh
URLS = [f"http://10.77.{k}.2/" for k in range(1, 5)]


def shell(*command, **options):
    return subprocess.run(command, check=True, text=True, **options)


def nodes(*arguments):
    shell(NODES_SH, *map(str, arguments), stdout=subprocess.DEVNULL)


class Fault:
    """Makes a node misbehave some seconds after the start, and mends it afterwards."""

    def __init__(self, kind, node, after):
        self.kind, self.node, self.after, self.timer = kind, node, after, None

    def nginx(self, which):
        state = pathlib.Path(os.environ.get("STATE", "/tmp/kz-nodes"))
        master = int((state / f"n{self.node}/nginx.pid").read_text())
        workers = subprocess.run(["pgrep", "-P", str(master)], text=True, capture_output=True).stdout.split()
        for process in [master, *map(int, workers)]:
            os.kill(process, which)

    def strike(self):
        if self.kind == "dark":
            nodes("kill", self.node)
        elif self.kind == "stop":
            self.nginx(signal.SIGSTOP)
        elif self.kind == "die":
            self.nginx(signal.SIGKILL)

    def __enter__(self):
        if self.kind != "none":
            self.timer = threading.Timer(self.after, self.strike)
            self.timer.start()

    def __exit__(self, *_):
        if self.kind == "none":
            return
        self.timer.cancel()
        self.timer.join()
        if self.kind == "dark":
            nodes("heal", self.node)
        elif self.kind == "stop":
            self.nginx(signal.SIGCONT)
        elif self.kind == "die":
            state = os.environ.get("STATE", "/tmp/kz-nodes")
            at = f"{state}/n{self.node}"
            pathlib.Path(f"{at}/nginx.pid").unlink(missing_ok=True)
            shell("ip", "netns", "exec", f"kz-node{self.node}", "nginx", "-c", f"{at}/nginx.conf", "-e", f"{at}/error.log")


def timed(command, fault, check):
    started = time.monotonic()
    with fault:
        usage = os.times()
        result = subprocess.run([NODES_SH, "run", *command], text=True, capture_output=True)
        seconds = time.monotonic() - started
        after = os.times()
    cpu = after.children_user + after.children_system - usage.children_user - usage.children_system
    if not check():
        print("    WRONG OR NO FILE:", result.stdout[-300:], result.stderr[-300:], file=sys.stderr)
        return None, cpu, result
    return seconds, cpu, result


def ours(options, reference, urls, fault, work):
    out = work / "ours"
    for leftover in (out, work / "ours.journal"):
        leftover.unlink(missing_ok=True)
    command = [options.program, "--reference", str(reference), "--location", reference.name, "--out", str(out)]
    if options.first:
        command += ["--first", str(options.first)]
    if options.most:
        command += ["--most", str(options.most)]
    if options.memory:
        command += ["--memory", str(work / "nodes.json")]
    seconds, cpu, result = timed([*command, *urls], fault, lambda: same(out, reference))
    report = json.loads(result.stdout.splitlines()[-1]) if seconds else {}
    # Making the piece table from the reference file is the example's own affair; in the product it comes with the manifest.
    return report.get("seconds"), cpu, report


def aria2c(reference, urls, connections, split, fault, work):
    out = work / "aria"
    for leftover in (out, work / "aria.aria2"):
        leftover.unlink(missing_ok=True)
    command = ["aria2c", "-q", f"-x{connections}", f"-s{split}", "-k1M", "--file-allocation=none", "--auto-file-renaming=false",
               "-d", str(work), "-o", "aria", *[url + reference.name for url in urls]]
    return timed(command, fault, lambda: same(out, reference))


def same(out, reference):
    if not out.exists() or out.stat().st_size != reference.stat().st_size:
        return False
    digest = lambda path: hashlib.file_digest(path.open("rb"), "sha256").digest()
    return digest(out) == digest(reference)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--congestion", default="bbr", help="the nodes' congestion control")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--fault", default="none", choices=["none", "dark", "stop", "die"],
                        help="dark: packets vanish; stop: the server stops answering; die: the server is killed")
    parser.add_argument("--fault-node", type=int, default=1)
    parser.add_argument("--fault-after", type=float, default=8.0)
    parser.add_argument("--only", default="alone,ours,aria2c")
    parser.add_argument("--aria2c", default="1x4,2x8,4x12,8x16,16x16", help="list of -x x -s")
    parser.add_argument("--first", type=int, help="connections a node begins with")
    parser.add_argument("--most", type=int, help="connections a node may have")
    parser.add_argument("--memory", action="store_true", help="remember the nodes between runs")
    parser.add_argument("--alone-seconds", type=float, default=15.0)
    parser.add_argument("--keep", action="store_true", help="leave the nodes up (and use them if they are)")
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/fetch_file"))
    options = parser.parse_args()
    if os.path.exists("/run/netns/kz-client") and not options.keep:
        sys.exit("the nodes are up already; run nodes.sh down first")
    served = pathlib.Path(tempfile.gettempdir()) / "kz-links-served"
    served.mkdir(exist_ok=True)
    reference = served / f"{options.megabytes}.bin"
    if not reference.exists():
        with reference.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(1_000_000))
    if not os.path.exists("/run/netns/kz-client"):
        nodes("up", served)
    work = pathlib.Path(tempfile.mkdtemp(prefix="kz-links-"))
    try:
        for k in range(1, 5):
            # By route: the sysctl of a network namespace takes only what the whole machine allows.
            shell("ip", "-n", f"kz-node{k}", "route", "replace", f"10.77.{k}.1", "dev", f"s{k}", "src", f"10.77.{k}.2",
                  "congctl", options.congestion)
        compare(options, served, reference, work)
    finally:
        shutil.rmtree(work)
        if not options.keep:
            nodes("down")


def compare(options, served, reference, work):
    size = reference.stat().st_size
    fault = lambda: Fault(options.fault, options.fault_node, options.fault_after)
    only = options.only.split(",")
    results = {}
    alone = []
    if "alone" in only:
        for rate, url in zip(RATES, URLS):
            # As long a download as the node can do in the given time, so that all nodes' ramps weigh the same.
            megabytes = max(1, round(rate / 8 * options.alone_seconds))
            part = served / f"{megabytes}.part"
            if not part.exists():
                part.write_bytes(reference.open("rb").read(megabytes * 1_000_000))
            seconds, _, _ = ours(options, part, [url], Fault("none", 0, 0), work)
            alone.append(megabytes * 1e6 / seconds)
            print(f"alone   {url:20} {seconds:6.2f} s  {alone[-1] / 1e6:6.3f} MB/s", flush=True)
        print(f"sum of the nodes one by one: {sum(alone) / 1e6:.3f} MB/s", flush=True)
    for run in range(options.runs):
        if "ours" in only:
            seconds, cpu, report = ours(options, reference, URLS, fault(), work)
            results.setdefault("ours", []).append(seconds)
            shares = " ".join(f"{node['done'] / 1e6:.1f}" for node in report.get("nodes", []))
            print(f"ours    {tell(seconds, size, alone)}  cpu {cpu:.2f} s  received {report.get('received', 0) / size:.3f}"
                  f"  peak {report.get('peak_memory_kib', 0) / 1024:.0f} MiB  shares {shares}", flush=True)
        if "aria2c" in only:
            for setting in options.aria2c.split(","):
                connections, split = map(int, setting.split("x"))
                seconds, cpu, _ = aria2c(reference, URLS, connections, split, fault(), work)
                results.setdefault(f"aria2c -x{connections} -s{split}", []).append(seconds)
                print(f"aria2c  {tell(seconds, size, alone)}  cpu {cpu:.2f} s  -x{connections} -s{split}", flush=True)
    print(f"medians ({options.congestion}, fault {options.fault}):")
    for name, seconds in results.items():
        good = [value for value in seconds if value]
        middle = statistics.median(good) if good else None
        print(f"  {name:20} {tell(middle, size, alone)}  ({len(good)} of {len(seconds)} right)", flush=True)


def tell(seconds, size, alone):
    if not seconds:
        return "failed"
    rate = size / seconds
    of_sum = f"  {rate / sum(alone):.3f} of the sum" if alone else ""
    return f"{seconds:6.2f} s  {rate / 1e6:6.3f} MB/s  {rate / (sum(RATES) / 8 * 1e6):.3f} of the links{of_sum}"


if __name__ == "__main__":
    main()
