#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of compare.py's results.

Usage: vision_report.py RESULTS.json     prints the tables of earlier results
"""

import json
import pathlib
import re
import statistics
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from report import processor, table  # noqa: E402,F401  (compare.py uses processor)


def quartiles(values):
    """(first quartile, median, third quartile)"""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratio(above, below):
    """Ratio of the medians of all values, and the three quartiles of the rounds' ratios. Each has a list by round."""
    of_rounds = quartiles([statistics.median(a) / statistics.median(b) for a, b in zip(above, below)])
    medians = [statistics.median(value for each in values for value in each) for values in (above, below)]
    return {"ratio": medians[0] / medians[1], "quartiles": of_rounds}


def shown(of):
    return f"{of['ratio']:.3f} ({', '.join(f'{value:.3f}' for value in of['quartiles'])})"


def rate(value):
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def steps_summary(case):
    """Medians and ratios of one case of training steps."""
    times = case["milliseconds"]
    medians = {name: statistics.median(t for block in blocks for t in block) for name, blocks in times.items()}
    return {"milliseconds": medians,
            "images_per_second": {name: 1000 * case["batch"] / value for name, value in medians.items()},
            "cpp_over_python": ratio(times["python"], times["cpp"]),
            "ivon_over_adamw": ratio(times["ivon"], times["cpp"]), "rounds": len(times["cpp"])}


def steps_table(cases):
    rows = []
    for case in cases:
        summary = steps_summary(case)
        speed, time, peak = summary["images_per_second"], summary["milliseconds"], case["peak_mib"]
        rates = {name: f"{rate(speed[name])} ({time[name]:.1f} ms)" for name in speed}
        rows.append([case["model"], str(case["side"]), str(case["batch"]), rates["cpp"], rates["python"],
                     shown(summary["cpp_over_python"]), rates["ivon"], shown(summary["ivon_over_adamw"]),
                     *(f"{peak[name]:.0f}" for name in ("cpp", "python", "ivon")),
                     f"{summary['rounds']} x {case['steps_of_block']}"])
    header = ["network", "pixels", "batch", "C++ images/s", "Python images/s", "speed C++ / Python",
              "C++ IVON images/s", "time IVON / AdamW", "MiB C++", "MiB Python", "MiB IVON", "steps"]
    return ("Training steps on a batch in memory, by fused AdamW where nothing else is said: medians, ratios of the "
            "medians (in brackets the three quartiles of the rounds' ratios) and the processes' peak memory\n\n" +
            table(header, rows))


def by_round(rounds, name, value):
    return [[value(each[name])] for each in rounds]


def compared(rounds, value, of_python=None):
    """Medians of both sides' rates and the ratio C++ / Python."""
    cpp, python = by_round(rounds, "cpp", value), by_round(rounds, "python", of_python or value)
    return {"cpp": statistics.median(v for each in cpp for v in each),
            "python": statistics.median(v for each in python for v in each), "cpp_over_python": ratio(cpp, python)}


def loader_summary(case):
    return compared(case["rounds"], lambda answer: answer["images_per_second"])


def epochs_summary(case):
    """Rates, and of each side the share of the epoch that its steps alone would not take."""
    summary = compared(case["rounds"], lambda answer: answer["epoch"]["images_per_second"])
    for name in ("cpp", "python"):
        step = statistics.median(t for each in case["rounds"] for t in each[name]["steps"]["milliseconds"]) / 1000
        seconds = statistics.median(each[name]["epoch"]["seconds"] for each in case["rounds"])
        summary["loading_share_" + name] = 1 - step * case["files"] / case["batch"] / seconds
    return summary


def files_table(loaders, epochs, workers):
    rows = []
    for what, cases, summarise in (("loader alone", loaders, loader_summary), ("epoch", epochs, epochs_summary)):
        for case in cases:
            summary = summarise(case)
            shares = [f"{100 * summary[key]:.0f} %" if key in summary else "-"
                      for key in ("loading_share_cpp", "loading_share_python")]
            work = f"{what} of {case['model']}" if "model" in case else what
            rows.append([work, str(case["side"]), str(case["batch"]), str(case["files"]), rate(summary["cpp"]),
                         rate(summary["python"]), shown(summary["cpp_over_python"]), *shares, str(len(case["rounds"]))])
    header = ["work", "pixels", "batch", "files", "C++ images/s", "Python images/s", "speed C++ / Python",
              "loading C++", "loading Python", "rounds"]
    return (f"JPEG files to standardised batches, and to a trained epoch, {workers} workers. Loading: the share of the "
            "epoch by which it is longer than its training steps alone\n\n" + table(header, rows))


def decode_summaries(case):
    """(what, summary) of each decoder of the Python side."""
    def speed(part):
        return lambda answer: answer[part]["images_per_second"]

    yield "file to 224 x 224 crop, Pillow", compared(case["rounds"], speed("crop"))
    yield "whole image, Pillow", compared(case["rounds"], speed("whole"))
    if all("simplejpeg" in each["python"] for each in case["rounds"]):
        yield "whole image, simplejpeg", compared(case["rounds"], speed("whole"), speed("simplejpeg"))


def decode_table(cases):
    rows = [[what, rate(s["cpp"]), rate(s["python"]), shown(s["cpp_over_python"]), str(len(case["rounds"]))]
            for case in cases for what, s in decode_summaries(case)]
    header = ["work, Python's library", "C++ images/s", "Python images/s", "speed C++ / Python", "rounds"]
    return "JPEG files on one thread\n\n" + table(header, rows)


def text(results):
    about = results["about"]
    parts = [", ".join(f"{key} {value}" for key, value in about.items())]
    if about["quick"]:
        parts.append("A quick run: these times show only that everything works.")
    if results["steps"]:
        parts.append(steps_table(results["steps"]))
    if results["loader"] or results["epochs"]:
        parts.append(files_table(results["loader"], results["epochs"], about["workers"]))
    if results["decode"]:
        parts.append(decode_table(results["decode"]))
    # Prose is wrapped, and a table's row stays one line.
    lines = "\n\n".join(parts).split("\n")
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, 120) for line in lines)


def summaries(results):
    return {"steps": [steps_summary(case) for case in results["steps"]],
            "loader": [loader_summary(case) for case in results["loader"]],
            "epochs": [epochs_summary(case) for case in results["epochs"]],
            "decode": [dict(decode_summaries(case)) for case in results["decode"]]}


def write(results, folder):
    """Writes the tables and all that was measured; returns the files' name without its ending."""
    about = results["about"]
    slug = re.sub("[^a-z0-9]+", "-", about["processor"].lower()).strip("-")
    name = f"{about['date']}_vision_{slug}_{about['libtorch']}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text(results) + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(
        json.dumps({**results, "summary": summaries(results)}, indent=1) + "\n", encoding="utf-8")
    return name


if __name__ == "__main__":
    print(text(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))))
