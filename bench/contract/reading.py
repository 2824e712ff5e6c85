"""The main function of a process that reads a task's rows; its arguments are WHAT and FOLDER.

It writes the fingerprint of the rows and its peak memory as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from bench.contract.targets import find
from bench.sources import locate


def main() -> None:
    """Read the rows and write what :class:`bench.contract.task_data.Reading` holds."""
    what, folder = sys.argv[1:]
    target = next(target for target in find(what) if target.kind == "task")
    dataset = locate.load(target.plugin(target.plugin.Options()), target.name, Path(folder), None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "fingerprint": dataset.fingerprint,
        "peak": peak * (1 if sys.platform == "darwin" else 1024),
    }
    os.write(1, json.dumps(told).encode() + b"\n")
