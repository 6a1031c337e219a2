"""The methods that compare.py measures, and the worker that runs one step of one method in a process of its own.

    methods.py STEP NAME JOB      STEP: list, prepare, make, apply or verify; JOB: a folder that holds job.json

`make` reads the old and the new folder and leaves in JOB/wire what a client has to fetch; `apply` puts the new folder together in
JOB/out from the old folder and JOB/wire. What only this benchmark needs (tars and zips that a publisher or client would have anyway) is
made by `prepare`, unmeasured, in JOB/shared. A worker prints one JSON object on its last line. Lists of files (JOB/shared/lists.json)
are given to every method for nothing: only a peer's own bytes are counted.
"""

import dataclasses
import gzip
import http.server
import importlib.util
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable

import folders

NEEDS_LIST = "needs a file list, not counted"
WHOLE_TAR = "both tars are kept"
CASYNC = ["--with=symlinks", "--with=permissions"]


class Job:
    """Where one comparison happens. `path` holds job.json, shared/, wire/, out/ and work/."""

    def __init__(self, path: pathlib.Path):
        self.path, self.shared, self.wire, self.out, self.work = path, path / "shared", path / "wire", path / "out", path / "work"
        self.__dict__.update(settings := json.loads((path / "job.json").read_text()))
        self.old, self.new = pathlib.Path(settings["old"]), pathlib.Path(settings["new"])
        for folder in (self.shared, self.wire, self.work):
            folder.mkdir(exist_ok=True)

    def lists(self) -> tuple[dict, dict, dict]:
        """The old folder's list, the new one's, and the changes between them."""
        lists = json.loads((self.shared / "lists.json").read_text())
        return lists["old"], lists["new"], lists["changes"]

    def tool(self, name: str) -> str:
        return self.tools.get(name) or name


@dataclasses.dataclass(frozen=True)
class Method:
    label: str
    make: Callable[[Job], dict | None]
    apply: Callable[[Job], dict | None]
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    prepare: Callable[[Job], dict | None] | None = None
    note: str = ""
    slow: bool = False  # needs --slow for folders above 300 MB

    def missing(self, tools: dict[str, str]) -> list[str]:
        return [name for name in self.programs if not shutil.which(tools.get(name) or name)] + \
            [f"Python package {name}" for name in self.packages if importlib.util.find_spec(name) is None]


def run(*command, **options) -> subprocess.CompletedProcess:
    result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)
    if result.returncode:
        raise RuntimeError(f"{command[0]} ended with {result.returncode}: {' '.join(result.stderr.decode(errors='replace').split())[-300:]}")
    return result


def list_folders(job: Job) -> dict:
    old, new = folders.listing(job.old), folders.listing(job.new)
    changes = folders.change(old, new)
    (job.shared / "lists.json").write_text(json.dumps({"old": old, "new": new, "changes": changes}))
    size = lambda entries: sum(entry[1] for entry in entries["files"].values())
    return {"old_files": len(old["files"]), "old_bytes": size(old), "new_files": len(new["files"]), "new_bytes": size(new),
            "changed_bytes": sum(new["files"][path][1] for path in changes["changed"]),
            "added_bytes": sum(new["files"][path][1] for path in changes["added"]),
            **{name: len(changes[name]) for name in ("changed", "added", "removed")}}


def verify(job: Job) -> dict:
    wrong = folders.differences(job.lists()[1], folders.listing(job.out))
    return {"right": not wrong, "wrong": wrong[:3]}


def copy_make(_job: Job) -> dict:
    return {"wire": None}


def copy_apply(job: Job) -> None:
    _, new, _ = job.lists()
    folders.assemble(job.new, new, list(new["files"]), job.out)


# Archives as a whole.


def tars(job: Job) -> None:
    old, new, _ = job.lists()
    for root, entries, name in ((job.old, old, "old.tar"), (job.new, new, "new.tar")):
        if not (job.shared / name).exists():
            folders.tar(root, entries, job.shared / name)


def untar(job: Job, archive: pathlib.Path) -> None:
    job.out.mkdir()
    run("tar", "xf", archive, "-C", job.out, "--no-same-owner")


def zip_make(job: Job) -> None:
    folders.package(job.new, job.lists()[1], job.wire / "new.zip")


