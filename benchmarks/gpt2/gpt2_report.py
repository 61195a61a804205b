#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of compare.py's results.

Usage: gpt2_report.py RESULTS.json     prints the tables of earlier results
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
from rounds import by_round, document, median_of_all, rate, ratio, shown, table, write_results  # noqa: E402

OTHERS = {"nanogpt": "nanoGPT", "llmc": "llm.c"}
LLMC_TARGET = 1.0
IVON_TARGET = 1.03  # of fused AdamW's time, at most
GENERATION_TARGET, GENERATION_GOAL = 1.0, 1.5  # of transformers' speed
ENCODE_TARGET, ENCODE_GOAL = 20, 40  # MiB/s of English
ENCODERS = ("tiktoken", "tokenizers")


def at_least(value, target, goal=None):
    """What a summary says of a target, and of a goal beyond it."""
    summary = {"target": target, "met": value >= target}
    return summary if goal is None else {**summary, "goal": goal, "goal_met": value >= goal}


def verdict(bound, met, sign=">="):
    return f"{sign} {bound:g}: {'met' if met else 'missed'}"


def verdicts(summary):
    """The cells of a target and of a goal beyond it."""
    return [verdict(summary["target"], summary["met"]), verdict(summary["goal"], summary["goal_met"])]


def case_cells(case):
    return [case["model"], f"{case['batch']} x {case['tokens']}", str(case["threads"])]


def steps_summary(case):
    """Medians, speeds and ratios of one case of training steps, and whether the targets are met."""
    times = case["milliseconds"]
    medians = {name: median_of_all(blocks) for name, blocks in times.items()}
    of_step = case["batch"] * case["tokens"]
    summary = {"milliseconds": medians, "rounds": len(times["cpp"]),
               "tokens_per_second": {name: 1000 * of_step / value for name, value in medians.items()}}
    for name, target in (("nanogpt", case["target"]), ("llmc", LLMC_TARGET)):
        if name in times:
            speed = ratio(times[name], times["cpp"])
            summary["cpp_over_" + name] = {**speed, **at_least(speed["ratio"], target)}
    return summary


def steps_table(cases):
    others = [name for name in OTHERS if any(name in case["milliseconds"] for case in cases)]
    rows = []
    for case in cases:
        summary = steps_summary(case)
        row = case_cells(case)
        for name in ("cpp", *others):
            known = name in summary["milliseconds"]
            row.append(f"{rate(summary['tokens_per_second'][name])} ({summary['milliseconds'][name]:.1f} ms)"
                       if known else "-")
        for name in others:
            speed = summary.get("cpp_over_" + name)
            row += [shown(speed), verdict(speed["target"], speed["met"])] if speed else ["-", "-"]
        rows.append([*row, f"{summary['rounds']} x {case['steps_of_block']}"])
    header = ["model", "batch x tokens", "threads", "C++ tokens/s", *(f"{OTHERS[name]} tokens/s" for name in others)]
    for name in others:
        header += [f"speed C++ / {OTHERS[name]}", "target"]
    return ("Training steps in float32 without dropout: forward pass, backward pass, clipping of the gradient and "
            "fused AdamW; llm.c has no clipping and an AdamW of its own. Medians, and ratios of the medians (in "
            "brackets the three quartiles of the rounds' ratios)\n\n" + table([*header, "steps"], rows))


def optimizers_summary(case):
    """Medians, times relative to fused AdamW and to torch::optim::AdamW, and whether the target is met."""
    times = case["milliseconds"]
    fused = {name: ratio(times[name], times["adamw"]) for name in times if name != "adamw"}
    for name, time in fused.items():
        if name.startswith("ivon"):
            time.update(target=IVON_TARGET, met=time["ratio"] <= IVON_TARGET)
    return {"milliseconds": {name: median_of_all(blocks) for name, blocks in times.items()},
            "over_adamw": fused,
            "over_adamw_libtorch": {name: ratio(times[name], times["adamw-libtorch"])
                                    for name in times if name.startswith("ivon")},
            "rounds": len(times["adamw"])}


def optimizers_table(cases):
    def of_fused(name):
        return [shown(fused[name]), verdict(fused[name]["target"], fused[name]["met"], "<=")]

    rows = []
    for case in cases:
        summary = optimizers_summary(case)
        time, fused, plain = summary["milliseconds"], summary["over_adamw"], summary["over_adamw_libtorch"]
        rows.append([*case_cells(case), *(f"{time[name]:.1f}" for name in time),
                     shown(fused["adamw-libtorch"]), *of_fused("ivon"), *of_fused("ivon-paper"),
                     *(shown(plain[name]) for name in ("ivon", "ivon-paper")),
                     f"{summary['rounds']} x {case['steps_of_block']}"])
    header = ["model", "batch x tokens", "threads", "ms fused AdamW", "ms AdamW", "ms IVON", "ms IVON, paper's",
              "AdamW / fused", "IVON / fused", "target", "paper's / fused", "target", "IVON / AdamW", "paper's / AdamW",
              "steps"]
    return ("Training steps in C++ by optimizer: AdamW in one pass (fused), torch::optim::AdamW, IVON with AdamW's "
            "numbers and sample_on_step, and IVON as in the paper, its sample in a scope. Ratios of times\n\n" +
            table(header, rows))


