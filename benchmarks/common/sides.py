# SPDX-License-Identifier: Apache-2.0
"""Processes that are timed in turns: they answer requests in JSON, a line each."""

import json
import os
import pathlib
import subprocess


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
