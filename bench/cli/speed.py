"""Commands about speed and cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from bench.children import ENDS_WITH_INPUT, bench_command
from bench.cli.common import Folder, as_json, launched, print_json
from bench.cli.run_options import make_request, takes_a_run
from bench.errors import BenchError


def _counts(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    counts = tuple(int(part[:40]) for part in text.split(",") if part.isdecimal())
    if len(counts) != text.count(",") + 1 or not all(0 < count <= 10**6 for count in counts):
        raise BenchError(f"--devices takes numbers of devices, as in 1,2,4; got '{text[:80]}'.")
    return counts


@click.command()
@takes_a_run
@click.option(
    "--devices",
    default="1",
    callback=_counts,
    help="Number of devices of this machine; several numbers are compared, such as 1,2,4.  [1]",
)
@as_json
def plan(*, devices: tuple[int, ...], as_json: bool, **asked: Any) -> None:
    """Time a few training steps and estimate the time, memory and cost of the whole run."""
    if len(devices) > 1:
        plans = [_plan_in_process(count) for count in devices]
    else:
        from bench.console import Console
        from bench.runner.profiling import plan as planned

        request = make_request(**asked)
        if launched(devices[0], request.device):
            return
        plans = [planned(request, Console(quiet=as_json))]
    if not plans[0]:  # a rank that does not lead
        return
    if as_json:
        print_json(plans[0] if len(devices) == 1 else plans)
    else:
        from bench.cli.tables import plans_table

        plans_table(plans)


def _plan_in_process(count: int) -> dict[str, Any]:
    """Return the plan for one number of devices, made in a process that ends with this one."""
    command = bench_command(*sys.argv[1:], "--devices", str(count), "--json")
    environment = {**os.environ, ENDS_WITH_INPUT: "1"}
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            command, env=environment, stdin=reader, capture_output=True, text=True, check=False
        )
    finally:
        os.close(reader)
        os.close(writer)
    if done.returncode:
        raise BenchError(done.stderr.strip().splitlines()[-1].removeprefix("bench: "))
    planned: dict[str, Any] = json.loads(done.stdout)
    return planned


@click.command()
@takes_a_run
@click.option(
    "--out",
    type=Folder,
    default=Path("trace.json"),
    show_default=True,
    help="File for the trace.",
)
@as_json
def profile(*, out: Path, as_json: bool, **asked: Any) -> None:
    """Trace a few training steps; print the ten most expensive operations."""
    from bench.console import Console
    from bench.runner.profiling import profile as profiled

    rows = profiled(make_request(**asked), Console(quiet=as_json), out)
    if as_json:
        print_json(rows)
    else:
        from bench.cli.tables import profile_table

        profile_table(rows)
        click.echo(f"Open {out} in a trace viewer, such as ui.perfetto.dev.")
