"""Proofs, remembered checkpoints, tails and exports: against the served binary, and against what is made up."""

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokenvault
from conftest import PUT, Wire
from tokenvault import AccessLogFilter, AccessLogQuery, AsyncClient, Checkpoint, Client, NewValue, _audit, _prove, _seen
from tokenvault.v1 import audit_service_pb2 as v1

SOON = 20
ALL = AccessLogQuery("eu", "audit")


def put(client, count=1):
    """Makes entries; gives the receipt of the last one."""
    return [client.tokenize(PUT, [NewValue("email", f"{n}@example.org")]).receipts[0] for n in range(count)][-1]


def covered(client, index, **more):
    """A checkpoint of a tree that holds the entry; the vault signs one each second at most."""
    ends = time.monotonic() + SOON
    while (checkpoint := client.checkpoint("eu", **more)).size <= index:
        assert time.monotonic() < ends
        time.sleep(0.1)
    return checkpoint


def listed(client):
    """The indexes of all entries that the caller is shown, oldest first."""
    query = dataclasses.replace(ALL, oldest_first=True, page_size=1000)
    return [entry.receipt.index for entry in client.access_log(query)]


# Trees, made in the plainest way.


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves):
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:half]), root(leaves[half:]))


def inclusion(leaves, index):
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*inclusion(leaves[:half], index), root(leaves[half:])]
    return [*inclusion(leaves[half:], index - half), root(leaves[:half])]


def consistency(leaves, size, is_whole=True):
    if size == len(leaves):
        return [] if is_whole else [root(leaves)]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if size <= half:
        return [*consistency(leaves[:half], size, is_whole), root(leaves[half:])]
    return [*consistency(leaves[half:], size - half, False), root(leaves[:half])]


def tree(leaves, origin="v/audit/eu/1", key="key"):
    return Checkpoint(f"{origin} {len(leaves)}", key, origin, len(leaves), root(leaves))


LEAVES = [tokenvault.leaf_hash(bytes([n])) for n in range(34)]


def other(found):
    return bytes([found[0] ^ 1]) + found[1:]


def changed(hashes):
    """Everything that is nearly this proof."""
    for at in range(len(hashes)):
        yield [*hashes[:at], other(hashes[at]), *hashes[at + 1 :]]
        yield [*hashes[:at], *hashes[at + 1 :]]
    yield [*hashes, LEAVES[0]]


def test_inclusion_is_proved_for_each_entry_of_each_tree_and_for_nothing_else():
    for size in range(1, len(LEAVES)):
        leaves, whole = LEAVES[:size], tree(LEAVES[:size])
        for index in range(size):
            hashes = inclusion(leaves, index)
            tokenvault.verify_inclusion(whole, index, leaves[index], hashes)
            wrong = [(index, other(leaves[index]), hashes), (index + 1, leaves[index], hashes), (-1, leaves[0], hashes)]
            wrong += [(index, leaves[index], nearly) for nearly in changed(hashes)]
            for at, leaf, nearly in wrong:
                with pytest.raises(tokenvault.ProofRefuted):
                    tokenvault.verify_inclusion(whole, at, leaf, nearly)


def test_consistency_is_proved_for_each_pair_of_trees_and_for_nothing_else():
    for size in range(1, len(LEAVES)):
        later = tree(LEAVES[:size])
        tokenvault.verify_consistency(tree([]), later, [])
        for before in range(1, size + 1):
            older, hashes = tree(LEAVES[:before]), consistency(LEAVES[:size], before)
            tokenvault.verify_consistency(older, later, hashes)
            forged = dataclasses.replace(older, root=other(older.root))
            wrong = [(older, later, nearly) for nearly in changed(hashes)] + [(forged, later, hashes)]
            wrong += [(older, dataclasses.replace(later, root=other(later.root)), hashes)]
            if before < size:
                wrong += [(later, older, hashes)]
            for first, second, nearly in wrong:
                with pytest.raises(tokenvault.ProofRefuted):
                    tokenvault.verify_consistency(first, second, nearly)


