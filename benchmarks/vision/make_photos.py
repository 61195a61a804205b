#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes JPEG files like ImageNet's, 500 x 375 pixels and about 110 kB on average, out of larger photographs.

Usage: make_photos.py FOLDER COUNT SOURCE...
FOLDER receives COUNT files; SOURCE are folders with photographs (.jpg), searched recursively. Without a SOURCE, the two
photographs of scikit-learn are used. The same arguments give the same files.
"""

import io
import pathlib
import random
import sys

from PIL import Image, ImageOps

SIZE = (500, 375)
BYTES = 110_000


def photographs(folders):
    if not folders:
        import sklearn.datasets

        folders = [pathlib.Path(sklearn.datasets.__file__).parent / "images"]
    files = sorted(f for folder in folders for f in pathlib.Path(folder).rglob("*") if f.suffix.lower() == ".jpg")
    if not files:
        sys.exit("no .jpg file in the source folders; name folders that hold photographs")
    return files


def cropped(file, generator):
    """A part of the photograph with the sides' ratio 4:3, between half of it and all, at 500 x 375 pixels."""
    with Image.open(file) as photo:
        photo = ImageOps.exif_transpose(photo).convert("RGB")
    width = min(photo.width, photo.height * SIZE[0] / SIZE[1]) * generator.uniform(0.5, 1)
    height = width * SIZE[1] / SIZE[0]
    left, top = generator.uniform(0, photo.width - width), generator.uniform(0, photo.height - height)
    return photo.resize(SIZE, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))


def encoded(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def main():
    folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    files = photographs(sys.argv[3:])
    generator = random.Random(1)
    images = [cropped(files[i % len(files)], generator) for i in range(count)]
    # One quality for all, so that files of different content have different sizes, as real ones do.
    mean, quality = min(
        ((sum(len(encoded(image, q)) for image in images) / count, q) for q in range(70, 101)),
        key=lambda mean_and_quality: abs(mean_and_quality[0] - BYTES))
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        (folder / f"{i:04}.jpg").write_bytes(encoded(image, quality))
    print(f"{count} files of {len(files)} photographs, quality {quality}, {mean / 1000:.1f} kB on average")


if __name__ == "__main__":
    main()
