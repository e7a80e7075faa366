"""The recipe that faults are put into."""

import pytest

from tests.faults.io_errors import Sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """The tiny recipe, run command by command; who breaks it makes it good again."""
    return Sweep(tmp_path_factory.mktemp("sweep"))
