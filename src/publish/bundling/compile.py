"""Compiles each file named on standard input (JSON: [folder, [path, ...]]) to unchecked-hash
bytecode beside it.

marshal marks an object for later reference if anyone else holds it too, and interned names are held
by every module that uses them: what a file compiles to would depend on the files before it. So
everything in the code is held here, and marked always.
"""

import importlib.util
import json
import marshal
import os
import sys

UNCHECKED_HASH = (1).to_bytes(4, "little")
Code = type((lambda: None).__code__)
ATTRIBUTES = [name for name in dir(Code) if name.startswith("co_")]


def hold(value, held):
    held.append(value)
    if isinstance(value, (tuple, frozenset)):
        for part in value:
            hold(part, held)
    elif isinstance(value, Code):
        for name in ATTRIBUTES:
            hold(getattr(value, name), held)


def compile_one(folder, path):
    source_path = os.path.join(folder, path)
    with open(source_path, "rb") as file:
        source = file.read()
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return  # Templates and code for other versions of Python: they stay as they are.
    held = []
    hold(code, held)
    cache = importlib.util.cache_from_source(source_path)
    os.makedirs(os.path.dirname(cache), exist_ok=True)
    with open(cache, "wb") as file:
        file.write(
            importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
        )
        marshal.dump(code, file)


folder, paths = json.load(sys.stdin)
for path in paths:
    compile_one(folder, path)
