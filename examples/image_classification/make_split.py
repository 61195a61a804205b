#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chooses the test cells of elpv-dataset: the file solar_cells_test.txt beside this script.

Usage: make_split.py LABELS >solar_cells_test.txt
LABELS is the labels.csv of elpv-dataset. Of each group of cells with one defect probability and one type, a quarter
(rounded to whole cells) is drawn with a fixed seed. The same labels give the same list on every machine.
"""

import collections
import pathlib
import random
import sys

SHARE = 0.25
SEED = 1

HEADER = """\
# The test cells of elpv-dataset, a name a line; all other cells are for training. Made by
#   make_split.py labels.csv >solar_cells_test.txt
# A quarter of the cells of each defect probability (0, 1/3, 2/3, 1) and type (mono, poly), drawn with seed {seed}:
"""


def read_labels(file):
    """Returns the names of the cells by group: {(probability, type): [name, ...]}."""
    groups = collections.defaultdict(list)
    for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
        fields = line.split()
        if len(fields) != 3:
            sys.exit(f"make_split.py: {file}, line {number}: must be image, probability and type, got {line!r}")
        image, probability, kind = fields
        groups[round(float(probability), 2), kind].append(pathlib.PurePosixPath(image).stem)
    return groups


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_split.py LABELS >solar_cells_test.txt")
    groups = read_labels(sys.argv[1])
    print(HEADER.format(seed=SEED), end="")
    chosen = []
    # random() is the same in every version of Python, which sample() does not promise.
    generator = random.Random(SEED)
    for (probability, kind), names in sorted(groups.items()):
        shuffled = sorted((generator.random(), name) for name in sorted(names))
        test = [name for _, name in shuffled[: round(SHARE * len(names))]]
        print(f"#   {probability:.2f} {kind}  {len(test):3} of {len(names)}")
        chosen += test
    print("\n".join(sorted(chosen)))


if __name__ == "__main__":
    main()
