"""espeak-ng's voices -> downloads/{text,<speaker>/*.wav}

    python3 local/get_corpus.py --nj 2

Makes the demo's speech on the spot: each speaker is a voice variant with an accent, heard in a room with noise.
Each speaker is made in a process of its own, so that --nj changes no byte. The settings stand in [corpus].
"""

import random
from dataclasses import dataclass
from pathlib import Path

from local.espeak import Espeak, Manner
from local.room import record
from steps.config.load import load
from steps.config.types import NaturalInt, check
from utils.data_dir.audio import write_audio
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError
from utils.jobs.job import Job
from utils.jobs.workers import map_in_processes

FORMAT = 2
MIN_RATE_HZ = 4000
DIGITS = "one two three four five six seven eight nine".split()
MINUTES = "five ten eleven twelve thirteen fourteen fifteen twenty thirty forty fifty".split()
ROOMS = "hall garden office garage cellar patio".split()
DEVICES = "light fan heater radio music alarm".split()
ACCENTS = "en-us en en-gb-scotland en-029 en-gb-x-rp en-us-nyc en-gb-x-gbclan en-gb-x-gbcwmd".split()
# None of those that breathe: espeak-ng's `breath` reads what it never set, and speaks otherwise each time.
VARIANTS = """Alex Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Tweaky
adam anika announcer antonio aunty belinda benjamin boris croak david ed edward f1 f4 grandma grandpa gustave ian iven
iven3 john kaukovalta klatt klatt2 klatt3 klatt4 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel mike2 norbert
pablo paul pedro quincy rob robert shelby steph travis zac""".split()


@dataclass(frozen=True)
class Settings:
    """The [corpus] table."""

    seed: int = 0
    speakers: int = 64
    utts_per_speaker: int = 50
    snr_db: tuple[float, float] = (0.0, 20.0)
    sample_rate_hz: int = 8000

    @classmethod
    def read(cls, table: dict) -> "Settings":
        """Raises: UsageError for an unknown key or too many speakers."""
        unknown = table.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise UsageError(f"[corpus] has no setting '{unknown.pop()}'; valid: {', '.join(cls.__dataclass_fields__)}")
        found = {name: check(table[name], NaturalInt, f"corpus.{name}") for name in table.keys() - {"snr_db"}}
        found |= {"snr_db": ends(table["snr_db"])} if "snr_db" in table else {}
        settings = cls(**found)
        if not 3 <= settings.speakers <= len(VARIANTS):
            raise UsageError(f"corpus.speakers = {settings.speakers}: from 3 to {len(VARIANTS)}")
        if settings.sample_rate_hz < MIN_RATE_HZ:
            raise UsageError(f"corpus.sample_rate_hz = {settings.sample_rate_hz}: at least {MIN_RATE_HZ}")
        return settings


def ends(snr_db: object) -> tuple[float, float]:
    """corpus.snr_db. Raises: UsageError when it is not the lowest and the highest."""
    is_list = isinstance(snr_db, list) and len(snr_db) == 2 and all(type(x) in (int, float) for x in snr_db)
    if not is_list or not -50 <= snr_db[0] <= snr_db[1] <= 100:
        raise UsageError(f"corpus.snr_db = {snr_db!r}: write the lowest and the highest, from -50 to 100")
    return float(snr_db[0]), float(snr_db[1])


@dataclass(frozen=True)
class SpeakerJob:
    """One speaker's speech, to be made in a fresh process."""

    variant: str
    accent: str
    settings: Settings
    folder: Path

    @property
    def name(self) -> str:
        """The speaker's id."""
        return self.variant.lower().replace(" ", "")


def sentence(generator: random.Random) -> str:
    """One random sentence."""
    pick = generator.choice
    kind = generator.randrange(5)
    if kind == 0:
        return f"set the timer to {pick(MINUTES)} {pick(('minutes', 'hours'))}"
    if kind == 1:
        return f"turn {pick(('on', 'off'))} the {pick(DEVICES)} in the {pick(ROOMS)}"
    if kind == 2:
        return "call " + " ".join(pick(DIGITS) for _ in range(generator.randint(3, 6)))
    if kind == 3:
        return f"{pick(('start', 'stop'))} the {pick(DEVICES)} at {pick(DIGITS)} {pick(MINUTES)}"
    return f"dim the {pick(ROOMS)} light to {pick(MINUTES)} percent"


def make_speaker(job: SpeakerJob) -> dict[str, str]:
    """Writes the speaker's audio; returns the sentence of each utterance id."""
    import soxr

    s = job.settings
    generator = random.Random(f"{s.seed} {job.name}")
    voice = Espeak(f"{job.accent}+{job.variant}")
    (job.folder / job.name).mkdir()
    texts = {}
    for index in range(s.utts_per_speaker):
        utt_id, text = f"{job.name}-{index:03}", sentence(generator)
        manner = Manner(generator.randint(100, 150), generator.randint(30, 70), generator.randint(30, 70))
        clean = soxr.resample(voice.say(text, manner), voice.sample_rate_hz, s.sample_rate_hz)
        heard = record(clean, s.sample_rate_hz, f"{s.seed} {utt_id}", s.snr_db)
        write_audio(job.folder / job.name / f"{utt_id}.wav", heard, s.sample_rate_hz)
        texts[utt_id] = text
    return texts


def make_corpus(stage: Path, settings: Settings, nj: int) -> dict:
    """Writes all speakers' audio and `text`; returns counts."""
    chosen = VARIANTS[: settings.speakers]
    jobs = [SpeakerJob(v, ACCENTS[i % len(ACCENTS)], settings, stage) for i, v in enumerate(chosen)]
    found = map_in_processes(make_speaker, jobs, nj, is_fresh=True)
    texts = {utt_id: text for one in found for utt_id, text in one.items()}
    (stage / "text").write_text("".join(f"{u} {texts[u]}\n" for u in sorted(texts)), encoding="utf-8")
    log.info(f"downloads: {len(texts):,} utterances by {len(jobs)} speakers")
    return {"in": len(texts), "out": len(texts), "dropped": 0}


def main(argv: list[str]) -> None:
    """Makes the corpus."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    args = parser.parse_args(argv)
    settings = Settings.read(load(args.config, args.set).corpus)
    job = Job(
        "get_corpus",
        FORMAT,
        Path("downloads/manifest.json"),
        (),
        {**settings.__dict__, "snr_db": list(settings.snr_db)},
    )
    job.run(args, lambda stage: make_corpus(stage, settings, args.nj))


if __name__ == "__main__":
    run(main)
