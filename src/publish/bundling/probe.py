"""Tells where a Python installation keeps its parts, as one line of JSON."""

import importlib.util
import json
import os
import sys
import sysconfig

print(
    json.dumps(
        {
            "prefix": sys.base_prefix,
            "executable": os.path.realpath(
                getattr(sys, "_base_executable", None) or sys.executable
            ),
            "name": sysconfig.get_config_var("VERSION") + getattr(sys, "abiflags", ""),
            "magic": importlib.util.MAGIC_NUMBER.hex(),
            "is_final": sys.version_info.releaselevel == "final",
            "standard_library": sysconfig.get_path("stdlib"),
            "platform_library": sysconfig.get_path("platstdlib"),
            "library_folder": sysconfig.get_config_var("LIBDIR"),
            "library": sysconfig.get_config_var("INSTSONAME"),
        }
    )
)
