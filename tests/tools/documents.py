"""Code and commands of the documents, as tests run them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of a document in one language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """Return the arguments of every call of ``bench`` in a document's console blocks."""
    text = "\n".join(blocks(name, "console")).replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in text.splitlines() if "bench " in line]
    return [shlex.split(line)[1:] for line in lines]
