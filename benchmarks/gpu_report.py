#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what ivon_gpu_benchmark measured as Markdown, with a verdict on each target.

Usage: python gpu_report.py results.jsonl --device NAME --driver VERSION --torch VERSION --cuda VERSION
"""

import argparse
import datetime
import json

# name: must, goal, of (record, contender by name) -> figure, whether smaller is better
TARGETS = [
    ("iteration / fused AdamW", 1.7, None, lambda r, t: t("ivon") / t("fused_adamw"), True),
    ("one pass / fused AdamW", 1.7, 1.2, lambda r, t: t("ivon_one_pass") / t("fused_adamw"), True),
    ("launches of an iteration", 4, 2, lambda r, t: r["contenders"]["ivon"]["launches"], True),
    ("share of the copy's bandwidth, iteration", 0.8, 0.9, lambda r, t: share(r, "ivon"), False),
    ("share of the copy's bandwidth, one pass", 0.8, 0.9, lambda r, t: share(r, "ivon_one_pass"), False),
    ("first use, seconds", 2, None, lambda r, t: r["first_use_s"], True),
]
JUDGED = ("resnet50", "gpt2", "gpt2-xl")  # the models that the targets are about


def rate(record, name):
    contender = record["contenders"][name]
    return contender["bytes_per_parameter"] * record["parameters"] / contender["seconds"]


def share(record, name):
    return rate(record, name) / rate(record, "copy")


def verdict(value, must, goal, smaller):
    reached = (lambda bound: value <= bound) if smaller else (lambda bound: value >= bound)
    if not reached(must):
        return "MISSED"
    return "holds" if goal is None else "goal reached" if reached(goal) else "holds, goal not reached"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines")
    for name in ("device", "driver", "torch", "cuda"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    with open(arguments.lines) as file:
        records = [json.loads(line) for line in file]

    print(f"# {arguments.device}, {datetime.date.today()}\n")
    print(f"LibTorch {arguments.torch}, CUDA {arguments.cuda}, driver {arguments.driver}. Times are the least of all repetitions;")
    print("only ratios within one table mean anything. GB/s counts the bytes that must move.")
    for record in records:
        print(f"\n## {record['model']}, {record['dtype']}: {record['tensors']} tensors, {record['parameters']:,} parameters\n")
        print(f"Backend {record['backend']}: {record['reason']}. First use: {record['first_use_s']:.2f} s.\n")
        print("| | ns per parameter | GB/s | of the copy | / fused AdamW | launches |\n|---|---|---|---|---|---|")
        fused = record["contenders"]["fused_adamw"]["seconds"]
        for name, contender in record["contenders"].items():
            launches = contender["launches"] if contender["launches"] >= 0 else ""
            print(f"| {name} | {contender['seconds'] / record['parameters'] * 1e9:.4f} | {rate(record, name) / 1e9:.0f} "
                  f"| {share(record, name):.0%} | {contender['seconds'] / fused:.2f} | {launches} |")

    print("\n## Targets\n\n| model | target | must | goal | measured | |\n|---|---|---|---|---|---|")
    for record in records:
        if record["model"] not in JUDGED or record["backend"] != "nvrtc":
            continue
        for name, must, goal, figure, smaller in TARGETS:
            value = figure(record, lambda contender: record["contenders"][contender]["seconds"])
            print(f"| {record['model']}, {record['dtype']} | {name} | {must} | {goal or ''} | {value:.3g} "
                  f"| {verdict(value, must, goal, smaller)} |")


if __name__ == "__main__":
    main()
