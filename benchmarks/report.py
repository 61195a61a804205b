#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what one run of the benchmarks wrote, writes results.json and results.md beside it and prints the latter.

Usage: report.py FOLDER     FOLDER/raw holds the JSON of ivon_benchmark and ivon_opt.py
"""

import datetime
import json
import pathlib
import sys

NAMES = {
    "ivon": "IVON",
    "ivon_one_pass": "IVON one pass",
    "ivon_like_adamw": "IVON like AdamW, one pass",
    "ivon_sample": "IVON sample alone",
    "adamw": "torch AdamW",
    "sgd": "torch SGD",
    "fused_adamw": "fused AdamW",
    "copy": "copy",
    "scale": "scale in place",
    "ivon_opt": "ivon-opt",
}
# Bytes per float32 parameter and iteration that ivon-opt moves; the others tell their own.
IVON_OPT_BYTES = 316
SETS = ["avx512", "avx2", "neon", "portable"]  # the best first
WEIGHT_AND_GRADIENT = 8


def processor():
    """The processor's name, as Linux tells it."""
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown processor"


class Run:
    """All measurements of one run: times, peaks and reasons for what is missing, by (model, set, threads, contender)."""

    def __init__(self, folder):
        self.ns, self.floor, self.peak, self.missing, self.elements = {}, {}, {}, {}, {}
        self.noise, self.about = {}, {}
        for path in sorted(folder.glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            if "benchmarks" in content:
                self.read_google(content)
            else:
                self.read_python(content)
        self.about["load_before"] = (folder / "load").read_text(encoding="utf-8").strip()
        for path in sorted(folder.glob("*.missing")):
            model, threads, reason = path.read_text(encoding="utf-8").strip().split("\t")
            self.missing[(model, "", int(threads), "ivon_opt")] = reason

    def read_google(self, content):
        context = content["context"]
        isa, threads = context["isa"], int(context["threads"])
        self.about.update({key: context[key] for key in ("libtorch", "libtorch_cpu_capability", "ivon")})
        for entry in content["benchmarks"]:
            model, contender, elements = entry["run_name"].split("/")[:3]
            key = (model, isa, threads, contender)
            elements = int(elements.partition(":")[2])
            if entry.get("error_occurred"):
                self.missing[key] = entry["error_message"]
            elif entry.get("aggregate_name") == "min":
                ns = entry["real_time"] / elements
                if model == "noise":
                    self.noise[(isa, contender)] = ns
                    continue
                self.elements[model] = elements
                self.floor[contender] = int(entry["floor_bytes"])
                if "peak_bytes" in entry:
                    self.peak[key] = entry["peak_bytes"] / elements
                    self.ns.setdefault(key, ns)  # one interleaved with others is preferred
                else:
                    self.ns[key] = ns

    def read_python(self, content):
        self.about["ivon_opt"] = content["ivon_opt"]
        self.floor["ivon_opt"] = IVON_OPT_BYTES
        # No instruction set of ours: it is compared with every one.
        self.ns[(content["model"], "", content["threads"], "ivon_opt")] = content["ns_per_parameter"]

    def time(self, model, isa, threads, contender):
        return self.ns.get((model, "" if contender == "ivon_opt" else isa, threads, contender))

    def why_missing(self, model, isa, threads, contender):
        return self.missing.get((model, "" if contender == "ivon_opt" else isa, threads, contender), "not measured")

    def ratio(self, model, isa, threads, above, below):
        a, b = self.time(model, isa, threads, above), self.time(model, isa, threads, below)
        return a / b if a and b else None

    def sets(self):
        return [isa for isa in SETS if any(key[1] == isa for key in self.ns)]

    def threads(self):
        return sorted({key[2] for key in self.ns})


def table(header, rows):
    """A Markdown table that is readable as plain text too."""
    widths = [max(len(row[column]) for row in [header] + rows) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths]] + rows
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def figure(value, digits=3):
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if value < 10 else f"{value:.1f}"