def test_what_was_pruned_is_told_where_a_log_begins(vault, client_of):
    auditor = client_of(vault.config("auditor"))
    receipt = put(client_of(vault.config("loader")))
    assert covered(auditor, receipt.index).minimum_index == 0
    assert auditor.log_entry("eu", receipt.index, purpose="audit").minimum_index == 0
    assert auditor.query_access_log(ALL).minimum_index == auditor.count_access_log(ALL).minimum_index == 0
    # Of a log that was: the answers of a vault, made up.
    stated = v1.Receipt(origin="v/audit/eu/1", index=600, leaf_hash=LEAVES[0], log_id=LEAVES[1])
    told = {"receipt": stated, "minimum_index": 512}
    pruned = _prove.log_entry(v1.GetEntryResponse(leaf_hash=LEAVES[2], **told))
    assert (pruned.entry, pruned.entry_bytes, pruned.minimum_index) == (None, None, 512)
    assert _audit.page(v1.QueryAccessLogResponse(**told)).minimum_index == 512
    none = _audit.AccessLogCounts({}, 0, 0, 0, [])
    assert _audit.add_part(none, v1.CountAccessLogResponse(**told), None).minimum_index == 512


# The log and its proofs.


def test_an_entry_is_had_by_its_index_and_proved(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    receipt = put(loader)
    older = covered(auditor, receipt.index)
    entry = auditor.log_entry("eu", receipt.index, purpose="audit", reference="CASE-1")
    assert entry.leaf_hash == receipt.leaf_hash == tokenvault.leaf_hash(entry.entry_bytes)
    assert entry.entry.action == "tokenize" and entry.receipt.index > receipt.index
    foreign = put_by_globex(vault, client_of)
    hidden = auditor.log_entry("eu", foreign.index, purpose="audit")
    assert hidden.entry is None and hidden.entry_bytes is None and hidden.leaf_hash == foreign.leaf_hash

    proved = auditor.prove_entry("eu", receipt.index, receipt.leaf_hash, pinned=older.verifier_key)
    assert (proved.index, proved.leaf_hash) == (receipt.index, receipt.leaf_hash)
    under = auditor.prove_entry_under("eu", receipt.index, receipt.leaf_hash, older)
    assert under.checkpoint == older and auditor.prove_entry("eu", receipt.index).leaf_hash == receipt.leaf_hash
    file = proved.file(entry.entry_bytes)
    assert file.startswith("c2sp.org/tlog-proof@v1\nextra ") and file.endswith("\n\n" + proved.checkpoint.note)
    for refuted in (
        lambda: auditor.prove_entry("eu", receipt.index, foreign.leaf_hash),
        lambda: auditor.prove_entry("eu", 1 << 40, receipt.leaf_hash),
        lambda: auditor.prove_entry_under("eu", receipt.index, foreign.leaf_hash, older),
        lambda: auditor.prove_entry_under("eu", older.size, receipt.leaf_hash, older),
        lambda: auditor.prove_entry_under(
            "eu", receipt.index, receipt.leaf_hash, dataclasses.replace(older, root=other(older.root))
        ),
    ):
        with pytest.raises(tokenvault.ProofRefuted):
            refuted()

    newest = covered(auditor, put(loader).index)
    grown = auditor.prove_growth("eu", older, pinned=older.verifier_key)
    assert grown.size >= newest.size > older.size
    stated = dataclasses.replace(older, witnessed=None, minimum_index=None)
    assert Checkpoint.open(older.note, older.verifier_key) == stated
    with pytest.raises(tokenvault.ProofRefuted):
        auditor.prove_growth("eu", dataclasses.replace(older, root=other(older.root)))
    with pytest.raises(tokenvault.CheckpointRefuted):
        auditor.prove_entry("eu", receipt.index, pinned=auditor.checkpoint(tokenvault.NODE).verifier_key)


def put_by_globex(vault, client_of):
    payments = client_of(vault.config("globex-payments"))
    held = [tokenvault.HeldToken("email", "tok_eu_nothing")]
    receipt = payments.detokenize(tokenvault.CallContext("eu", "payments", "settlement"), held).receipts[0]
    covered(client_of(vault.config("auditor")), receipt.index)
    return receipt


# What was seen.


def files(folder):
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.exists() else {}


def test_a_vault_that_was_rolled_back_is_noticed_at_once_and_by_the_next_run(own_vault, tmp_path):
    seen = tmp_path / "seen"
    loader, auditor = own_vault.config("loader", attempts_max=10), own_vault.config("auditor", attempts_max=10)
    keeping = dataclasses.replace(auditor, checkpoints=seen)
    # Who rolls a vault back does so with the checkpoints beside it, which it would hold its log against.
    parts, older = ("vault-data", "vault-data-checkpoints"), tmp_path / "older"

    def restart(between):
        own_vault.kill()
        between()
        own_vault.start()

    def keep():
        for part in parts:
            shutil.copytree(own_vault.folder / part, older / part)

    def restore():
        for part in parts:
            shutil.rmtree(own_vault.folder / part)
            shutil.copytree(older / part, own_vault.folder / part)

    with Client(loader) as loading, Client(auditor) as living:
        put(loading, 3)
        restart(keep)
        newest = covered(living, put(loading, 5).index)
        with Client(keeping) as first:
            assert covered(first, newest.size - 1).size >= newest.size
        kept = files(seen)
        assert set(kept) == {"eu.checkpoint", "eu.vkey", "eu.lock"}
        # The same vault goes on; then it is an older one, first shorter and then longer than what was seen.
        restart(lambda: None)
        with Client(keeping) as again:
            covered(again, put(loading).index)
        kept = files(seen)
        restart(restore)
        for entries in (0, 30):
            if entries:
                with Client(auditor) as unknowing:
                    covered(unknowing, put(loading, entries).index)
            with pytest.raises(tokenvault.LogContradicted) as contradicted:
                living.checkpoint("eu")
            assert contradicted.value.size == newest.size or entries
            with Client(keeping) as next_run, pytest.raises(tokenvault.LogContradicted):
                next_run.checkpoint("eu")
            with Client(keeping) as next_run, pytest.raises(tokenvault.LogContradicted):
                next_run.prove_entry("eu", 0)
            with Client(keeping) as next_run:
                for asks in (next_run.query_access_log, next_run.count_access_log):
                    with pytest.raises(tokenvault.LogContradicted):
                        asks(ALL)
            assert files(seen) == kept

        async def in_a_task():
            async with AsyncClient(keeping) as next_run:
                with pytest.raises(tokenvault.LogContradicted):
                    await next_run.checkpoint("eu")

        asyncio.run(in_a_task())


def test_clients_that_share_a_folder_agree_and_so_does_the_command_line(vault, tmp_path, client_of):
    config = vault.config("auditor", checkpoints=tmp_path / "seen")
    loader = client_of(vault.config("loader"))
    stop = threading.Event()

    def write():
        with Client(vault.config("loader")) as writer:
            while not stop.is_set():
                put(writer)

    def look(_):
        sizes = []
        for _ in range(8):
            with Client(config) as looking:
                sizes.append(looking.checkpoint("eu").size)
        return sizes

    writing = threading.Thread(target=write)
    writing.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(look, range(4)))
    finally:
        stop.set()
        writing.join()
    # What one has seen the next one has, too: nobody goes back.
    assert all(sizes == sorted(sizes) for sizes in seen)
    key = (tmp_path / "seen" / "eu.vkey").read_text().strip()
    kept = Checkpoint.open((tmp_path / "seen" / "eu.checkpoint").read_text(), key)
    assert kept.size == max(map(max, seen)) and len({size for sizes in seen for size in sizes}) > 1

    clients = vault.folder / "clients"
    environment = {
        "TOKENVAULT_ENDPOINT": vault.endpoint,
        "TOKENVAULT_CA": str(vault.folder / "ca.pem"),
        "TOKENVAULT_CERT": str(clients / "auditor.pem"),
        "TOKENVAULT_KEY": str(clients / "auditor.key"),
    }
    covered(client_of(vault.config("auditor")), put(loader).index)
    command = [os.environ["TOKENVAULT_BINARY"], "audit", "checkpoint", "--region", "eu", "--output", "jsonl"]
    command += ["--checkpoints", str(tmp_path / "seen")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    by_command = json.loads(said.stdout)
    assert by_command["size"] > kept.size
    assert (tmp_path / "seen" / "eu.checkpoint").read_text() == by_command["note"]
    assert client_of(config).checkpoint("eu").size >= by_command["size"]


def test_a_smaller_checkpoint_never_takes_the_place_of_a_larger_one(tmp_path, monkeypatch):
    trees = {size: tree(LEAVES[:size]) for size in range(1, 30)}
    monkeypatch.setattr(_seen.Checkpoint, "open", staticmethod(lambda note, _: trees[int(note.split()[1])]))
    for folder in (None, tmp_path):
        first, second = (_seen.Seen(folder) for _ in range(2))
        assert first.keep("eu", None, trees[4]) and first.known("eu") == trees[4]
        one, another = (first, first) if folder is None else (first, second)
        assert not another.keep("eu", None, trees[9]), "what came meanwhile has to be agreed with"
        assert another.keep("eu", trees[4], trees[9])
        assert not one.keep("eu", trees[4], trees[7]) and one.known("eu") == trees[9]
        assert one.keep("eu", trees[9], trees[12]) and another.known("eu") == trees[12]
        first.remember("eu", trees[2])
        assert first.known("eu") == trees[12]
    # Many at once: each goes on from the largest that there is, and in the end that is the one.
    stores = [_seen.Seen(tmp_path) for _ in range(8)]

    def keep(size, store):
        while (known := store.known("eu")).size < size:
            store.keep("eu", known, trees[size])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, itertools.chain(range(13, 30), reversed(range(13, 30))), itertools.cycle(stores)))
    assert (tmp_path / "eu.checkpoint").read_text() == trees[29].note
    (tmp_path / "eu.vkey").unlink()
    with pytest.raises(tokenvault.ConfigurationError):
        _seen.Seen(tmp_path).known("eu")


