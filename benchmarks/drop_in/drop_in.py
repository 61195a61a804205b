#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tasks of the drop-in benchmark with several settings, and makes tables of the results.

Every run of the program `drop_in` is one line of a log. A run that the log has already is not
repeated, so an interrupted search or comparison goes on where it was.

    drop_in.py search  --space space.json --trials 40   random settings on the short forms
    drop_in.py compare --setting NAME ...               settings of settings.json on the full forms
    drop_in.py table                                    the comparison against AdamW, as Markdown
"""

import argparse
import concurrent.futures
import json
import math
import os
import random
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
USUAL = {"kind": "usual"}


class Log:
    """The results of all runs, one JSON line each."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.results = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        result = json.loads(line)
                        self.results[self.key(**result["run"])] = result
        else:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)

    @staticmethod
    def key(task, setting, seed, length):
        return json.dumps([task, setting, seed, length], sort_keys=True)

    def get(self, **run):
        return self.results.get(self.key(**run))

    def add(self, run, result):
        result = {"run": run, **result}
        with self.lock:
            self.results[self.key(**run)] = result
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(result, sort_keys=True) + "\n")
        return result


class Bench:
    """The program, its tasks and the log of its runs."""

    def __init__(self, program, data, log, jobs):
        self.program, self.data, self.jobs = program, data, jobs
        self.log = Log(log)
        listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
        self.tasks = {task["name"]: task for task in json.loads(listed.stdout)}

    def run(self, task, setting, seed, length):
        """Returns the result of one run, from the log where it is there."""
        run = {"task": task, "setting": setting, "seed": seed, "length": length}
        known = self.log.get(**run)
        if known is not None:
            return known
        command = [self.program, "--task", task, "--setting", json.dumps(setting), "--seed",
                   str(seed), "--length", repr(length), "--data", self.data]
        environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"{task} failed: {done.stderr.strip()[-500:]}")
        result = json.loads(done.stdout.strip().splitlines()[-1])
        for key in ("task", "seed", "length"):
            result.pop(key)
        return self.log.add(run, result)

    def run_all(self, runs):
        """Runs several tasks at the same time and tells how long the rest takes."""
        missing = [run for run in runs if self.log.get(**run) is None]
        begin = time.time()
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self.run, **run) for run in missing]
            for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                left = (time.time() - begin) / count * (len(missing) - count)
                print(f"   {count} of {len(missing)} runs, {left / 60:.0f} minutes left",
                      file=sys.stderr, flush=True)

    def worse_by(self, task, setting, seed, length):
        """Returns by which fraction a setting's figure is worse than the usual optimizer's, in
        logarithms: 0.05 is about 5 % worse, a negative number is better."""
        theirs = self.run(task, USUAL, seed, length)["merit"]
        ours = self.run(task, setting, seed, length)["merit"]
        if ours is None:
            return 3.0
        if self.tasks[task]["higher_is_better"]:
            theirs, ours = 1 / max(theirs, 1e-9), 1 / max(ours, 1e-9)
        return min(3.0, math.log(max(ours, 1e-12) / max(theirs, 1e-12)))


def draw(space, generator):
    """Returns a random setting: `space` gives a list of values, or {"log": [low, high]}."""
    setting = {"kind": "like_adamw"}
    for name, values in sorted(space.items()):
        if isinstance(values, dict):
            low, high = values["log"]
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
            setting[name] = float(f"{value:.2g}")
        else:
            setting[name] = generator.choice(values)
    return {name: value for name, value in setting.items() if value is not None}


def search(bench, arguments):
    """Tries settings on the short forms. A setting is given up as soon as one task is clearly worse
    than the worst task of the best setting so far."""
    names = arguments.tasks.split(",") if arguments.tasks else [
        name for name, task in bench.tasks.items() if not task["set_aside"]]
    with open(arguments.space, encoding="utf-8") as file:
        space = json.load(file)
    if isinstance(space, list):
        trials = space
    else:
        generator = random.Random(arguments.search_seed)
        trials = [draw(space, generator) for _ in range(arguments.trials)]
    seed, length = arguments.seed, arguments.length
    bench.run_all([{"task": name, "setting": USUAL, "seed": seed, "length": length}
                   for name in names])
    best = math.inf
    found = []

    def figure(name, setting):
        return name, bench.worse_by(name, setting, seed, length)

    for number, setting in enumerate(trials, 1):
        worse = {}
        with concurrent.futures.ThreadPoolExecutor(bench.jobs) as pool:
            rest = list(names)
            running = set()
            while rest or running:
                given_up = worse and max(worse.values()) > best + arguments.margin
                while rest and not given_up and len(running) < bench.jobs:
                    running.add(pool.submit(figure, rest.pop(0), setting))
                if not running:
                    break
                done, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    name, value = future.result()
                    worse[name] = value
        whole = len(worse) == len(names)
        worst = max(worse.values())
        mean = sum(worse.values()) / len(worse)
        if whole:
            best = min(best, worst)
        found.append((not whole, worst, mean, setting, worse))
        print(f"{number}/{len(trials)} {'' if whole else 'given up '}worst {worst:+.3f} "
              f"mean {mean:+.3f} {json.dumps(setting)} "
              + " ".join(f"{name}:{value:+.3f}" for name, value in worse.items()), flush=True)
        # Tasks that went badly come first, so that a bad setting is given up early.
        names.sort(key=lambda name: -worse.get(name, 0))
    print("\nbest settings")
    for partial, worst, mean, setting, worse in sorted(found, key=lambda x: x[:3])[:10]:
        print(f"{'given up' if partial else ''} {worst:+.3f} {mean:+.3f} {json.dumps(setting)}")


