"""What compare.py and its methods know of a folder: its list, its archives, and how to put a new folder together from an old one.

Folders flow in as paths; lists flow out as plain dictionaries, for JSON: a file's entry is [SHA-256, bytes, executable], a link's its
target. Nothing here measures, and nothing here writes into the folders compared. Links, empty folders and the executable bit count;
owners, times and other bits do not.
"""

import functools
import hashlib
import io
import os
import pathlib
import shutil
import stat
import tarfile
import zipfile

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell


def listing(root: pathlib.Path) -> dict:
    files, links, empty = {}, {}, []
    for here, folders, names in os.walk(root):
        at = pathlib.Path(here)
        relative = at.relative_to(root).as_posix()
        if not folders and not names:
            empty.append(relative)
        for name in folders + names:
            path = at / name
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                links[key] = os.readlink(path)
            elif name in names:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                state = path.stat()
                files[key] = [digest, state.st_size, bool(state.st_mode & stat.S_IXUSR)]
    return {"files": dict(sorted(files.items())), "links": dict(sorted(links.items())), "empty": sorted(empty)}


def change(old: dict, new: dict) -> dict:
    """Paths by what became of them; a file that only moved or only changed its bits is `added` or `same`."""
    before, after = old["files"], new["files"]
    return {"same": [path for path in after if path in before and before[path][0] == after[path][0]],
            "changed": [path for path in after if path in before and before[path][0] != after[path][0]],
            "added": [path for path in after if path not in before],
            "removed": [path for path in before if path not in after]}


def differences(one: dict, other: dict) -> list[str]:
    return sorted(key for part in ("files", "links") for key in one[part].keys() | other[part].keys()
                  if one[part].get(key) != other[part].get(key)) + sorted(set(one["empty"]) ^ set(other["empty"]))


def tar(root: pathlib.Path, entries: dict, out: pathlib.Path) -> None:
    """In the order of names, without owners and times: the same folder makes the same tar."""
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted([*entries["files"], *entries["links"], *entries["empty"]]):
            entry = archive.gettarinfo(root / path, path)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                entry.mode = 0o755 if entries["files"][path][2] else 0o644
                with (root / path).open("rb") as file:
                    archive.addfile(entry, file)
            else:
                archive.addfile(entry)


def package(root: pathlib.Path, entries: dict, out: pathlib.Path) -> None:
    """The folder as a zip, deflate at level 9."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted([*entries["files"], *entries["links"], *entries["empty"]]):
            entry = zipfile.ZipInfo(path + "/" * (path in entries["empty"]), LONG_AGO)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3  # 3: Unix, so that the mode is understood
            if path in entries["files"]:
                entry.external_attr = (stat.S_IFREG | (0o755 if entries["files"][path][2] else 0o644)) << 16
                entry.file_size = entries["files"][path][1]
                with (root / path).open("rb") as file, archive.open(entry, "w") as inside:
                    shutil.copyfileobj(file, inside, 1 << 20)
            else:
                link = path in entries["links"]
                entry.external_attr = (stat.S_IFLNK | 0o777 if link else stat.S_IFDIR | 0o755) << 16
                archive.writestr(entry, entries["links"].get(path, ""))


def bases(changes: dict) -> list[str]:
    """The old files that a stream of changed and added files is made from: the changed ones, and the removed ones, for those that moved."""
    return sorted([*changes["changed"], *changes["removed"]], key=kind)


def targets(changes: dict) -> list[str]:
    return sorted([*changes["changed"], *changes["added"]], key=kind)


def kind(path: str) -> tuple[str, str]:
    """Files of one kind follow each other, as in a solid archive."""
    return pathlib.PurePosixPath(path).suffix, path


def joined(root: pathlib.Path, paths: list[str], out: io.BufferedIOBase) -> None:
    for path in paths:
        with (root / path).open("rb") as file:
            shutil.copyfileobj(file, out, 1 << 20)


def divided(stream: io.BufferedIOBase, paths: list[str], entries: dict, out: pathlib.Path) -> None:
    """Undoes `joined` into the folder `out`."""
    for path in paths:
        target = out / path
        make_room(target)
        rest = entries["files"][path][1]
        with target.open("wb") as file:
            while rest:
                chunk = stream.read(min(rest, 1 << 20))
                if not chunk:
                    raise ValueError(f"the stream ends within {path}")
                file.write(chunk)
                rest -= len(chunk)


@functools.cache
def make_folder(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def make_room(path: pathlib.Path) -> None:
    make_folder(path.parent)


def assemble(old: pathlib.Path, entries: dict, same: list[str], out: pathlib.Path) -> None:
    """Everything of the new folder that needs no patch: copies of the unchanged files, links, empty folders, executable bits."""
    for path in same:
        make_room(out / path)
        shutil.copyfile(old / path, out / path)
    for path in entries["empty"]:
        make_folder(out / path)
    for path, target in entries["links"].items():
        make_room(out / path)
        (out / path).symlink_to(target)
    for path, (_, _, executable) in entries["files"].items():
        if executable:
            (out / path).chmod(0o755)
