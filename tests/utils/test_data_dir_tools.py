"""split, perturb, resegment and describe: what they write is valid, and says what they promise."""

import errno

import pytest

from tests.faults.directories import write_valid
from tests.support import assert_status, command, error_of, write_data_dir
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import read_table
from utils.data_dir.validate import find_faults
from utils.jobs import files


@pytest.fixture
def segmented(tmp_path):
    return write_valid(tmp_path / "train")


@pytest.fixture
def plain(tmp_path):
    ids = [f"{speaker}-{i}" for speaker in "abcdefg" for i in range(2)]
    return write_data_dir(tmp_path / "plain", dict.fromkeys(ids, "one two"))


def run_tool(tool, *args, cwd):
    result = command(f"utils.{tool}_data_dir", *args, cwd=cwd)
    assert_status(result, 0)
    return result


def test_split_takes_every_kth_speaker(plain, tmp_path):
    run_tool("split", "--every", 3, plain, tmp_path / "rest", tmp_path / "part", cwd=tmp_path)
    speakers = [sorted(set(read_table(tmp_path / name / "utt2spk").values())) for name in ("rest", "part")]
    assert speakers == [["a", "b", "d", "e", "g"], ["c", "f"]]
    assert all(find_faults(tmp_path / name, has_text=True) == [] for name in ("rest", "part"))


@pytest.mark.parametrize(("every", "status"), [(8, 3), (1, 3), (0, 2)])
def test_split_refuses_an_empty_part(plain, tmp_path, every, status):
    result = command("utils.split_data_dir", "--every", every, plain, tmp_path / "r", tmp_path / "p", cwd=tmp_path)
    error_of(result, status)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("kind", ["segmented", "plain"])
def test_a_perturbed_directory_is_valid_and_keeps_every_table(kind, request, tmp_path):
    source = request.getfixturevalue(kind)
    (source / "spk2gender").write_text(
        "".join(f"{s} f\n" for s in sorted(set(read_table(source / "utt2spk").values())))
    )
    run_tool("perturb", source, tmp_path / "sp", cwd=tmp_path)
    assert find_faults(tmp_path / "sp", has_text=True) == []
    before, after = DataDir.read(source), DataDir.read(tmp_path / "sp")
    assert len(after.utt_ids) == 3 * len(before.utt_ids)
    assert before.tables.keys() | {"utt2speed", "utt2uniq"} == after.tables.keys()
    first = before.utt_ids[0]
    assert after.tables["utt2uniq"][f"sp0.9-{first}"] == first
    assert after.tables["utt2speed"][f"sp0.9-{first}"] == "0.9"
    assert after.tables["utt2spk"][f"sp1.1-{first}"] == f"sp1.1-{before.tables['utt2spk'][first]}"
    assert after.tables["spk2gender"]["sp1.1-a"] == "f"


def test_speeds_multiply(segmented, tmp_path):
    run_tool("perturb", "--speeds", "0.5", segmented, tmp_path / "sp", cwd=tmp_path)
    assert read_table(tmp_path / "sp" / "utt2speed")["sp0.5-a-2"] == "0.55"


def test_features_are_left_out_of_a_perturbed_directory(plain, tmp_path):
    (plain / "utt2dur").write_text("".join(f"{u} 0.5\n" for u in read_table(plain / "utt2spk")))
    run_tool("perturb", plain, tmp_path / "sp", cwd=tmp_path)
    assert not (tmp_path / "sp" / "utt2dur").exists()


def test_a_perturbed_utterance_has_features_of_another_length(plain, tmp_path):
    (tmp_path / "conf.toml").write_text("[features]\nsample_rate_hz = 8000\nnum_mel_bins = 40\n")
    run_tool("perturb", "--speeds", "0.5,1", plain, tmp_path / "sp", cwd=tmp_path)
    assert_status(command("steps.make_feats", "--nj", 1, tmp_path / "sp", cwd=tmp_path), 0)
    frames = read_table(tmp_path / "sp" / "utt2num_frames")
    assert (frames["sp0.5-a-0"], frames["a-0"]) == ("100", "50")
    assert find_faults(tmp_path / "sp", has_text=True) == []


@pytest.mark.parametrize("factors", ["0", "-1", "fast", "nan", "1,1.0", "1,,2", "11", "1_1", "\u0661"])
def test_perturb_refuses(plain, tmp_path, factors):
    error_of(command("utils.perturb_data_dir", f"--speeds={factors}", plain, tmp_path / "sp", cwd=tmp_path), 2)


