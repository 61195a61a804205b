# SPDX-License-Identifier: Apache-2.0
"""Golden values of chrF for tests/examples/text/candidates_test.cpp.

Writes chrf.json beside this file, versions inside:

    pip install sacrebleu==2.6.0
    python make_chrf.py

pairs: a hypothesis, a reference, and sacrebleu's score of the sentence with the default settings
(chrF2: n-grams of 1 to 6 characters, beta = 2, without white space), 0 to 100. The texts are short,
empty, of white space only, with characters of one to four bytes, and random.
"""
import json
import pathlib
import random

import sacrebleu
from sacrebleu.metrics import CHRF

HERE = pathlib.Path(__file__).parent
BY_HAND = [
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the cat sat on the mat", "a cat was sitting on a mat"),
    ("a cat was sitting on a mat", "the cat sat on the mat"),
    ("abc", "abcdefgh"),
    ("abcdefgh", "abc"),
    ("a", "a"),
    ("a", "b"),
    ("", "words"),
    ("words", ""),
    ("", ""),
    (" \t\n", "words"),
    ("wo rds", "words"),
    ("a\u00a0b\u3000c\u2009d\u0085e", "abcde"),
    ("a\u200bb", "ab"),
    ("h\u00e9llo w\u00f6rld", "hello world"),
    ("\u65e5\u672c\u8a9e\u306e\u6587", "\u65e5\u672c\u306e\u6587\u7ae0"),
    ("\U0001f600\U0001f601 yes", "\U0001f600 yes \U0001f601"),
    ("aaaaaaaaaa", "aaaa"),
    ("To be, or not to be, that is the question.", "To be or not to be? That is a question!"),
]


def random_pairs(count):
    generator = random.Random(7)
    for _ in range(count):
        texts = ["".join(generator.choices("ab c\u00e9", k=generator.randrange(30)))
                 for _ in range(2)]
        yield texts[0], texts[1]


def main():
    chrf = CHRF()
    pairs = [{"hypothesis": h, "reference": r, "chrf": chrf.sentence_score(h, [r]).score}
             for h, r in BY_HAND + list(random_pairs(20))]
    record = {"versions": {"sacrebleu": sacrebleu.__version__}, "pairs": pairs}
    (HERE / "chrf.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
