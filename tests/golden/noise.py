#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the noise streams: writes noise.json beside this file.

Follows docs/noise.md, in numpy and without the C++ code, so that code and specification check each other.
It first checks itself against the published Philox vectors and against every table under "Test vectors"
in docs/noise.md.

Usage: python noise.py [--check]      (--check: compare with the committed file, write nothing)
"""

import argparse
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SPECIFICATION = HERE.parent.parent / "docs" / "noise.md"
STREAM_ID = 3
FIRST_STREAM_ID = 1
CUDA_STREAM_ID = 2
BLOCK = 4096
LANES = 16
MASK = 0xFFFFFFFF
MASK_64 = 2**64 - 1


def philox4x32_10(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & MASK, p0 >> 32 ^ c[3] ^ k[1], p0 & MASK]
        k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
    return c


def block_words(seed, domain, draw, parameter, block, tag):
    """What a block's generators start from: four words for each of sixteen counters, [16][4]."""
    assert parameter < 1 << 24 and domain < 1 << 2 and block < 1 << 32
    return [philox4x32_10((block, parameter | l << 24 | (domain + tag) << 28, draw & MASK, draw >> 32),
                          (seed & MASK, seed >> 32)) for l in range(LANES)]


def lane_states(*name):
    """Stream 3: (s0, s1) of the eight generators, of 64 bits each."""
    words = [(c[0], c[1]) if c[0] or c[1] else (1, 0) for c in block_words(*name, tag=4)]
    return [(even[0] | odd[0] << 32, even[1] | odd[1] << 32) for even, odd in zip(words[0::2], words[1::2])]


def first_lane_states(*name):
    """Stream 1: (s0, s1, s2, s3) of the sixteen generators."""
    return [tuple(c) if any(c) else (1, 0, 0, 0) for c in block_words(*name, tag=0)]


def rotl(x, count, width=32):
    return (x << count | x >> width - count) & (1 << width) - 1


def xoroshiro_words(state, count):
    """xoroshiro128+: `count` results, each as its lower and its upper half, [count][2]."""
    s0, s1 = state
    words = []
    for _ in range(count):
        result = s0 + s1 & MASK_64
        words.append((result & MASK, result >> 32))
        s1 ^= s0
        s0 = rotl(s0, 24, 64) ^ s1 ^ (s1 << 16 & MASK_64)
        s1 = rotl(s1, 37, 64)
    return words


def xoshiro_words(state, count):
    """xoshiro128++: `count` words."""
    s0, s1, s2, s3 = state
    words = []
    for _ in range(count):
        words.append(rotl(s0 + s3 & MASK, 7) + s0 & MASK)
        t = s1 << 9 & MASK
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = rotl(s3, 11)
    return words


def f32(x):
    return np.asarray(x, dtype=np.float32)


def fma(a, b, c):
    """a * b + c for float32 arrays, rounded once."""
    product = np.float64(a) * np.float64(b)  # exact: 48 bits
    addend = np.float64(c)
    total = product + addend
    # TwoSum gives what the double addition lost; rounding to odd keeps the second rounding, to float32, right.
    virtual = total - product
    lost = (product - (total - virtual)) + (addend - virtual)
    even = (np.atleast_1d(total).view(np.int64) & 1).reshape(np.shape(total)) == 0
    towards = np.where(lost > 0, np.inf, -np.inf)
    return f32(np.where((lost != 0) & even, np.nextafter(total, towards), total))


def horner(coefficients, x):
    result = f32(np.full(np.shape(x), float.fromhex(coefficients[0])))
    for c in coefficients[1:]:
        result = fma(result, x, f32(float.fromhex(c)))
    return result


LOG = ["0x1.65f14cp-4", "-0x1.2505c6p-3", "0x1.317ca6p-3", "-0x1.535c28p-3", "0x1.98d3a0p-3", "-0x1.0004a8p-2",
       "0x1.5556f0p-2", "-0x1.fffffap-2", "0x1p+0"]