def main_table(run):
    contenders = [name for name in NAMES if any(key[3] == name for key in run.ns)]
    ratios = [("ivon", "adamw"), ("ivon", "fused_adamw"), ("ivon_one_pass", "fused_adamw"),
              ("ivon_like_adamw", "fused_adamw"), ("ivon_opt", "ivon")]
    header = ["model", "set", "threads"] + [NAMES[name] for name in contenders]
    header += [f"{NAMES[a]} / {NAMES[b]}" for a, b in ratios]
    rows = []
    for model in [name for name in ("resnet50", "gpt2", "100x1000", "1e5", "1e6", "1e8") if name in run.elements]:
        for isa in run.sets():
            for threads in run.threads():
                if run.time(model, isa, threads, "ivon") is None:
                    continue
                row = [model, isa, str(threads)]
                for name in contenders:
                    ns = run.time(model, isa, threads, name)
                    row.append("-" if ns is None else f"{figure(ns)} ({run.floor[name] / ns:.0f})")
                row += [figure(run.ratio(model, isa, threads, *pair), 2) for pair in ratios]
                rows.append(row)
    return "Nanoseconds per parameter and iteration (GB/s by the byte floor)\n\n" + table(header, rows)


def scaling_table(run):
    isa = run.sets()[0]
    columns = [(name, threads) for name in ("ivon", "ivon_one_pass", "fused_adamw", "copy", "scale") for threads in run.threads()]
    columns = [c for c in columns if any(key[1] == isa and key[2] == c[1] and key[3] == c[0] for key in run.ns)]
    models = sorted((m for m in run.elements if m.startswith("1e")), key=lambda m: run.elements[m])
    rows = [[model] + [figure(run.time(model, isa, t, name)) for name, t in columns] for model in models]
    header = ["elements"] + [f"{NAMES[name]}, {threads} thr." for name, threads in columns]
    return f"Nanoseconds per parameter against the size of one tensor, {isa}\n\n" + table(header, rows)


def memory_table(run):
    if not run.peak:
        return "Memory: not measured"
    models = sorted({key[0] for key in run.peak}, key=lambda m: run.elements[m])
    contenders = [name for name in NAMES if any(key[3] == name for key in run.peak)]
    rows = []
    for model in models:
        peaks = {key[3]: peak for key, peak in run.peak.items() if key[0] == model and key[2] == 1}
        rows.append([model] + [figure(peaks[c] - WEIGHT_AND_GRADIENT, 2) if c in peaks else "-" for c in contenders])
    return ("Peak of the process's memory, bytes per parameter beyond weight and gradient\n\n" +
            table(["model"] + [NAMES[c] for c in contenders], rows))


def noise_table(run):
    rows = [[isa] + [figure(run.noise.get((isa, name))) for name in ("ivon_normal", "at_normal")] for isa in run.sets()]
    return "Nanoseconds per normal, one thread\n\n" + table(["set", "ivon", "at::normal_"], rows)


def targets(run):
    """(what, must, goal, measured or None, reason where None); a must is '<= x' or '>= x'."""
    best = run.sets()[0]
    threads = [t for t in run.threads() if t <= 2]
    for model, must, goal in (("resnet50", 0.75, 0.45), ("gpt2", 0.50, 0.25)):
        for t in threads:
            yield from one_ratio(run, model, best, t, "ivon", "adamw", "<=", must, goal)
    for model in ("resnet50", "gpt2"):
        for isa, t, must, goal in (("avx512", 1, 2.3, 1.6), ("avx512", 2, 3.2, 2.0), ("avx2", 1, 3.5, 2.2),
                                   ("avx2", 2, 3.5, 2.2)):
            yield from one_ratio(run, model, isa, t, "ivon", "fused_adamw", "<=", must, goal)
    for model in ("resnet50", "gpt2"):
        for t, must, goal in ((1, 1.7, 1.3), (2, 2.3, 1.5)):
            for name in ("ivon_one_pass", "ivon_like_adamw"):
                yield from one_ratio(run, model, best, t, name, "fused_adamw", "<=", must, goal)
    for model in ("resnet50", "gpt2"):
        for t in threads:
            yield from one_ratio(run, model, best, t, "ivon_opt", "ivon", ">=", 30, 70)
    for t in threads:
        yield from one_ratio(run, "100x1000", best, t, "ivon", "fused_adamw", "<=", 2.5, 2.0)
    largest = max((key for key in run.peak if key[3] == "ivon"), key=lambda k: run.elements[k[0]], default=None)
    state = round(run.peak[largest] - WEIGHT_AND_GRADIENT, 1) if largest else None
    what = f"IVON's state, bytes per parameter, from the process's peak{', ' + largest[0] if largest else ''}"
    yield what, "<=", 12, 8, state, "not measured"


