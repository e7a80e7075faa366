"""Stage 0 of a recipe whose corpus is downloaded: archive -> downloads/"""

from pathlib import Path

from local.download import download
from utils.jobs.cli import Parser
from utils.jobs.job import Job


def download_corpus(doc: str, argv: list[str], url: str, pattern: str, digest: str) -> None:
    """Downloads a corpus into downloads/, once. Arguments as those of `local.download.download`."""
    parser = Parser(doc)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    args = parser.parse_args(argv)
    folder = Path("downloads")

    def build(stage: Path) -> dict:
        download(url, pattern, digest, stage, keep=folder)
        count = sum(1 for _ in stage.iterdir())
        return {"in": count, "out": count, "dropped": 0}

    settings = {"url": url, "pattern": pattern, "digest": digest}
    Job("get_corpus", 1, folder / "manifest.json", (), settings).run(args, build)
