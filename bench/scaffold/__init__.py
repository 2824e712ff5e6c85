"""New plugins: a small working package with a model or a task, its test and its entry point.

The files to copy are in `model/` and `task/`, real Python under the name ``my-plugin``. Every copy
has the user's name in place of it.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Literal

from bench.atomic import whole_folder, write_text
from bench.errors import BenchError
from bench.registry import MODELS, TASKS

Kind = Literal["model", "task"]

_HERE = Path(__file__).parent
_HIDDEN = "dot-"  # a template of .gitignore must not be one for this repository


def new_plugin(kind: Kind, name: str, parent: Path = Path()) -> Path:
    """Write a package with a small plugin that passes ``bench check``, and return its folder.

    Args:
        kind: Kind of the plugin.
        name: Name of the plugin in lower case, such as "my-net".
        parent: Folder in which the package's folder is made.

    Raises:
        BenchError: The name cannot be that of a plugin, is taken, or the folder exists.
    """
    _check_name(kind, name)
    folder = parent / name
    if folder.exists():
        raise BenchError(f"{folder} exists. Nothing was written; take another name.")
    module = name.replace("-", "_")
    with whole_folder(folder) as fresh:
        for template in sorted((_HERE / kind).iterdir()):
            if template.is_file():
                text = template.read_text(encoding="utf-8")
                text = text.replace("my_plugin", module).replace("my-plugin", name)
                text = text.replace("MyPlugin", "".join(map(str.title, name.split("-"))))
                path = template.name.replace("my_plugin", module).replace(_HIDDEN, ".")
                write_text(fresh / path.removesuffix(".in"), text)
    return folder


def _check_name(kind: Kind, name: str) -> None:
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise BenchError(f"'{name}' is a word of Python's own. Take another name.")
    if not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        close = re.sub("[^a-z0-9]+", "-", re.sub("(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
        close = re.sub("^[^a-z]+", "", close).strip("-")
        hint = f" Try {close}." if close and not keyword.iskeyword(close) else ""
        raise BenchError(
            f"a {kind}'s name has lower-case letters, digits and single dashes, as in my-net; got "
            f"'{name[:80]}'.{hint}"
        )
    registry = MODELS if kind == "model" else TASKS
    if name in registry.places():
        origin = registry.places()[name].origin
        raise BenchError(f"a {kind} called '{name}' exists ({origin}). Take another name.")
    if importlib.util.find_spec(module) is not None:
        raise BenchError(f"a module called '{module}' is installed. Take another name.")
