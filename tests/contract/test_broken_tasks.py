"""Tasks that are broken on purpose: the right check fails, and no other one does."""

import pytest

from bench.contract.suite import check
from bench.contract.targets import Target
from bench.task import Task
from tests.contract import broken_tasks as broken


@pytest.mark.parametrize(("kind", "faults"), broken.FAULTS.items())
def test_the_right_check_fails(
    kind: type[Task], faults: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    # Only one of them is read in a new process, which takes a second.
    what = f"{broken.__file__}:{kind.__name__}" if kind is broken.HashOrder else None
    report = check(Target("task", kind.__name__, kind, what), full=False)
    told = {found.check: found.text for found in report.findings}
    assert set(report.failed) == faults, told
    assert all("\n" not in text for text in told.values())
    assert capfd.readouterr() == ("", "")
