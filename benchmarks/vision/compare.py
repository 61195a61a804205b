#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the speed of image training in C++ (the program vision_benchmark) with that in Python, and IVON with AdamW.

It must be run by the Python whose torch the C++ program is linked with, so that both sides have the same LibTorch. The
sides are processes of their own that take turns, block by block, so that a change of the machine's speed meets all of
them: a ratio is that of the medians, and its quartiles are those of the rounds' ratios. This file measures;
vision_report.py makes the tables, and python_side.py is the Python that is measured. Leave the machine alone meanwhile.
"""

import importlib.util
import pathlib
import sys
import tempfile

import vision_report

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))
from comparison import CORES, about_sides, check_installed, measure_all, option_parser, parse  # noqa: E402
from sides import Sides  # noqa: E402
from turns import measured_steps, take_turns, take_turns_at  # noqa: E402

PROGRAM = HERE.parents[1] / "build/vision/benchmarks/vision/vision_benchmark"

# Network, pixels, images of a step, seconds of measuring.
STEP_CASES = [("resnet18", 224, 16, 90), ("resnet50", 224, 16, 140), ("resnet18", 32, 50, 70),
              ("resnet50", 32, 50, 90), ("resnet18_small", 32, 50, 90)]
# The same and the number of files. At 64 pixels ResNet-18 computes a twelfth, so that the loader matters.
EPOCH_CASES = [("resnet18", 224, 16, 110, 128), ("resnet18", 64, 64, 80, 1024)]
LOADER_CASE = {"side": 224, "batch": 64, "files": 1024, "seconds": 60}
DECODE_CASE = {"count": 200, "seconds": 30}
PARTS = ("steps", "loader", "epochs", "decode")


def commands(options, names=("cpp", "python")):
    """The command of each side."""
    python = [sys.executable, str(HERE / "python_side.py")]
    return {name: python if name == "python" else [str(options.program)] for name in names}


def open_network(sides, options, model, side, batch):
    for name, each in sides.items():
        each.ask(do="open", model=model, side=side, batch=batch, optimizer="ivon" if name == "ivon" else "adamw",
                 channels_last=True, bf16=options.bf16, threads=options.threads)


def measure_steps(options, model, side, batch, seconds):
    with Sides(commands(options, ["cpp", "python", "ivon"]), options.threads) as sides:
        open_network(sides, options, model, side, batch)
        return {"model": model, "side": side, "batch": batch, **measured_steps(options, sides, seconds)}


def link_files(photos, folder, count):
    """A data set of two classes: `count` links to the photographs in turns."""
    for i in range(count):
        of_class = folder / f"class_{i % 2}"
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / f"{i:05}{photos[i % len(photos)].suffix}").symlink_to(photos[i % len(photos)])
    return str(folder)


def measure_loader(options, photos, case):
    count = case["files"] // (4 if options.quick else 1)
    with tempfile.TemporaryDirectory() as folder, Sides(commands(options), options.threads) as sides:
        request = {"do": "loader", "folder": link_files(photos, pathlib.Path(folder), count), "side": case["side"],
                   "batch": case["batch"], "workers": options.workers, "epochs": 1}
        rounds = take_turns_at(options, sides, request, case["seconds"])  # the first answer starts the workers
    return {"side": case["side"], "batch": case["batch"], "files": count, "rounds": rounds}


def measure_epochs(options, photos, model, side, batch, seconds, files):
    count = files // (4 if options.quick else 1)
    with tempfile.TemporaryDirectory() as folder, Sides(commands(options), options.threads) as sides:
        request = {"do": "epoch", "folder": link_files(photos, pathlib.Path(folder), count),
                   "workers": options.workers, "epochs": 1}
        open_network(sides, options, model, side, batch)
        for each in sides.values():
            each.ask(**request)  # starts the workers
        steps = 1 if options.quick else 3

        def epoch_and_steps(_name, each):
            return {"epoch": each.ask(**request), "steps": each.ask(do="steps", count=steps)}

        rounds = take_turns(options, sides, epoch_and_steps, seconds)
    return {"model": model, "side": side, "batch": batch, "files": count, "rounds": rounds}


def measure_decode(options, case):
    count = case["count"] // (4 if options.quick else 1)
    with Sides(commands(options), threads=1) as sides:
        request = {"do": "decode", "folder": str(options.photos), "count": count, "side": 224}
        for each in sides.values():
            each.ask(**{**request, "count": min(count, 20)})
        rounds = take_turns(options, sides, lambda _name, each: each.ask(**request), case["seconds"])
    return {"count": count, "rounds": rounds}


def photographs(folder):
    photos = sorted(f.resolve() for f in folder.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
    if not photos:
        raise SystemExit(f"compare.py: {folder} holds no .jpg files; make some by "
                         f"{HERE / 'make_photos.py'} {folder} 128, or name another folder by --photos")
    return photos


def check(options):
    """Ends with a message that says all that is missing."""
    check_installed(options, "benchmarks/vision/run.sh", {
        "torch": "pip install torch", "torchvision": "pip install --no-deps the torchvision of this torch",
        "numpy": "pip install numpy", "PIL": "pip install pillow"})
    if importlib.util.find_spec("simplejpeg") is None:
        print("compare.py: simplejpeg is not installed and is left out (pip install --no-deps simplejpeg)",
              file=sys.stderr)


def parse_options():
    parser = option_parser(__doc__, PROGRAM, PARTS, "two minutes instead of fifteen: shows only that it works")
    parser.add_argument("--photos", type=pathlib.Path, required=True,
                        help="a folder with JPEG files, see make_photos.py")
    parser.add_argument("--threads", type=int, default=CORES, help="of each side's training (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=CORES, help="that read images (default: %(default)s)")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16 on all sides")
    return parse(parser, PARTS)


def all_work(options, photos):
    """(part, function that measures) of all that there is."""
    yield from (("steps", lambda case=case: measure_steps(options, *case)) for case in STEP_CASES)
    yield "loader", lambda: measure_loader(options, photos, LOADER_CASE)
    yield from (("epochs", lambda case=case: measure_epochs(options, photos, *case)) for case in EPOCH_CASES)
    yield "decode", lambda: measure_decode(options, DECODE_CASE)


def main():
    options = parse_options()
    check(options)
    work = [each for each in all_work(options, photographs(options.photos)) if each[0] in options.only]
    about = about_sides(options, commands(options), threads=options.threads, workers=options.workers,
                        bf16=options.bf16)
    measure_all(work, {"about": about, **{part: [] for part in PARTS}}, vision_report, options.out)


if __name__ == "__main__":
    main()
