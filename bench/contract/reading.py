"""A process of its own that reads a task's rows: ``python -m bench.contract.reading WHAT FOLDER``.

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


def main(what: str, folder: str) -> None:
    """Read the rows and write what :class:`bench.contract.task_data.Reading` holds."""
    target = next(target for target in find(what) if target.kind == "task")
    dataset = locate.load(target.plugin(target.plugin.Options()), target.name, Path(folder), None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "fingerprint": dataset.fingerprint,
        "peak": peak * (1 if sys.platform == "darwin" else 1024),
    }
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