def test_speeds_stay_in_range(segmented, tmp_path):
    result = command("utils.perturb_data_dir", "--speeds", "10", segmented, tmp_path / "sp", cwd=tmp_path)
    assert "utterance 'a-2': 1.1 times 10 is not a factor from 0.1 to 10" in error_of(result, 3)


def channels_of(folder):
    return read_table(folder / "utt2channel")


def test_a_transmitted_directory_is_valid_and_has_the_same_utterances(segmented, tmp_path):
    (segmented / "utt2channel").unlink()
    (segmented / "utt2dur").write_text("a-1 0.5\n")
    result = run_tool("transmit", "--channel", "telephone:snr_db=15.0", segmented, tmp_path / "out", cwd=tmp_path)
    assert "4 utterances through telephone:snr_db=15 (4)" in result.stderr
    assert find_faults(tmp_path / "out", has_text=True) == []
    before, after = DataDir.read(segmented), DataDir.read(tmp_path / "out")
    assert after.tables.pop("utt2channel") == dict.fromkeys(before.utt_ids, "telephone:snr_db=15")
    assert before.tables.pop("utt2dur") and after.tables == before.tables


def test_of_several_channels_each_utterance_has_one_that_its_id_chooses(plain, tmp_path):
    options = ("--channel", "telephone", "--channel", "noisy:snr_db=5,noise=pink")
    run_tool("transmit", *options, plain, tmp_path / "out", cwd=tmp_path)
    run_tool("subset", "--speakers", "c,d", plain, tmp_path / "part", cwd=tmp_path)
    run_tool("transmit", *options, tmp_path / "part", tmp_path / "out_of_part", cwd=tmp_path)
    whole, part = channels_of(tmp_path / "out"), channels_of(tmp_path / "out_of_part")
    assert set(whole.values()) == {"telephone", "noisy:snr_db=5,noise=pink"}
    assert len(part) == 4 and part.items() <= whole.items()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["fax"], "'fax' is not a channel such as"),
        (["telephone", "telephone"], "telephone, telephone: name each channel once"),
        ([], "the following arguments are required: --channel"),
    ],
)
def test_transmit_refuses(plain, tmp_path, values, said):
    options = [text for value in values for text in ("--channel", value)]
    result = command("utils.transmit_data_dir", *options, plain, tmp_path / "out", cwd=tmp_path)
    assert said in error_of(result, 2) and not (tmp_path / "out").exists()


def test_speech_goes_through_one_channel_only(segmented, tmp_path):
    result = command("utils.transmit_data_dir", "--channel", "telephone", segmented, tmp_path / "out", cwd=tmp_path)
    said = "utt2channel: utterance 'b-2' is heard through telephone:snr_db=20 already; begin with the directory"
    assert said in error_of(result, 3)


def test_the_tools_keep_channels(segmented, tmp_path):
    (segmented / "utt2speed").unlink()
    phone = {"b-2": "telephone:snr_db=20"}
    run_tool("subset", "--speakers", "b", segmented, tmp_path / "subset", cwd=tmp_path)
    run_tool("split", "--every", 2, segmented, tmp_path / "rest", tmp_path / "split", cwd=tmp_path)
    run_tool("perturb", "--speeds", "0.9", segmented, tmp_path / "sp", cwd=tmp_path)
    (tmp_path / "parts").write_text("b-1x b-1 0 0.2\nb-2x b-2 0.1 0.3\n")
    run_tool("resegment", segmented, tmp_path / "parts", tmp_path / "parts_of", cwd=tmp_path)
    run_tool("fix", segmented, cwd=tmp_path)
    assert channels_of(tmp_path / "subset") == channels_of(tmp_path / "split") == channels_of(segmented) == phone
    assert not (tmp_path / "rest" / "utt2channel").exists()
    assert channels_of(tmp_path / "sp") == {"sp0.9-b-2": "telephone:snr_db=20"}
    assert channels_of(tmp_path / "parts_of") == {"b-2x": "telephone:snr_db=20"}
    assert all(find_faults(tmp_path / name) == [] for name in ("subset", "split", "rest", "sp", "parts_of"))
    assert "channels: direct (3), telephone:snr_db=20 (1)" in run_tool("describe", segmented, cwd=tmp_path).stdout


