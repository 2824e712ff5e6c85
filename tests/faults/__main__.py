"""Does faults to the ``bench`` command for an hour, and tells what did not hold.

    python -m tests.faults [--minutes 60] [--seed N] [--group NAME ...] [--json FILE] [--keep]

Every round does one fault to real commands in a folder of its own, repairs it by what a user would
type (the same command, `bench sync`), and checks that nothing is lost, doubled, half written, left
running, or listening beyond this machine, and that results are those of an undisturbed run, bit by
bit. `--group NAME --seed N` repeats one round with the same random choices; timing still differs.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.faults.groups import GROUPS
from tests.faults.suite import Suite


def main() -> int:
    """Run the suite; return 1 if something did not hold."""
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, help="length; an hour by default")
    parser.add_argument("--seed", type=int, help="seed of all random choices")
    parser.add_argument("--group", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, help="file for the counts and the failures")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all rounds")
    options = parser.parse_args()
    one = options.minutes is None and options.seed is not None and len(options.group or ()) == 1
    seed = options.seed if options.seed is not None else int(time.time()) % 100_000
    chosen = [group for group in GROUPS if group.name in (options.group or names)]
    # A handler of Python's becomes the default in the commands; an ignored signal would stay so.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with Suite(seed, keep=options.keep) as suite:
        try:
            suite.run(chosen, seconds=0 if one else 60 * (options.minutes or 60))
        except KeyboardInterrupt:
            print("stopped")
        finally:
            suite.report(chosen, options.json)
    return int(any(tally.failed for tally in suite.tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
