"""Runs docs/audit/verify.py over many damaged logs in one process: python.py VERIFY.PY, jobs and answers as verify.go
has them. What is verified and how is that file's alone; here, files are changed and hashes of the same bytes are
remembered.
"""

import base64
import functools
import importlib.util
import json
import pathlib
import sys

spec = importlib.util.spec_from_file_location("verify", sys.argv[1])
verifier = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verifier)
# Most of a damaged log is as it was: the same entries and signatures are met 10,000 times.
verifier.leaf_hash = functools.cache(verifier.leaf_hash)
verifier.signed_by = functools.cache(verifier.signed_by)


@functools.cache
def original(path):
    """A file's bytes; None if there is none."""
    return path.read_bytes() if path.is_file() else None


def verify(job):
    """Verifies one job; gives the answer's line."""
    folder, changed = pathlib.Path(job["Folder"]), {}
    for change in job["Changes"]:
        path, at, remove = change["Path"], change["Offset"], change["Remove"]
        data = changed.get(path, original(folder / path)) or b""
        changed[path] = None if remove < 0 else data[:at] + base64.b64decode(change["Insert"]) + data[at + remove :]
    outside = [("a checkpoint kept elsewhere", base64.b64decode(note)) for note in job["Checkpoints"]]

    def read(path):
        return changed[path] if path in changed else original(folder / path)

    try:
        return f"ok {verifier.verify(read, job['Key'], outside)}"
    except (verifier.Bad, ValueError) as bad:
        index = bad.args[1] if isinstance(bad, verifier.Bad) and len(bad.args) == 2 else "-"
        return f"bad {index} {bad.args[0]}"


for line in sys.stdin:
    print(verify(json.loads(line)))
