"""<corpus>/LibriSpeech/<part> -> data/<set>; the parts of each set stand in [corpus.sets]"""

from local.librispeech import prepare_librispeech
from utils.jobs.cli import run

if __name__ == "__main__":
    run(lambda argv: prepare_librispeech(__doc__, argv))
