"""The demo's made speech: the same bytes each time, whatever the process remembers or its number."""

import hashlib
import re

import espeakng_loader
import pytest

from tests.support import ROOT, assert_status, error_of, execute

SCRIPT = ROOT / "egs" / "demo" / "local" / "get_corpus.py"
VOICES = re.search(r'VARIANTS = """(.*?)"""', SCRIPT.read_text(), re.DOTALL)[1].split()


@pytest.mark.parametrize("voice", VOICES)
def test_no_voice_breathes(voice):
    folder = espeakng_loader.get_data_path()
    assert "breath" not in (ROOT / folder / "voices" / "!v" / voice).read_text(errors="replace")


def make(folder, nj, **more):
    (folder / "conf.toml").write_text('[corpus]\nutts_per_speaker = 1\n[m.model]\nencoder = "lstm"\n')
    assert_status(execute(["python3", SCRIPT, "--nj", nj], folder, **more), 0)
    files = sorted((folder / "downloads").rglob("*.wav"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_all_voices_say_the_same_in_any_process(tmp_path):
    folders = [tmp_path / name for name in ("one", "a much longer name of a folder")]
    for folder in folders:
        folder.mkdir()
    first = make(folders[0], 1)
    assert len(first) == 64
    assert first == make(folders[1], 2, MALLOC_PERTURB_="85", PADDING="x" * 4001)


def test_a_transcript_whose_audio_is_missing_is_told(tmp_path):
    make(tmp_path, 2)
    gone = sorted((tmp_path / "downloads").rglob("*.wav"))[5]
    gone.unlink()
    (tmp_path / "downloads" / "manifest.json").unlink()
    prepare = ["python3", SCRIPT.with_name("prepare_data.py"), "--nj", "1"]
    said = error_of(execute(prepare, tmp_path), 3)
    assert said == f"1 utterances of text have no audio file, as '{gone.stem}'; get the corpus again"
