"""openslr.org/31 -> downloads/LibriSpeech/<part>, of the parts that [corpus.sets] names"""

from local.librispeech_download import download_librispeech
from utils.jobs.cli import run

if __name__ == "__main__":
    run(lambda argv: download_librispeech(__doc__, argv))