def zip_apply(job: Job) -> None:
    run("unzip", "-q", job.wire / "new.zip", "-d", job.out)


def tar_zstd_make(job: Job) -> None:
    run("zstd", "-q", "-19", "--long=27", job.shared / "new.tar", "-o", job.wire / "new.tar.zst")


def tar_zstd_apply(job: Job) -> None:
    run("zstd", "-q", "-d", job.wire / "new.tar.zst", "-o", job.work / "new.tar")
    untar(job, job.work / "new.tar")


# Differences of the whole tar.


def in_memory_make(difference: Callable[[bytes, bytes], bytes]) -> Callable[[Job], None]:
    def make(job: Job) -> None:
        (job.wire / "patch").write_bytes(difference((job.shared / "old.tar").read_bytes(), (job.shared / "new.tar").read_bytes()))
    return make


def in_memory_apply(patch: Callable[[bytes, bytes], bytes]) -> Callable[[Job], None]:
    def apply(job: Job) -> None:
        (job.work / "new.tar").write_bytes(patch((job.shared / "old.tar").read_bytes(), (job.wire / "patch").read_bytes()))
        untar(job, job.work / "new.tar")
    return apply


def bsdiff4_difference(old: bytes, new: bytes) -> bytes:
    import bsdiff4
    return bsdiff4.diff(old, new)


def bsdiff4_patch(old: bytes, patch: bytes) -> bytes:
    import bsdiff4
    return bsdiff4.patch(old, patch)


def hdiffpatch_difference(compression: str) -> Callable[[bytes, bytes], bytes]:
    def difference(old: bytes, new: bytes) -> bytes:
        import hdiffpatch
        settings = {"zstd": lambda: hdiffpatch.ZStdConfig(level=22, window=27, threads=1),
                    "lzma2": lambda: hdiffpatch.Lzma2Config(level=9, window=27, threads=1)}[compression]()
        return hdiffpatch.diff(old, new, settings, validate=False)  # compare.py proves the result
    return difference


def hdiffpatch_patch(old: bytes, patch: bytes) -> bytes:
    import hdiffpatch
    return hdiffpatch.apply(old, patch)


def xdelta3_make(job: Job) -> None:
    # The window over the old file as large as the file, else what moved far is not found.
    window = max(1 << 19, (job.shared / "old.tar").stat().st_size)
    run("xdelta3", "-e", "-9", "-f", "-B", min(window, (1 << 31) - 1), "-s", job.shared / "old.tar", job.shared / "new.tar",
        job.wire / "patch")


def xdelta3_apply(job: Job) -> None:
    window = max(1 << 19, (job.shared / "old.tar").stat().st_size)
    run("xdelta3", "-d", "-f", "-B", min(window, (1 << 31) - 1), "-s", job.shared / "old.tar", job.wire / "patch", job.work / "new.tar")
    untar(job, job.work / "new.tar")


# Differences file by file. A patch is named by its number in the list of changed and added files, and by how it is made.


def smallest_full(source: pathlib.Path, target: pathlib.Path) -> None:
    """The whole file as xz or zstd, whichever is smaller."""
    run("zstd", "-q", "-19", source, "-o", target.with_suffix(".zst"))
    packed = lzma.compress(source.read_bytes(), preset=9 | lzma.PRESET_EXTREME, check=lzma.CHECK_NONE)
    if len(packed) < target.with_suffix(".zst").stat().st_size:
        target.with_suffix(".zst").unlink()
        target.with_suffix(".xz").write_bytes(packed)


def per_file(job: Job) -> list[tuple[str, pathlib.Path, bool]]:
    """Path, patch without suffix, and whether there is an old file of that name."""
    changes = job.lists()[2]
    paths = [(path, True) for path in changes["changed"]] + [(path, False) for path in changes["added"]]
    return [(path, job.wire / f"{number:05}", changed) for number, (path, changed) in enumerate(paths)]


def per_file_sizes(job: Job) -> dict:
    return {"sizes": {path: next(patch.parent.glob(f"{patch.name}.*")).stat().st_size for path, patch, _ in per_file(job)}}


def bsdiff4_make(job: Job) -> dict:
    import bsdiff4
    for path, patch, changed in per_file(job):
        if changed:
            difference = bsdiff4.diff((job.old / path).read_bytes(), (job.new / path).read_bytes())
            patch.with_suffix(".bsdiff").write_bytes(difference)
        else:
            smallest_full(job.new / path, patch)
    return per_file_sizes(job)