def mean_and_error(values):
    """Returns the mean and its standard error."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def named_settings(names):
    with open(os.path.join(HERE, "settings.json"), encoding="utf-8") as file:
        known = json.load(file)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"drop_in: no setting {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: known[name] for name in names}


def comparison(bench, arguments):
    """Returns the runs of a comparison: for each task its seeds."""
    names = arguments.tasks.split(",") if arguments.tasks else list(bench.tasks)
    seeds = {name: range(1, 1 + (arguments.seeds or bench.tasks[name]["seeds"])) for name in names}
    return names, seeds


def compare(bench, arguments):
    """Runs every task with the usual optimizer and with settings of settings.json."""
    names, seeds = comparison(bench, arguments)
    settings = list(named_settings(arguments.setting).values())
    bench.run_all([{"task": name, "setting": setting, "seed": seed, "length": arguments.length}
                   for seed in range(1, 1 + max(len(s) for s in seeds.values()))
                   for name in names if seed in seeds[name]
                   for setting in [USUAL] + settings])
    table(bench, arguments)


def table(bench, arguments):
    """Prints the comparison as Markdown: means over the seeds, standard errors of the paired
    differences, and for classifiers the scores of the probabilities."""
    names, seeds = comparison(bench, arguments)
    settings = named_settings(arguments.setting)

    def results(name, setting):
        found = [bench.log.get(task=name, setting=setting, seed=seed, length=arguments.length)
                 for seed in seeds[name]]
        return None if None in found else found

    for title, setting in settings.items():
        print(f"\n{title}: `{json.dumps(setting)}`, length {arguments.length:g}\n")
        print("| task | figure | seeds | Adam(W) | IVON | difference | its error | worse by | verdict "
              "| time |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        classifiers = []
        for name in sorted(names, key=lambda name: bench.tasks[name]["set_aside"]):
            theirs, ours = results(name, USUAL), results(name, setting)
            if theirs is None or ours is None:
                continue
            sign = -1 if bench.tasks[name]["higher_is_better"] else 1
            infinite = math.inf * sign
            merits = [[r["merit"] if r["merit"] is not None else infinite for r in side]
                      for side in (theirs, ours)]
            differences = [b - a for a, b in zip(*merits)]
            base, value = mean_and_error(merits[0])[0], mean_and_error(merits[1])[0]
            difference, error = mean_and_error(differences)
            worse = sign * difference / abs(base)
            verdict = "worse" if sign * difference > 2 * error else (
                "better" if sign * difference < -2 * error else "equal")
            time_ratio = sum(r["seconds"] for r in ours) / sum(r["seconds"] for r in theirs)
            aside = " (set aside)" if bench.tasks[name]["set_aside"] else ""
            print(f"| {name}{aside} | {bench.tasks[name]['merit']} | {len(theirs)} | {base:.4g} | "
                  f"{value:.4g} | {difference:+.3g} | {error:.2g} | {100 * worse:+.1f} % | {verdict} | "
                  f"{time_ratio:.2f} |")
            if "averaged" in ours[0]:
                classifiers.append((name, theirs, ours))
        if not classifiers:
            continue
        print("\n| classifier | NLL Adam(W) | IVON, mean | IVON, averaged | error of its difference "
              "| ECE Adam(W) | IVON, mean | IVON, averaged | error of its difference |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, theirs, ours in classifiers:
            cells = []
            for score in ("nll", "ece"):
                base = [r["mean"][score] for r in theirs]
                averaged = [r["averaged"][score] for r in ours]
                cells += [f"{mean_and_error(base)[0]:.4f}",
                          f"{mean_and_error([r['mean'][score] for r in ours])[0]:.4f}",
                          f"{mean_and_error(averaged)[0]:.4f}",
                          f"{mean_and_error([b - a for a, b in zip(base, averaged)])[1]:.4f}"]
            print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/benchmarks/benchmarks/drop_in")
    parser.add_argument("--data", default="build/drop_in/data")
    parser.add_argument("--log", default="build/drop_in/log.jsonl")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("search")
    one.add_argument("--space", required=True, help="JSON file: for each number of a setting a list "
                     "of values or {\"log\": [low, high]}; or a list of settings to try")
    one.add_argument("--trials", type=int, default=20, help="settings to draw (default: 20)")
    one.add_argument("--tasks", default="", help="names, by commas (default: all but those set aside)")
    one.add_argument("--seed", type=int, default=1, help="seed of the runs (default: 1)")
    one.add_argument("--search-seed", type=int, default=1, help="seed of the settings (default: 1)")
    one.add_argument("--length", type=float, default=1 / 6, help="part of the full form (default: 1/6)")
    one.add_argument("--margin", type=float, default=0.05,
                     help="a setting is given up when a task is worse than the best setting's worst "
                     "task by more than this (default: 0.05)")
    for name in ("compare", "table"):
        one = commands.add_parser(name)
        one.add_argument("--setting", action="append", help="a name in settings.json; may be repeated "
                         "(default: like_adamw)")
        one.add_argument("--tasks", default="", help="names, by commas (default: all)")
        one.add_argument("--seeds", type=int, default=0, help="seeds of each task (default: 3 or 5)")
        one.add_argument("--length", type=float, default=1.0, help="part of the full form (default: 1)")
    arguments = parser.parse_args()
    if "setting" in arguments and arguments.setting is None:
        arguments.setting = ["like_adamw"]
    bench = Bench(arguments.program, arguments.data, arguments.log, arguments.jobs)
    {"search": search, "compare": compare, "table": table}[arguments.command](bench, arguments)


if __name__ == "__main__":
    main()
