from pathlib import Path

import pytest

from utils.jobs.errors import DataError
from utils.jobs.files import insist


@pytest.fixture
def attempts():
    return []


def failing(attempts, times):
    """A reader that refuses the first times."""

    def read():
        attempts.append(1)
        if len(attempts) <= times:
            raise DataError("no")
        return "content"

    return read


def test_a_file_that_is_refused_once_is_read(tmp_path, attempts):
    (tmp_path / "a").write_text("x")
    assert insist(tmp_path / "a", failing(attempts, 1)) == "content" and len(attempts) == 2


def test_a_file_that_is_refused_twice_is_refused(tmp_path, attempts):
    (tmp_path / "a").write_text("x")
    with pytest.raises(DataError):
        insist(tmp_path / "a", failing(attempts, 2))


def test_a_file_that_is_missing_is_not_tried_again(tmp_path, attempts):
    with pytest.raises(DataError):
        insist(tmp_path / "a", failing(attempts, 1))
    assert len(attempts) == 1


def test_a_file_that_cannot_be_read_through_is_an_io_error(attempts):
    with pytest.raises(OSError):
        insist(Path("/proc/self/mem"), failing(attempts, 1))
