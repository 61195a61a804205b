# SPDX-License-Identifier: Apache-2.0
"""What every compare.py does around its measurements: options, what is missing, what the results are of, the order."""

import argparse
import datetime
import importlib.util
import os
import pathlib
import sys
import time

from rounds import processor
from sides import Sides

QUICK = 0.05  # of the seconds
CORES = len(os.sched_getaffinity(0))


def option_parser(description, program, parts, quick):
    """A parser of the options that every comparison has; `quick` is what --quick does."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True,
                        help="receives the table (.md) and all times (.json)")
    parser.add_argument("--program", type=pathlib.Path, default=program, help="default: %(default)s")
    parser.add_argument("--only", default=",".join(parts), help="parts, by commas (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def parse(parser, parts):
    """The options; `only` becomes a list of parts, and `share` (of the seconds) and `least` (rounds) say how long."""
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(parts)
    if unknown:
        parser.error(f"--only must name parts among {', '.join(parts)}, got {', '.join(sorted(unknown))}")
    options.share = QUICK if options.quick else 1
    options.least = 2 if options.quick else 4
    return options


def check_installed(options, script, packages):
    """Ends with a message that says all that is missing; `packages` has how to install each."""
    missing = [f"the Python package {name} of {sys.executable} ({install})" for name, install in packages.items()
               if importlib.util.find_spec(name) is None]
    if not os.access(options.program, os.X_OK):
        missing.append(f"the program {options.program} ({script} builds it; --program names another)")
    if missing:
        raise SystemExit("compare.py: missing are\n  " + "\n  ".join(missing))


def about_sides(options, commands, **own):
    """What the results are of: what the sides say, the comparison's own numbers, and how it was measured.

    `commands` has those of "cpp" and "python". Ends with a message where they do not have the same LibTorch.
    """
    with Sides(commands, options.threads) as sides:
        cpp, python = (sides[name].ask(do="about") for name in ("cpp", "python"))
        cpp_file, python_file = (sides[name].libtorch() for name in ("cpp", "python"))
    if cpp_file != python_file:
        raise SystemExit(
            f"compare.py: both sides must have the same LibTorch, but C++ has {cpp_file} and Python {python_file}; "
            "run compare.py by the Python whose torch the program is linked with")
    only_python = {key: value for key, value in python.items() if key not in cpp}  # versions of its packages
    return {"date": datetime.date.today().isoformat(), "processor": processor(), "libtorch": cpp["libtorch"],
            "libtorch_cpu_capability": cpp["cpu_capability"], **only_python, **own, "quick": options.quick,
            "load_before": os.getloadavg()[0]}


def measure_all(work, results, report, folder):
    """Measures each (part, function) of `work`, writes all results after each, and prints the tables at the end."""
    begin = time.monotonic()
    for i, (part, measure) in enumerate(work, 1):
        print(f"   {time.monotonic() - begin:4.0f} s  {part} ({i} of {len(work)})", file=sys.stderr)
        results[part].append(measure())
        name = report.write(results, folder)  # so that an interruption loses nothing
    print(report.text(results))
    print(f"\nwritten: {folder / name}.md and .json", file=sys.stderr)
