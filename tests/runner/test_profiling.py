"""Plans and profiles of small runs."""

import json
from pathlib import Path

import pytest

from tests.forked import RUN, Done, bench, prepare

ASKED = (*RUN[1:], "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path)
    quick = "from bench.runner import profiling\nprofiling._SECONDS = 0.2\n"
    plugin = tmp_path / "mortal.py"
    plugin.write_text(plugin.read_text() + quick)
    return tmp_path


def refused(done: Done) -> str:
    assert done.status == 2
    assert "Traceback" not in done.errors
    (line,) = done.told
    return line


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_plan_adds_up(folder: Path, ranks: int) -> None:
    done = bench(folder, ["plan", *ASKED, "--json"], ranks=ranks)
    assert done.status == 0, done.errors
    plan = json.loads(done.output)
    assert plan["plan"]["steps"] == 60
    assert plan["device"]["count"] == ranks
    assert plan["rows_at_once"] == 16 // ranks
    # 12 bases of four numbers, 8 hidden units: as counted in tests/test_cost.py
    assert plan["training_flops_per_sequence"] == 3 * 2 * 48 * 8 + 3 * 2 * 8
    speed, flops = plan["sequences_per_second"], plan["training_flops_per_sequence"]
    assert plan["flops_per_second"] == pytest.approx(flops * speed / ranks)
    share = plan["flops_per_second"] / plan["matmul_flops_per_second"]
    assert plan["share_of_matmul_rate"] == pytest.approx(share)
    assert plan["device_hours"] == pytest.approx(plan["seconds"] * ranks / 3600)
    updates = 60 * 16 / speed
    assert updates < plan["seconds"] < updates + 60
    assert plan["largest_batch_per_device"] > 1000
    assert not list(folder.glob("runs"))  # nothing is recorded


def test_a_plan_for_people_and_one_that_cannot_be(folder: Path) -> None:
    done = bench(folder, ["plan", *ASKED])
    assert "sequences/s" in done.output
    assert "mortal" in done.output
    fitted = ["plan", "--model", "kmer-ridge", "--task", "table.tsv", "--device", "cpu"]
    assert "is fitted at once" in refused(bench(folder, fitted))
    for text in ("0", "x", "1,,2", "-1"):
        line = refused(bench(folder, ["plan", *ASKED, "--devices", text]))
        assert line == f"bench: --devices takes numbers of devices, as in 1,2,4; got '{text}'."


def test_a_lack_of_memory_is_told_by_plans_too(folder: Path) -> None:
    line = refused(bench(folder, ["plan", *ASKED], act="cuda-memory:1"))
    assert line.endswith("Try --batch-per-device 8: the same batch in smaller micro-batches.")


def test_a_profile_is_a_trace_and_its_dearest_operations(folder: Path) -> None:
    done = bench(folder, ["profile", *ASKED, "--out", "trace.json", "--json"])
    assert done.status == 0, done.errors
    trace = json.loads((folder / "trace.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    rows = json.loads(done.output)
    assert len(rows) == 10
    assert {row["operation"] for row in rows} <= names
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert 0.2 < sum(shares) <= 1
    (addmm,) = [e for e in rows if e["operation"] == "aten::addmm"] or [{"calls": 2}]
    assert addmm["calls"] == 2  # a step: two layers


@pytest.mark.parametrize("out", ["table.tsv", "nowhere/trace.json"])
def test_a_profile_never_writes_over_a_file_and_says_where_it_cannot(
    folder: Path, out: str
) -> None:
    line = refused(bench(folder, ["profile", *ASKED, "--out", out]))
    assert line.startswith(f"bench: --out {out} ")