def test_what_has_no_channel_is_heard_directly_in_a_combined_directory(segmented, tmp_path):
    other = write_data_dir(tmp_path / "other", {"c-1": "four"})
    (other / "segments").write_text("c-1 c-1 0 0.5\n")
    assert_status(command("utils.combine_data_dirs", segmented, other, tmp_path / "all", cwd=tmp_path), 0)
    found = channels_of(tmp_path / "all")
    assert found.pop("b-2") == "telephone:snr_db=20" and set(found.values()) == {"direct"} and "c-1" in found
    assert find_faults(tmp_path / "all", has_text=True) == []


def test_a_transmitted_directory_has_features_of_the_same_length(plain, tmp_path):
    (tmp_path / "conf.toml").write_text("[features]\nsample_rate_hz = 8000\nnum_mel_bins = 40\nutts_per_shard = 5\n")
    run_tool("transmit", "--channel", "telephone:snr_db=10", plain, tmp_path / "phone", cwd=tmp_path)
    for folder, nj in ((plain, 1), (tmp_path / "phone", 1)):
        assert_status(command("steps.make_feats", "--nj", nj, folder, cwd=tmp_path), 0)
    assert read_table(plain / "utt2num_frames") == read_table(tmp_path / "phone" / "utt2num_frames")
    archives = [(folder / "feats" / "feats.1.ark").read_bytes() for folder in (plain, tmp_path / "phone")]
    assert archives[0] != archives[1]
    assert_status(command("steps.make_feats", "--nj", 2, "--force", tmp_path / "phone", cwd=tmp_path), 0)
    assert (tmp_path / "phone" / "feats" / "feats.1.ark").read_bytes() == archives[1]
    edited = (tmp_path / "phone" / "utt2channel").read_text().replace("=10", "=11", 1)
    (tmp_path / "phone" / "utt2channel").write_text(edited)
    said = command("steps.make_feats", "--nj", 2, tmp_path / "phone", cwd=tmp_path).stderr
    assert "input phone/utt2channel changed" in said


