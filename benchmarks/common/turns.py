# SPDX-License-Identifier: Apache-2.0
"""Lets sides take turns, block by block. `options` has `quick`, and `share` and `least` of comparison.py."""

import time

BLOCK_SECONDS = 2.0  # of a side's steps until another one's turn


def take_turns(options, sides, ask, seconds):
    """Lets the sides answer ask(name, side) in turns, every second round backwards, until the time is over.

    Returns the answers of each round: a list of {name: answer}.
    """
    rounds, end = [], time.monotonic() + seconds * options.share
    while len(rounds) < options.least or time.monotonic() < end:
        names = list(sides) if len(rounds) % 2 == 0 else list(reversed(sides))
        answers = {name: ask(name, sides[name]) for name in names}
        rounds.append({name: answers[name] for name in sides})
    return rounds


def take_turns_at(options, sides, request, seconds):
    """The rounds in which all sides answer the same request, after one answer of each that is not counted."""
    for each in sides.values():
        each.ask(**request)
    return take_turns(options, sides, lambda _name, each: each.ask(**request), seconds)


def measured_steps(options, sides, seconds):
    """Rounds of steps of sides that are open, as the reports take them."""
    warm = 1 if options.quick else 3
    step = min(min(each.ask(do="steps", count=warm)["milliseconds"]) for each in sides.values()) / 1000
    count = 1 if options.quick else min(50, max(1, round(BLOCK_SECONDS / step)))
    rounds = take_turns(options, sides, lambda _name, each: each.ask(do="steps", count=count), seconds)
    return {"steps_of_block": count, "peak_mib": {name: rounds[-1][name]["peak_mib"] for name in sides},
            "milliseconds": {name: [each[name]["milliseconds"] for each in rounds] for name in sides}}
