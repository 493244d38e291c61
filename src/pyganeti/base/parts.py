"""Takes some modules of a library into a process without the rest of it.

Importing any module of a package runs the package's own first, and that of a large library brings
in everything it has: its client where only the server is wanted, and other libraries for these.
A daemon that keeps its memory locked has no room for that. `take` puts the package there unrun and
imports what is named; what those modules need they import as ever.

It is for a daemon's command, before anything else of the library is imported, and for no module
that others import: who wants the whole package in the same process does not get it any more. Where
a library does not bear it (another version of it, say), everything is as if nothing had been done.
"""

import importlib
import importlib.util
import sys


def take(package: str, *modules: str, **attributes: object) -> bool:
    """Import these modules of a package alone; return whether that could be done.

    ``attributes`` are what the modules expect the package itself to have.
    """
    if package in sys.modules:
        return False
    found = importlib.util.find_spec(package)
    if found is None:
        return False
    bare = importlib.util.module_from_spec(found)
    for name, value in attributes.items():
        setattr(bare, name, value)
    sys.modules[package] = bare
    try:
        for module in modules:
            importlib.import_module(f"{package}.{module}")
    except (ImportError, AttributeError):
        for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[name]
        return False
    return True
