"""Signs copies of the launcher for Windows, for the tests of its own exchange.

    python3 .ci/wine/signed.py LAUNCHER FOLDER

FOLDER gets `present.exe` (the launcher), `renewed.exe` (version 0.9.0, the same publisher with a
renewed certificate and another key) and `foreign.exe` (version 0.9.1, another publisher). The
certificates are made here, and nobody trusts them: the launcher compares publishers, and whether a
certificate is to be trusted is for Windows to say.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

STAMP = re.compile(rb"kuzflow-launcher-version:\[(\d+\.\d+\.\d+)\]")
PUBLISHER, OTHER = "Kuzflow Tests Ltd", "Somebody Else Ltd"


def quietly(command: List[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def signed(program: bytes, publisher: str, to: Path) -> None:
    """Writes the program with a signature by a new certificate of this publisher."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key, certificate, plain = folder / "key.pem", folder / "cert.pem", folder / "plain.exe"
        plain.write_bytes(program)
        options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={publisher}"]
        purpose = ["-addext", "extendedKeyUsage=codeSigning"]
        files = ["-keyout", str(key), "-out", str(certificate)]
        quietly(["openssl", "req", "-x509", *options, *purpose, *files])
        to.unlink(missing_ok=True)
        keys = ["-certs", str(certificate), "-key", str(key)]
        quietly(["osslsigncode", "sign", *keys, "-in", str(plain), "-out", str(to)])


def of_version(program: bytes, version: str) -> bytes:
    """The program with another version in its stamp."""
    found = STAMP.search(program)
    if found is None or len(found.group(1)) != len(version):
        raise ValueError("the launcher has no stamp for a version of this length")
    return program[: found.start(1)] + version.encode() + program[found.end(1) :]


def main() -> None:
    launcher, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    signed(launcher, PUBLISHER, folder / "present.exe")
    signed(of_version(launcher, "0.9.0"), PUBLISHER, folder / "renewed.exe")
    signed(of_version(launcher, "0.9.1"), OTHER, folder / "foreign.exe")


if __name__ == "__main__":
    main()
