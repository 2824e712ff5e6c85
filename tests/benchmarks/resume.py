"""Kills runs at random updates and inside checkpoints, and compares what they come to in the end.

    python -m tests.benchmarks.resume [KILLS]

For one rank and for two: an uninterrupted run, then so many runs that are killed once by SIGKILL,
at a random update or a random write of a checkpoint, and go on by the same command.
"""

import random
import sys
import tempfile
from pathlib import Path

from tests.killing import UPDATES, left_behind, prepare, run


def main(kills: int) -> int:
    """Print how many runs came to the same, bit by bit; return 1 if one did not."""
    generator, wrong = random.Random(0), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for devices in (1, 2):
            assert run(folder, f"whole-{devices}", devices=devices).returncode == 0
            whole, same, died = left_behind(folder, f"whole-{devices}"), 0, 0
            for number in range(kills):
                home, rank = f"{devices}-{number}", generator.randrange(devices)
                kill = f"update:{generator.randint(1, UPDATES)}"
                if number % 4 == 3:  # writes of a checkpoint, about a hundred each
                    kill, rank = f"write:{generator.randint(1, 600)}", 0
                died += run(folder, home, kill=kill, rank=rank, devices=devices).returncode != 0
                last = run(folder, home, devices=devices)
                equal = last.returncode == 0 and left_behind(folder, home) == whole
                same += equal
                if not equal:
                    print(f"  {devices} ranks, {kill} in rank {rank}: {last.stderr}")
            wrong += kills - same
            print(f"{devices} ranks: {died} of {kills} killed; {same} of {kills} bit-equal")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
