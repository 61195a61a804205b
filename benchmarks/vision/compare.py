#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the speed of image training in C++ (the program vision_benchmark) with that in Python, and IVON with AdamW.

It must be run by the Python whose torch the C++ program is linked with, so that both sides have the same LibTorch. The
sides are processes of their own that take turns, block by block, so that a change of the machine's speed meets all of
them: a ratio is that of the medians, and its quartiles are those of the rounds' ratios. This file measures;
vision_report.py makes the tables, and python_side.py is the Python that is measured. Leave the machine alone meanwhile.
"""

import argparse
import datetime
import importlib.util
import os
import pathlib
import sys
import tempfile
import time

import vision_report

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))
from sides import Sides, check_same_libtorch, take_turns, warm_steps  # noqa: E402

PROGRAM = HERE.parents[1] / "build/vision/benchmarks/vision/vision_benchmark"

# Network, pixels, images of a step, seconds of measuring.
STEP_CASES = [("resnet18", 224, 16, 90), ("resnet50", 224, 16, 140), ("resnet18", 32, 50, 70),
              ("resnet50", 32, 50, 90), ("resnet18_small", 32, 50, 90)]
# The same and the number of files. At 64 pixels ResNet-18 computes a twelfth, so that the loader matters.
EPOCH_CASES = [("resnet18", 224, 16, 110, 128), ("resnet18", 64, 64, 80, 1024)]
LOADER_CASE = {"side": 224, "batch": 64, "files": 1024, "seconds": 60}
DECODE_CASE = {"count": 200, "seconds": 30}
QUICK = 0.05  # of the seconds
BLOCK_SECONDS = 2.0  # of a side's steps until another one's turn


def processes(options, names, threads=None):
    """The sides of one case."""
    commands = {"cpp": [str(options.program)], "ivon": [str(options.program)],
                "python": [sys.executable, str(HERE / "python_side.py")]}
    return Sides({name: commands[name] for name in names}, threads or options.threads)


def open_network(sides, options, model, side, batch):
    for name, each in sides.items():
        each.ask(do="open", model=model, side=side, batch=batch, optimizer="ivon" if name == "ivon" else "adamw",
                 channels_last=True, bf16=options.bf16, threads=options.threads)


def measure_steps(options, model, side, batch, seconds):
    with processes(options, ["cpp", "python", "ivon"]) as sides:
        open_network(sides, options, model, side, batch)
        step = warm_steps(sides, 1 if options.quick else 3)
        count = 1 if options.quick else min(50, max(1, round(BLOCK_SECONDS / step)))
        rounds = take_turns(sides, lambda name, each: each.ask(do="steps", count=count), seconds * options.share,
                            options.least)
    return {"model": model, "side": side, "batch": batch, "steps_of_block": count,
            "peak_mib": {name: rounds[-1][name]["peak_mib"] for name in sides},
            "milliseconds": {name: [each[name]["milliseconds"] for each in rounds] for name in sides}}


def link_files(photos, folder, count):
    """A data set of two classes: `count` links to the photographs in turns."""
    for i in range(count):
        of_class = folder / f"class_{i % 2}"
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / f"{i:05}{photos[i % len(photos)].suffix}").symlink_to(photos[i % len(photos)])
    return str(folder)


def measure_loader(options, photos, case):
    count = case["files"] // (4 if options.quick else 1)
    with tempfile.TemporaryDirectory() as folder, processes(options, ["cpp", "python"]) as sides:
        request = {"do": "loader", "folder": link_files(photos, pathlib.Path(folder), count), "side": case["side"],
                   "batch": case["batch"], "workers": options.workers, "epochs": 1}
        for each in sides.values():
            each.ask(**request)  # starts the workers
        rounds = take_turns(sides, lambda name, each: each.ask(**request), case["seconds"] * options.share,
                            options.least)
    return {"side": case["side"], "batch": case["batch"], "files": count, "rounds": rounds}


def measure_epochs(options, photos, model, side, batch, seconds, files):
    count = files // (4 if options.quick else 1)
    with tempfile.TemporaryDirectory() as folder, processes(options, ["cpp", "python"]) as sides:
        request = {"do": "epoch", "folder": link_files(photos, pathlib.Path(folder), count),
                   "workers": options.workers, "epochs": 1}
        open_network(sides, options, model, side, batch)
        for each in sides.values():
            each.ask(**request)  # starts the workers
        steps = 1 if options.quick else 3

        def epoch_and_steps(_name, each):
            return {"epoch": each.ask(**request), "steps": each.ask(do="steps", count=steps)}

        rounds = take_turns(sides, epoch_and_steps, seconds * options.share, options.least)
    return {"model": model, "side": side, "batch": batch, "files": count, "rounds": rounds}


def measure_decode(options, case):
    count = case["count"] // (4 if options.quick else 1)
    with processes(options, ["cpp", "python"], threads=1) as sides:
        request = {"do": "decode", "folder": str(options.photos), "count": count, "side": 224}
        for each in sides.values():
            each.ask(**{**request, "count": min(count, 20)})
        rounds = take_turns(sides, lambda name, each: each.ask(**request), case["seconds"] * options.share,
                            options.least)
    return {"count": count, "rounds": rounds}


def about_sides(options):
    """What the results are of; ends with a message where the two sides do not have the same LibTorch."""
    with processes(options, ["cpp", "python"]) as sides:
        answers = {name: each.ask(do="about") for name, each in sides.items()}
        files = {name: each.libtorch() for name, each in sides.items()}
    check_same_libtorch(files)
    return {"date": datetime.date.today().isoformat(), "processor": vision_report.processor(),
            "libtorch": answers["cpp"]["libtorch"], "libtorch_cpu_capability": answers["cpp"]["cpu_capability"],
            "torchvision": answers["python"]["torchvision"], "threads": options.threads, "workers": options.workers,
            "bf16": options.bf16, "quick": options.quick, "load_before": os.getloadavg()[0]}


def photographs(folder):
    photos = sorted(f.resolve() for f in folder.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
    if not photos:
        raise SystemExit(f"compare.py: {folder} holds no .jpg files; make some by "
                         f"{HERE / 'make_photos.py'} {folder} 128, or name another folder by --photos")
    return photos


def check(options):
    """Ends with a message that says all that is missing."""
    missing = [f"the Python package {package} of {sys.executable} ({install})" for package, install in (
        ("torch", "pip install torch"), ("torchvision", "pip install --no-deps the torchvision of this torch"),
        ("numpy", "pip install numpy"), ("PIL", "pip install pillow")) if importlib.util.find_spec(package) is None]
    if not os.access(options.program, os.X_OK):
        missing.append(f"the program {options.program} (benchmarks/vision/run.sh builds it; --program names another)")
    if missing:
        raise SystemExit("compare.py: missing are\n  " + "\n  ".join(missing))
    if importlib.util.find_spec("simplejpeg") is None:
        print("compare.py: simplejpeg is not installed and is left out (pip install --no-deps simplejpeg)",
              file=sys.stderr)


def parse_options():
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=pathlib.Path, required=True,
                        help="a folder with JPEG files, see make_photos.py")
    parser.add_argument("--out", type=pathlib.Path, required=True,
                        help="receives the table (.md) and all times (.json)")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=cores, help="of each side's training (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=cores, help="that read images (default: %(default)s)")
    parser.add_argument("--only", default="steps,loader,epochs,decode", help="parts, by commas (default: %(default)s)")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16 on all sides")
    parser.add_argument("--quick", action="store_true", help="two minutes instead of fifteen: shows only that it works")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - {"steps", "loader", "epochs", "decode"}
    if unknown:
        parser.error(f"--only must name parts among steps, loader, epochs and decode, got {', '.join(sorted(unknown))}")
    options.share = QUICK if options.quick else 1
    options.least = 2 if options.quick else 4
    return options


def main():
    options = parse_options()
    check(options)
    photos = photographs(options.photos)
    begin = time.monotonic()
    results = {"about": about_sides(options), "steps": [], "loader": [], "epochs": [], "decode": []}
    work = [("steps", lambda case=case: measure_steps(options, *case)) for case in STEP_CASES]
    work.append(("loader", lambda: measure_loader(options, photos, LOADER_CASE)))
    work += [("epochs", lambda case=case: measure_epochs(options, photos, *case)) for case in EPOCH_CASES]
    work.append(("decode", lambda: measure_decode(options, DECODE_CASE)))
    work = [(part, measure) for part, measure in work if part in options.only.split(",")]
    for i, (part, measure) in enumerate(work, 1):
        print(f"   {time.monotonic() - begin:4.0f} s  {part} ({i} of {len(work)})", file=sys.stderr)
        results[part].append(measure())
        name = vision_report.write(results, options.out)  # so that an interruption loses nothing
    print(vision_report.text(results))
    print(f"\nwritten: {options.out / name}.md and .json", file=sys.stderr)


if __name__ == "__main__":
    main()
