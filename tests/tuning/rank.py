"""The command as one rank of several; only rank 0 may open a storage."""

import os
from typing import Any

from bench.cli import main
from bench.tuning import open_study, study


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("a rank that does not lead opens a storage")


if __name__ == "__main__":
    if os.environ["RANK"] != "0":
        for module in (open_study, study):
            vars(module)["open_storage"] = refuse
    main()
