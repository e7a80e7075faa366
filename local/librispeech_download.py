"""Stage 0 of the LibriSpeech recipes: openslr.org -> downloads/LibriSpeech/<part>, of the parts that conf.toml chooses.

Source of the digests: torchaudio's datasets/librispeech.py; those of the mini parts belong to the archives whose MD5
https://www.openslr.org/resources/31/md5sum.txt gives.
"""

import shutil
from pathlib import Path

from local.download import download_archive
from local.librispeech import MINI_PARTS, parts_of, settings_of
from steps.config.load import load
from utils.jobs import log
from utils.jobs.cli import Parser
from utils.jobs.job import Job

DIGESTS = {  # SHA-256 of <part>.tar.gz
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-5": "47805806c8b15f7549f3c51bd6b7da72ec0128a34d32830c8014a88658c0292d",
    "dev-clean-2": "176ec501490eced2d6c1f89f4f0ddc7dfe799e649e5322f8ba49fe3ff50c8012",
}


def url_of(part: str, base: str) -> str:
    """Where the archive of a part is. `base` is that of OpenSLR, or of a mirror of it."""
    return f"{base}/{31 if part in MINI_PARTS else 12}/{part}.tar.gz"


def download_part(args: object, part: str, base: str, folder: Path) -> None:
    """Downloads one part, if it is not there."""
    url = url_of(part, base)
    archives: list[Path] = []

    def build(stage: Path) -> dict:
        log.info(f"{url}: fetched into {folder}")
        archives.append(download_archive(url, DIGESTS[part], stage / "unpacked", folder))
        (stage / "LibriSpeech").mkdir()
        (stage / "unpacked" / "LibriSpeech" / part).rename(stage / "LibriSpeech" / part)
        shutil.rmtree(stage / "unpacked")  # notes that all parts have in common
        count = sum(1 for _ in (stage / "LibriSpeech" / part).rglob("*.flac"))
        return {"in": count, "out": count, "dropped": 0}

    Job("get_corpus", 1, folder / f"{part}.manifest.json", (), {"sha256": DIGESTS[part]}).run(args, build)
    for archive in archives:
        archive.unlink()


def download_librispeech(doc: str, argv: list[str]) -> None:
    """The main function of a recipe's local/get_corpus.py."""
    parser = Parser(doc)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    args = parser.parse_args(argv)
    settings = settings_of(load(args.config, args.set))
    for part in parts_of(settings["sets"]):
        download_part(args, part, settings["url"].rstrip("/"), Path("downloads"))
