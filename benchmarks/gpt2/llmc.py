# SPDX-License-Identifier: Apache-2.0
"""llm.c's train_gpt2 as a side: built with its own Makefile, it prints the time of each step.

It has batch and sequence as constants in its source; a copy of the source in a folder of ours gets those of the case.
It cannot wait for its turn, so it is started for each turn, and ended after the steps that were asked for. Its step
is forward pass, backward pass and AdamW without clipping (it has none), on its own texts.
"""

import os
import pathlib
import re
import shutil
import subprocess

import write_llmc

MOST_STEPS = 19  # before the 20th step it generates text, at length
STEP_LINE = re.compile(rb"^step \d+: train loss .* \(took ([0-9.]+) ms\)")


def with_constants(source, batch, tokens):
    """train_gpt2.c with the batch and the length of a sequence. Ends with a message where they are not found."""
    for name, value in (("B", batch), ("T", tokens)):
        source, found = re.subn(rf"(?m)^(    int {name} = )\d+;", rf"\g<1>{value};", source)
        if found != 1:
            raise SystemExit(f"compare.py: train_gpt2.c of llm.c must set \"int {name}\" once in main(), but sets it "
                             f"{found} times; use a version of llm.c of 2024 or 2025")
    return source


def build(source, folder, batch, tokens):
    """Copies llm.c's CPU program from the folder `source` into `folder` and builds it there."""
    shutil.copytree(source / "llmc", folder / "llmc")
    shutil.copy(source / "Makefile", folder)
    text = (source / "train_gpt2.c").read_text(encoding="utf-8")
    (folder / "train_gpt2.c").write_text(with_constants(text, batch, tokens), encoding="utf-8")
    made = subprocess.run(["make", "train_gpt2"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if made.returncode != 0:
        raise SystemExit("compare.py: llm.c could not be built:\n" + made.stdout.decode(errors="replace")[-2000:])


def peak_mib(pid):
    """The largest resident size so far of a process; 0 where it has ended."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else 0


class LlmcSide:
    """Answers {"do":"steps"} as the other sides do. `folder` is empty and stays as long as this lives."""

    def __init__(self, source, folder, model, batch, tokens, threads):
        build(source, folder, batch, tokens)
        write_llmc.write(folder, model["layers"], model["heads"], model["width"], model["context"],
                         model["vocabulary"])
        self.folder, self.threads = folder, threads

    def ask(self, do, count):
        if do != "steps":
            raise ValueError(f'"do" must be steps, got {do}')
        # It writes a line only when its buffer is full, unless stdbuf changes that. Step 0 allocates all memory and
        # is not counted.
        process = subprocess.Popen(
            ["stdbuf", "-oL", "./train_gpt2"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(self.threads)})
        with process:
            milliseconds, last = [], b""
            for line in process.stdout:
                last = line
                step = STEP_LINE.match(line)
                if step:
                    milliseconds.append(float(step.group(1)))
                if len(milliseconds) == min(count, MOST_STEPS) + 1:
                    break
            peak = peak_mib(process.pid)
            process.kill()
        if len(milliseconds) < 2:
            raise SystemExit(f"compare.py: llm.c ended before its second step; its last line: {last.decode()}")
        return {"seconds": sum(milliseconds[1:]) / 1000, "milliseconds": milliseconds[1:], "peak_mib": peak}
