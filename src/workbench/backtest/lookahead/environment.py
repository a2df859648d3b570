"""What belongs to the environment: Python, what was installed into it and their files. The project itself never does.

Python may be installed below /usr, and the project too: only the folders there that Python keeps its own in count.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from functools import cache
from pathlib import Path

from workbench.errors import ParamsRefused
from workbench.params import find_root


def _folders(paths: set[str]) -> tuple[str, ...]:
    return tuple(sorted(os.path.realpath(path) + os.sep for path in paths))


# Below the folder that Python is installed to, or that its virtual environment is.
PARTS = ("bin", "etc", "include", "lib", "lib32", "lib64", "libexec", "share", "pyvenv.cfg")
_SITE = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
_STANDARD = {str(Path(os.__file__).parent), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
PACKAGES = _folders(_SITE)
LIBRARIES = _folders(_SITE | _STANDARD | {f"{top}/{part}" for top in (sys.prefix, sys.base_prefix) for part in PARTS})


def stands_in(file: str, folders: tuple[str, ...]) -> bool:
    """Return whether a file lies in one of these folders, and no deeper one is the project's root."""
    return file.startswith("<frozen ") or (file != "" and _stands_in(file, folders, _root()))


@cache
def _stands_in(file: str, folders: tuple[str, ...], root: str) -> bool:
    name = f"{os.path.realpath(file)}{os.sep}"
    deepest = max((len(folder) for folder in folders if name.startswith(folder)), default=0)
    return deepest > (len(root) if name.startswith(root) else 0)


def _root() -> str:
    try:
        return _root_of(os.environ.get("WORKBENCH_ROOT"), str(Path.cwd()))
    except (ParamsRefused, OSError):  # outside of any project, or of any folder
        return ""


@cache
def _root_of(named: str | None, here: str) -> str:
    return f"{os.path.realpath(find_root())}{os.sep}"
