"""The Free Spoken Digit Dataset, release 1.0.10 -> downloads/*.wav"""

from local.corpus_download import download_corpus
from utils.jobs.cli import run

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
DIGEST = "dbd573d7cafe79c4b49f65718115e1304e24e067fa39eff18a660dc6cb9c360f"

if __name__ == "__main__":
    run(lambda argv: download_corpus(__doc__, argv, URL, "**/recordings/*.wav", DIGEST))
