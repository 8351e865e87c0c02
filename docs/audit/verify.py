#!/usr/bin/env python3
"""Verifies an exported access log with nothing but Python's standard library, by docs/AUDIT.md alone.

    verify.py FOLDER --key KEY|FILE [--checkpoint FILE ...]

FOLDER is what `tokenvault audit export-log` or `prune` writes (c2sp.org/tlog-tiles). Without --key the key in it is
taken, which shows only that the folder agrees with itself. Each --checkpoint is a signed checkpoint that was kept
elsewhere, which the log must continue. Exit code 0: it verifies; 4: it does not; 2: wrong usage.
"""
import argparse
import base64
import functools
import hashlib
import pathlib
import sys

class Bad(Exception):
    """What is wrong, and behind it the first entry that it concerns, if it concerns entries."""

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def b64(text):  # in its one canonical form
    data = base64.b64decode(text)
    if base64.b64encode(data).decode() != text:
        raise Bad("base64 is not canonical")
    return data

# --- Ed25519, RFC 8032 section 5.1, on extended coordinates (section 5.1.4)
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def point(data):  # section 5.1.3
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (v * x * x - u) % P != 0 or (x == 0 and sign):
        raise Bad("a key or signature holds no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(scalar, p):
    total = (0, 1, 1, 0)
    while scalar:
        total = add(total, p) if scalar & 1 else total
        p, scalar = add(p, p), scalar >> 1
    return total

BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

def signed_by(public, message, signature):  # section 5.1.7; points of small order are no keys
    if len(signature) != 64:
        return False
    s, key, r = int.from_bytes(signature[32:], "little"), point(public), point(signature[:32])
    if s >= Q or any(times(8, p)[0] % P == 0 for p in (key, r)):
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, key))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

# --- Verifier keys and checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint)
def parse_key(text):
    """`<origin>+<key id>+<base64 of 0x01 and the public key>`."""
    origin, key_id, key = (text.strip("\r\n").split("+", 2) + ["", ""])[:3]
    data = b64(key)
    if len(data) != 33 or data[0] != 1:
        raise Bad("the verifier key is no Ed25519 key")
    if sha256(origin.encode(), b"\n", data)[:4].hex() != key_id:
        raise Bad("the key id does not belong to the verifier key")
    return origin, bytes.fromhex(key_id), data[1:]

def open_note(note, key, whose):
    """The text that the key signed."""
    origin, key_id, public = key
    text, _, signatures = note.decode().rpartition("\n\n")
    if any(c < 32 and c != 10 for c in note) or not signatures.endswith("\n") or not text:
        raise Bad(f"{whose} is no signed note")
    text, seen = text + "\n", False
    for line in signatures[:-1].split("\n"):
        mark, name, data = (line.split(" ") + ["", ""])[:3]
        data = b64(data)
        if mark != "\u2014" or not name or len(data) < 5 or line.count(" ") != 2:
            raise Bad(f"{whose} has a malformed signature line")
        if name == origin and data[:4] == key_id:
            if not signed_by(public, text.encode(), data[4:]):
                raise Bad(f"{whose} bears a false signature")
            seen = True
    if not seen:
        raise Bad(f"{whose} bears no signature of this key")
    return text

def open_checkpoint(note, key, whose):
    """Size and root of a checkpoint that the key signed."""
    lines = open_note(note, key, whose).split("\n")
    if len(lines) != 4 or lines[0] != key[0] or not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
        raise Bad(f"{whose} is no checkpoint of this log")
    return int(lines[1]), b64(lines[2])

