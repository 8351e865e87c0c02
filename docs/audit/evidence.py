#!/usr/bin/env python3
"""Verifies one piece of evidence of an access log, by docs/AUDIT.md and docs/EXPORT.md alone.

    evidence.py FILE.tlog-proof --key KEY|FILE [--entry FILE]
    evidence.py EXPORT.manifest --key KEY|FILE

The first shows that the log held an entry (c2sp.org/tlog-proof): the one in the proof, or the bytes in --entry. The
second shows that the log's key signed this manifest, and that the file beside it is the one that it speaks of. Python's
standard library and verify.py beside this file do all of it. Exit code 0: it verifies; 4: it does not; 2: wrong usage.
"""
import argparse
import hashlib
import json
import pathlib
import sys

from verify import Bad, b64, leaf_hash, open_checkpoint, open_note, parse_key, sha256

def root_of(leaf, index, size, path):
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2, of the same trees as RFC 6962's)."""
    node, at, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise Bad("the proof has too many hashes")
        if at & 1 or at == last:
            node = sha256(b"\x01", sibling, node)
            while at & 1 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise Bad("the proof has too few hashes")
    return node

def proof(text, key, entry):
    """Verifies a proof; gives what it shows."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")[1:]
    if lines and lines[0].startswith("extra "):
        inside = b64(lines.pop(0).removeprefix("extra "))
        if entry not in (None, inside):
            raise Bad("the proof is of another entry")
        entry = inside
    if entry is None:
        raise Bad("the proof holds no entry: give its bytes by --entry")
    word, _, number = (lines or [""])[0].partition(" ")
    if word != "index" or not number.isdecimal() or str(int(number)) != number:
        raise Bad("the proof has no index")
    path, (size, root) = [b64(line) for line in lines[1:]], open_checkpoint(note.encode(), key, "its checkpoint")
    if int(number) >= size or any(len(node) != 32 for node in path):
        raise Bad("the index lies beyond the tree, or a hash is none")
    if root_of(leaf_hash(entry), int(number), size, path) != root:
        raise Bad("the tree of its checkpoint does not hold this entry at this index")
    return f"entry {number} of {size}, {len(entry)} bytes, leaf hash {leaf_hash(entry).hex()}"

def manifest(note, key, file):
    """Verifies a manifest against its file; gives what it shows."""
    first, _, text = open_note(note, key, "the manifest").partition("\n")
    if first != "tokenvault access log export v1":
        raise Bad("what was signed is no manifest")
    said = json.loads(text)
    if said["origin"] != key[0]:
        raise Bad("the manifest is of another log")
    size, _ = open_checkpoint(said["checkpoint"].encode(), key, "its checkpoint")
    if not said["range"]["from"] <= said["range"]["to"] <= said["asked"]["receipt"]["index"] < size:
        raise Bad("range and receipt do not lie within the tree of its checkpoint")
    found, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            found.update(piece)
            size += len(piece)
    if (size, found.hexdigest()) != (said["bytes"], said["sha256"]):
        raise Bad("the file is not the one that the manifest speaks of")
    return f"{said['entries']} entries of {said['range']['from']}..{said['range']['to']}, {said['format']}"

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    parser.add_argument("--entry", type=pathlib.Path, help="the bytes of the entry, of a proof that holds none")
    asked = parser.parse_args()
    try:
        key = parse_key(asked.key if "+" in asked.key else pathlib.Path(asked.key).read_text())
        text = asked.file.read_bytes()
        entry = asked.entry.read_bytes() if asked.entry else None
        if text.startswith(b"c2sp.org/tlog-proof@v1\n"):
            shown = proof(text.decode(), key, entry)
        else:
            shown = manifest(text, key, asked.file.with_suffix(""))
    except OSError as error:
        parser.error(str(error))
    except (Bad, ValueError, KeyError, TypeError) as bad:
        print("NOT VERIFIED:", bad)
        return 4
    print("verified:", shown)
    return 0

if __name__ == "__main__":
    sys.exit(main())
