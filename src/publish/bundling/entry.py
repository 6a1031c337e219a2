"""Says what is wrong with an entry point, without running any of the app's code: it is parsed.

Reads JSON from standard input: roots (folders that modules are looked for in, the app's first), app
(whose imports are followed), kind (script, module or function), name (a path or a module),
function, imports (whether to look for missing imports, too). Writes JSON: problem (null, or kind
and what is known), missing (a list of module, file and line).
"""

import ast
import importlib.util
import json
import os
import sys

question = json.load(sys.stdin)
roots = question["roots"]
if question["kind"] == "script":
    roots.insert(0, os.path.dirname(question["name"]))  # As an interpreter does.
SUFFIXES = (".so", ".pyd", ".pyc", ".dll")


def parse(path):
    with open(path, "rb") as file:
        return ast.parse(file.read(), path)


def native(folder, name):
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(entry.split(".")[0] == name and entry.endswith(SUFFIXES) for entry in names)


def find(dotted):
    """The file of a module; "" if it is there but has no source; None if it is not there."""
    parts = dotted.split(".")
    for root in roots:
        folder = os.path.join(root, *parts[:-1])
        place = os.path.join(folder, parts[-1])
        for path in (os.path.join(place, "__init__.py"), place + ".py"):
            if os.path.isfile(path):
                return path
        if os.path.isdir(place) or native(folder, parts[-1]):
            return ""
    return None


def names_of(tree):
    """What a module binds, in whatever branch; None if it cannot be known."""
    found = set()

    class Names(ast.NodeVisitor):
        def visit_FunctionDef(self, node):
            found.add(node.name)

        visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

        def visit_Lambda(self, node):
            pass

        def visit_Name(self, node):
            if isinstance(node.ctx, ast.Store):
                found.add(node.id)

        def visit_Import(self, node):
            found.update(alias.asname or alias.name.split(".")[0] for alias in node.names)

        def visit_ImportFrom(self, node):
            found.update(alias.asname or alias.name for alias in node.names)

        def visit_Call(self, node):
            if isinstance(node.func, ast.Name) and node.func.id in ("globals", "exec", "setattr"):
                found.add("*")
            self.generic_visit(node)

    Names().visit(tree)
    return None if found & {"*", "__getattr__"} else found


def entry_file():
    """The file that is started, or a problem."""
    if question["kind"] == "script":
        return question["name"], None
    module = question["name"]
    path = find(module)
    if path is None:
        parent = module.rpartition(".")[0]
        return None, {
            "kind": "module",
            "module": module,
            "parent": parent if parent and find(parent) else None,
        }
    if question["kind"] == "module" and (path == "" or path.endswith("__init__.py")):
        main = find(module + ".__main__")
        if main is None:
            return None, {"kind": "main", "module": module}
        return main, None
    return path, None


def check_function(path):
    names = names_of(parse(path))
    first = question["function"].split(".")[0]
    if names is None or first in names:
        return None
    # A submodule is an attribute of its package as well.
    if path.endswith("__init__.py") and find(question["name"] + "." + first) is not None:
        return None
    functions = sorted(
        node.name for node in parse(path).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    )
    return {
        "kind": "function",
        "module": question["name"],
        "function": first,
        "there": functions[:12],
    }


def imports_of(tree):
    """Imports that every start reaches: at the top, not in try, if or functions. Gives (level,
    module, names, line)."""
    body = list(tree.body)
    while body:
        node = body.pop(0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, [], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names], node.lineno
        elif isinstance(node, (ast.With, ast.ClassDef)):
            body[:0] = node.body


def is_known(top):
    if (
        find(top) is not None
        or top in sys.builtin_module_names
        or top in getattr(sys, "stdlib_module_names", ())
    ):
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def missing_imports(start, package):
    """Follows the app's own modules from the entry point on."""
    missing, seen, queue = [], set(), [(start, package)]
    app = os.path.realpath(question["app"])
    while queue:
        path, package = queue.pop(0)
        if not path or path in seen or not os.path.realpath(path).startswith(app + os.sep):
            continue
        seen.add(path)
        with open(path, "rb") as file:
            source = file.read()
        if b"sys.path" in source or b"meta_path" in source:
            return []  # The app looks for modules in places of its own.
        try:
            tree = ast.parse(source, path)
        except (SyntaxError, ValueError):
            continue
        for level, module, names, line in imports_of(tree):
            if level:
                parents = package.split(".") if package else []
                base = parents[: len(parents) - level + 1]
                module = ".".join(base + ([module] if module else []))
                if not module:
                    continue
            parts = module.split(".")
            if not is_known(parts[0]):
                missing.append(
                    {"module": parts[0], "file": os.path.relpath(path, app), "line": line}
                )
                continue
            wanted = [".".join(parts[: end + 1]) for end in range(len(parts))]
            wanted += [module + "." + name for name in names]
            for name in wanted:
                found = find(name)
                if found:
                    inside = name if found.endswith("__init__.py") else name.rpartition(".")[0]
                    queue.append((found, inside))
    return missing


def answer():
    path, problem = entry_file()
    if problem is None and path:
        try:
            parse(path)
        except SyntaxError as error:
            problem = {
                "kind": "syntax",
                "file": os.path.basename(path),
                "line": error.lineno or 0,
                "reason": error.msg,
            }
        except (OSError, ValueError):
            path = ""
    if problem is None and path and question["kind"] == "function":
        problem = check_function(path)
    missing = []
    if problem is None and path and question["imports"]:
        package = ""
        if question["kind"] != "script":
            module = question["name"]
            package = (
                module
                if os.path.basename(path) in ("__init__.py", "__main__.py")
                else module.rpartition(".")[0]
            )
            if module.endswith(".__main__"):
                package = module.rpartition(".")[0]
        missing = missing_imports(path, package)
    return {"problem": problem, "missing": missing}


sys.path[0:1] = roots  # Not the folder that this was called from.
json.dump(answer(), sys.stdout)
