#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_table.inl, the classes of Unicode characters that unicode_classes.hpp looks up.

Usage: make_unicode_table.py > unicode_table.inl
Needs the Python package unicodedata2 in version 16.0.0, the Unicode version of tiktoken 0.14 and of
Hugging Face's tokenizers 0.23. Where these are installed, their classes are compared with the table
for all code points, and the program ends with an error where one differs.
"""

import sys

import unicodedata2

UNICODE = "16.0.0"
BLOCK = 128  # code points in a block: four words of 64 bits
OTHER, LETTER, NUMBER, SPACE = range(4)
# The property White_Space of Unicode's file PropList.txt.
WHITE_SPACE = {*range(0x9, 0xe), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029,
               0x202f, 0x205f, 0x3000}


def class_of(code):
    if code in WHITE_SPACE:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(unicodedata2.category(chr(code))[0], OTHER)


def compare(classes):
    """Compares with the characters that \\p{L}, \\p{N} and \\s match in the two references."""
    try:
        import tiktoken
        from tokenizers import Regex, pre_tokenizers
    except ImportError as error:
        print(f"not compared: {error}", file=sys.stderr)
        return
    text = "".join(chr(c) for c in range(len(classes)) if not 0xD800 <= c < 0xE000)
    single_bytes = {bytes([i]): i for i in range(256)}
    for kind, pattern in ((LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s")):
        ours = "".join(c for c in text if classes[ord(c)] == kind)
        # An Encoding leaves out what its pattern does not match.
        coder = tiktoken.Encoding(kind, pat_str=pattern, mergeable_ranks=single_bytes,
                                  special_tokens={})
        assert ours == coder.decode(coder.encode_ordinary(text)), f"tiktoken differs in {pattern}"
        splitter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        pieces = []
        for begin in range(0, len(text), 20000):
            pieces += [piece for piece, _ in splitter.pre_tokenize_str(text[begin:begin + 20000])]
        assert ours == "".join(pieces), f"tokenizers differs in {pattern}"
        print(f"{pattern}: {len(ours)} characters, equal to the references", file=sys.stderr)


def print_array(declaration, values, per_line):
    print(f"{declaration} = {{")
    for i in range(0, len(values), per_line):
        print("    " + " ".join(f"{v}," for v in values[i:i + per_line]))
    print("};")


def main():
    assert unicodedata2.unidata_version == UNICODE, f"needs unicodedata2=={UNICODE}"
    classes = [class_of(code) for code in range(0x110000)]
    compare(classes)
    end = max(i for i, c in enumerate(classes) if c != OTHER) // BLOCK + 1
    blocks, numbers = {}, []
    for block in range(end):
        part = tuple(classes[block * BLOCK:(block + 1) * BLOCK])
        numbers.append(blocks.setdefault(part, len(blocks)))
    assert len(blocks) <= 256
    words = []
    for part in blocks:
        for begin in range(0, BLOCK, 32):
            word = sum(c << (2 * i) for i, c in enumerate(part[begin:begin + 32]))
            words.append(f"0x{word:x}")
    print("// SPDX-License-Identifier: Apache-2.0")
    print(f"// Classes of characters, two bits each, in blocks of {BLOCK} code points that occur once.")
    print(f"// Written by make_unicode_table.py from Unicode {UNICODE}; see unicode_classes.hpp.")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace examples {\n")
    print("// clang-format off")
    print(f'inline constexpr const char* kUnicodeVersion = "{UNICODE}";')
    print_array(f"inline constexpr uint8_t kUnicodeBlocks[{end}]", numbers, 24)
    print_array(f"inline constexpr uint64_t kUnicodeClasses[{len(words)}]", words, 5)
    print("// clang-format on\n\n}  // namespace examples")


if __name__ == "__main__":
    main()