SINE = ["0x1.3911f8p-4", "-0x1.31fbf0p-1", "0x1.466504p+1", "-0x1.4abba2p+2", "0x1.921fb4p+1"]
COSINE = ["0x1.c02a34p-3", "-0x1.54dca0p+0", "0x1.03bc26p+2", "-0x1.3bd39cp+2", "0x1.fffffep-1"]
SHORT_LOG = ["0x1.2d89fep-5", "-0x1.91d4f6p-2", "0x1.cc4808p+0", "-0x1.28ee30p+2", "0x1.dfe93ap+2", "-0x1.c923bap+2",
             "0x1.6bb1d6p+1"]
SHORT_SINE = ["-0x1.1c01acp-1", "0x1.455dbcp+1", "-0x1.4ab27ep+2", "0x1.921f5cp+1"]
SHORT_COSINE = ["-0x1.38dec4p+0", "0x1.02a48ep+2", "-0x1.3bc5aap+2", "0x1.ffff20p-1"]


def short_radius(a):
    """Stream 3."""
    a = np.asarray(a, dtype=np.uint32)
    x = np.abs(f32((a | np.uint32(1)).view(np.int32)))
    n = x.view(np.uint32) - np.uint32(0x4F000000)
    v = (n & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(np.float32)
    return np.sqrt(fma(f32(n.view(np.int32)), f32(float.fromhex("-0x1.62e430p-23")), horner(SHORT_LOG, v)))


def radius(a):
    """Streams 1 and 2."""
    a = np.asarray(a, dtype=np.uint32)
    x = fma(f32(a >> 16), f32(65536), f32(a & 0xFFFF) + np.float32(0.5))
    n = x.view(np.uint32) - np.uint32(0x3F3504F3)
    e = f32(32 - (n.view(np.int32) >> 23))
    f = ((n & np.uint32(0x7FFFFF)) + np.uint32(0x3F3504F3)).view(np.float32) - np.float32(1)
    t = fma(e, f32(float.fromhex("0x1.62e430p-1")), -(f * horner(LOG, f)))
    return np.sqrt(t + t)


def direction(b, cosine=COSINE, sine=SINE):
    b = np.asarray(b, dtype=np.uint32)
    y = f32(b.view(np.int32)) * np.float32(2.0**-32)
    z = y * y
    mirrored = (horner(cosine, z).view(np.uint32) ^ (b << np.uint32(31))).view(np.float32)
    return mirrored, y * horner(sine, z)


def short_direction(b):
    """Stream 3."""
    return direction(b, SHORT_COSINE, SHORT_SINE)


def normals_of_words(words, radius, direction):
    """words: [256, 16], in which the words a and b of a step alternate. Returns the 4096 normals of a block."""
    words = np.array(words, dtype=np.uint32)
    assert words.shape == (BLOCK // LANES, LANES)
    r = radius(words[0::2].copy())
    cosine, sine = direction(words[1::2].copy())
    assert r.dtype == cosine.dtype == sine.dtype == np.float32
    return np.stack([r * cosine, r * sine], axis=1).reshape(-1)  # [128, 2, 16]


def block_of_normals(*name):
    """Stream 3."""
    lanes = [xoroshiro_words(state, BLOCK // LANES) for state in lane_states(*name)]  # [8, 256, 2]
    steps = np.array(lanes, dtype=np.uint32).transpose(1, 0, 2).reshape(-1, LANES)
    return normals_of_words(steps, short_radius, short_direction)


def first_block_of_normals(*name):
    """Stream 1."""
    lanes = [xoshiro_words(state, BLOCK // LANES) for state in first_lane_states(*name)]
    return normals_of_words(np.array(lanes, dtype=np.uint32).T, radius, direction)


def quads_of_normals(seed, domain, draw, parameter, first_element, count):
    """Stream 2, of CUDA devices."""
    normals = []
    for quad in range(first_element // 4, (first_element + count + 3) // 4):
        counter = (quad & MASK, parameter | quad >> 32 << 24 | (domain | 8) << 28, draw & MASK, draw >> 32)
        words = np.array(philox4x32_10(counter, (seed & MASK, seed >> 32)), dtype=np.uint32)
        r = radius(words[0::2].copy())
        cosine, sine = direction(words[1::2].copy())
        normals.append(np.stack([r * cosine, r * sine], axis=1).reshape(-1))
    skip = first_element % 4
    return np.concatenate(normals)[skip:skip + count]


def bits(values):
    return [f"{b:08x}" for b in np.ascontiguousarray(values).reshape(-1).view(np.uint32).tolist()]


def check_published_vectors():
    """Random123, kat_vectors."""
    ones = (MASK,) * 4
    for counter, key, expected in [
        ((0,) * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (ones, ones[:2], "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]:
        assert " ".join(f"{w:08x}" for w in philox4x32_10(counter, key)) == expected, expected


def tables():
    """The tables under "Test vectors" in the specification: (cells of the head, cells of each row) per table."""
    text = SPECIFICATION.read_text().split("## Test vectors", 1)[1]
    out, table = [], []
    for line in text.splitlines() + [""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            out.append((table[0], table[2:]))
            table = []
    return out


def check_specification():
    """Every number under "Test vectors" is what this script computes; returns the number of values checked."""
    checked = 0

    def same(actual, expected, what):
        nonlocal checked
        assert actual == expected, f"docs/noise.md, {what}: {expected}, computed {actual}"
        checked += 1

    def check_stream(stream, given, states, digits, normals, radius, direction):
        keys, elements, radii, directions = given
        blocks = []
        for row in keys[1]:
            seed, domain, draw = (int(cell, 16) for cell in row[:3])
            name = (seed, domain, draw, *(int(cell.split()[0]) for cell in row[3:5]))
            for head, cell in zip(keys[0][5:], row[5:]):
                state = states(*name)[int(head.removeprefix("lane "))]
                same(" ".join(f"{w:0{digits}x}" for w in state), cell, f"stream {stream}, {head}")
            blocks.append(bits(normals(*name)))
        for row, block in zip(elements[1], blocks, strict=True):
            for head, cell in zip(elements[0][1:], row[1:], strict=True):
                same(block[int(head.strip("[]"))], cell, f"stream {stream}, vector {row[0]} {head}")
        for word, cell in radii[1]:
            same(bits(radius([int(word, 16)]))[0], cell.split()[0], f"stream {stream}, radius of {word}")
        for word, cosine, sine in directions[1]:
            c, s = direction([int(word, 16)])
            same((bits(c)[0], bits(s)[0]), (cosine, sine), f"stream {stream}, direction of {word}")

    found = tables()
    assert len(found) == 8, f"docs/noise.md has {len(found)} tables of test vectors"
    check_stream(STREAM_ID, found[:4], lane_states, 16, block_of_normals, short_radius, short_direction)
    check_stream(FIRST_STREAM_ID, found[4:], first_lane_states, 8, first_block_of_normals, radius, direction)
    return checked


# Seed, domain, draw, parameter, first element, number of elements.
CASES = [
    (0, 0, 0, 0, 0, BLOCK),  # a whole block
    (0, 1, 0, 0, 0, 64),
    (1, 0, 0, 0, 0, 64),
    (2**32, 0, 0, 0, 0, 64),
    (2**64 - 1, 0, 0, 0, 0, 64),
    (0, 0, 1, 0, 0, 64),
    (0, 0, 2**32, 0, 0, 64),
    (0, 0, 2**64 - 1, 0, 0, 64),
    (0, 0, 0, 1, 0, 64),
    (0, 0, 0, 2**24 - 1, 0, 64),
    (0, 0, 0, 0, BLOCK * (2**32 - 1), 64),
    (20240227, 0, 12345, 17, 3 * BLOCK - 100, 200),  # across two blocks
    (0x0123456789ABCDEF, 1, 0x100000002, 12345, 7 * BLOCK + 1, 333),
]


def case(normals, seed, domain, draw, parameter, first_element, count):
    first, last = first_element // BLOCK, (first_element + count - 1) // BLOCK
    values = np.concatenate([normals(seed, domain, draw, parameter, b) for b in range(first, last + 1)])
    skip = first_element - first * BLOCK
    # 64-bit fields as text: JSON readers may hold numbers as doubles.
    return dict(seed=str(seed), domain=domain, draw=str(draw), parameter=parameter, first_element=first_element,
                bits=bits(values[skip:skip + count]))


def record():
    cuda_cases = []

    def cuda_case(seed, domain, draw, parameter, first_element, count):
        values = quads_of_normals(seed, domain, draw, parameter, first_element, count)
        cuda_cases.append(dict(seed=str(seed), domain=domain, draw=str(draw), parameter=parameter,
                               first_element=first_element, bits=bits(values)))

    cuda_case(0, 0, 0, 0, 0, 200)
    cuda_case(0, 1, 0, 0, 0, 64)
    cuda_case(2**64 - 1, 0, 2**64 - 1, 2**24 - 1, 0, 64)
    cuda_case(0, 0, 0, 0, BLOCK * (2**22 - 1), 64)  # the last quads of 32 bits
    cuda_case(0, 0, 0, 0, BLOCK * 2**22, 64)
    cuda_case(0x0123456789ABCDEF, 1, 0x100000002, 12345, 7 * BLOCK, 333)

    random = np.random.RandomState(20240227)
    words = np.concatenate([
        np.array([0, 1, 2, 3, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFF7F, 0xFFFFFF80, 0xFFFFFFFE,
                  0xFFFFFFFF, 0xB504F333, 0xB504F334, 0x5A827999, 0x5A82799A, 0xFFFF, 0x10000], dtype=np.uint32),
        (np.uint32(1) << np.arange(32, dtype=np.uint32)),
        random.randint(0, 1 << 32, 500, dtype=np.uint64).astype(np.uint32),
        # Where the radius of stream 3 rounds to the next power of two.
        np.array([0x7FFFFFBF, 0x7FFFFFC1, 0x80000041, 0x8000003F, 0x3FFFFFDF, 0x3FFFFFE1, 0x40000001, 0xC0000001,
                  0x1FFFFFF], dtype=np.uint32),
    ])
    cosine, sine = direction(words)
    short_cosine, short_sine = short_direction(words)
    return dict(stream_id=STREAM_ID, first_stream_id=FIRST_STREAM_ID, cuda_stream_id=CUDA_STREAM_ID,
                generator="tests/golden/noise.py",
                versions=dict(numpy=np.__version__, python=".".join(map(str, sys.version_info[:3]))),
                words=[f"{w:08x}" for w in words.tolist()], radius=bits(radius(words)), cosine=bits(cosine),
                sine=bits(sine), short_radius=bits(short_radius(words)), short_cosine=bits(short_cosine),
                short_sine=bits(short_sine), cuda_cases=cuda_cases,
                first_cases=[case(first_block_of_normals, *name) for name in CASES],
                cases=[case(block_of_normals, *name) for name in CASES])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    check = parser.parse_args().check
    check_published_vectors()
    print(f"{SPECIFICATION.name}: {check_specification()} values as computed here")
    recorded = record()
    path = HERE / "noise.json"
    if check:
        committed = json.loads(path.read_text())
        if any(committed[k] != recorded[k] for k in recorded if k != "versions"):
            sys.exit(f"{path.name} differs from what this script computes")
        print(f"{path.name}: as committed")
    else:
        lines = []
        for key, value in recorded.items():
            if key.endswith("cases"):
                lines.append(f'"{key}":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in value) + "]")
            else:
                lines.append(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}")
        path.write_text("{" + ",\n".join(lines) + "}\n")
        cases = sum(len(value) for key, value in recorded.items() if key.endswith("cases"))
        print(f"{path.name}: {cases} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