@pytest.mark.parametrize(
    "now", [tree(LEAVES[:9], "v/audit/eu/2"), tree(LEAVES[:9], key="other"), tree(LEAVES[1:9])], ids=range(3)
)
def test_another_log_key_or_root_contradicts_what_was_seen(now):
    async def ask(*_):
        raise AssertionError("nothing to ask")

    with pytest.raises(tokenvault.LogContradicted):
        asyncio.run(_seen.goes_on("eu", tree(LEAVES[:8]), now, ask))


# Tails.


def follow(tail, upto, each=lambda: None):
    """The indexes of what a tail shows, until it has looked at all before an index."""
    found, ends = [], time.monotonic() + SOON
    while (tail.next_index or 0) < upto:
        assert time.monotonic() < ends
        found += [entry.receipt.index for entry in next(tail).entries]
        each()
    return found


def test_a_tail_that_is_cut_again_and_again_shows_each_entry_once(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    relay = Wire(vault.port)
    with contextlib.closing(relay):
        following = client_of(vault.config("auditor", relay.endpoint, attempts_max=10))
        found = []
        with following.tail_access_log(ALL, 0) as tail:
            for _ in range(6):
                found += follow(tail, put(loader, 3).index + 1)
                relay.cut()
        assert tail.next_index > found[-1]
        with pytest.raises(StopIteration):
            next(tail)
        with following.tail_access_log(ALL, tail.next_index) as tail:
            found += follow(tail, put(loader).index + 1)
    expected = [index for index in listed(auditor) if index <= found[-1]]
    assert found == expected


def test_a_tail_outlives_a_vault_that_is_killed_and_comes_back(own_vault, client_of):
    patient = {"attempts_max": 10}
    loader = client_of(own_vault.config("loader", **patient))
    auditor = client_of(own_vault.config("auditor", **patient))
    hurried = client_of(own_vault.config("auditor", attempts_max=1))
    found, told = [], []
    with auditor.tail_access_log(ALL, 0) as tail, hurried.tail_access_log(ALL, 0) as raising:
        for _ in range(2):
            upto = put(loader, 2).index + 1
            found += follow(tail, upto)
            told += follow(raising, upto)
            own_vault.kill()
            # Where attempts run out it raises, and goes on when it is asked again.
            with pytest.raises(tokenvault.TokenvaultError):
                while True:
                    told += [entry.receipt.index for entry in next(raising).entries]
            back = threading.Timer(0.3, own_vault.start)
            back.start()
            found += [entry.receipt.index for entry in next(tail).entries]
            back.join()
            covered(auditor, upto - 1)
        upto = put(loader).index + 1
        found += follow(tail, upto)
        with contextlib.suppress(tokenvault.TokenvaultError):
            told += follow(raising, upto)
        told += follow(raising, upto)
    expected = [index for index in listed(auditor) if index < upto]
    assert [index for index in found if index < upto] == expected
    assert [index for index in told if index < upto] == expected


def test_a_tail_is_narrowed_begins_where_it_is_told_and_may_be_refused(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    first, last = put(loader), put(loader, 2)
    entries = {entry.receipt.index: entry for entry in auditor.access_log(dataclasses.replace(ALL, page_size=1000))}
    tokenized = AccessLogFilter(action="tokenize", from_ms=entries[first.index].log_time_ms)
    with auditor.tail_access_log(dataclasses.replace(ALL, filter=tokenized)) as tail:
        assert set(follow(tail, last.index + 1)) >= {first.index, last.index}
    with auditor.tail_access_log(dataclasses.replace(ALL, filter=tokenized), last.index) as tail:
        assert follow(tail, last.index + 1) == [last.index]
    with auditor.tail_access_log(ALL) as tail:
        step = next(tail)
        assert step.next_index > last.index and step.log_size >= step.next_index
        came = put(loader)
        assert came.index in follow(tail, came.index + 1)
    for query, kind in (
        (dataclasses.replace(ALL, filter=AccessLogFilter(until_ms=1)), tokenvault.InvalidRequest),
        (dataclasses.replace(ALL, region="apac"), tokenvault.WrongRegion),
        (dataclasses.replace(ALL, purpose="curiosity"), tokenvault.InvalidRequest),
    ):
        with auditor.tail_access_log(query, 0) as tail, pytest.raises(kind):
            next(tail)
    with loader.tail_access_log(ALL, 0) as tail, pytest.raises(tokenvault.Denied):
        next(tail)


def test_to_wait_for_a_tail_ends_without_a_loss(vault):
    async def cancelled():
        async with AsyncClient(vault.config("loader")) as loader, AsyncClient(vault.config("auditor")) as auditor:
            answer = await loader.tokenize(PUT, [NewValue("email", "a@example.org")])
            receipt = answer.receipts[0]
            async with auditor.tail_access_log(ALL, 0) as tail:
                found, waits = [], 0.001
                while (tail.next_index or 0) <= receipt.index:
                    with contextlib.suppress(asyncio.TimeoutError):
                        step = await asyncio.wait_for(tail.__anext__(), waits)
                        found += [entry.receipt.index for entry in step.entries]
                    waits *= 1.3
                waiting = asyncio.ensure_future(tail.__anext__())
                await asyncio.sleep(0.1)
                await tail.aclose()
                with contextlib.suppress(StopAsyncIteration):
                    await asyncio.wait_for(waiting, SOON)
            query = dataclasses.replace(ALL, oldest_first=True, page_size=1000)
            listed = [entry.receipt.index async for entry in auditor.access_log(query)]
            assert found == [index for index in listed if index < tail.next_index][: len(found)]
            assert receipt.index in found

    asyncio.run(cancelled())
    # The same for threads: who closes it ends the waiting of another.
    with Client(vault.config("auditor")) as auditor:
        tail = auditor.tail_access_log(ALL)
        next(tail)
        threading.Timer(0.2, tail.close).start()
        begun = time.monotonic()
        assert all(step.next_index for step in tail)
        assert time.monotonic() - begun < 5


# Exports.


def test_an_export_is_saved_whole_and_verified_without_the_vault(vault, client_of, tmp_path):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    last = put(loader, 3)
    key = covered(auditor, last.index).verifier_key
    query = dataclasses.replace(ALL, reference="CASE-7", filter=AccessLogFilter(action="tokenize"))
    path = tmp_path / "log.jsonl"
    with auditor.export_access_log(query, "jsonl", until_index=last.index + 1, pinned=key) as export:
        assert export.receipt.index > last.index and export.done is None
        done = export.save(path)
    manifest = done.manifest
    assert done.verifier_key == key and manifest == tokenvault.verify_export(path, key)
    indexes = [json.loads(line)["receipt"]["index"] for line in path.read_text().splitlines()]
    asked = dataclasses.replace(query, oldest_first=True, page_size=1000)
    assert indexes == [e.receipt.index for e in auditor.access_log(asked) if e.receipt.index <= last.index]
    assert (manifest.entries, manifest.until_index, manifest.format) == (len(indexes), last.index + 1, "jsonl")
    assert manifest.filters == {"action": "tokenize"} and manifest.asked.reference == "CASE-7"
    assert manifest.asked.index == export.receipt.index
    assert set(tmp_path.iterdir()) == {path, tmp_path / "log.jsonl.manifest"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in tmp_path.iterdir())
    command = [os.environ["TOKENVAULT_BINARY"], "audit", "verify-export", str(path), "--verifier-key", key]
    assert subprocess.run(command, capture_output=True).returncode == 0

    # As bytes, for another place than a file.
    with auditor.export_access_log(query, "csv", from_index=last.index) as export:
        came = b"".join(export)
    assert export.done.manifest.sha256 == hashlib.sha256(came).digest() and came.count(b"\n") >= 2

    with pytest.raises(tokenvault.ConfigurationError), auditor.export_access_log(query, "jsonl") as export:
        export.save(path)
    (tmp_path / "log.csv.manifest").write_text("is there already")
    with pytest.raises(tokenvault.ConfigurationError), auditor.export_access_log(query, "csv") as export:
        export.save(tmp_path / "log.csv")
    with pytest.raises(tokenvault.TransportError):
        export = auditor.export_access_log(query, "csv")
        export.close()
        export.save(tmp_path / "cut.csv")
    assert {file.name for file in tmp_path.iterdir()} == {"log.jsonl", "log.jsonl.manifest", "log.csv.manifest"}
    with pytest.raises(tokenvault.CheckpointRefuted):
        node = auditor.checkpoint(tokenvault.NODE).verifier_key
        list(auditor.export_access_log(query, "csv", pinned=node))
    with pytest.raises(tokenvault.InvalidRequest):
        auditor.export_access_log(query, "xlsx")
    with pytest.raises(tokenvault.Denied):
        loader.export_access_log(query, "csv")
    refuse_what_was_changed(path, done, key)


def refuse_what_was_changed(path, done, key):
    note, data = done.note, path.read_bytes()
    for old, new in (('"jsonl"', '"csv"'), ("CASE-7", "CASE-8"), ("export v1", "export v2")):
        path.with_name("log.jsonl.manifest").write_text(note.replace(old, new))
        with pytest.raises(tokenvault.CheckpointRefuted):
            tokenvault.verify_export(path, key)
    path.with_name("log.jsonl.manifest").write_text(note)
    for wrong in (data[:-1], data + b"\n", data.replace(b"tokenize", b"tokenise")):
        path.write_bytes(wrong)
        with pytest.raises(tokenvault.ExportRefuted):
            tokenvault.verify_export(path, key)
    # A checkpoint is no manifest, though the same key has signed it.
    path.with_name("log.jsonl.manifest").write_text(done.manifest.checkpoint.note)
    with pytest.raises(tokenvault.ExportRefuted):
        tokenvault.verify_export(path, key)
