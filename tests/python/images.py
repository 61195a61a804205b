#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the examples' reading and resizing of images with Pillow's.

Usage: images.py PROGRAM
PROGRAM is the tests of the examples, whose disabled tests ImagesExchange.* are the C++ side.
"""

import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy
    from PIL import Image, ImageOps
except ImportError as error:
    print(f"skipped: {error}; pip install numpy pillow")
    sys.exit(0)

JPEG_LEVELS, PNG_LEVELS, RESIZE_LEVELS = 2, 1, 1  # the largest differences


def cpp(name, folder):
    """Runs one test of PROGRAM in a process of its own."""
    done = subprocess.run(
        [sys.argv[1], f"--gtest_filter=ImagesExchange.DISABLED_{name}", "--gtest_also_run_disabled_tests"],
        env=dict(os.environ, IVON_EXCHANGE_FOLDER=folder), capture_output=True, text=True)
    assert done.returncode == 0 and "[  PASSED  ] 1 test" in done.stdout, done.stdout + done.stderr


def picture(height, width, noise=12, seed=0):
    """A smooth picture with some noise: uint8 [height, width, 3]."""
    generator = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:1:height * 1j, 0:1:width * 1j]
    smooth = numpy.stack([x, y * y, 0.5 + 0.4 * numpy.sin(9 * x + 5 * y)], axis=2) * 255
    return numpy.clip(smooth + generator.normal(0, noise, smooth.shape), 0, 255).astype(numpy.uint8)


def jpegs():
    """Pairs of a name and a function that writes the file."""
    def add(name, image, **options):
        return f"{name}.jpg", lambda file: image.save(file, "JPEG", **options)

    image = Image.fromarray(picture(97, 131))
    yield add("420", image, quality=90, subsampling="4:2:0")
    yield add("422", image, quality=90, subsampling="4:2:2")
    yield add("444", image, quality=75, subsampling="4:4:4")
    yield add("progressive", image, quality=85, progressive=True)
    yield add("restarts", image, quality=85, restart_marker_blocks=3)
    yield add("grey", image.convert("L"), quality=90)
    yield add("cmyk", image.convert("CMYK"), quality=95)
    for height, width in ((1, 1), (1, 17), (16, 16), (17, 1), (33, 2), (2, 33)):
        yield add(f"size_{height}_{width}", Image.fromarray(picture(height, width)), quality=90)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield add(f"exif_{orientation}", Image.fromarray(picture(45, 70)), quality=90, exif=exif.tobytes())


def pngs():
    image = Image.fromarray(picture(41, 53))
    opacity = Image.fromarray(picture(41, 53, seed=1)[:, :, 0])
    palette = image.quantize(16)
    translucent = image.copy()
    translucent.putalpha(opacity)
    kinds = {
        "rgb": (image, {}),
        "grey": (image.convert("L"), {}),
        "one_bit": (image.convert("1"), {}),
        "palette": (palette, {}),
        "palette_one_transparent": (palette, {"transparency": 3}),
        "palette_opacities": (palette, {"transparency": bytes(range(0, 256, 16))}),
        "grey_transparent": (image.convert("L"), {"transparency": 128}),
        "rgb_transparent": (image, {"transparency": image.getpixel((5, 6))}),
        "rgba": (translucent, {}),
        "la": (Image.merge("LA", (image.convert("L"), opacity)), {}),
    }
    for name, (kind, options) in kinds.items():
        yield f"{name}.png", lambda file, kind=kind, options=options: kind.save(file, "PNG", **options)


def as_seen(file):
    """Pillow's pixels on a white ground, as floats."""
    with Image.open(file) as image:
        image = ImageOps.exif_transpose(image)
        if file.endswith(".jpg"):
            return numpy.asarray(image.convert("RGB"), dtype=float)
        rgba = numpy.asarray(image.convert("RGBA"), dtype=float)
    opacity = rgba[:, :, 3:] / 255
    return rgba[:, :, :3] * opacity + 255 * (1 - opacity)


def raw(file, height, width):
    return numpy.fromfile(file, dtype=numpy.uint8).reshape(height, width, 3).astype(float)


def ours(file):
    with open(f"{file}.json", encoding="utf-8") as sizes:
        return raw(f"{file}.raw", *json.load(sizes))


def worst(found, expected, what, levels):
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    difference = numpy.abs(found - expected).max()
    assert difference <= levels, f"{what}: {difference} levels"
    return difference


def files_are_read_as_by_pillow(folder):
    images = [*jpegs(), *pngs()]
    for name, write in images:
        write(f"{folder}/{name}")
    wide = numpy.arange(256 * 256, dtype=numpy.uint16).reshape(256, 256)
    Image.fromarray(wide).save(f"{folder}/grey16.png")
    cpp("Reads", folder)
    found = {}
    for name, _ in images:
        kind = name[-3:]
        levels = JPEG_LEVELS if kind == "jpg" else PNG_LEVELS
        difference = worst(ours(f"{folder}/{name}"), as_seen(f"{folder}/{name}"), name, levels)
        found[kind] = max(found.get(kind, 0), difference)
    expected = numpy.repeat(wide[:, :, None] / 257, 3, axis=2)
    worst(ours(f"{folder}/grey16.png"), expected, "grey16.png", PNG_LEVELS)
    print(f"{len(images) + 1} files, largest differences to Pillow: {found}")


def boxes_are_resized_as_by_pillow(folder):
    noise = numpy.random.default_rng(2).integers(0, 256, (97, 131, 3), dtype=numpy.uint8)
    image = Image.fromarray(noise)
    image.save(f"{folder}/noise.png")
    generator = random.Random(3)
    tasks = []
    for i in range(60):
        height, width = generator.uniform(3, 97), generator.uniform(3, 131)
        top, left = generator.uniform(0, 97 - height), generator.uniform(0, 131 - width)
        size = [generator.randint(1, 120), generator.randint(1, 120)]
        tasks.append({"file": "noise.png", "box": [top, left, height, width], "size": size, "result": f"{i}.raw"})
    with open(f"{folder}/boxes.json", "w", encoding="utf-8") as file:
        json.dump(tasks, file)
    cpp("Resizes", folder)
    difference = 0
    for task in tasks:
        (top, left, height, width), size = task["box"], task["size"]
        expected = image.resize(size[::-1], Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
        found = raw(f"{folder}/{task['result']}", *size)
        difference = max(difference, worst(found, numpy.asarray(expected, dtype=float), str(task), RESIZE_LEVELS))
    print(f"{len(tasks)} boxes, largest difference to Pillow: {difference}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        files_are_read_as_by_pillow(folder)
        boxes_are_resized_as_by_pillow(folder)


if __name__ == "__main__":
    main()
