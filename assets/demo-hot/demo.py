"""A hot update by hand, without a launcher: this script plays its part.

    python3 demo.py                 the app starts, is updated after two seconds, and goes on
    python3 demo.py --broken        the second release's module fails: all is undone

The app prints a line twice a second; what `words.py` says changes, the count goes on.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.path.join(HERE, os.pardir, "runtime")
sys.path.insert(0, RUNTIME)

from kuzflow_runtime import wire  # noqa: E402
from kuzflow_runtime.changes import compare_containers  # noqa: E402


def main():
    """Installs two containers, starts the app from the first, and has it take over the second."""
    with tempfile.TemporaryDirectory() as home:
        one, two = (os.path.join(home, "containers", f"demo-hot_{number}.0.0") for number in (1, 2))
        shutil.copytree(os.path.join(HERE, "one"), os.path.join(one, "app"))
        shutil.copytree(os.path.join(one, "app"), os.path.join(two, "app"))
        shutil.copytree(os.path.join(HERE, "two"), os.path.join(home, "two"))
        shutil.copyfile(os.path.join(home, "two", "words.py"), os.path.join(two, "app", "words.py"))
        if "--broken" in sys.argv:
            with open(os.path.join(two, "app", "words.py"), "a") as file:
                file.write("\nraise ValueError('a mistake')\n")
        channel = os.path.join(tempfile.mkdtemp(dir=home), "channel")
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(channel)
        server.listen(1)
        environment = dict(
            os.environ,
            KUZFLOW_HOME=one,
            KUZFLOW_VERSION="1.0.0",
            KUZFLOW_CHANNEL=channel,
            KUZFLOW_TOKEN="token",
            PYTHONPATH=os.pathsep.join([os.path.join(one, "app"), RUNTIME]),
            PYTHONDONTWRITEBYTECODE="1",
        )
        app = subprocess.Popen(
            [sys.executable, os.path.join(one, "app", "app.py")], env=environment
        )
        try:
            connection, _ = server.accept()
            threading.Thread(target=listen, args=(connection,), daemon=True).start()
            time.sleep(2)
            changes = [change.as_message() for change in compare_containers(one, two)]
            print("** changed:", [change["path"] for change in changes], flush=True)
            for number, kind in enumerate(("plan_swap", "swap")):
                connection.sendall(
                    wire.encode(
                        {
                            "id": number,
                            "type": kind,
                            "container": os.path.basename(two),
                            "changes": changes,
                        }
                    )
                )
            time.sleep(3)
        finally:
            app.terminate()
            app.wait()


def listen(connection):
    """Prints what the app says, and answers."""
    decoder = wire.Decoder()
    while True:
        data = connection.recv(65536)
        if not data:
            return
        for message in decoder.feed(data):
            print(
                "** app:",
                {key: value for key, value in message.items() if key != "token"},
                flush=True,
            )
            if message["type"] != "answer":
                connection.sendall(wire.encode({"id": message["id"], "type": "answer", "ok": True}))


main()
