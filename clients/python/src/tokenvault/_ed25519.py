"""Ed25519 signatures are verified here (RFC 8032 section 5.1.7), so that no further dependency is needed.

All of it is public: key, message, signature. So it need not take the same time for each, and it must never be used to
sign.
"""

from __future__ import annotations

import hashlib
from typing import Optional, Tuple

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

# A point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
_Point = Tuple[int, int, int, int]


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes is one of this key, of 32 bytes, over the message."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public = _decompress(key)
    commitment = _decompress(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or response >= _ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _ORDER
    return _equal(_multiply(response, _BASE), _add(commitment, _multiply(challenge, public)))


def _add(a: _Point, b: _Point) -> _Point:
    """Section 5.1.4; complete, so it doubles as well."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % _P
    f = (a[1] + a[0]) * (b[1] + b[0]) % _P
    g = 2 * a[3] * b[3] * _D % _P
    h = 2 * a[2] * b[2] % _P
    left, right, up, down = f - e, h - g, h + g, f + e
    return left * right % _P, up * down % _P, right * up % _P, left * down % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    product: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point = _add(point, point)
        scalar >>= 1
    return product


def _equal(a: _Point, b: _Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def _x_of(y: int, is_odd: int) -> Optional[int]:
    """Section 5.1.3: the x of a point with this y, of this parity."""
    squared = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if squared == 0:
        return None if is_odd else 0
    x = pow(squared, (_P + 3) // 8, _P)
    if (x * x - squared) % _P != 0:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - squared) % _P != 0:
        return None
    return _P - x if x & 1 != is_odd else x


def _decompress(encoded: bytes) -> Optional[_Point]:
    number = int.from_bytes(encoded, "little")
    y, is_odd = number & ((1 << 255) - 1), number >> 255
    x = _x_of(y, is_odd) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _base() -> _Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    x = _x_of(y, 0)
    if x is None:
        raise AssertionError("the base point is on the curve")
    return x, y, 1, x * y % _P


_BASE = _base()