def test_parts_lie_where_their_utterance_lies(segmented, tmp_path):
    (segmented / "utt2speed").unlink()
    (tmp_path / "parts").write_text("b-1x b-1 0 0.2\nb-2x b-2 0.1 0.3\nb-2y b-2 0.3 0.5\n")
    (tmp_path / "text").write_text("b-1x one\nb-2x two\nb-2y three\n")
    run_tool("resegment", "--text", tmp_path / "text", segmented, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert (tmp_path / "out" / "segments").read_text() == "b-1x r2 0 0.2\nb-2x r2 0.6 0.8\nb-2y r2 0.8 1\n"
    assert (tmp_path / "out" / "spk2gender").read_text() == "b m\n"
    assert find_faults(tmp_path / "out", has_text=True) == []


def test_whole_recordings_can_be_cut_into_parts(plain, tmp_path):
    (tmp_path / "parts").write_text("a-0-1 a-0 0 0.2\na-0-2 a-0 0.2 0.4\n")
    run_tool("resegment", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert (tmp_path / "out" / "wav.scp").read_text().count("\n") == 1
    assert find_faults(tmp_path / "out") == []


def test_parts_of_long_recordings_keep_their_times(plain, tmp_path):
    (plain / "segments").write_text("".join(f"{u} {u} 12345.67 12399.5\n" for u in read_table(plain / "utt2spk")))
    (tmp_path / "parts").write_text("a-0x a-0 1.004 5.371\n")
    run_tool("resegment", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert (tmp_path / "out" / "segments").read_text() == "a-0x a-0 12346.674 12351.041\n"


def test_a_directory_stays_as_it_was_where_the_disk_fills_up(plain, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in plain.iterdir() if path.is_file()}
    replace = files.replace

    def fails_late(temporary, path):
        if path.name == "utt2spk":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(temporary, path)

    monkeypatch.setattr(files, "replace", fails_late)
    data = DataDir.read(plain)
    with pytest.raises(OSError) as caught:
        data.select(set(data.utt_ids[:1])).write(plain)
    assert caught.value.filename.endswith("utt2spk")
    assert {path.name: path.read_bytes() for path in plain.iterdir() if path.is_file()} == before
    assert not list(plain.glob(".writing*"))


def test_utf16_that_is_damaged_is_not_repaired(plain):
    text = (plain / "text").read_text()
    (plain / "text").write_bytes(text.encode("utf-16")[:-3])
    said = error_of(command("utils.fix_data_dir", plain, cwd=plain), 3)
    assert "UTF-16, and damaged at byte" in said


def test_tables_of_an_earlier_directory_are_taken_away(plain, tmp_path):
    (tmp_path / "parts").write_text("a-0x a-0 0 0.2\n")
    (tmp_path / "text").write_text("a-0x one\n")
    run_tool("resegment", "--text", tmp_path / "text", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    run_tool("resegment", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert not (tmp_path / "out" / "text").exists()


@pytest.mark.parametrize("tool", ["describe", "split"])
def test_a_directory_without_speakers_is_one_line(plain, tmp_path, tool):
    (plain / "utt2spk").unlink()
    more = ("--every", 2, plain, tmp_path / "r", tmp_path / "p") if tool == "split" else (plain,)
    assert "utt2spk: missing" in error_of(command(f"utils.{tool}_data_dir", *more, cwd=tmp_path), 3)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("b-1x b-1 0 0.6", "'b-1x': ends at 0.6 s, utterance 'b-1' at 0.5 s"),
        ("b-1x q-1 0 0.2", "no utterance 'q-1'"),
        ("b-1x b-1 0.2 0.1", "is not '<utterance> <start s> <end s>'"),
        ("b-1x b-1 0", "is not '<utterance> <start s> <end s>'"),
        ("b-1x b-1 0 \u0661", "is not '<utterance> <start s> <end s>'"),
        ("b-1x b-1 0 0.0000001", "'b-1 0 0.0000001' holds less than a microsecond"),
        ("x-1 b-1 0 0.2", "'x-1': the id does not begin with the speaker 'b' of utterance 'b-1'"),
        ("a-2x a-2 0 0.1", "utterance 'a-2' is perturbed in speed"),
    ],
)
def test_parts_that_cannot_be_are_refused(segmented, tmp_path, part, said):
    (tmp_path / "parts").write_text(f"{part}\n")
    result = command("utils.resegment_data_dir", segmented, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert said in (message := error_of(result, 3))
    assert message.startswith(f"{tmp_path}/parts:1: ")
    assert not (tmp_path / "out").exists()


def test_a_part_behind_the_end_of_a_whole_recording_is_refused(plain, tmp_path):
    (tmp_path / "parts").write_text("a-0x a-0 0 99\n")
    result = command("utils.resegment_data_dir", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert "parts:1: 'a-0x': ends at 99 s, utterance 'a-0' at 0.5 s" in error_of(result, 3)
    assert not (tmp_path / "out").exists()


def test_a_part_that_ends_a_little_late_ends_with_its_recording(plain, tmp_path):
    (tmp_path / "parts").write_text("a-0x a-0 0.2 0.505\n")
    run_tool("resegment", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert (tmp_path / "out" / "segments").read_text() == "a-0x a-0 0.2 0.5\n"


def test_a_list_of_no_parts_is_refused(plain, tmp_path):
    (tmp_path / "parts").write_text("")
    result = command("utils.resegment_data_dir", plain, tmp_path / "parts", tmp_path / "out", cwd=tmp_path)
    assert "parts: empty" in error_of(result, 3)


def test_a_description_counts_what_is_there(segmented, tmp_path):
    said = run_tool("describe", segmented, cwd=tmp_path).stdout
    assert "4 utterances, 0.00 h, 2 speakers" in said and "8000 Hz (2)" in said
    assert "lengths: 0.45 to 0.50 s" in said
    assert "5 words, 4 different, 0 transcripts empty" in said
    assert "  é  U+00E9         1  latin small letter e with acute" in said
    assert sum(int(line.split()[4]) for line in said.splitlines() if line.endswith("#")) == 4


def test_a_directory_and_its_perturbed_copy_can_be_combined(segmented, tmp_path):
    (segmented / "utt2speed").unlink()
    run_tool("perturb", segmented, tmp_path / "sp", cwd=tmp_path)
    assert_status(command("utils.combine_data_dirs", segmented, tmp_path / "sp", tmp_path / "all", cwd=tmp_path), 0)
    assert find_faults(tmp_path / "all", has_text=True) == []
    speeds, origins = (read_table(tmp_path / "all" / name) for name in ("utt2speed", "utt2uniq"))
    assert (speeds["a-1"], speeds["sp0.9-a-1"]) == ("1", "0.9")
    assert (origins["a-1"], origins["sp0.9-a-1"]) == ("a-1", "a-1")


@pytest.fixture
def more(plain):
    """A directory with tables that only their prefix tells, and others."""
    (plain / "utt2lang").write_text("".join(f"{u} {u[0]}x\n" for u in read_table(plain / "utt2spk")))
    (plain / "spk2age").write_text("a 30\nb 31\n")
    (plain / "text_letters").write_text(
        "".join(f"{u} {'x y' * (u[0] != 'a')}".rstrip() + "\n" for u in read_table(plain / "utt2spk"))
    )
    for name in ("reco2dur", "vad.scp", "cmvn", "validate.manifest.json", "utt2spk.bak"):
        (plain / name).write_text("a-0 1\n")
    return plain


@pytest.mark.parametrize("tool", ["subset", "split", "combine", "perturb"])
def test_tables_of_ones_own_are_kept_and_the_other_files_named(more, tmp_path, tool):
    arguments = {
        "subset": ("--speakers", "b,c", more),
        "split": ("--every", 2, more, tmp_path / "rest"),
        "combine": (more,),
        "perturb": ("--speeds", "0.9", more),
    }[tool]
    module = "utils.combine_data_dirs" if tool == "combine" else f"utils.{tool}_data_dir"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "utt2old").write_text("a-0 1\n")
    result = command(module, *arguments, tmp_path / "out", cwd=tmp_path)
    assert_status(result, 0)
    assert "warning: " in result.stderr and "are not known: reco2dur, utt2spk.bak, vad.scp\n" in result.stderr
    prefix = "sp0.9-" if tool == "perturb" else ""
    assert read_table(tmp_path / "out" / "utt2lang")[f"{prefix}b-1"] == "bx"
    assert read_table(tmp_path / "out" / "spk2age")[f"{prefix}b"] == "31"
    assert read_table(tmp_path / "out" / "text_letters", has_value=False)[f"{prefix}b-1"] == "x y"
    assert find_faults(tmp_path / "out", has_text=True) == []
    assert not (tmp_path / "out" / "utt2old").exists()


def test_a_copy_has_the_transcripts_of_all_heads(more, tmp_path):
    assert_status(command("utils.copy_data_dir", more, tmp_path / "out", cwd=tmp_path), 0)
    assert (tmp_path / "out" / "text_letters").read_text() == (more / "text_letters").read_text()
    (more / "text_letters").write_text("a-0 z\n")
    assert_status(command("utils.copy_data_dir", more, tmp_path / "out", cwd=tmp_path), 0)
    assert (tmp_path / "out" / "text_letters").read_text() == "a-0 z\n"


def test_a_perturbed_directory_is_split_by_person(plain, tmp_path):
    run_tool("perturb", "--speeds", "0.9,1.1", plain, tmp_path / "sp", cwd=tmp_path)
    run_tool("split", "--every", 2, tmp_path / "sp", tmp_path / "rest", tmp_path / "part", cwd=tmp_path)
    persons = [
        {speaker.rpartition("-")[2] for speaker in read_table(tmp_path / name / "utt2spk").values()}
        for name in ("rest", "part")
    ]
    assert persons[0] and persons[1] and not persons[0] & persons[1]


def test_fix_keeps_tables_of_ones_own_consistent(more, tmp_path):
    (more / "utt2lang").write_text("q-0 x\na-0 pt\r\n")
    run_tool("fix", more, cwd=tmp_path)
    assert (more / "utt2lang").read_text() == "a-0 pt\n" and find_faults(more) == []


def test_resegment_says_which_tables_it_leaves_out(more, tmp_path):
    (tmp_path / "parts").write_text("a-0x a-0 0 0.2\n")
    said = run_tool("resegment", more, tmp_path / "parts", tmp_path / "out", cwd=tmp_path).stderr
    assert "because they tell of whole utterances: text, text_letters, utt2lang" in said
    assert (tmp_path / "out" / "spk2age").read_text() == "a 30\n"


TOOLS = {
    "describe": ("describe_data_dir", "DIR"),
    "subset": ("subset_data_dir", "--first", "1", "DIR", "out"),
    "perturb": ("perturb_data_dir", "DIR", "out"),
    "transmit": ("transmit_data_dir", "--channel", "telephone", "DIR", "out"),
    "resegment": ("resegment_data_dir", "DIR", "parts", "out"),
    "split": ("split_data_dir", "--every", "2", "DIR", "rest", "out"),
    "combine": ("combine_data_dirs", "DIR", "other", "out"),
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("wav.scp", None, "wav.scp: missing"),
        ("utt2spk", None, "utt2spk: missing"),
        ("utt2spk", "", "utt2spk: empty"),
        ("text", "", "text: empty"),
        ("utt2spk", "a-1 a\n", "segments:2: utterance 'a-2' is not in utt2spk; run: python3 -m utils.fix_data_dir"),
    ],
)
def test_a_directory_that_no_tool_can_use_is_one_line(segmented, tmp_path, tool, name, content, said):
    segmented.rename(tmp_path / "DIR")
    write_data_dir(tmp_path / "other", {"c-1": "one"})
    (tmp_path / "parts").write_text("a-1x a-1 0 0.2\n")
    (tmp_path / "DIR" / name).unlink()
    if content is not None:
        (tmp_path / "DIR" / name).write_text(content)
    module, *arguments = TOOLS[tool]
    assert f"DIR/{said}" in error_of(command(f"utils.{module}", *arguments, cwd=tmp_path), 3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tool", ["describe", "perturb", "resegment"])
@pytest.mark.parametrize("speed", ["0", "nan", "-1", "fast", "1e9"])
def test_an_impossible_speed_is_one_line(segmented, tmp_path, tool, speed):
    segmented.rename(tmp_path / "DIR")
    (tmp_path / "DIR" / "wav.scp").write_text((tmp_path / "DIR" / "wav.scp").read_text().replace("train", "DIR"))
    (tmp_path / "DIR" / "utt2speed").write_text(f"a-2 {speed}\n")
    (tmp_path / "parts").write_text("a-1x a-1 0 0.2\n")
    module, *arguments = TOOLS[tool]
    said = error_of(command(f"utils.{module}", *arguments, cwd=tmp_path), 3)
    assert f"DIR/utt2speed: utterance 'a-2': '{speed}' is not a factor from 0.1 to 10" in said


@pytest.mark.parametrize("tool", ["describe", "perturb", "resegment", "transmit"])
def test_an_impossible_channel_is_one_line(segmented, tmp_path, tool):
    segmented.rename(tmp_path / "DIR")
    (tmp_path / "DIR" / "wav.scp").write_text((tmp_path / "DIR" / "wav.scp").read_text().replace("train", "DIR"))
    (tmp_path / "DIR" / "utt2channel").write_text("a-2 fax\n")
    (tmp_path / "parts").write_text("a-1x a-1 0 0.2\n")
    module, *arguments = TOOLS[tool]
    said = error_of(command(f"utils.{module}", *arguments, cwd=tmp_path), 3)
    assert "DIR/utt2channel: utterance 'a-2': 'fax' is not a channel such as direct, telephone," in said


@pytest.mark.parametrize(("name", "status"), [("text", 3), ("spk2utt", 3), ("utt2lang", 0)])
def test_fix_says_that_a_table_is_a_folder(segmented, tmp_path, name, status):
    (segmented / name).unlink(missing_ok=True)
    (segmented / name).mkdir()
    result = command("utils.fix_data_dir", segmented, cwd=tmp_path)
    assert_status(result, status)
    assert status == 0 or f"{segmented}/{name}: not a file" in error_of(result, 3)


@pytest.mark.parametrize("target", ["file", "file/below"])
def test_a_target_that_cannot_be_a_folder_is_wrong_usage(plain, tmp_path, target):
    (tmp_path / "file").write_text("")
    result = command("utils.subset_data_dir", "--first", 1, plain, tmp_path / target, cwd=tmp_path)
    assert f"{target}: a file has this name" in error_of(result, 2)


def test_a_perturbed_directory_is_not_perturbed_into_itself(plain, tmp_path):
    run_tool("perturb", "--speeds", "0.9,1", plain, tmp_path / "sp", cwd=tmp_path)
    said = error_of(command("utils.perturb_data_dir", "--speeds", "0.9,1", tmp_path / "sp", "twice", cwd=tmp_path), 3)
    assert "utterance 'sp0.9-a-0' would come twice" in said and not (tmp_path / "twice").exists()
