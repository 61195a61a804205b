#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of the comparison of image training: answers the same requests as the program vision_benchmark.

compare.py starts it. Each line of standard input is a request in JSON, answered by one line of JSON on standard output;
main.cpp beside this file lists the requests. It trains as PyTorch users do: torchvision's network, channels-last
memory, torch.optim.AdamW(fused=True), and ImageFolder with DataLoader and the transforms of torchvision's references.
"""

import itertools
import math
import pathlib
import random
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
from answering import (  # noqa: E402
    about_torch, answer_requests, dispatch, import_torchvision, peak_mib, steps_answer)

CLASSES = 1000
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_network(torchvision, name):
    """torchvision's network, or its ResNet-18 with the 3 x 3 stem without pooling that small images get."""
    if name != "resnet18_small":
        return getattr(torchvision.models, name)(num_classes=CLASSES)
    network = torchvision.models.resnet18(num_classes=CLASSES)
    network.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = torch.nn.Identity()
    return network


class Training:
    def __init__(self, torchvision, request):
        if request.get("optimizer", "adamw") != "adamw":
            raise ValueError(f"the optimizer must be adamw in Python, got {request['optimizer']}")
        torch.set_num_threads(request.get("threads", torch.get_num_threads()))
        torch.manual_seed(1)
        self.side, self.batch, self.bf16 = request["side"], request["batch"], request.get("bf16", False)
        last = request.get("channels_last", True)
        self.order = torch.channels_last if last else torch.contiguous_format
        self.network = make_network(torchvision, request["model"]).to(memory_format=self.order).train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, fused=True)
        self.loss = torch.nn.CrossEntropyLoss()
        shape = (self.batch, 3, self.side, self.side)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8).contiguous(memory_format=self.order)
        self.targets = torch.randint(0, CLASSES, (self.batch,))
        self.mean = 255 * torch.tensor(MEAN).view(1, 3, 1, 1)
        self.deviation = 255 * torch.tensor(DEVIATION).view(1, 3, 1, 1)

    def standardised(self, images):
        return (images.to(torch.float32) - self.mean) / self.deviation

    def step(self, inputs, targets):
        """inputs: float32 [n, 3, side, side], standardised; targets: int64 [n]"""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.network(inputs)
        self.loss(logits.float(), targets).backward()
        self.optimizer.step()

    def step_in_memory(self):
        """A step on the fixed uint8 batch."""
        self.step(self.standardised(self.images), self.targets)


def make_loader(torchvision, folder, side, batch, workers):
    """As references/classification of torchvision: the workers are processes, which stay from epoch to epoch."""
    transforms = torchvision.transforms
    transform = transforms.Compose([
        transforms.RandomResizedCrop(side, antialias=True),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float32),
        transforms.Normalize(mean=MEAN, std=DEVIATION),
    ])
    return torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(folder, transform), batch_size=batch, shuffle=True, num_workers=workers,
        persistent_workers=True)


def timed_epochs(loader, count, use):
    images, waited, begin = 0, 0.0, time.perf_counter()
    for _ in range(count):
        asked = time.perf_counter()
        for inputs, targets in loader:
            waited += time.perf_counter() - asked
            use(inputs, targets)
            images += len(targets)
            asked = time.perf_counter()
        waited += time.perf_counter() - asked
    seconds = time.perf_counter() - begin
    return {"images": images, "seconds": seconds, "images_per_second": images / seconds, "waited": waited,
            "peak_mib": peak_mib()}


def random_box(width, height):
    """(left, top, right, bottom): 8 % to 100 % of the area, sides 3:4 to 4:3, as torchvision's RandomResizedCrop."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def decode_rates(request):
    """Images per second on one thread: Pillow's crops and whole images, and simplejpeg's whole images."""
    from PIL import Image

    files = sorted(f for f in pathlib.Path(request["folder"]).rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise FileNotFoundError(f"{request['folder']}: must hold .jpg files, but has none; make_photos.py makes some")
    side = request.get("side", 224)

    def crop(file):
        with Image.open(file) as image:
            image.convert("RGB").crop(random_box(*image.size)).resize((side, side), Image.Resampling.BILINEAR)

    def whole(file):
        with Image.open(file) as image:
            image.load()

    result = {"crop": one_by_one(files, request["count"], crop), "whole": one_by_one(files, request["count"], whole)}
    try:
        import simplejpeg
    except ImportError:
        return result
    result["simplejpeg"] = one_by_one(
        files, request["count"], lambda file: simplejpeg.decode_jpeg(file.read_bytes()))
    return result


def one_by_one(files, count, use):
    begin = time.perf_counter()
    for file in itertools.islice(itertools.cycle(files), count):
        use(file)
    seconds = time.perf_counter() - begin
    return {"images": count, "seconds": seconds, "images_per_second": count / seconds}


class Requests:
    def __init__(self):
        self.torchvision = import_torchvision(torch)
        self.training, self.loader, self.loader_key = None, None, None

    def answer(self, request):
        return dispatch({"about": self.about, "open": self.open, "steps": self.steps, "loader": self.load,
                         "epoch": self.epoch, "decode": decode_rates}, request)

    def about(self, _request):
        return {**about_torch(torch), "torchvision": self.torchvision.__version__}

    def open(self, request):
        self.training = None
        self.training = Training(self.torchvision, request)
        return {"threads": torch.get_num_threads(), "peak_mib": peak_mib()}

    def steps(self, request):
        return steps_answer(self.opened().step_in_memory, request)

    def load(self, request):
        loader = self.loading(request, request["side"], request["batch"])
        return timed_epochs(loader, request.get("epochs", 1), lambda inputs, targets: None)

    def epoch(self, request):
        training = self.opened()
        loader = self.loading(request, training.side, training.batch)
        return timed_epochs(loader, request.get("epochs", 1), lambda inputs, targets: training.step(
            inputs.contiguous(memory_format=training.order), targets))

    def opened(self):
        if self.training is None:
            raise ValueError('there is no network yet; request "open" first')
        return self.training

    def loading(self, request, side, batch):
        key = (request["folder"], side, batch, request.get("workers", 2))
        if self.loader_key != key:
            self.loader = make_loader(self.torchvision, *key)
            self.loader_key = key
        return self.loader


if __name__ == "__main__":
    answer_requests(Requests().answer)
