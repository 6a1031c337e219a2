"""Runs pip for another system than this one.

pip has options for the wheels of another system, and none for its environment markers: it would
leave out what a package needs only there (`colorama; sys_platform == "win32"`), and install what it
needs only here. So pip is given that system's values. The first argument is their JSON, the others
are pip's.
"""

import json
import sys

values = json.loads(sys.argv[1])


def fail(reason):
    sys.exit(
        f"ERROR: this pip cannot install for another system ({reason}); install uv, or a newer pip"
    )


try:
    from pip._internal.cli.main import main
    from pip._vendor.packaging import markers
except ImportError as error:
    fail(error)

markers.default_environment = lambda: dict(values)
for name, value in values.items():
    if value and not markers.Marker(f'{name} == "{value}"').evaluate():
        fail(f"its marker {name} is not {value}")

sys.exit(main(sys.argv[2:]))
