#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of compare.py's results.

Usage: vision_report.py RESULTS.json     prints the tables of earlier results
"""

import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
from rounds import by_round, document, median_of_all, rate, ratio, shown, table, write_results  # noqa: E402


def steps_summary(case):
    """Medians and ratios of one case of training steps."""
    times = case["milliseconds"]
    medians = {name: median_of_all(blocks) for name, blocks in times.items()}
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


def compared(rounds, value, of_python=None):
    """Medians of both sides' rates and the ratio C++ / Python."""
    cpp, python = by_round(rounds, "cpp", value), by_round(rounds, "python", of_python or value)
    return {"cpp": median_of_all(cpp), "python": median_of_all(python), "cpp_over_python": ratio(cpp, python)}


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
    parts = []
    if results["steps"]:
        parts.append(steps_table(results["steps"]))
    if results["loader"] or results["epochs"]:
        parts.append(files_table(results["loader"], results["epochs"], about["workers"]))
    if results["decode"]:
        parts.append(decode_table(results["decode"]))
    return document(about, parts)


def summaries(results):
    return {"steps": [steps_summary(case) for case in results["steps"]],
            "loader": [loader_summary(case) for case in results["loader"]],
            "epochs": [epochs_summary(case) for case in results["epochs"]],
            "decode": [dict(decode_summaries(case)) for case in results["decode"]]}


def write(results, folder):
    """Writes the tables and all that was measured; returns the files' name without its ending."""
    return write_results("vision", results, summaries(results), text(results), folder)


if __name__ == "__main__":
    print(text(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))))
