"""Downloads from a server on this machine: resumed, checked, unpacked safely."""

import hashlib
import io
import sys
import tarfile
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local import download as module
from local import librispeech_download
from local.download import download_archive, fetch
from local.librispeech import KNOWN
from tests.support import ROOT, error_of, execute
from utils.jobs.errors import DataError, MachineError, UsageError

CONTENT = bytes(range(256)) * 5000


class Handler(BaseHTTPRequestHandler):
    """Serves files by name, from the byte that is asked for; may break off."""

    def __init__(self, server_files, *args):
        self.files = server_files
        super().__init__(*args)

    def do_GET(self):
        data = self.files.get(self.path)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.files.setdefault("asked", []).append((self.path, start))
        if data is None:
            self.send_error(404)
            return
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : self.files.get("breaks_at", len(data))])

    def log_message(self, *_args):
        pass


@pytest.fixture
def served():
    """(files by path, address) of a server."""
    files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield files, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def to_tar(members):
    """A tar.gz of (name, content) pairs; content None makes a link out of the folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as t:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc"
                t.addfile(info)
            else:
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_a_download_that_broke_off_goes_on_where_it_stopped(served, tmp_path):
    files, address = served
    files |= {"/a.bin": CONTENT, "breaks_at": 1_000_000}
    with pytest.raises(MachineError, match="a.bin: .*run the same command again to go on, or give --corpus-dir"):
        fetch(f"{address}/a.bin", tmp_path / "a.bin")
    there = (tmp_path / "a.bin.part").stat().st_size
    assert 0 < there <= 1_000_000 and not (tmp_path / "a.bin").exists()
    del files["breaks_at"]
    fetch(f"{address}/a.bin", tmp_path / "a.bin")
    assert files["asked"][-1] == ("/a.bin", there) and (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_download_that_was_killed_at_its_very_end_is_taken(served, tmp_path):
    files, address = served
    files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch(f"{address}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_longer_beginning_than_the_file_is_thrown_away(served, tmp_path):
    files, address = served
    files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"x")
    with pytest.raises(MachineError, match="another file than the one that was begun; run the same command again"):
        fetch(f"{address}/a.bin", tmp_path / "a.bin")
    fetch(f"{address}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.bin", "SERVER/none"])
def test_a_server_that_refuses_is_told(served, tmp_path, address):
    with pytest.raises(MachineError, match="cannot be downloaded .*; run the same command again"):
        fetch(address.replace("SERVER", served[1]), tmp_path / "a.bin")


def test_an_archive_is_unpacked_when_its_digest_is_right(served, tmp_path):
    files, address = served
    files["/a.tar.gz"] = to_tar([("LibriSpeech/x/1.flac", b"one"), ("LibriSpeech/README.TXT", b"two")])
    digest = sha256(files["/a.tar.gz"])
    archive = download_archive(f"{address}/a.tar.gz", digest, tmp_path / "stage", tmp_path / "keep")
    assert archive == tmp_path / "keep" / "a.tar.gz"
    assert (tmp_path / "stage" / "LibriSpeech" / "x" / "1.flac").read_bytes() == b"one"


def test_another_archive_is_deleted_and_not_unpacked(served, tmp_path):
    files, address = served
    files["/a.tar.gz"] = to_tar([("x", b"one")])
    with pytest.raises(DataError, match="not the archive that is pinned"):
        download_archive(f"{address}/a.tar.gz", "0" * 64, tmp_path / "stage", tmp_path / "keep")
    assert list(tmp_path.rglob("*")) == [tmp_path / "keep"]


@pytest.mark.parametrize(
    "members",
    [[("../out", b"x")], [("/tmp/retort-out", b"x")], [("link", None), ("link/out", b"x")], [("a", b"x" * 2000)]],
    ids=["above", "absolute", "through a link", "too large"],
)
@pytest.mark.parametrize("has_filter", [True, False], ids=["filtered", "python 3.11.2"])
def test_nothing_lands_outside_the_folder_or_fills_the_disk(served, tmp_path, members, has_filter, monkeypatch):
    files, address = served
    monkeypatch.setattr(module, "HAS_FILTER", has_filter)
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    files["/a.tar.gz"] = to_tar(members)
    digest = sha256(files["/a.tar.gz"])
    try:
        download_archive(f"{address}/a.tar.gz", digest, tmp_path / "stage", tmp_path / "keep")
    except DataError as e:
        assert "cannot be unpacked" in str(e) or "would unpack to" in str(e)
    else:
        assert members[0][0].startswith("/")  # the leading slash is taken off
    files_made = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*") if p.is_file()}
    assert files_made <= {"stage", "keep"} and not (tmp_path.parent / "out").exists()


def test_what_cannot_be_unpacked_is_told_in_one_line(tmp_path):
    page, locked = tmp_path / "page.tar.gz", tmp_path / "locked.zip"
    page.write_text("<html>moved</html>")
    with zipfile.ZipFile(locked, "w") as z:
        z.writestr("a", "x")
    data = bytearray(locked.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # encrypted
    locked.write_bytes(data)
    for archive in (page, locked):
        with pytest.raises(DataError, match="cannot be unpacked .*; delete it and run again") as e:
            module.unpack(archive, tmp_path / "inside")
        assert "\n" not in str(e.value)


def test_an_address_that_is_none_is_told(tmp_path):
    with pytest.raises(UsageError, match="'nonsense/a.tar.gz' is no address"):
        module.fetch("nonsense/a.tar.gz", tmp_path / "a.tar.gz")


def test_an_archive_that_ends_early_is_told(served, tmp_path):
    files, address = served
    files["/a.tar.gz"] = to_tar([("a", CONTENT)])[:-200]
    digest = sha256(files["/a.tar.gz"])
    with pytest.raises(DataError, match="cannot be unpacked .*; delete it and run again"):
        download_archive(f"{address}/a.tar.gz", digest, tmp_path / "stage", tmp_path / "keep")


SCRIPT = """
import sys
from local import librispeech_download as module
from utils.jobs.cli import run
module.DIGESTS |= dict(pair.split("=") for pair in sys.argv.pop(1).split(","))
run(lambda argv: module.download_librispeech("", argv))
"""


def get_corpus(folder, digests, *options):
    """Stage 0 with other digests pinned."""
    pinned = ",".join(f"{part}={digest}" for part, digest in digests.items())
    config = ["--config", ROOT / "egs" / "mini_librispeech" / "conf.toml"]
    return execute([sys.executable, "-c", SCRIPT, pinned, *config, *options], folder)


def test_the_parts_that_the_configuration_names_are_downloaded_once(served, tmp_path):
    files, address = served
    digests = {}
    for part in ("train-clean-5", "dev-clean-2"):
        data = to_tar([(f"LibriSpeech/{part}/1/2/1-2-0000.flac", b"x"), ("LibriSpeech/README.TXT", part.encode())])
        files[f"/31/{part}.tar.gz"], digests[part] = data, sha256(data)
    mirror = ["--set", f"corpus.url={address}"]
    result = get_corpus(tmp_path, digests, *mirror)
    assert result.returncode == 0, result.stderr
    downloads = tmp_path / "downloads"
    parts = sorted(path.name for path in (downloads / "LibriSpeech").iterdir())
    assert parts == ["dev-clean-2", "train-clean-5"] and not list(downloads.glob("*.tar.gz*"))
    assert [path for path, _ in files["asked"]] == ["/31/train-clean-5.tar.gz", "/31/dev-clean-2.tar.gz"]
    assert get_corpus(tmp_path, digests, *mirror).stderr.count("up to date") == 2 and len(files["asked"]) == 2
    (downloads / "LibriSpeech/dev-clean-2/1/2/1-2-0000.flac").unlink()
    assert get_corpus(tmp_path, digests, *mirror).returncode == 0
    assert [path for path, _ in files["asked"]][2:] == ["/31/dev-clean-2.tar.gz"]


def test_an_archive_that_is_not_the_published_one_is_refused(served, tmp_path):
    files, address = served
    files["/31/train-clean-5.tar.gz"] = to_tar([("LibriSpeech/train-clean-5/x", b"x")])
    script = ROOT / "egs" / "mini_librispeech" / "local" / "get_corpus.py"
    config = ["--config", ROOT / "egs" / "mini_librispeech" / "conf.toml", "--set", f"corpus.url={address}/"]
    said = error_of(execute([sys.executable, script, *config], tmp_path), 3)
    assert said.startswith(f"{address}/31/train-clean-5.tar.gz: not the archive that is pinned")
    assert not list(tmp_path.rglob("*.tar.gz*"))


def test_each_part_has_a_digest_and_its_address():
    assert all(len(digest) == 64 for digest in librispeech_download.DIGESTS.values())
    assert set(librispeech_download.DIGESTS) == set(KNOWN)
    url_of = partial(librispeech_download.url_of, base="https://www.openslr.org/resources")
    assert url_of("dev-clean") == "https://www.openslr.org/resources/12/dev-clean.tar.gz"
    assert url_of("dev-clean-2") == "https://www.openslr.org/resources/31/dev-clean-2.tar.gz"


def test_the_digests_are_those_that_torchaudio_pins():
    from torchaudio.datasets import librispeech as reference

    theirs = {url.rsplit("/", 1)[1].removesuffix(".tar.gz"): digest for url, digest in reference._CHECKSUMS.items()}
    assert {part: librispeech_download.DIGESTS[part] for part in theirs} == theirs
