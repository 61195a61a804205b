# SPDX-License-Identifier: Apache-2.0
"""What the Python sides of the comparisons have in common: requests and answers in JSON, a line each."""

import json
import resource
import sys
import time


def peak_mib():
    """The largest resident size so far of this process (that of a loader's processes is not in it)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def about_torch(torch):
    """The answer to {"do":"about"}."""
    return {"libtorch": torch.__version__.partition("+")[0], "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(), "peak_mib": peak_mib()}


def import_torchvision(torch):
    """torchvision; where its compiled part does not fit this torch, without the operators that nothing here uses."""
    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            torch.library.define(
                "torchvision::" + name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def steps_answer(step, request):
    """The answer to {"do":"steps"}: calls step() as often as the request says, and times each call."""
    milliseconds = []
    for _ in range(request["count"]):
        begin = time.perf_counter()
        step()
        milliseconds.append(1000 * (time.perf_counter() - begin))
    return {"seconds": sum(milliseconds) / 1000, "milliseconds": milliseconds, "peak_mib": peak_mib()}


def dispatch(answers, request):
    """The answer of the function in `answers` that the request names."""
    what = request["do"]
    if what not in answers:
        raise ValueError(f'"do" must be one of {", ".join(answers)}, got {what}')
    return answers[what](request)


def answer_requests(answer):
    """Answers each line of standard input by answer(request) until the input ends, or by {"error": text}."""
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # it belongs to the one who asked
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)
