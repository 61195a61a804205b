#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the noise stream: writes noise.json beside this file.

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
STREAM_ID = 1
BLOCK = 4096
LANES = 16
MASK = 0xFFFFFFFF


def philox4x32_10(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & MASK, p0 >> 32 ^ c[3] ^ k[1], p0 & MASK]
        k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
    return c


def lane_state(seed, domain, draw, parameter, block, lane):
    assert parameter < 1 << 24 and domain < 1 << 4 and block < 1 << 32
    state = philox4x32_10((block, parameter | lane << 24 | domain << 28, draw & MASK, draw >> 32),
                          (seed & MASK, seed >> 32))
    return state if any(state) else [1, 0, 0, 0]


def rotl(x, count):
    return (x << count | x >> 32 - count) & MASK


def xoshiro_words(state, count):
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


def radius(a):
    a = np.asarray(a, dtype=np.uint32)
    x = fma(f32(a >> 16), f32(65536), f32(a & 0xFFFF) + np.float32(0.5))
    n = x.view(np.uint32) - np.uint32(0x3F3504F3)
    e = f32(32 - (n.view(np.int32) >> 23))
    f = ((n & np.uint32(0x7FFFFF)) + np.uint32(0x3F3504F3)).view(np.float32) - np.float32(1)
    t = fma(e, f32(float.fromhex("0x1.62e430p-1")), -(f * horner(LOG, f)))
    return np.sqrt(t + t)


def direction(b):
    b = np.asarray(b, dtype=np.uint32)
    y = f32(b.view(np.int32)) * np.float32(2.0**-32)
    z = y * y
    cosine = (horner(COSINE, z).view(np.uint32) ^ (b << np.uint32(31))).view(np.float32)
    return cosine, y * horner(SINE, z)


def block_of_normals(seed, domain, draw, parameter, block):
    lanes = [xoshiro_words(lane_state(seed, domain, draw, parameter, block, l), BLOCK // LANES) for l in range(LANES)]
    words = np.array(lanes, dtype=np.uint32).T  # [256, 16]: a and b of a step alternate
    r = radius(words[0::2].copy())
    cosine, sine = direction(words[1::2].copy())
    assert r.dtype == cosine.dtype == sine.dtype == np.float32
    return np.stack([r * cosine, r * sine], axis=1).reshape(-1)  # [128, 2, 16]


def quads_of_normals(seed, domain, draw, parameter, first_element, count):
    """Stream 2, of CUDA devices."""
    normals = []
    for quad in range(first_element // 4, (first_element + count + 3) // 4):
        words = np.array(philox4x32_10((quad & MASK, parameter | quad >> 32 << 24 | (domain | 8) << 28, draw & MASK, draw >> 32),
                                       (seed & MASK, seed >> 32)), dtype=np.uint32)
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
    """The rows of every table under "Test vectors" in the specification: [[cells of a row]] per table."""
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
    keys, elements, radii, directions = tables()
    checked = 0

    def same(actual, expected, what):
        nonlocal checked
        assert actual == expected, f"docs/noise.md, {what}: {expected}, computed {actual}"
        checked += 1

    blocks = []
    for row in keys[1]:
        seed, domain, draw = (int(cell, 16) for cell in row[:3])
        parameter, block = (int(cell.split()[0]) for cell in row[3:5])
        for lane, cell in ((0, row[5]), (15, row[6])):
            state = lane_state(seed, domain, draw, parameter, block, lane)
            same(" ".join(f"{w:08x}" for w in state), cell, f"lane {lane}")
        blocks.append(bits(block_of_normals(seed, domain, draw, parameter, block)))
    for row, block in zip(elements[1], blocks):
        for head, cell in zip(elements[0][1:], row[1:]):
            same(block[int(head.strip("[]"))], cell, f"vector {row[0]} {head}")
    for word, cell in radii[1]:
        same(bits(radius([int(word, 16)]))[0], cell.split()[0], f"radius of {word}")
    for word, cosine, sine in directions[1]:
        c, s = direction([int(word, 16)])
        same((bits(c)[0], bits(s)[0]), (cosine, sine), f"direction of {word}")
    return checked


def record():
    cases = []

    def case(seed, domain, draw, parameter, first_element, count):
        first, last = first_element // BLOCK, (first_element + count - 1) // BLOCK
        values = np.concatenate([block_of_normals(seed, domain, draw, parameter, b) for b in range(first, last + 1)])
        skip = first_element - first * BLOCK
        # 64-bit fields as text: JSON readers may hold numbers as doubles.
        cases.append(dict(seed=str(seed), domain=domain, draw=str(draw), parameter=parameter,
                          first_element=first_element, bits=bits(values[skip:skip + count])))

    case(0, 0, 0, 0, 0, BLOCK)  # a whole block
    case(0, 1, 0, 0, 0, 64)
    case(1, 0, 0, 0, 0, 64)
    case(2**32, 0, 0, 0, 0, 64)
    case(2**64 - 1, 0, 0, 0, 0, 64)
    case(0, 0, 1, 0, 0, 64)
    case(0, 0, 2**32, 0, 0, 64)
    case(0, 0, 2**64 - 1, 0, 0, 64)
    case(0, 0, 0, 1, 0, 64)
    case(0, 0, 0, 2**24 - 1, 0, 64)
    case(0, 0, 0, 0, BLOCK * (2**32 - 1), 64)
    case(20240227, 0, 12345, 17, 3 * BLOCK - 100, 200)  # across two blocks
    case(0x0123456789ABCDEF, 1, 0x100000002, 12345, 7 * BLOCK + 1, 333)

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
    ])
    cosine, sine = direction(words)
    return dict(stream_id=STREAM_ID, generator="tests/golden/noise.py",
                versions=dict(numpy=np.__version__, python=".".join(map(str, sys.version_info[:3]))),
                words=[f"{w:08x}" for w in words.tolist()], radius=bits(radius(words)), cosine=bits(cosine),
                sine=bits(sine), cuda_cases=cuda_cases, cases=cases)


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
        lines = [f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in recorded.items() if k != "cases"]
        lines.append('"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in recorded["cases"]) + "]")
        path.write_text("{" + ",\n".join(lines) + "}\n")
        print(f"{path.name}: {len(recorded['cases'])} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