# --- Tiles and entries (RFC 6962 section 2.1, c2sp.org/tlog-tiles)
def path_of(kind, number, width):
    digits = str(number).zfill(-(-len(str(number)) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{kind}/{name}" + (f".p/{width}" if width < 256 else "")

def leaf_hash(entry):
    return sha256(b"\x00", entry)

def verify(read, key_text, outside=()):
    """Verifies a log whose files `read` gives (None for none); gives the number of entries, or raises Bad."""
    key, own, heads = parse_key(key_text), read("checkpoint") or b"", {}
    size, _ = open_checkpoint(own, key, "the checkpoint")
    for whose, note in [("the checkpoint", own), *outside]:
        count, root = open_checkpoint(note, key, whose)
        heads.setdefault(count, []).append((root, whose))
    stated = read("minimum_index") or b"0\n"  # of a pruned log: of the entries below it there are hashes alone
    minimum, tiles, peaks, log_time, vouched = int(stated), {}, [], 0, 0
    if b"%d\n" % minimum != stated or minimum % 256 or not 0 <= minimum <= size:
        raise Bad("minimum_index holds no multiple of 256 up to the log's size")

    def compare(level, at, node, first):
        """Holds the hash `at` of a level against its tile, and gives that of the tile."""
        number, width = at >> 8, min(256, (size >> 8 * level) - (at >> 8 << 8))
        if tiles.get(level, (None,))[0] != number:
            name = path_of(level, number, width)
            tiles[level] = number, name, read(name) or b"", width
        _, name, data, width = tiles[level]
        if len(data) != 32 * width:
            raise Bad(f"{name} is missing or has a wrong length", first)
        if node not in (None, data[at % 256 * 32 :][:32]):
            raise Bad(f"the entries and {name} contradict each other", first)
        return data[at % 256 * 32 :][:32]

    for index in range(size):
        if index % 256 == 0:
            bundle, at = read(path_of("entries", index >> 8, min(256, size - index))) or b"", 0
        height, there = 0, index >= minimum or bundle
        length = int.from_bytes(bundle[at : at + 2], "big")
        entry, at = bundle[at + 2 : at + 2 + length], at + 2 + length
        if there and (at > len(bundle) or length == 0):
            raise Bad("the entry is missing", index)
        node = compare(0, index, leaf_hash(entry) if there else None, index)
        log_time, before = int.from_bytes(entry[1:7], "big") if there else log_time, log_time
        if there and (entry[0] != 1 or log_time < before):
            raise Bad("it is no entry of version 1, or its log time lies before that of the entry before it", index)
        while index >> height & 1:  # the right half of a perfect tree is complete, and so is the tree
            node, height = sha256(b"\x01", peaks.pop(), node), height + 1
            if height % 8 == 0:
                compare(height // 8, index >> height, node, index + 1 - (1 << height))
        peaks.append(node)
        if there and (index + 1 == size or index % 256 == 255) and at != len(bundle):
            raise Bad("the bundle goes on after its last entry", index)
        if index + 1 in heads:
            total = functools.reduce(lambda right, left: sha256(b"\x01", left, right), reversed(peaks))
            for expected, whose in heads[index + 1]:
                if expected != total:
                    raise Bad(f"the log is not the one that {whose} is of: the roots differ", vouched)
            vouched = index + 1
    if any(root != sha256() for root, _ in heads.get(0, [])):
        raise Bad("an empty log has another root")
    if max(heads) > size:
        raise Bad(f"the log was cut off or rolled back: {heads[max(heads)][0][1]} is of {max(heads)} entries", size)
    return size

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--key", help="the log's verifier key, or a file with it, that you got by another way")
    parser.add_argument("--checkpoint", type=pathlib.Path, action="append", default=[])
    asked = parser.parse_args()

    def read(name):
        path = asked.folder / name
        return path.read_bytes() if path.is_file() else None

    try:
        given = asked.key or str(asked.folder / "vkey")
        key = given if "+" in given else pathlib.Path(given).read_text()
        outside = [(str(path), path.read_bytes()) for path in asked.checkpoint]
        entries = verify(read, key, outside)
    except OSError as error:
        parser.error(str(error))
    except (Bad, ValueError) as bad:
        print("NOT VERIFIED:", *(f"entry {index}:" for index in bad.args[1:2] if isinstance(bad, Bad)), bad.args[0])
        return 4
    gone = f", {int(stated)} of them by their hashes" if (stated := read("minimum_index")) else ""
    print(f"verified: {entries} entries{gone}" + ("" if asked.key else "; by the folder's own key: consistency alone"))
    return 0

if __name__ == "__main__":
    sys.exit(main())