def patch_from(old: pathlib.Path, new_bytes: int) -> list[str]:
    """The option for zstd; without it where a side is empty, which ends zstd 1.5.4."""
    return [f"--patch-from={old}"] if new_bytes and old.stat().st_size else []


def zstd_make(*options: str) -> Callable[[Job], dict]:
    def make(job: Job) -> dict:
        for path, patch, changed in per_file(job):
            base = patch_from(job.old / path, (job.new / path).stat().st_size) if changed else []
            run("zstd", "-q", "-19", *options, *base, job.new / path, "-o", patch.with_suffix(".zst"))
        return per_file_sizes(job)
    return make


def per_file_apply(job: Job) -> None:
    _, new, changes = job.lists()
    for path, patch, changed in per_file(job):
        target = job.out / path
        folders.make_room(target)
        if patch.with_suffix(".bsdiff").exists():
            import bsdiff4
            target.write_bytes(bsdiff4.patch((job.old / path).read_bytes(), patch.with_suffix(".bsdiff").read_bytes()))
        elif patch.with_suffix(".xz").exists():
            target.write_bytes(lzma.decompress(patch.with_suffix(".xz").read_bytes()))
        else:
            base = patch_from(job.old / path, new["files"][path][1]) if changed else []
            run("zstd", "-q", "-d", "--long=31", *base, patch.with_suffix(".zst"), "-o", target)
    folders.assemble(job.old, new, changes["same"], job.out)


# Differences of one stream: the old versions of the changed files and the removed files, against the changed and the added ones.


def streams(job: Job) -> tuple[pathlib.Path, pathlib.Path]:
    _, _, changes = job.lists()
    for name, root, paths in (("old", job.old, folders.bases(changes)), ("new", job.new, folders.targets(changes))):
        with (job.work / name).open("wb") as file:
            folders.joined(root, paths, file)
    return job.work / "old", job.work / "new"


def zstd_stream_make(job: Job) -> None:
    old, new = streams(job)
    run("zstd", "-q", "-19", "--long=31", *patch_from(old, new.stat().st_size), new, "-o", job.wire / "patch")


def hdiffpatch_stream_make(job: Job) -> None:
    old, new = streams(job)
    (job.wire / "patch").write_bytes(hdiffpatch_difference("lzma2")(old.read_bytes(), new.read_bytes()))


def stream_apply(patch: Callable[[Job, pathlib.Path, pathlib.Path], None]) -> Callable[[Job], None]:
    def apply(job: Job) -> None:
        _, new, changes = job.lists()
        with (job.work / "old").open("wb") as file:
            folders.joined(job.old, folders.bases(changes), file)
        patch(job, job.work / "old", job.work / "new")
        with (job.work / "new").open("rb") as file:
            folders.divided(file, folders.targets(changes), new, job.out)
        folders.assemble(job.old, new, changes["same"], job.out)
    return apply


def zstd_stream_patch(job: Job, old: pathlib.Path, new: pathlib.Path) -> None:
    _, entries, changes = job.lists()
    base = patch_from(old, sum(entries["files"][path][1] for path in folders.targets(changes)))
    run("zstd", "-q", "-f", "-d", "--long=31", *base, job.wire / "patch", "-o", new)


def hdiffpatch_stream_patch(job: Job, old: pathlib.Path, new: pathlib.Path) -> None:
    new.write_bytes(hdiffpatch_patch(old.read_bytes(), (job.wire / "patch").read_bytes()))


# Chunks and blocks.


def casync_prepare(job: Job) -> None:
    run("casync", "make", *CASYNC, f"--store={job.work / 'store.castr'}", job.work / "old.caidx", job.old)
    names = [path.relative_to(job.work).as_posix() for path in (job.work / "store.castr").rglob("*") if path.is_file()]
    (job.work / "before.json").write_text(json.dumps(names))


def casync_make(job: Job) -> dict:
    run("casync", "make", *CASYNC, f"--store={job.work / 'store.castr'}", job.wire / "new.caidx", job.new)
    before = set(json.loads((job.work / "before.json").read_text()))
    for path in (job.work / "store.castr").rglob("*"):
        relative = path.relative_to(job.work).as_posix()
        if path.is_file() and relative not in before:
            (job.wire / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, job.wire / relative)
    index = (job.wire / "new.caidx").stat().st_size
    return {"note": f"chunks {total(job.wire) - index:,} + index {index:,}"}


