"""Streams: in order, whatever breaks, and no token twice."""

import asyncio
import dataclasses
import queue
import threading
import time

import pytest
from conftest import CARD, PUT, SEE

import tokenvault
from tokenvault import AsyncClient, Client, HeldToken, Idempotency, NewValue


def batches(count, size, name="s"):
    return [[NewValue("email", f"{name}{batch}-{item}@example.org") for item in range(size)] for batch in range(count)]


def tokens_of(answers):
    return [[issued.token for issued in answer.get_all()] for answer in answers]


def keyed(key):
    return dataclasses.replace(PUT, idempotency=f"{key}-{time.time_ns()}")


def test_every_batch_is_answered_in_order(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    # One batch is cut into several messages, one is empty, one holds what is refused.
    values = [*batches(20, 7), *batches(1, 2300, "large"), [], [NewValue("card_number", "4111111111111112")]]
    with loader.tokenize_stream(PUT, values) as stream:
        answers = list(stream)
        assert stream.answered == len(values)
        assert next(stream, None) is None
    assert [len(answer.results) for answer in answers] == [len(batch) for batch in values]
    assert [len(answer.calls) for answer in answers[20:]] == [3, 0, 1]
    assert isinstance(answers[-1].results[0].error, tokenvault.ValueRejected)
    assert all(answer.receipts for answer in answers[:20])
    held = [[HeldToken("email", token) for token in tokens] for tokens in tokens_of(answers[:-1])]
    with payments.detokenize_stream(SEE, iter(held)) as stream:
        revealed = [[value.text for value in answer.get_all()] for answer in stream]
    assert revealed == [[item.value for item in batch] for batch in values[:-1]]


def test_a_stream_that_is_cut_again_and_again_makes_no_token_twice(vault, wire, client_of):
    loader = client_of(vault.config("loader", wire.endpoint, attempts_max=10)).connect()
    context, values = keyed("cut"), batches(60, 20)
    answers = []
    with loader.tokenize_stream(context, values) as stream:
        for answer in stream:
            answers.append(answer)
            if len(answers) % 9 == 1:
                wire.lose()
    assert wire.cuts >= 4
    assert max(call.attempts for answer in answers for call in answer.calls) > 1
    with client_of(vault.config("loader")).tokenize_stream(context, values) as stream:
        assert tokens_of(stream) == tokens_of(answers)


def test_a_stream_outlives_a_vault_that_is_killed_and_comes_back(own_vault, client_of):
    loader = client_of(own_vault.config("loader", attempts_max=10)).connect()
    context, values = keyed("killed"), batches(40, 10)
    answers = []
    restarts = []
    with loader.tokenize_stream(context, values) as stream:
        for answer in stream:
            answers.append(answer)
            if len(answers) in (3, 20):
                for restart in restarts:
                    restart.join()
                own_vault.kill()
                restarts.append(threading.Timer(0.4, own_vault.start))
                restarts[-1].start()
    for restart in restarts:
        restart.join()
    assert len(restarts) == 2 and len(answers) == len(values)
    with loader.tokenize_stream(context, values) as stream:
        assert tokens_of(stream) == tokens_of(answers)


def test_a_stream_that_failed_goes_on_from_the_batch_without_an_answer(own_vault, client_of):
    loader = client_of(own_vault.config("loader", attempts_max=2)).connect()
    context, values = keyed("again"), batches(30, 5)
    answers = []
    with pytest.raises(tokenvault.TokenvaultError), loader.tokenize_stream(context, values) as stream:
        for answer in stream:
            answers.append(answer)
            if len(answers) == 4:
                own_vault.kill()
    assert stream.answered == len(answers) < len(values)
    assert next(stream, None) is None
    own_vault.start()
    loader = client_of(own_vault.config("loader")).connect()
    with loader.tokenize_stream(context, values[stream.answered :], first_number=stream.answered) as rest:
        answers.extend(rest)
    with loader.tokenize_stream(context, values) as stream:
        assert tokens_of(stream) == tokens_of(answers)


def test_what_has_no_name_is_not_sent_again(vault, wire, client_of):
    loader = client_of(vault.config("loader", wire.endpoint)).connect()
    context = dataclasses.replace(PUT, idempotency=Idempotency.OFF)
    with pytest.raises(tokenvault.TransportError), loader.tokenize_stream(context, batches(60, 5)) as stream:
        next(stream)
        wire.lose()
        list(stream)


def test_what_is_refused_as_a_whole_ends_a_stream(vault, client_of):
    payments, loader = client_of(vault.config("payments")), client_of(vault.config("loader"))
    context = dataclasses.replace(PUT, audience="NOT A NAME")
    with pytest.raises(tokenvault.InvalidRequest) as refused, loader.tokenize_stream(context, batches(3, 1)) as stream:
        next(stream)
    assert refused.value.request_id and stream.answered == 0
    # What is refused item by item is not.
    with payments.tokenize_stream(PUT, batches(2, 2)) as stream:
        assert all(isinstance(item.error, tokenvault.Denied) for answer in stream for item in answer.results)
    with pytest.raises(tokenvault.ConfigurationError):
        loader.tokenize_stream(PUT, [], first_number=-1)


def test_why_a_stream_is_refused_is_told_however_much_was_to_follow(vault, client_of):
    loader = client_of(vault.config("loader")).connect()
    # Without a key nothing is sent a second time, which would find the reason then.
    elsewhere = dataclasses.replace(PUT, region="apac", idempotency=Idempotency.OFF)
    for _ in range(50):
        with loader.tokenize_stream(elsewhere, batches(20, 50)) as stream, pytest.raises(tokenvault.WrongRegion):
            next(stream)


def test_a_stream_that_hangs_ends_at_the_deadline(vault, wire, client_of):
    loader = client_of(vault.config("loader", wire.endpoint, deadline=0.5)).connect()
    with loader.tokenize_stream(PUT, iter(batches(200, 1))) as stream:
        next(stream)
        # The time that the caller takes does not count.
        time.sleep(0.7)
        next(stream)
        wire.hold()
        begun = time.monotonic()
        with pytest.raises(tokenvault.DeadlineExceeded):
            list(stream)
    assert 0.4 < time.monotonic() - begun < 5


def test_the_callers_own_error_comes_after_the_answers(vault, client_of):
    def source():
        yield from batches(3, 1)
        raise LookupError("the source has failed")

    with client_of(vault.config("loader")).tokenize_stream(PUT, source()) as stream:
        assert len([next(stream) for _ in range(3)]) == 3
        with pytest.raises(LookupError):
            next(stream)


def test_answers_come_while_the_source_waits(vault):
    source = queue.Queue()
    with Client(vault.config("loader")) as loader, loader.tokenize_stream(PUT, iter(source.get, None)) as stream:
        for batch in batches(5, 2):
            source.put(batch)
            assert len(next(stream).get_all()) == 2
        source.put(None)
        assert next(stream, None) is None


def test_answers_come_to_tasks_while_the_source_waits(vault):
    async def answers():
        source = asyncio.Queue()

        async def taken():
            while (batch := await source.get()) is not None:
                yield batch

        async with AsyncClient(vault.config("loader")) as loader:
            async with loader.tokenize_stream(PUT, taken()) as stream:
                for batch in batches(5, 2):
                    await source.put(batch)
                    assert len((await stream.__anext__()).get_all()) == 2
                await source.put(None)
                return [answer async for answer in stream]

    assert asyncio.run(answers()) == []


def test_no_more_is_taken_ahead_than_the_window_says(vault):
    taken = []

    def source():
        for batch in batches(50, 1):
            taken.append(batch)
            yield batch

    with Client(vault.config("loader", stream_window=4)) as loader:
        with loader.tokenize_stream(PUT, source()) as stream:
            for answered in range(1, 11):
                next(stream)
                time.sleep(0.02)
                assert len(taken) <= answered + 4


def test_a_task_that_is_cancelled_leaves_the_client_in_order(vault):
    async def cancelled():
        async with AsyncClient(vault.config("loader")) as loader:
            calls = [asyncio.ensure_future(loader.tokenize(PUT, [NewValue("card_number", CARD)])) for _ in range(50)]
            await asyncio.sleep(0.003)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            return (await loader.tokenize(PUT, [NewValue("card_number", CARD)])).get_all()

    assert len(asyncio.run(cancelled())) == 1


def test_a_stream_that_is_dropped_ends(vault):
    before = {thread.name for thread in threading.enumerate() if thread.name.startswith("tokenvault-")}
    with Client(vault.config("loader", stream_window=1)) as loader:
        stream = loader.tokenize_stream(PUT, batches(50, 1))
        next(stream)
        del stream
        ends = time.monotonic() + 5
        while {thread.name for thread in threading.enumerate() if thread.name.startswith("tokenvault-")} - before:
            assert time.monotonic() < ends
            time.sleep(0.02)
