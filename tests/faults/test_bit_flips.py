"""A bit that turns over in a stored file is noticed."""

import os

import pytest

from tests.faults.bit_flips import KINDS, files_of, flip, is_noticed, put
from tests.faults.broken import BROKEN
from tests.support import command, error_of, flipped
from utils.data_dir.archive import read_feats
from utils.data_dir.tables import read_table
from utils.jobs.errors import DataError


@pytest.fixture
def recipe(sweep):
    return sweep.path


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_noticed(recipe, kind):
    assert flip(recipe, kind, 25) == [""] * 25


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_noticed_in_each_file(recipe, kind):
    for path in files_of(recipe, kind):
        good = path.read_bytes()
        put(path, flipped(good, 8 * len(good) - 12))
        assert is_noticed(recipe, kind, path), path
        put(path, good)


@pytest.mark.parametrize(("kind", "control"), [("models", "trust_tensors"), ("soft labels", "trust_soft_labels")])
def test_a_build_that_looks_at_no_checksum_is_noticed(recipe, kind, control, monkeypatch):
    from steps.distillation import records
    from steps.nnet import tensor_file

    for module, name in ((tensor_file, "digest_of"), (records, "crc_of")):
        monkeypatch.setattr(module, name, getattr(module, name))
    BROKEN[control]()
    path = max(files_of(recipe, kind), key=lambda path: path.stat().st_size)
    good = path.read_bytes()
    put(path, flipped(good, 8 * len(good) - 12))
    noticed = is_noticed(recipe, kind, path)
    put(path, good)
    assert not noticed


def test_features_that_rotted_are_noticed_by_verify_alone(recipe):
    (path,) = files_of(recipe, "features")
    good = path.read_bytes()
    put(path, flipped(good, 8 * 5000))
    train = ("steps.train", "--system", "teacher")
    assert command(*train, cwd=recipe).returncode == 0
    assert "not what make_feats wrote; run it again with --force" in error_of(
        command(*train, "--verify", cwd=recipe), 4
    )
    put(path, good)


def test_a_file_that_was_written_to_is_noticed_without_verify(recipe):
    (path,) = files_of(recipe, "features")
    good = path.read_bytes()
    before = os.stat(path)
    path.write_bytes(flipped(good, 8 * 5000))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    error_of(command("steps.train", "--system", "teacher", cwd=recipe), 4)
    put(path, good)


def test_features_that_rotted_are_read_or_refused_and_never_a_crash(recipe):
    (path,) = files_of(recipe, "features")
    good, entries = path.read_bytes(), read_table(recipe / "data" / "train" / "feats.scp")
    utt_id, entry = next(iter(entries.items()))
    place = int(entry.rsplit(":", 1)[1])
    for bit in range(8 * (place - 8), 8 * (place + 20)):
        path.write_bytes(flipped(good, bit))
        try:
            read_feats(f"{path}:{place}", utt_id)
        except DataError as e:
            assert utt_id in str(e)
    put(path, good)