def compared(rounds, others, value):
    """Medians of all sides' rates and the ratios of C++ to the others."""
    rates = {name: by_round(rounds, name, value) for name in ("cpp", *others)}
    return {"rates": {name: median_of_all(each) for name, each in rates.items()}, "rounds": len(rounds),
            **{"cpp_over_" + name: ratio(rates["cpp"], rates[name]) for name in others}}


def generation_summary(case):
    others = [name for name in case["rounds"][0] if name != "cpp"]
    summary = compared(case["rounds"], others, lambda answer: answer["tokens"] / answer["seconds"])
    for name in others:
        speed = summary["cpp_over_" + name]
        speed.update(at_least(speed["ratio"], GENERATION_TARGET, GENERATION_GOAL))
    return summary


def generation_table(cases):
    rows = []
    for case in cases:
        summary = generation_summary(case)
        speed = summary.get("cpp_over_transformers")
        rows.append([case["model"], str(case["prompt"]), str(case["count"]), str(case["threads"]),
                     rate(summary["rates"]["cpp"]), rate(summary["rates"]["transformers"]) if speed else "-",
                     *([shown(speed), *verdicts(speed)] if speed else ["-", "-", "-"]), str(summary["rounds"])])
    header = ["model", "prompt", "tokens", "threads", "C++ tokens/s", "transformers tokens/s",
              "speed C++ / transformers", "target", "goal", "rounds"]
    return ("Generation of one text with the cache of keys and values, the most probable token each time\n\n" +
            table(header, rows))


def encode_summary(case):
    others = [name for name in ENCODERS if name in case["rounds"][0]]
    summary = compared(case["rounds"], others, lambda answer: answer["bytes"] / answer["seconds"] / 2**20)
    if case["english"]:
        summary.update(at_least(summary["rates"]["cpp"], ENCODE_TARGET, ENCODE_GOAL))
    return summary


def encode_table(cases):
    rows = []
    for case in cases:
        summary, first = encode_summary(case), case["rounds"][0]["cpp"]
        row = [case["text"], f"{first['bytes'] / 2**20:.2f}", str(first["tokens"]), rate(summary["rates"]["cpp"]),
               *(verdicts(summary) if "target" in summary else ["-", "-"])]
        for name in ENCODERS:
            speed = summary.get("cpp_over_" + name)
            row += [rate(summary["rates"][name]), shown(speed)] if speed else ["-", "-"]
        rows.append([*row, str(summary["rounds"])])
    header = ["text", "MiB", "tokens", "C++ MiB/s", "target", "goal"]
    for name in ENCODERS:
        header += [f"{name} MiB/s", f"speed C++ / {name}"]
    return "Text to tokens of GPT-2's vocabulary on one thread; all found the same tokens\n\n" + table(
        [*header, "rounds"], rows)


def memory_summary(case):
    return {"bytes_per_parameter": (case["peak_mib"] - case["before_mib"]) * 2**20 / case["parameters"]}


def memory_table(cases):
    names = {"nanogpt": "nanoGPT, fused AdamW", "adamw": "fused AdamW", "adamw-libtorch": "AdamW", "ivon": "IVON",
             "ivon-paper": "IVON, paper's"}
    rows = [[names[case["contender"]], "yes" if case["recompute"] else "no", f"{case['peak_mib']:.0f}",
             f"{case['before_mib']:.0f}", f"{memory_summary(case)['bytes_per_parameter']:.1f}"] for case in cases]
    shape = f"{cases[0]['batch']} x {cases[0]['tokens']}"
    return (f"Peak memory of a process that trains 124M with {shape} tokens, and bytes for each of the "
            f"{cases[0]['parameters']} parameters (without what the process had before): weights and gradients take 8 "
            "and the optimizer's buffers 8 (AdamW) or 12 (IVON); activations are the rest\n\n" +
            table(["optimizer", "recompute", "peak MiB", "before MiB", "bytes / parameter"], rows))


TABLES = {"steps": steps_table, "optimizers": optimizers_table, "generation": generation_table,
          "encode": encode_table, "memory": memory_table}
SUMMARIES = {"steps": steps_summary, "optimizers": optimizers_summary, "generation": generation_summary,
             "encode": encode_summary, "memory": memory_summary}


def text(results):
    parts = [make(results[part]) for part, make in TABLES.items() if results[part]]
    parts += [f"Left out is {line}." for line in results["left_out"]]
    return document(results["about"], parts)


def write(results, folder):
    """Writes the tables and all that was measured; returns the files' name without its ending."""
    summaries = {part: [summarise(case) for case in results[part]] for part, summarise in SUMMARIES.items()}
    return write_results("gpt2", results, summaries, text(results), folder)


if __name__ == "__main__":
    print(text(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))))
