# SPDX-License-Identifier: Apache-2.0
"""Statistics of rounds in which sides took turns, and the files of the results."""

import json
import pathlib
import re
import statistics
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from report import processor, table  # noqa: E402,F401  (for those who import this)


def quartiles(values):
    """(first quartile, median, third quartile)"""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def median_of_all(rounds):
    """The median of the values of all rounds; `rounds` has a list for each."""
    return statistics.median(value for values in rounds for value in values)


def ratio(above, below):
    """Ratio of the medians of all values, and the three quartiles of the rounds' ratios. Each has a list by round."""
    of_rounds = quartiles([statistics.median(a) / statistics.median(b) for a, b in zip(above, below)])
    return {"ratio": median_of_all(above) / median_of_all(below), "quartiles": of_rounds}


def shown(of):
    return f"{of['ratio']:.3f} ({', '.join(f'{value:.3f}' for value in of['quartiles'])})"


def rate(value):
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def by_round(rounds, name, value):
    return [[value(each[name])] for each in rounds]


def document(about, parts):
    """What the results are of, and the parts below it. Prose is wrapped, and a table's row stays one line."""
    head = [", ".join(f"{key} {value}" for key, value in about.items())]
    if about["quick"]:
        head.append("A quick run: these times show only that everything works.")
    lines = "\n\n".join(head + parts).split("\n")
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, 120) for line in lines)


def write_results(kind, results, summaries, text, folder):
    """Writes the tables and all that was measured; returns the files' name without its ending."""
    about = results["about"]
    slug = re.sub("[^a-z0-9]+", "-", about["processor"].lower()).strip("-")
    name = f"{about['date']}_{kind}_{slug}_{about['libtorch']}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(
        json.dumps({**results, "summary": summaries}, indent=1) + "\n", encoding="utf-8")
    return name
