"""Compiles each file named on standard input (JSON: [folder, [path, ...]]) to unchecked-hash bytecode beside it.

Each file gets a process of its own, forked from the same state: what marshal writes depends on the reference counts of
interned names, and so, in one process, on every file compiled before. A delta between releases must not see that.
"""
import json
import os
import py_compile
import sys

folder, paths = json.load(sys.stdin)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH


def compile_one(path):
    try:
        py_compile.compile(os.path.join(folder, path), dfile=path, doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, SyntaxError, ValueError, UnicodeError, RecursionError):
        pass  # Templates and code for other versions of Python: they stay as they are.


for path in paths:
    if not hasattr(os, "fork"):
        compile_one(path)
        continue
    child = os.fork()
    if child == 0:
        status = 1
        try:
            compile_one(path)
            status = 0
        except BaseException as error:
            print(f"{path}: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)
