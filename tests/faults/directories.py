"""Data directories with one fault each, and odd ones without any.

The valid directory has the recordings r1 and r2, cut into the utterances a-1, a-2, b-1 and b-2 by `segments`, and the
tables text, utt2spk, spk2utt, spk2gender, utt2speed and utt2channel. `FAULTS` names for each fault the line that must
be told and the options of `utils.fix_data_dir` that cure it, or None where only a person can.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.support import write_data_dir, write_wav
from utils.data_dir.archive import write_archive
from utils.data_dir.tables import write_table

RATE = 8000
TABLES = {
    "segments": "a-1 r1 0 0.5\na-2 r1 0.5 1\nb-1 r2 0 0.5\nb-2 r2 0.5 1\n",
    "text": "a-1 one\na-2 two\nb-1 three two\nb-2 café\n",
    "utt2spk": "a-1 a\na-2 a\nb-1 b\nb-2 b\n",
    "spk2utt": "a a-1 a-2\nb b-1 b-2\n",
    "spk2gender": "a f\nb m\n",
    "utt2speed": "a-2 1.1\n",
    "utt2channel": "b-2 telephone:snr_db=20\n",
}


def write_valid(folder: Path) -> Path:
    """The directory without a fault."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("r1", "r2")):
        write_wav(folder / "wav" / f"{name}.wav", 1.0, RATE, seed)
    for name, content in TABLES.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/wav/{name}.wav\n" for name in ("r1", "r2")))
    return folder


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        change: Makes it in the valid directory.
        said: What the message must hold: file and line or utterance, and the fault.
        options: Of utils.fix_data_dir, which must make the directory valid; None where it cannot.
        kept: How many utterances are left then.
    """

    change: Callable[[Path], object]
    said: str
    options: tuple[str, ...] | None = ()
    kept: int = 4


DROP = ("--drop-unusable",)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """The first `old` of a file becomes `new`."""

    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old.encode() in data
        (folder / name).write_bytes(data.replace(old.encode(), new.encode(), 1))

    return change


def add(name: str, content: str) -> Callable[[Path], None]:
    """A file of this content."""
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


def whole(name: str, do: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """All bytes of a file changed."""
    return lambda folder: (folder / name).write_bytes(do((folder / name).read_bytes()))


def rename(old: str, new: str) -> Callable[[Path], None]:
    """`old` becomes `new` in all tables of ids."""
    names = ("wav.scp", "segments", "text", "utt2spk", "spk2utt")
    return lambda folder: [whole(n, lambda x: x.replace(old.encode(), new.encode()))(folder) for n in names]


def audio(do: Callable[[Path], object]) -> Callable[[Path], None]:
    """A change of the recording r1."""
    return lambda folder: do(folder / "wav" / "r1.wav")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_flac_cut_short(path: Path) -> None:
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples, rate, format="FLAC")
    path.write_bytes(path.read_bytes()[:-2000])


def to_ogg_cut_short(path: Path) -> None:
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.tile(samples, 20), rate, format="OGG", subtype="VORBIS")
    path.write_bytes(path.read_bytes()[:-3000])


def repeat_recording(folder: Path) -> None:
    shutil.copy(folder / "wav" / "r1.wav", folder / "wav" / "r2.wav")


def feats(odd: dict[str, tuple[int, ...]]) -> Callable[[Path], None]:
    """Features of 49 frames of 4, but for the utterances of another shape."""

    def change(folder: Path) -> None:
        shapes = dict.fromkeys(("a-1", "a-2", "b-1", "b-2"), (49, 4)) | odd
        arrays = [(utt_id, np.ones(shape, "float32")) for utt_id, shape in shapes.items()]
        places = write_archive(folder / "feats.ark", folder / "feats.ark", arrays, compress=False)
        write_table(folder / "feats.scp", places)
        write_table(folder / "utt2num_frames", dict.fromkeys(shapes, "49"))

    return change


FAULTS = {
    # sorting and keys
    "order": Fault(edit("text", "a-1 one\na-2 two", "a-2 two\na-1 one"), "text:2: 'a-1' after 'a-2' of line 1"),
    "order by locale": Fault(
        lambda d: edit("utt2spk", "b-1 b\nb-2 b", "b-2 b\nb-1 b")(d), "utt2spk:4: 'b-1' after 'b-2' of line 3"
    ),
    "repeated line": Fault(edit("text", "a-2 two\n", "a-2 two\na-2 two\n"), "text:3: 'a-2' stands in line 2 already"),
    "repeated id": Fault(
        edit("text", "a-2 two\n", "a-2 two\na-2 too\n"), "text:3: 'a-2' stands in line 2", ("--keep", "first")
    ),
    "repeated recording id": Fault(
        lambda d: add("wav.scp", (d / "wav.scp").read_text().replace("r2 ", "r1 "))(d),
        "wav.scp:2: 'r1' stands in line 1",
        ("--keep", "first"),
        2,
    ),
    "id that climbs": Fault(
        lambda d: [whole(n, lambda x: x.replace(b"a-1", b"a/../../x"))(d) for n in ("text", "utt2spk", "segments")],
        "the id 'a/../../x' would climb",
        None,
    ),
    "id of two dots": Fault(rename("a-1", ".."), "text:1: the id '..' would climb", DROP, 3),
    "recording that climbs": Fault(rename("r1 ", "../r1 "), "wav.scp:1: the id '../r1' would climb", None),
    "upper case": Fault(
        rename("b-1", "B-1"), "utt2spk:3: utterance 'B-1' does not begin with its speaker 'b'", DROP, 3
    ),
    # characters
    "CR in text": Fault(whole("text", lambda x: x.replace(b"\n", b"\r\n")), "text:1: column 8 holds U+000D"),
    "CR in wav.scp": Fault(whole("wav.scp", lambda x: x.replace(b"\n", b"\r\n")), "wav.scp:1: column"),
    "CR in utt2spk": Fault(whole("utt2spk", lambda x: x.replace(b"\n", b"\r\n")), "utt2spk:1: column 6 holds U+000D"),
    "CR in spk2utt": Fault(whole("spk2utt", lambda x: x.replace(b"\n", b"\r\n")), "spk2utt:1: column"),
    "CR in segments": Fault(whole("segments", lambda x: x.replace(b"\n", b"\r\n")), "segments:1: column"),
    "BOM in text": Fault(
        whole("text", lambda x: b"\xef\xbb\xbf" + x), "text:1: column 1 holds U+FEFF (byte-order mark)"
    ),
    "BOM in wav.scp": Fault(whole("wav.scp", lambda x: b"\xef\xbb\xbf" + x), "wav.scp:1: column 1 holds U+FEFF"),
    "BOM in utt2spk": Fault(whole("utt2spk", lambda x: b"\xef\xbb\xbf" + x), "utt2spk:1: column 1 holds U+FEFF"),
    "BOM inside": Fault(edit("text", "two", "t\ufeffwo"), "text:2: column 6 holds U+FEFF"),
    "NUL": Fault(edit("text", "two", "two\0"), "text:2: column 8 holds U+0000 (NUL)"),
    "UTF-16": Fault(whole("text", lambda x: x.decode().encode("utf-16")), "text:1: begins as UTF-16 does"),
    "Latin-1": Fault(whole("text", lambda x: x.decode().encode("latin-1")), "text:4: byte 0xe9 is not UTF-8", None),
    "no-break space": Fault(edit("text", "three two", "three\u00a0two"), "text:3: column 10 holds U+00A0"),
    "zero-width space": Fault(edit("text", "three two", "three\u200b two"), "text:3: column 10 holds U+200B"),
    "ideographic space": Fault(edit("text", "three two", "three\u3000two"), "text:3: column 10 holds U+3000"),
    "line separator": Fault(edit("text", "three two", "three\u2028two"), "text:3: column 10 holds U+2028"),
    "next line": Fault(edit("text", "three two", "three\u0085two"), "text:3: column 10 holds U+0085"),
    "soft hyphen": Fault(edit("text", "three two", "th\u00adree two"), "text:3: column 7 holds U+00AD"),
    "tab in text": Fault(edit("text", "three two", "three\ttwo"), "text:3: column 10 holds U+0009 (tab)"),
    "tab after the id": Fault(edit("text", "a-2 two", "a-2\ttwo"), "text:2: column 4 holds U+0009"),
    "double space": Fault(edit("text", "three two", "three  two"), "text:3: not of the form"),
    "space at the end": Fault(edit("text", "three two", "three two "), "text:3: not of the form"),
    **{
        f"U+{number:04X} in text": Fault(
            edit("text", "three two", f"three{chr(number)} two"), f"text:3: column 10 holds U+{number:04X}"
        )
        for number in (0x180E, 0x61C, 0x2062, 0xE0041, 0x3164, 0x2800, 0xFFFE)
    },
    "blank letter for a space": Fault(edit("text", "three two", "three\u3164two"), "text:3: column 10 holds U+3164"),
    "mark in an id": Fault(edit("text", "a-1", "a\u2062-1"), "text:1: column 2 holds U+2062"),
    "transcript of a joiner": Fault(
        edit("text", "a-2 two", "a-2 \u200d"), "text:2: utterance 'a-2' has a transcript that cannot be seen", DROP, 3
    ),
    "id of a joiner": Fault(edit("text", "a-1", "\u200d"), "text:1: the id '\\u200d' cannot be seen", (), 3),
    "accents apart": Fault(edit("text", "café", "cafe\u0301"), "text:4: utterance 'b-2': letters and accents"),
    # lines and files
    "blank line": Fault(edit("text", "a-2", "\na-2"), "text:2: a blank line"),
    "no final newline": Fault(whole("text", lambda x: x[:-1]), "text:4: no newline at the end"),
    "empty text": Fault(add("text", ""), "text: empty", None),
    "empty segments": Fault(add("segments", ""), "segments: empty", None),
    "segments of blank lines": Fault(add("segments", "\n\n"), "segments: empty", None),
    "spk2utt of blank lines": Fault(add("spk2utt", "\n"), "spk2utt: empty"),
    "empty utt2speed": Fault(add("utt2speed", ""), "utt2speed: empty"),
    "empty utt2channel": Fault(add("utt2channel", ""), "utt2channel: empty"),
    "no text": Fault(lambda d: (d / "text").unlink(), "text: missing", None),
    "no wav.scp": Fault(lambda d: (d / "wav.scp").unlink(), "wav.scp: missing", None),
    "no utt2spk": Fault(lambda d: (d / "utt2spk").unlink(), "utt2spk: missing", None),
    "no spk2utt": Fault(lambda d: (d / "spk2utt").unlink(), "spk2utt: missing"),
    "a folder for text": Fault(lambda d: to_folder(d / "text"), "text: not a file", None),
    # agreement
    "only in text": Fault(edit("text", "b-1", "b-0 x\nb-1"), "text:3: utterance 'b-0' is not in utt2spk"),
    "not in text": Fault(edit("text", "a-2 two\n", ""), "utt2spk:2: utterance 'a-2' is not in text", (), 3),
    "not in segments": Fault(edit("segments", "a-2 r1 0.5 1\n", ""), "utterance 'a-2' is not in segments", (), 3),
    "only in utt2speed": Fault(edit("utt2speed", "a-2", "a-0 1.1\na-2"), "utt2speed:1: utterance 'a-0' is not in"),
    "only in utt2channel": Fault(
        edit("utt2channel", "b-2", "b-0 direct\nb-2"), "utt2channel:1: utterance 'b-0' is not in utt2spk"
    ),
    "unknown recording": Fault(
        edit("segments", "r2 0 0.5", "r9 0 0.5"), "segments:3: utterance 'b-1': recording 'r9'", (), 3
    ),
    "unknown speaker": Fault(edit("spk2gender", "b m", "b m\nc m"), "spk2gender:3: speaker 'c' is not in utt2spk"),
    "no inverse": Fault(edit("spk2utt", "a a-1 a-2", "a a-1"), "spk2utt:1: speaker 'a': not the inverse"),
    "wrong inverse": Fault(edit("spk2utt", "a a-1 a-2\nb b-1", "a a-1\nb a-2 b-1"), "where 'a-2' has the speaker 'a'"),
    "speaker lost": Fault(edit("spk2utt", "b b-1 b-2\n", ""), "spk2utt: speaker 'b' of utt2spk is missing"),
    "speaker is no prefix": Fault(
        lambda d: [
            edit("utt2spk", "a-2 a", "a-2 c")(d),
            add("spk2utt", "a a-1\nb b-1 b-2\nc a-2\n")(d),
            edit("spk2gender", "b m", "b m\nc m")(d),
        ],
        "utt2spk:2: utterance 'a-2' does not begin with its speaker 'c'",
        DROP,
        3,
    ),
    # columns and values
    "no speaker": Fault(edit("utt2spk", "a-2 a\n", "a-2\n"), "utt2spk:2: 'a-2' has no value", DROP, 3),
    "speed without a value": Fault(edit("utt2speed", "a-2 1.1", "a-2 "), "utt2speed:1: 'a-2' has no value", DROP),
    "channel without a value": Fault(add("utt2channel", "b-2 \n"), "utt2channel:1: 'b-2' has no value", DROP),
    "channel with a space": Fault(
        edit("utt2channel", ":snr", ": snr"), "utt2channel:1: 'b-2' has 2 values, not one", DROP, 3
    ),
    "two speakers": Fault(
        lambda d: [edit("utt2spk", "a-2 a\n", "a-2 a b\n")(d), add("spk2utt", "a a-1\na b a-2\nb b-1 b-2\n")(d)],
        "utt2spk:2: 'a-2' has 2 values, not one",
        None,
    ),
    "segment of two columns": Fault(
        edit("segments", "r2 0 0.5", "r2 0"), "segments:3: utterance 'b-1': 'r2 0'", DROP, 3
    ),
    "segment of four columns": Fault(
        edit("segments", "r2 0 0.5", "r2 0 0.5 1"), "segments:3: utterance 'b-1'", DROP, 3
    ),
    "segment reversed": Fault(edit("segments", "r2 0 0.5", "r2 0.5 0"), "segments:3: utterance 'b-1'", DROP, 3),
    "segment of no length": Fault(edit("segments", "r2 0 0.5", "r2 0.5 0.5"), "segments:3: utterance 'b-1'", DROP, 3),
    "segment below 0": Fault(edit("segments", "r2 0 0.5", "r2 -1 0.5"), "segments:3: utterance 'b-1'", DROP, 3),
    "segment of NaN": Fault(edit("segments", "r2 0 0.5", "r2 0 nan"), "segments:3: utterance 'b-1'", DROP, 3),
    "segment to infinity": Fault(edit("segments", "r2 0 0.5", "r2 0 inf"), "segments:3: utterance 'b-1'", DROP, 3),
    "segment behind the end": Fault(
        edit("segments", "r2 0 0.5", "r2 0 1.5"),
        "segments:3: utterance 'b-1' ends at 1.5 s, its recording at 1.00 s",
        DROP,
        3,
    ),
    "speed of no number": Fault(edit("utt2speed", "1.1", "fast"), "utt2speed:1: utterance 'a-2': 'fast'", DROP, 3),
    "speed of 0": Fault(edit("utt2speed", "1.1", "0"), "utt2speed:1: utterance 'a-2': '0'", DROP, 3),
    "speed of 1e9": Fault(edit("utt2speed", "1.1", "1e9"), "utt2speed:1: utterance 'a-2': '1e9'", DROP, 3),
    "speed of 0.0001": Fault(edit("utt2speed", "1.1", "0.0001"), "'0.0001' is not a factor from 0.1 to 10", DROP, 3),
    "speed with a line below": Fault(edit("utt2speed", "1.1", "1_1"), "utt2speed:1: utterance 'a-2': '1_1'", DROP, 3),
    **{
        f"channel {value}": Fault(
            add("utt2channel", f"b-2 {value}\n"), f"utt2channel:1: utterance 'b-2': '{value}' is not a channel", DROP, 3
        )
        for value in (
            "fax",
            "telephone:snr_db=loud",
            "telephone:snr_db=1e9",
            "telephone:noise=pink",
            "noisy",
            "direct:x",
        )
    },
    "Arabic digits": Fault(edit("segments", "r2 0 0.5", "r2 0 \u0661"), "segments:3: utterance 'b-1'", DROP, 3),
    "language of nobody": Fault(add("utt2lang", "a-1 pt\nq-1 pt\n"), "utt2lang:2: utterance 'q-1' is not in utt2spk"),
    "age of nobody": Fault(add("spk2age", "a 30\nq 30\n"), "spk2age:2: speaker 'q' is not in utt2spk"),
    "unknown gender": Fault(edit("spk2gender", "b m", "b x"), "spk2gender:2: speaker 'b': 'x'", None),
    "two genders": Fault(edit("spk2gender", "b m", "b m f"), "spk2gender:2: 'b' has 2 values, not one", None),
    "duration of 0": Fault(add("utt2dur", "a-1 0\n"), "utt2dur:1: utterance 'a-1': '0' is not", DROP, 3),
    "wrong duration": Fault(add("utt2dur", "a-1 0.5\na-2 0.6\n"), "utt2dur:2: utterance 'a-2' takes 0.45 s", DROP, 3),
    "duration of no number": Fault(add("utt2dur", "a-1 long\n"), "utt2dur:1: utterance 'a-1': 'long'", DROP, 3),
    "frames of no number": Fault(
        add("utt2num_frames", "a-1 many\n"), "utt2num_frames:1: utterance 'a-1': 'many' is not a number", None
    ),
    "frames in Arabic digits": Fault(add("utt2num_frames", "a-1 \u0664\n"), "'\u0664' is not a number of frames", None),
    "features that are not there": Fault(
        add("feats.scp", "a-1 none.ark:5\n"), "feats.scp:1: none.ark:5: features of", None
    ),
    "features of two sizes": Fault(
        feats({"b-1": (49, 8)}), "feats.scp:3: utterance 'b-1' has 8 features a frame, others 4", None
    ),
    "features that are no matrix": Fault(
        feats({"b-1": (49,)}), "feats.scp:3: utterance 'b-1': not a matrix of frames and features", None
    ),
    "features of another length": Fault(
        feats({"b-1": (48, 4)}), "feats.scp:3: utterance 'b-1' has 48 frames, utt2num_frames says 49", None
    ),
    "frames without features": Fault(
        lambda d: [feats({})(d), edit("feats.scp", "a-2 ", "b-0 ")(d)],
        "utt2num_frames:2: utterance 'a-2' is not in feats.scp",
        None,
    ),
    "features from a pipe": Fault(add("feats.scp", "a-1 cat x |\n"), "features of 'a-1' come from a pipe", None),
    # transcripts
    "empty transcript": Fault(
        edit("text", "a-2 two", "a-2"), "text:2: utterance 'a-2' has an empty transcript", DROP, 3
    ),
    "blank symbol": Fault(
        edit("text", "two", "<blk>"), "text:2: utterance 'a-2' holds the reserved symbol '<blk>'", DROP, 3
    ),
    "start symbol": Fault(
        edit("text", "three", "<s>"), "text:3: utterance 'b-1' holds the reserved symbol '<s>'", DROP, 3
    ),
    # audio
    "pipe": Fault(edit("wav.scp", ".wav\n", ".wav |\n"), "wav.scp:1: recording 'r1' is a pipe", DROP, 2),
    "pipe and spaces": Fault(edit("wav.scp", ".wav\n", ".wav |  \n"), "wav.scp:1: recording 'r1' is a pipe", DROP, 2),
    "relative path": Fault(
        whole("wav.scp", lambda x: b"r1 r1.wav\n" + x.split(b"\n", 1)[1]), "the relative path", DROP, 2
    ),
    "audio missing": Fault(audio(Path.unlink), "recording 'r1' is missing", DROP, 2),
    "audio of a long name": Fault(
        edit("wav.scp", "r1.wav", "x" * 300), "recording 'r1' is not readable (File name too long)", DROP, 2
    ),
    "audio is a folder": Fault(audio(to_folder), "recording 'r1' is not a file", DROP, 2),
    "audio of 0 bytes": Fault(audio(lambda p: p.write_bytes(b"")), "recording 'r1' is empty", DROP, 2),
    "audio is HTML": Fault(audio(lambda p: p.write_text("<html>" * 99)), "recording 'r1' is not readable", DROP, 2),
    "audio is a header": Fault(
        audio(lambda p: soundfile.write(p, np.zeros(0), RATE)), "recording 'r1' holds no samples", DROP, 2
    ),
    "audio cut short": Fault(audio(cut), "'r1' holds 4,956 bytes of samples, its header says 16,000", DROP, 2),
    "FLAC cut short": Fault(audio(to_flac_cut_short), "recording 'r1' ends before the 1.00 s", DROP, 2),
    "Ogg cut short": Fault(audio(to_ogg_cut_short), "recording 'r1' lacks pages", DROP, 2),
    "audio of two channels": Fault(
        audio(lambda p: soundfile.write(p, np.zeros((RATE, 2)), RATE)), "recording 'r1' has 2 channels, not 1", DROP, 2
    ),
    "repeated audio": Fault(repeat_recording, "segments:3: utterance 'b-1' is the same audio as 'a-1'", DROP, 3),
}


def write_odd_rate(folder: Path) -> Path:
    """Whole recordings, one of them of another rate."""
    write_data_dir(folder, {"a-1": "one", "a-2": "two", "b-1": "three"})
    write_wav(folder / "wav" / "a-2.wav", 0.5, 16000)
    return folder


def write_renamed(folder: Path, name: str) -> Path:
    """One recording in a file of this name."""
    write_data_dir(folder, {"a-1": "one"})
    (folder / "wav" / "a-1.wav").rename(folder / "wav" / name)
    edit("wav.scp", "a-1.wav", name)(folder)
    return folder


def write_with(folder: Path, more: dict[str, str]) -> Path:
    """The valid directory with more tables."""
    write_valid(folder)
    for name, content in more.items():
        add(name, content)(folder)
    return folder


ODD = {
    "quotes in a path": lambda d: write_data_dir(d / "a b'\"($x)", {"a-1": "one"}),
    "accents in a path": lambda d: write_data_dir(d / "é日本", {"a-1": "one"}),
    "a command in a path": lambda d: write_data_dir(d / "x;touch marker", {"a-1": "one"}),
    "spaces in a row in a path": lambda d: write_data_dir(d / "a   b", {"a-1": "one"}),
    "Hindi": lambda d: write_data_dir(d / "x", {"a-1": "हिन्दी भाषा"}),
    "Persian with a joiner": lambda d: write_data_dir(d / "x", {"a-1": "می‌خواهم"}),
    "Arabic": lambda d: write_data_dir(d / "x", {"a-1": "العربية"}),
    "Chinese": lambda d: write_data_dir(d / "x", {"a-1": "今 天 天 气"}),
    "Thai": lambda d: write_data_dir(d / "x", {"a-1": "ภาษาไทย"}),
    "Korean": lambda d: write_data_dir(d / "x", {"a-1": "한국어"}),
    "an emoji": lambda d: write_data_dir(d / "x", {"a-1": "ok 😀"}),
    "an emoji of several": lambda d: write_data_dir(d / "x", {"a-1": "ok 👩\u200d❤️\u200d👩"}),
    "an end of a verse": lambda d: write_data_dir(d / "x", {"a-1": "بسم \u06dd١"}),
    "an id with a joiner": lambda d: write_data_dir(d / "x", {"می\u200cخ-1": "one"}),
    "a space that does not break at the end of a path": lambda d: write_renamed(d / "x", "a-1.wav\u00a0"),
    "tables of one's own": lambda d: write_with(d / "x", {"utt2lang": "a-1 pt\n", "spk2age": "b 30\n"}),
    "right durations": lambda d: write_with(d / "x", {"utt2dur": "a-1 0.5\na-2 0.454545\n"}),
    "quotes in a transcript": lambda d: write_data_dir(d / "x", {"a-1": 'it\'s "so" $x `y`'}),
    "noise tags": lambda d: write_data_dir(d / "x", {"a-1": "[noise] <laughter> one"}),
    "digits and signs": lambda d: write_data_dir(d / "x", {"a-1": "50 % = 1/2 # no comment"}),
    "ids of any script": lambda d: write_data_dir(d / "x", {"é-1": "one", "日-1": "two"}),
    "long ids": lambda d: write_data_dir(d / "x", {f"a-{'x' * 180}": "one"}),
    "an id with signs": lambda d: write_data_dir(d / "x", {"a-1_(b)[c]#'$": "one"}),
    "ids that sort by byte": lambda d: write_data_dir(d / "x", {"B-1": "one", "a-1": "two", "a.1-1": "three"}),
    "one utterance": lambda d: write_data_dir(d / "x", {"a-1": "one"}),
    "a long transcript": lambda d: write_data_dir(d / "x", {"a-1": "word " * 4999 + "word"}),
    "segments": lambda d: write_valid(d / "x"),
    "features": lambda d: [folder := write_valid(d / "x"), feats({})(folder)][0],
    "the same word twice": lambda d: write_data_dir(d / "x", {"a-1": "one one", "a-2": "one one"}),
    "a speaker each": lambda d: write_data_dir(d / "x", {"a-a": "one", "b-b": "two"}),
}
