"""What all tests share: where the real recordings are, and that nothing is skipped where they are."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: two threads on a busy machine wait for each other

import pytest

from tests.support import ROOT

CORPORA = Path(os.environ.get("RETORT_CORPORA") or ROOT.parent / "shared" / "data").absolute()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real recordings; without it the test is skipped."""
    if not CORPORA.is_dir():
        pytest.skip(f"no recordings in {CORPORA}; name their folder in RETORT_CORPORA")
    return CORPORA


def fail_if_skipped(report: object) -> None:
    """Makes a skip a failure where the recordings are: there, everything can run."""
    if report.skipped and not hasattr(report, "wasxfail") and CORPORA.is_dir():
        report.outcome = "failed"
        report.longrepr = f"skipped, although {CORPORA} is there: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    fail_if_skipped(report)
    return report
