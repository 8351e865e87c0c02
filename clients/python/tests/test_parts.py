"""Parts whose every corner can't be met through a call: splitting, pauses, the breaker, signatures, the contract."""

import hashlib
import pathlib
import re
import subprocess
import sys

import pytest

import tokenvault
from tokenvault import _attempt
from tokenvault._ed25519 import verify
from tokenvault._split import REQUEST_ROOM_BYTES, split

HERE = pathlib.Path(__file__).resolve().parent

# RFC 8032 section 7.1, tests 1 and 2: public key, message, signature.
SIGNED = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), SIGNED)
def test_signatures_verify_as_the_standard_says_and_no_others(key, message, signature):
    key, message, signature = (bytes.fromhex(text) for text in (key, message, signature))
    assert verify(key, message, signature)
    assert not verify(key, message + b"x", signature)
    assert not verify(key, message, signature[:-1])
    for place in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not verify(key, message, bytes(changed))
    # The same signature with the group's order added to its number (section 5.1.7, step 1).
    order = 2**252 + 27742317777372353535851937790883648493
    larger = int.from_bytes(signature[32:], "little") + order
    assert not verify(key, message, signature[:32] + larger.to_bytes(32, "little"))
    assert not verify(bytes([2]) + bytes(31), message, signature)


def test_runs_fit_a_request():
    def lengths(items):
        runs = split(items, REQUEST_ROOM_BYTES)
        assert [place for run in runs for place in run] == list(range(len(items)))
        return [len(run) for run in runs]

    assert lengths([]) == []
    assert lengths([("c", 10)] * 1000) == [1000]
    assert lengths([("c", 10)] * 2001) == [1000, 1000, 1]
    large = lengths([("c", (64 << 10) + 20)] * 300)
    assert len(large) <= 3 and all(items * (64 << 10) < 8 << 20 for items in large)
    assert lengths([("c", 10), ("c", 9 << 20), ("c", 10)]) == [1, 1, 1]
    assert lengths([(f"c{number}", 1) for number in range(40)]) == [32, 8]


def test_pauses_double_up_to_their_limit_and_are_spread():
    for attempts, whole in ((1, 0.05), (2, 0.1), (3, 0.2), (7, 2.0), (10_000, 2.0)):
        drawn = [_attempt.pause(attempts, None) for _ in range(64)]
        assert all(whole / 2 <= pause <= whole for pause in drawn) and len(set(drawn)) > 1
    assert 0.425 <= _attempt.pause(1, 0.4) <= 0.45


def test_a_breaker_lets_one_attempt_through_at_a_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_attempt.time, "monotonic", lambda: now[0])
    breaker = _attempt.Breaker("https://vault")

    def is_open():
        try:
            breaker.admit()
        except tokenvault.CircuitOpen:
            return True
        return False

    for _ in range(5):
        assert not is_open()
        breaker.failed()
    assert is_open()
    now[0] = 0.6
    assert not is_open() and is_open(), "one attempt, not two"
    breaker.failed()
    now[0] = 1.5
    assert is_open(), "twice as long"
    now[0] = 1.7
    assert not is_open()
    breaker.untold()
    assert not is_open(), "an attempt that tells nothing is followed by another"
    breaker.answered()
    assert not is_open() and not is_open()


def test_a_note_that_was_changed_is_no_checkpoint():
    note = "v/audit/eu/1\n7\n" + "A" * 43 + "=\n\n\u2014 v/audit/eu/1 " + "A" * 92 + "\n"
    key = "v/audit/eu/1+%s+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    raw = b"\x01" + b"\x01" + bytes(31)
    digits = hashlib.sha256(b"v/audit/eu/1\n" + raw).hexdigest()[:8]
    for text, verifier in [
        (note, key % digits),
        (note, key % "00000000"),
        (note, "none"),
        ("", key % digits),
        (note.replace("\n\n", "\n"), key % digits),
        (note.replace("A" * 92, "?"), key % digits),
    ]:
        with pytest.raises(tokenvault.CheckpointRefuted):
            tokenvault.Checkpoint.open(text, verifier)


def test_the_messages_are_those_of_the_contract(root):
    said = subprocess.run(
        [sys.executable, str(root / "clients/python/generate.py"), "--check"], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr


def test_the_types_hold(root, tmp_path):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    said = subprocess.run(command, cwd=root / "clients/python", capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_example_of_the_readme_runs(vault, root, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (root / "clients/python/README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 2
    clients = vault.folder / "clients"
    for number, block in enumerate(blocks):
        program = tmp_path / f"block{number}.py"
        program.write_text(block)
        environment = {
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "TOKENVAULT_ENDPOINT": vault.endpoint,
            "TOKENVAULT_CA": str(vault.folder / "ca.pem"),
            "CLIENTS": str(clients),
        }
        said = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        assert "4111111111111111" not in said.stdout