def casync_apply(job: Job) -> None:
    (job.wire / "store.castr").mkdir(exist_ok=True)
    run("casync", "extract", *CASYNC, "--hardlink=no", f"--store={job.wire / 'store.castr'}", f"--seed={job.old}",
        job.wire / "new.caidx", job.out)


class RangeServer(http.server.BaseHTTPRequestHandler):
    """Serves JOB/wire and JOB/shared with one or several ranges a request, and counts the bytes of file content sent."""

    protocol_version = "HTTP/1.1"
    roots: list[pathlib.Path] = []
    sent = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = next((root / pathlib.Path(self.path).name for root in self.roots if (root / pathlib.Path(self.path).name).exists()), None)
        if path is None:
            return self.send_error(404)
        size = path.stat().st_size
        ranges = [(int(first), min(int(last or size - 1), size - 1))
                  for first, last in re.findall(r"(\d+)-(\d*)", self.headers.get("Range", ""))]
        with path.open("rb") as file:
            parts = [(first, last, (file.seek(first), file.read(last - first + 1))[1]) for first, last in ranges or [(0, size - 1)]]
        RangeServer.sent += sum(len(part) for _, _, part in parts)
        self.send_response(206 if ranges else 200)
        if len(ranges) > 1:
            body = b"".join(b"\r\n--part\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s" % (first, last, size, part)
                            for first, last, part in parts) + b"\r\n--part--\r\n"
            self.send_header("Content-Type", "multipart/byteranges; boundary=part")
        else:
            (first, last, body), = parts
            if ranges:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def zsync_make(job: Job) -> None:
    run("zsyncmake", "-u", "new.tar", "-o", job.wire / "new.tar.zsync", job.shared / "new.tar")


def zsync_apply(job: Job) -> dict:
    control = total(job.wire)
    RangeServer.roots = [job.wire, job.shared]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run("zsync", "-q", "-i", job.shared / "old.tar", "-o", job.work / "new.tar",
        f"http://127.0.0.1:{server.server_address[1]}/new.tar.zsync", cwd=job.work,
        env={name: value for name, value in os.environ.items() if name.lower() != "http_proxy"})
    server.shutdown()
    untar(job, job.work / "new.tar")
    return {"wire": RangeServer.sent, "note": f"content {RangeServer.sent - control:,} + control file {control:,}"}


def zips(job: Job) -> None:
    old, new, _ = job.lists()
    for root, entries, name in ((job.old, old, "old.zip"), (job.new, new, "new.zip")):
        if not (job.shared / name).exists():
            folders.package(root, entries, job.shared / name)
    block_map(job, job.shared / "old.zip", job.work / "old.blockmap")


def block_map(job: Job, archive: pathlib.Path, out: pathlib.Path) -> list[tuple[str, int, int]]:
    """Checksum, offset and length of every block, as electron-builder's own program divides the archive."""
    if not out.exists():
        run(job.tool("app-builder"), "blockmap", "--input", archive, "--output", out)
    file, = json.loads(gzip.decompress(out.read_bytes()))["files"]
    blocks, at = [], file["offset"]
    for checksum, size in zip(file["checksums"], file["sizes"]):
        blocks.append((checksum, at, size))
        at += size
    return blocks


def blockmap_make(job: Job) -> dict:
    blocks = block_map(job, job.shared / "new.zip", job.wire / "new.blockmap")
    known = {checksum for checksum, _, _ in block_map(job, job.shared / "old.zip", job.work / "old.blockmap")}
    with (job.shared / "new.zip").open("rb") as archive, (job.wire / "blocks").open("wb") as out:
        for checksum, at, size in blocks:
            if checksum not in known:
                archive.seek(at)
                out.write(archive.read(size))
    index = (job.wire / "new.blockmap").stat().st_size
    return {"note": f"blocks {total(job.wire) - index:,} + map {index:,}; both zips are kept"}


