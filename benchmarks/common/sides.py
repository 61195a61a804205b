# SPDX-License-Identifier: Apache-2.0
"""Processes that are timed in turns: they answer requests in JSON, a line each."""

import json
import os
import pathlib
import subprocess
import time


class Side:
    """A process that answers requests; the program's main.cpp lists them. Use it in a with statement."""

    def __init__(self, name, command, threads):
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)})

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the line below tells
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"compare.py: {self.name} ended at the request {request}; its message is above")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"compare.py: {self.name} at the request {request}: {answer['error']}")
        return answer

    def libtorch(self):
        """The file that the process has loaded as libtorch_cpu."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/maps").read_text(encoding="utf-8").splitlines():
            if "libtorch_cpu" in line:
                return os.path.realpath(line.split(maxsplit=5)[5])
        return "no libtorch_cpu"

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Sides:
    """The processes of one case by name: fresh ones, so that the peak of their memory is the case's own.

    `commands` has each side's command by name.
    """

    def __init__(self, commands, threads):
        self.sides = {name: Side(name, command, threads) for name, command in commands.items()}

    def __enter__(self):
        return self.sides

    def __exit__(self, *error):
        for side in self.sides.values():
            side.__exit__(*error)


def take_turns(sides, ask, seconds, least):
    """Lets the sides answer ask(name, side) in turns, every second round backwards, until the time is over.

    Returns the answers of each round: a list of {name: answer}.
    """
    rounds, end = [], time.monotonic() + seconds
    while len(rounds) < least or time.monotonic() < end:
        names = list(sides) if len(rounds) % 2 == 0 else list(reversed(sides))
        answers = {name: ask(name, sides[name]) for name in names}
        rounds.append({name: answers[name] for name in sides})
    return rounds


def warm_steps(sides, count):
    """Runs so many steps on each side, and returns the seconds of a step on the fastest one."""
    return min(min(each.ask(do="steps", count=count)["milliseconds"]) for each in sides.values()) / 1000


def check_same_libtorch(files):
    """Ends with a message where the sides' LibTorch, `files` by the names "cpp" and "python", is not the same file."""
    if files["cpp"] != files["python"]:
        raise SystemExit(
            f"compare.py: both sides must have the same LibTorch, but C++ has {files['cpp']} and Python "
            f"{files['python']}; run compare.py by the Python whose torch the program is linked with")
