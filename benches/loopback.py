#!/usr/bin/env python3
"""CPU of a verified download on loopback, against what it cannot do without: sha256 and a copy.

    benches/loopback.py [--gib 1] [--runs 3]

Needs nginx-light, curl, openssl and `cargo build --release --no-default-features --example fetch_file`. Prints user + system
seconds per GiB (medians); the server's own are not counted. `openssl` hashes with the processor's SHA instructions, `sha256sum`
of older coreutils does not.
"""
import argparse, json, os, pathlib, resource, shutil, statistics, subprocess, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PORT = 18479


def cpu(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, check=True, text=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--connections", type=int, default=2, help="that our downloader begins with")
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/fetch_file"))
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="kz-loopback-"))
    source = work / "file.bin"
    with source.open("wb") as file:
        for _ in range(int(options.gib * 1024)):
            file.write(os.urandom(1 << 20))
    paths = "".join(f"{name}_temp_path {work}/{name}; " for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    configuration = work / "nginx.conf"
    configuration.write_text(
        f"user root; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log; events {{}} "
        f"http {{ access_log off; sendfile on; {paths} server {{ listen 127.0.0.1:{PORT}; root {work}; }} }}")
    subprocess.run(["nginx", "-c", configuration, "-e", work / "error.log"], check=True)
    url, out = f"http://127.0.0.1:{PORT}/", work / "out"
    figures = {}
    try:
        for _ in range(options.runs):
            for name, command in {
                "cp": ["cp", "--reflink=never", source, out],
                "openssl sha256": ["openssl", "dgst", "-sha256", source],
                "sha256sum": ["sha256sum", source],
                "curl to a file": ["curl", "-s", "-o", out, url + "file.bin"],
            }.items():
                out.unlink(missing_ok=True)
                figures.setdefault(name, []).append(cpu(*command)[0])
            for leftover in (out, work / "out.journal"):
                leftover.unlink(missing_ok=True)
            started = time.monotonic()
            _, text = cpu(options.program, "--reference", source, "--location", "file.bin", "--out", out,
                          "--first", str(options.connections), url)
            report = json.loads(text)
            assert report["error"] is None, report
            figures.setdefault("ours, verified", []).append(report["cpu_seconds"])
            print(f"ours: {report['cpu_seconds']:.2f} CPU s, {report['seconds']:.2f} s, peak {report['peak_memory_kib'] / 1024:.0f} MiB")
    finally:
        subprocess.run(["nginx", "-c", configuration, "-e", work / "error.log", "-s", "stop"], check=True)
        shutil.rmtree(work, ignore_errors=True)
    medians = {name: statistics.median(values) / options.gib for name, values in figures.items()}
    for name, seconds in medians.items():
        print(f"{name:16} {seconds:.2f} CPU s per GiB")
    for hasher in ("openssl sha256", "sha256sum"):
        print(f"ours / ({hasher} + cp): {medians['ours, verified'] / (medians[hasher] + medians['cp']):.2f}")


if __name__ == "__main__":
    main()
