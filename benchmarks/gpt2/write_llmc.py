#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the files that llm.c's train_gpt2 starts from, with random contents, so that nothing need be downloaded.

Usage: write_llmc.py FOLDER [LAYERS HEADS WIDTH CONTEXT VOCABULARY]     (default: 12 12 768 1024 50257)

gpt2_124M.bin: 256 int32 (magic number 20240326, version 3, context, vocabulary, layers, heads, width, rows of the token
embedding), then float32 weights, all layers of a kind one after the other. llm.c pads the rows of the token embedding
to a multiple of 128 for GPUs; here they are not padded, so that its work is that of the others.
tiny_shakespeare_{train,val}.bin: 256 int32 (magic number 20240520, version 1, number of tokens), then uint16 tokens.
"""

import pathlib
import sys

import numpy

WEIGHTS_MAGIC, WEIGHTS_VERSION = 20240326, 3
TOKENS_MAGIC, TOKENS_VERSION = 20240520, 1
DEVIATION = 0.02  # of the initial weights
TOKENS = 1 << 16  # of each text


def header(*values):
    out = numpy.zeros(256, numpy.int32)
    out[:len(values)] = values
    return out


def weights(random, layers, width, context, vocabulary):
    """The tensors in the file's order; they are made one by one, because all of them are large."""
    def normal(*shape):
        return random.standard_normal(shape, numpy.float32) * numpy.float32(DEVIATION)

    def constant(value, *shape):
        return numpy.full(shape, value, numpy.float32)

    yield normal(vocabulary, width)
    yield normal(context, width)
    yield constant(1, layers, width)  # first layer norm: factors and biases
    yield constant(0, layers, width)
    yield normal(layers, 3 * width, width)  # queries, keys and values
    yield constant(0, layers, 3 * width)
    yield normal(layers, width, width)  # end of the attention
    yield constant(0, layers, width)
    yield constant(1, layers, width)  # second layer norm
    yield constant(0, layers, width)
    yield normal(layers, 4 * width, width)  # MLP
    yield constant(0, layers, 4 * width)
    yield normal(layers, width, 4 * width)
    yield constant(0, layers, width)
    yield constant(1, width)  # last layer norm
    yield constant(0, width)


def write_checkpoint(path, layers, heads, width, context, vocabulary):
    random = numpy.random.default_rng(1)
    with open(path, "wb") as file:
        header(WEIGHTS_MAGIC, WEIGHTS_VERSION, context, vocabulary, layers, heads, width, vocabulary).tofile(file)
        for tensor in weights(random, layers, width, context, vocabulary):
            tensor.tofile(file)


def write_text(path, vocabulary, seed):
    tokens = numpy.random.default_rng(seed).integers(0, vocabulary, TOKENS, numpy.uint16)
    with open(path, "wb") as file:
        header(TOKENS_MAGIC, TOKENS_VERSION, TOKENS).tofile(file)
        tokens.tofile(file)


def write(folder, layers=12, heads=12, width=768, context=1024, vocabulary=50257):
    """Puts the files where train_gpt2 looks for them when it is started in `folder`."""
    texts = folder / "dev/data/tinyshakespeare"
    texts.mkdir(parents=True, exist_ok=True)
    write_checkpoint(folder / "gpt2_124M.bin", layers, heads, width, context, vocabulary)
    write_text(texts / "tiny_shakespeare_train.bin", vocabulary, 2)
    write_text(texts / "tiny_shakespeare_val.bin", vocabulary, 3)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 7):
        raise SystemExit(__doc__.split("\n\n")[1])
    write(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:]))
