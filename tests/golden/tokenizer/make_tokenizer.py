#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes pieces.json beside itself: texts, and the pieces into which GPT-2's pattern cuts them.

Usage: make_tokenizer.py
Needs tiktoken 0.14 and tokenizers 0.23, which must agree about every text of up to 40 characters,
and regex 2025.9.1, which has the same Unicode version. The texts are hexadecimal UTF-8; `pieces`
are the numbers of bytes of the pieces.
"""

import importlib.metadata
import json
import os
import platform
import random

import regex
import tiktoken
import tokenizers
from tokenizers import pre_tokenizers

PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
OTHERS = "'-.<|\0\x1c\x1f\x7f\u0301\u200b\u200d\ufe0f\ufeff\ufffd\U0001f600\U0010ffff"
LETTERS = "az\u00aa\u00e9\u01c5\u02b0\u05d0\u0915\u4e2d\uac00\U0001d400\U000323af"
NUMBERS = "09\u00b2\u00bd\u0663\u2167\u3007\uff15\U0001d7ce"
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]


def tiktoken_pieces(text):
    """The pieces: with the 256 bytes and each part of the text as tokens, each piece is one token.

    Ranks grow with the length, so that merging byte by byte builds up the whole piece.
    """
    data = text.encode()
    ranks = {bytes([i]): i for i in range(256)}
    for length in range(2, len(data) + 1):
        for begin in range(len(data) - length + 1):
            ranks.setdefault(data[begin:begin + length], len(ranks))
    coder = tiktoken.Encoding("parts", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    return [len(coder.decode_single_token_bytes(i)) for i in coder.encode_ordinary(text)]


def pieces(text):
    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    lengths = [len(text[begin:end].encode()) for _, (begin, end) in cutter.pre_tokenize_str(text)]
    if len(text) <= 40:
        assert lengths == tiktoken_pieces(text), (text, lengths, tiktoken_pieces(text))
    assert sum(lengths) == len(text.encode())
    return lengths


def class_boundaries():
    """The characters at which the class changes, each with its neighbours between letters."""
    kind = [next((p for p in (r"\p{L}", r"\p{N}", r"\s") if regex.match(p, chr(c))), "")
            if not 0xd800 <= c < 0xe000 else "" for c in range(0x33480)]
    return ["".join(chr(d) for d in (c - 1, c)) for c in range(1, len(kind))
            if kind[c] != kind[c - 1] and not 0xd7ff <= c <= 0xe000]


def texts():
    generator = random.Random(1)
    result = ["a", " ", "'", "' ", " '", "  ", "\r\n\r\n", "a \n b", "a\n\n\nb", "\t\tx", "x \u3000y"]
    result += [left + c + right for c in CONTRACTIONS + [c.upper() for c in CONTRACTIONS]
               for left in ("", "it", " ", ".", "1") for right in ("", "x", " y", "'s")]
    result += [a + b for a in SPACES + "'." for b in SPACES + "a1.'"]
    everything = [SPACES, OTHERS, LETTERS, NUMBERS, CONTRACTIONS]
    for _ in range(400):
        result.append("".join(generator.choice(generator.choice(everything))
                              for _ in range(generator.randrange(2, 16))))
    boundaries = class_boundaries()
    for i in range(0, len(boundaries), 12):
        result.append("".join(pair + "a" for pair in boundaries[i:i + 12]))
    for run in ("a", "7", ".", " ", "\n", "\u3000", "'s", "\U0001f600", "\u4e2d"):
        result.append(run * 100 + "a")
    return result


def main():
    cases = [{"text": text.encode().hex(), "pieces": pieces(text)} for text in texts()]
    versions = {"python": platform.python_version(), "tiktoken": tiktoken.__version__,
                "tokenizers": tokenizers.__version__, "regex": importlib.metadata.version("regex")}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pieces.json")
    with open(path, "w", encoding="ascii") as file:
        file.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]}\n")
    print(f"{len(cases)} cases, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
