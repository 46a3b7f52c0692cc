"""A small mutation fuzzer: files like those that a parser accepts, with something wrong in them.

Mutations of JSON know its structure, because random bytes hardly ever get beyond its grammar.
"""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Mutation = Callable[[bytes, random.Random], bytes]

# What parsers take for something else, or cannot take at all.
ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63 - 1,
        2**63,
        -(2**63),
        10**25,
        10**400,
        1e308,
        -1e308,
    ),
    *(
        1e-320,
        0.5,
        -0.0,
        1e15,
        1e16,
        "",
        "a",
        "1",
        "nan",
        "\x00",
        "\n\x1b[31m",
        "\ud800",
        "é",
        "../..",
    ),
    *([], {}, [[]], [[[]]], [1, 2], {"a": 1}, [None], ["1", "2"], "x" * 5000, [0] * 1000),
)
_RAW = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b'"\\ud800"',
    b"1" * 5000,
    b"[" * 3000,
    b'{"a":1,"a":2}',
)
_BYTES = (
    b"\x00",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"9" * 30,
    b"-1",
    b"\n",
    b" ",
    b"&a *a",
    b"!!int x",
)


def of_bytes(seed: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, left out, doubled or put in."""
    content = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(content) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 100))
        match rng.randrange(6):
            case 0 if content:
                content[at % len(content)] ^= 1 << rng.randrange(8)
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at : at + length]
            case 3:
                content[at:at] = rng.choice(_BYTES)
            case 4:
                content[at : at + length] = rng.randbytes(length)
            case 5:
                del content[at:]
    return bytes(content)


def of_json(seed: bytes, rng: random.Random) -> bytes:
    """One or two values of a JSON text replaced, left out, doubled or renamed."""
    if rng.random() < 0.1:
        return of_bytes(seed, rng)
    root = [json.loads(seed)]
    raw: bytes | None = None
    for _ in range(rng.choice((1, 1, 1, 2))):
        holder, key = rng.choice(list(_places(root)))
        match rng.randrange(8):
            case 0 if root[0] is not holder and len(holder) > 1:
                del holder[key]
            case 1 if isinstance(holder, list) and holder is not root:
                holder.insert(key, copy.deepcopy(holder[key]))
            case 2 if isinstance(holder, dict):
                holder[rng.choice(("", "x", "\ud800", "a" * 300))] = holder.pop(key)
            case 3:
                raw, holder[key] = rng.choice(_RAW), "§raw§"
            case 4 if isinstance(holder[key], int | float) and abs(holder[key]) < 1e300:
                holder[key] = holder[key] * rng.choice((-1, 0, 1e3, 1e12, 1e-9))
            case _:
                holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    content = json.dumps(root[0]).encode()
    return content if raw is None else content.replace(json.dumps("§raw§").encode(), raw)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def of_arrays(seed: bytes, rng: random.Random) -> bytes:
    """An `.npz` with one of its arrays of another shape, kind or content; or with damaged bytes."""
    if rng.random() < 0.3:
        return of_bytes(seed, rng)
    with np.load(io.BytesIO(seed)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = rng.choice(list(arrays))
    arrays[name] = _odd_array(arrays[name], rng)
    if rng.random() < 0.1:
        del arrays[name]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def of_array(seed: bytes, rng: random.Random) -> bytes:
    """An `.npy` of another shape, kind or content; or with damaged bytes."""
    if rng.random() < 0.5:
        return of_bytes(seed, rng)
    buffer = io.BytesIO()
    np.save(buffer, _odd_array(np.load(io.BytesIO(seed)), rng), allow_pickle=True)
    return buffer.getvalue()


def _odd_array(array: np.ndarray[Any, Any], rng: random.Random) -> np.ndarray[Any, Any]:
    odd = rng.choice((np.nan, np.inf, -np.inf, -1, 0, 1e300, 1e16, 2**31, -(2**62), 0.5, 5))
    match rng.randrange(7):
        case 0 if array.size:
            changed = array.astype(rng.choice((array.dtype, np.float64)))
            with np.errstate(all="ignore"):
                changed.flat[rng.randrange(array.size)] = np.asarray(odd).astype(changed.dtype)
            return changed
        case 1:
            return array[..., None] if rng.random() < 0.5 else array.ravel()
        case 2 if array.ndim:
            return array[rng.randrange(len(array) + 1) :]
        case 3:
            with np.errstate(all="ignore"):
                return array.astype(rng.choice(("f2", "i1", "u8", "c16", "U3", "M8[s]", "?")))
        case 4:
            return np.array([{"a": 1}, None], dtype=object) if rng.random() < 0.3 else array.T
        case 5:
            return np.full_like(array, 0) if array.dtype.kind in "biuf" else array[:0]
        case _:
            return np.asarray(odd)
