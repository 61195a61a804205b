# SPDX-License-Identifier: Apache-2.0
"""Golden values of RandAugment's operations for tests/examples/augment_test.cpp.

Writes augment.json beside this file, versions inside:

    pip install torch==2.13.0 torchvision==0.28.0
    python augment.py

operations: each operation of torchvision.transforms.RandAugment at two magnitudes, with both signs
where it has signs, applied to uint8 tensors (torchvision's results for PIL images differ from these
by a level or two in places): an image of 8 x 10 pixels in colour and in grey. The images and the
results are the levels in the order [row, column, channel] as hexadecimal digits, two for a level.

magnitudes: what RandAugment gives its operations at settings 0, 9 and 30 for an image of 80 x 100.

The images have a channel of few levels, and one in which only a part of the levels occurs. Equalize
gets an image of 20 x 30 of its own, because it does not change one of 255 pixels or fewer.
"""
import json
import pathlib
import sys

import torch

# torchvision without its compiled part can be imported only if these names exist. Nothing here
# uses them.
for missing in ("nms", "qnms"):
    try:
        torch.library.define("torchvision::" + missing,
                             "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:
        pass

import torchvision
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

HERE = pathlib.Path(__file__).parent
MAGNITUDES = {
    "Identity": [0.0],
    "ShearX": [0.09, -0.09, 0.27, -0.27],
    "ShearY": [0.09, -0.09, 0.27, -0.27],
    "TranslateX": [1.4, -1.4, 3.9, -3.9],
    "TranslateY": [1.4, -1.4, 3.9, -3.9],
    "Rotate": [9.0, -9.0, 28.0, -28.0],
    "Brightness": [0.27, -0.27, 0.9, -0.9],
    "Color": [0.27, -0.27, 0.9, -0.9],
    "Contrast": [0.27, -0.27, 0.9, -0.9],
    "Sharpness": [0.27, -0.27, 0.9, -0.9],
    "Posterize": [7.0, 4.0],
    "Solarize": [178.5, 128.0],
    "AutoContrast": [0.0],
    "Equalize": [0.0],
}


def make_image(height, width, channels):
    generator = torch.Generator().manual_seed(7)
    image = torch.randint(0, 256, (channels, height, width), generator=generator)
    image[-1] = image[-1] // 3 + 60
    if channels == 3:
        image[1] = image[1] // 64 * 64
    return image.to(torch.uint8)


def levels(image):
    return bytes(image.permute(1, 2, 0).reshape(-1).tolist()).hex()


def main():
    images = {"colour": make_image(8, 10, 3), "grey": make_image(8, 10, 1),
              "large": make_image(20, 30, 3)}
    operations = []
    for operation, magnitudes in MAGNITUDES.items():
        for name in ["large"] if operation == "Equalize" else ["colour", "grey"]:
            for magnitude in magnitudes:
                result = _apply_op(images[name], operation, magnitude,
                                   interpolation=InterpolationMode.NEAREST, fill=None)
                operations.append({"operation": operation, "image": name, "magnitude": magnitude,
                                   "levels": levels(result)})
    magnitudes = []
    for setting in (0, 9, 30):
        space = RandAugment()._augmentation_space(31, (80, 100))
        magnitudes.append({"setting": setting, "values": {
            name: float(values[setting]) if values.ndim else 0.0
            for name, (values, _) in space.items()}})
    signed = [name for name, (_, signed) in space.items() if signed]
    versions = {"python": sys.version.split()[0], "torch": torch.__version__,
                "torchvision": torchvision.__version__}
    record = {"versions": versions,
              "images": {name: {"height": image.shape[1], "width": image.shape[2],
                                "channels": image.shape[0], "levels": levels(image)}
                         for name, image in images.items()},
              "operations": operations, "magnitudes": magnitudes, "signed": signed}
    (HERE / "augment.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
