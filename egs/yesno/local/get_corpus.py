"""openslr.org/1 -> downloads/*.wav"""

from local.corpus_download import download_corpus
from utils.jobs.cli import run

URL = "https://www.openslr.org/resources/1/waves_yesno.tar.gz"
DIGEST = "0032ed8b3aaeddf0c7451e136e7c5dae6a58415b1bd3fa7bbe2b49873564cb6a"

if __name__ == "__main__":
    run(lambda argv: download_corpus(__doc__, argv, URL, "**/[01]_*.wav", DIGEST))