def one_ratio(run, model, isa, threads, above, below, sign, must, goal):
    what = f"{NAMES[above]} / {NAMES[below]}, {model}, {isa}, {threads} thread{'s' if threads > 1 else ''}"
    value = run.ratio(model, isa, threads, above, below)
    reason = next((run.why_missing(model, isa, threads, name) for name in (above, below)
                   if run.time(model, isa, threads, name) is None), "")
    yield what, sign, must, goal, value, reason


def judge(run):
    def reaches(value, sign, bound):
        return value <= bound if sign == "<=" else value >= bound

    verdicts = []
    for what, sign, must, goal, value, reason in targets(run):
        if value is None:
            verdict, reached = "not measured", None
        else:
            verdict = "holds" if reaches(value, sign, must) else "FAILS"
            reached = reaches(value, sign, goal)
        verdicts.append({"what": what, "sign": sign, "must": must, "goal": goal, "measured": value, "verdict": verdict,
                         "goal_reached": reached, "reason": reason})
    return verdicts


def verdict_table(verdicts):
    rows = [[v["what"], figure(v["measured"], 2), f"{v['sign']} {v['must']}", v["verdict"], f"{v['sign']} {v['goal']}",
             {True: "reached", False: "not yet", None: ""}[v["goal_reached"]]] for v in verdicts]
    count = {"holds": 0, "FAILS": 0}
    for v in verdicts:
        if v["verdict"] in count:
            count[v["verdict"]] += 1
    missing = len(verdicts) - sum(count.values())
    summary = f"{count['holds']} musts hold, {count['FAILS']} FAIL, {missing} not measured"
    return "Targets\n\n" + table(["ratio", "measured", "must", "", "goal", ""], rows) + "\n\n" + summary


def missing_lines(run):
    reasons = {}
    for (model, isa, threads, name), reason in run.missing.items():
        reasons.setdefault((name, reason), []).append(f"{model} {isa} {threads}".replace("  ", " "))
    if not reasons:
        return ""
    lines = [f"- {NAMES[name]}: {reason} ({', '.join(where) if len(where) <= 6 else f'{len(where)} times'})"
             for (name, reason), where in reasons.items()]
    return "Not measured\n\n" + "\n".join(lines)


def rows_for_json(run):
    for (model, isa, threads, name), ns in sorted(run.ns.items()):
        row = {"model": model, "elements": run.elements.get(model), "isa": isa, "threads": threads, "contender": name,
               "ns_per_parameter": ns, "gb_per_s": run.floor[name] / ns, "floor_bytes": run.floor[name]}
        peak = run.peak.get((model, isa, threads, name))
        if peak is not None:
            row["peak_bytes_per_parameter"] = peak
        yield row


def main():
    folder = pathlib.Path(sys.argv[1])
    run = Run(folder / "raw")
    if not run.ns:
        raise SystemExit(f"report: no measurement in {folder / 'raw'}")
    about = {"date": datetime.date.today().isoformat(), "processor": processor(), **run.about}
    verdicts = judge(run)
    text = "\n\n".join(part for part in (
        ", ".join(f"{key} {value}" for key, value in about.items()),
        main_table(run), scaling_table(run), memory_table(run), noise_table(run), verdict_table(verdicts),
        missing_lines(run)) if part)
    noise = [{"isa": isa, "contender": name, "ns_per_normal": ns} for (isa, name), ns in sorted(run.noise.items())]
    missing = [{"model": m, "isa": i, "threads": t, "contender": n, "reason": r}
               for (m, i, t, n), r in sorted(run.missing.items())]
    (folder / "results.md").write_text(text + "\n", encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(
        {"about": about, "times": list(rows_for_json(run)), "noise": noise, "targets": verdicts, "missing": missing},
        indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
