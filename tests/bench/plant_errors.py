"""data/<set>/text with a word replaced in some utterances -> these, with their wrong transcripts

    python3 -m bench.plant_errors --share 0.05 data/train_wrong planted

The same utterance at other speeds gets the same error. Which word becomes which is drawn from the words of the set, the
same each time. A set that was changed before is left alone.
"""

import argparse
import random
from pathlib import Path

from utils.data_dir.tables import read_table, write_table


def plant(texts: dict[str, str], original: dict[str, str], share: float) -> dict[str, str]:
    """The transcripts with an error, of a share of the utterances.

    Args:
        texts: All transcripts.
        original: The utterance that one at another speed comes from.
        share: Of the utterances that are none of those.
    """
    drawn = random.Random(0)
    base = sorted({original.get(utt_id, utt_id) for utt_id in texts if texts[utt_id].split()})
    chosen = set(drawn.sample(base, round(share * len(base))))
    vocabulary = sorted({word for text in texts.values() for word in text.split()})
    wrong: dict[str, str] = {}
    for utt_id in sorted(chosen):
        words = texts[utt_id].split() if utt_id in texts else []
        if words:
            place = drawn.randrange(len(words))
            words[place] = drawn.choice([word for word in vocabulary if word != words[place]])
            wrong[utt_id] = " ".join(words)
    return {u: wrong[original.get(u, u)] for u in texts if original.get(u, u) in wrong}


def main() -> None:
    """Plants errors in one data directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    texts = read_table(args.data_dir / "text", has_value=False)
    before = read_table(args.out) if args.out.is_file() else {}
    if before and all(texts.get(utt_id) == text for utt_id, text in before.items()):
        print(f"{args.out}: is there already")
        return
    uniq = args.data_dir / "utt2uniq"
    wrong = plant(texts, read_table(uniq) if uniq.is_file() else {}, args.share)
    write_table(args.data_dir / "text", texts | wrong)
    write_table(args.out, wrong)
    print(f"{args.data_dir}/text: a word replaced in {len(wrong)} of {len(texts)} utterances")


if __name__ == "__main__":
    main()