def blockmap_apply(job: Job) -> None:
    known = {checksum: at for checksum, at, _ in block_map(job, job.shared / "old.zip", job.work / "old.blockmap")}
    blocks = block_map(job, job.shared / "new.zip", job.wire / "new.blockmap")
    with (job.shared / "old.zip").open("rb") as old, (job.wire / "blocks").open("rb") as fetched, (job.work / "new.zip").open("wb") as out:
        for checksum, _, size in blocks:
            if checksum in known:
                old.seek(known[checksum])
            out.write((old if checksum in known else fetched).read(size))
    run("unzip", "-q", job.work / "new.zip", "-d", job.out)


# This project's own.


def kuzflow_make(job: Job) -> dict:
    result = run(job.tool("kuzflow"), "diff", job.old, job.new, "--json", "--out", job.wire / "pack")
    report = json.loads(result.stdout.decode().splitlines()[-1])["result"]
    return {"report": report, "note": "everything: patches, file list, hashes"}


def kuzflow_apply(job: Job) -> None:
    run(job.tool("kuzflow"), "apply", job.wire / "pack", "--old", job.old, "--out", job.out)


METHODS = {
    "copy": Method("a plain copy of the folder", copy_make, copy_apply, note="what applying costs without any patch"),
    "zip": Method("full zip, deflate 9", zip_make, zip_apply, ("unzip",)),
    "tar.zst": Method("full tar.zst -19 --long", tar_zstd_make, tar_zstd_apply, ("zstd", "tar"), prepare=tars),
    "blockmap": Method("electron-builder's blockmap, on the zip", blockmap_make, blockmap_apply, ("app-builder", "unzip"), prepare=zips),
    "casync": Method("casync", casync_make, casync_apply, ("casync",), prepare=casync_prepare),
    "zsync": Method("zsync, whole tar", zsync_make, zsync_apply, ("zsync", "zsyncmake", "tar"), prepare=tars),
    "xdelta3": Method("xdelta3 -9, whole tar", xdelta3_make, xdelta3_apply, ("xdelta3", "tar"), prepare=tars, note=WHOLE_TAR),
    "bsdiff4-tar": Method("bsdiff4, whole tar (tufup's way)", in_memory_make(bsdiff4_difference), in_memory_apply(bsdiff4_patch), ("tar",),
                          ("bsdiff4",), tars, WHOLE_TAR, slow=True),
    "hdiffpatch-tar-zstd": Method("HDiffPatch zstd 22, whole tar", in_memory_make(hdiffpatch_difference("zstd")),
                                  in_memory_apply(hdiffpatch_patch), ("tar",), ("hdiffpatch",), tars, WHOLE_TAR),
    "hdiffpatch-tar-lzma2": Method("HDiffPatch lzma2, whole tar", in_memory_make(hdiffpatch_difference("lzma2")),
                                   in_memory_apply(hdiffpatch_patch), ("tar",), ("hdiffpatch",), tars, WHOLE_TAR),
    "bsdiff4": Method("per file, bsdiff4; added as xz or zstd", bsdiff4_make, per_file_apply, ("zstd",), ("bsdiff4",), note=NEEDS_LIST),
    "zstd": Method("per file, zstd -19 --patch-from (Velopack's way)", zstd_make(), per_file_apply, ("zstd",), note=NEEDS_LIST),
    "zstd-long": Method("per file, zstd -19 --long --patch-from", zstd_make("--long=31"), per_file_apply, ("zstd",), note=NEEDS_LIST),
    "zstd-stream": Method("changed files as one stream, zstd -19 --long --patch-from", zstd_stream_make, stream_apply(zstd_stream_patch),
                          ("zstd",), note=NEEDS_LIST),
    "hdiffpatch-stream": Method("changed files as one stream, HDiffPatch lzma2", hdiffpatch_stream_make,
                                stream_apply(hdiffpatch_stream_patch), packages=("hdiffpatch",), note=NEEDS_LIST),
    "kuzflow": Method("**kuzflow diff**", kuzflow_make, kuzflow_apply, ("kuzflow",)),
}


def total(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    step, name, at = sys.argv[1:]
    job = Job(pathlib.Path(at))
    if step in ("list", "verify"):
        result = {"list": list_folders, "verify": verify}[step](job)
    else:
        result = getattr(METHODS[name], step)(job) or {}
        if step == "make":
            result.setdefault("wire", total(job.wire))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
