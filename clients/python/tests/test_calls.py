"""Calls as a service makes them, and what becomes of them when the vault refuses, hangs or goes away."""

import dataclasses
import secrets
import threading
import time

import grpc
import pytest
from conftest import CARD, EMAIL, PUT, SEE

import tokenvault
from tokenvault import (
    AccessLogFilter,
    AccessLogQuery,
    CallContext,
    FoundToken,
    HeldToken,
    Idempotency,
    KnownValue,
    NewValue,
    TokenState,
)


def emails(count, name="a"):
    return [NewValue("email", f"{name}{number}@example.org") for number in range(count)]


def test_values_become_tokens_and_tokens_values(vault, client_of):
    loader, payments = client_of(vault.config("loader")).connect(), client_of(vault.config("payments"))
    answer = loader.tokenize(PUT, [NewValue("card_number", CARD), NewValue("email", EMAIL.encode())])
    card, email = answer.get_all()
    assert len(card.token) == len(CARD) and card.token.endswith("1111") and card.token != CARD
    assert email.token.startswith("tok_eu_") and email.created
    (call,) = answer.calls
    assert call.items == range(0, 2) and call.attempts == 1 and len(call.request_id) == 32
    assert answer.receipts == [call.receipt] and call.receipt.origin.endswith("/audit/eu/1")
    assert len(call.receipt.log_id) == 32 and call.receipt.log_id != call.receipt.leaf_hash

    held = [HeldToken("card_number", card.token), HeldToken("email", email.token)]
    revealed = payments.detokenize(SEE, held)
    assert [value.text for value in revealed.get_all()] == [CARD, EMAIL]
    assert revealed.receipts[0].index > call.receipt.index
    assert revealed.receipts[0].log_id == call.receipt.log_id
    described = payments.describe_tokens(SEE, held).get_all()
    assert [told.format for told in described] == ["format_preserving", "opaque"]
    assert all(told.created_at_ms > 1_700_000_000_000 for told in described)


def test_values_are_found_under_the_tokens_that_they_have(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    (issued,) = loader.tokenize(PUT, [NewValue("card_number", CARD, ttl_seconds=600)]).get_all()
    unknown = KnownValue("card_number", "6011000990139424")
    answer = payments.find_tokens(SEE, [KnownValue("card_number", CARD), unknown, KnownValue("email", EMAIL)])
    found, missing, fresh = answer.results
    assert found.get() == FoundToken(issued.token, issued.expires_at_ms) and CARD not in repr(unknown)
    assert isinstance(missing.error, tokenvault.ValueNotFound)
    assert fresh.error.reason in ("ACCESS_DENIED", "CLASS_NOT_DETERMINISTIC")
    (call,) = answer.calls
    assert call.receipt.index > 0


def test_tokens_are_renewed_suspended_resumed_and_revoked(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    steward = client_of(vault.config("steward"))
    value = NewValue("email", EMAIL, ttl_seconds=600, max_uses=3)
    (issued,) = loader.tokenize(PUT, [value]).get_all()
    assert 590_000 < issued.expires_at_ms - time.time() * 1000 < 610_000
    held, care = [HeldToken("email", issued.token)], dataclasses.replace(PUT, purpose="housekeeping")
    (told,) = payments.describe_tokens(SEE, held).get_all()
    assert (told.uses, told.max_uses) == (0, 3)
    assert payments.detokenize(SEE, held).get_all()[0].text == EMAIL

    (life,) = steward.suspend_tokens(care, held).get_all()
    assert life.state is TokenState.SUSPENDED and (life.uses, life.max_uses, life.not_before_ms) == (1, 3, None)
    with pytest.raises(tokenvault.TokenNotFound):
        payments.detokenize(SEE, held).get_all()
    assert steward.resume_tokens(care, held).get_all()[0].state is TokenState.ACTIVE
    (life,) = steward.renew_tokens(care, held, ttl_seconds=3600).get_all()
    assert 3_590_000 < life.expires_at_ms - time.time() * 1000 < 3_610_000
    assert steward.renew_tokens(care, held).get_all()[0].expires_at_ms is None
    assert payments.detokenize(SEE, held).get_all()[0].text == EMAIL
    named = dataclasses.replace(care, idempotency=secrets.token_hex(8))
    for _ in range(2):
        assert steward.revoke_tokens(named, held).get_all()[0].state is TokenState.REVOKED
    with pytest.raises(tokenvault.TokenNotFound):
        payments.detokenize(SEE, held).get_all()
    with pytest.raises(tokenvault.TokenNotFound):
        steward.resume_tokens(care, held).get_all()

    computed = [HeldToken("card_number", CARD), HeldToken("email", "tok_eu_any")]
    assert [result.error.reason for result in steward.revoke_tokens(care, computed).results] == ["TOKEN_NOT_FOUND"] * 2
    for wrong in [{"ttl_seconds": 0}, {"max_uses": 2**32}, {"not_before_ms": -1}, {"max_uses": 1.5}]:
        with pytest.raises(tokenvault.ConfigurationError, match=next(iter(wrong))):
            loader.tokenize(PUT, [NewValue("email", EMAIL, **wrong)])
    late = NewValue("email", EMAIL, not_before_ms=int(time.time() * 1000) + 60_000)
    (issued,) = loader.tokenize(PUT, [late]).get_all()
    with pytest.raises(tokenvault.TokenNotFound):
        payments.detokenize(SEE, [HeldToken("email", issued.token)]).get_all()


def test_a_refused_item_stops_no_other(vault, client_of):
    loader = client_of(vault.config("loader"))
    values = [
        NewValue("card_number", "4111111111111112"),
        NewValue("email", EMAIL),
        NewValue("card_number", "x" * 70000),
    ]
    answer = loader.tokenize(PUT, values)
    broken, email, large = answer.results
    assert isinstance(broken.error, tokenvault.ValueRejected) and broken.error.rule == "luhn"
    assert large.error.reason == "VALUE_TOO_LARGE" and large.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert email.error is None and email.get().token
    with pytest.raises(tokenvault.ValueRejected):
        answer.get_all()
    assert answer.calls[0].error is None


def test_more_than_a_request_holds_goes_in_several(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    context = dataclasses.replace(PUT, idempotency="load-1")
    values = emails(2500)
    answer = loader.tokenize(context, values)
    tokens = [issued.token for issued in answer.get_all()]
    assert [call.items for call in answer.calls] == [range(0, 1000), range(1000, 2000), range(2000, 2500)]
    assert len({receipt.index for receipt in answer.receipts}) == 3
    again = loader.tokenize(context, values)
    assert [issued.token for issued in again.get_all()] == tokens
    revealed = payments.detokenize(SEE, [HeldToken("email", token) for token in tokens])
    assert [value.text for value in revealed.get_all()] == [item.value for item in values]
    assert loader.tokenize(PUT, []).results == []
    with pytest.raises(tokenvault.ConfigurationError, match="too long"):
        loader.tokenize(dataclasses.replace(PUT, idempotency="k" * 128), values)


def test_refusals_are_typed_and_known_by_their_request(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    globex, auditor = client_of(vault.config("globex-payments")), client_of(vault.config("auditor"))
    with pytest.raises(tokenvault.WrongRegion) as refused:
        loader.tokenize(CallContext("apac", "payments", "bulk_load"), emails(1))
    assert refused.value.region == "apac" and refused.value.endpoint == "https://vault-apac.example.com:8443"
    with pytest.raises(tokenvault.InvalidRequest) as refused:
        loader.tokenize(CallContext("eu", "NOT A NAME", "bulk_load"), emails(1))
    assert [violation.field for violation in refused.value.violations] == ["audience"]
    assert refused.value.reason == "FIELD_INVALID"

    (issued,) = loader.tokenize(dataclasses.replace(PUT, idempotency="once"), [NewValue("email", EMAIL)]).get_all()
    with pytest.raises(tokenvault.IdempotencyKeyReused):
        loader.tokenize(dataclasses.replace(PUT, idempotency="once"), [NewValue("email", "b" + EMAIL)])
    held = [HeldToken("email", issued.token)]
    foreign, unknown = globex.detokenize(SEE, held), payments.detokenize(SEE, [HeldToken("email", "tok_eu_nothing")])
    assert isinstance(foreign.results[0].error, tokenvault.TokenNotFound)
    assert str(foreign.results[0].error).split("(")[0] == str(unknown.results[0].error).split("(")[0]

    denied = loader.detokenize(SEE, held).results[0].error
    assert isinstance(denied, tokenvault.Denied) and denied.reason == "ACCESS_DENIED"
    asked = AccessLogQuery("eu", "audit", filter=AccessLogFilter(action="detokenize", decision="denied"))
    entry = next(entry for entry in auditor.access_log(asked) if entry.request_id == denied.request_id)
    assert entry.principal == "spiffe://dev.tokenvault.internal/loader"


def test_the_log_is_read_page_by_page(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    context = dataclasses.replace(PUT, reference=f"page-{time.time_ns() % 10**9}")
    receipts = [loader.tokenize(context, emails(1)).receipts[0] for _ in range(7)]
    asked = AccessLogQuery("eu", "audit", filter=AccessLogFilter(action="tokenize"), page_size=3)
    found = [entry for entry in auditor.access_log(asked) if entry.reference == context.reference]
    assert [entry.receipt.index for entry in found] == [receipt.index for receipt in reversed(receipts)]
    assert [entry.receipt.leaf_hash for entry in found] == [receipt.leaf_hash for receipt in reversed(receipts)]
    page = auditor.query_access_log(asked)
    assert len(page.entries) == 3 and page.next_page_token and page.receipt.index > receipts[-1].index
    assert page.log_size >= page.receipt.index


def test_the_log_is_asked_by_what_entries_show_and_counted(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    context = dataclasses.replace(PUT, reference=f"count-{time.time_ns() % 10**9}")
    receipts = [loader.tokenize(context, emails(1)).receipts[0] for _ in range(5)]
    asked = AccessLogQuery("eu", "audit", filter=AccessLogFilter(reference=context.reference), page_size=2)
    oldest = list(auditor.access_log(dataclasses.replace(asked, oldest_first=True)))
    assert [entry.receipt.index for entry in oldest] == [receipt.index for receipt in receipts]
    newest = list(auditor.access_log(asked))
    assert newest == list(reversed(oldest))
    (one,) = auditor.access_log(AccessLogQuery("eu", "audit", filter=AccessLogFilter(request_id=oldest[2].request_id)))
    assert one == oldest[2]
    narrow = dataclasses.replace(
        asked.filter, audience=one.audience, purpose=one.purpose, source="127.0.0.0/8", action="tokenize"
    )
    assert list(auditor.access_log(dataclasses.replace(asked, filter=narrow))) == newest
    for other in ({"source": "192.0.2.0/24"}, {"reason": "ACCESS_DENIED"}, {"purpose": "audit"}):
        none = dataclasses.replace(asked, filter=dataclasses.replace(narrow, **other))
        assert not list(auditor.access_log(none))

    counts = auditor.count_access_log(asked, "principal")
    assert counts.counts == {one.principal: 5} and counts.entries == 5 and len(counts.receipts) == 1
    hours = auditor.count_access_log(asked, "hour").counts
    assert sum(hours.values()) == 5 and all(hour % 3_600_000 == 0 for hour in hours)
    assert auditor.count_access_log(asked).counts == {}
    assert auditor.count_access_log(asked).entries == 5
    with pytest.raises(tokenvault.InvalidRequest):
        auditor.count_access_log(asked, "shoe_size")


def test_a_checkpoint_is_taken_only_if_it_verifies(vault, client_of):
    loader, auditor = client_of(vault.config("loader")), client_of(vault.config("auditor"))
    receipt = loader.tokenize(PUT, emails(1)).receipts[0]
    ends = time.monotonic() + 10
    while (checkpoint := auditor.checkpoint("eu")).size <= receipt.index:
        assert time.monotonic() < ends
        loader.tokenize(PUT, emails(1))
        time.sleep(0.2)
    assert checkpoint.origin == receipt.origin and len(checkpoint.root) == 32
    assert auditor.checkpoint("eu", pinned=checkpoint.verifier_key).origin == checkpoint.origin
    node = auditor.checkpoint(tokenvault.NODE)
    with pytest.raises(tokenvault.CheckpointRefuted):
        auditor.checkpoint("eu", pinned=node.verifier_key)


def test_the_deadline_ends_a_call_that_hangs(vault, wire, client_of):
    loader = client_of(vault.config("loader", wire.endpoint, deadline=0.6)).connect()
    assert loader.tokenize(PUT, emails(1)).get_all()
    wire.hold()
    for deadline in (None, 0.3):
        begun = time.monotonic()
        with pytest.raises(tokenvault.DeadlineExceeded):
            loader.tokenize(PUT, emails(1), deadline=deadline)
        assert (deadline or 0.6) * 0.9 < time.monotonic() - begun < 5
    with pytest.raises(tokenvault.ConfigurationError):
        loader.tokenize(PUT, emails(1), deadline=0)


def test_what_got_no_answer_is_repeated_under_its_key(vault, wire, client_of):
    loader, auditor = client_of(vault.config("loader", wire.endpoint)).connect(), client_of(vault.config("auditor"))
    loader.tokenize(PUT, emails(1))
    context = dataclasses.replace(PUT, reference=f"lost-{time.time_ns() % 10**9}")
    wire.lose()
    answer = loader.tokenize(context, emails(1, "lost"))
    assert wire.cuts == 1 and answer.calls[0].attempts == 2
    asked = AccessLogQuery("eu", "audit", filter=AccessLogFilter(action="tokenize"))
    entries = [entry for entry in auditor.access_log(asked) if entry.reference == context.reference]
    # It was carried out twice, and made one token.
    numbers = {number for entry in entries for items in entry.items for number in items.record_numbers}
    assert len(entries) == 2 and len(numbers) == 1


def test_what_has_no_name_is_not_repeated_unless_it_does_no_harm(vault, wire, client_of):
    loader, payments = (client_of(vault.config(name, wire.endpoint)).connect() for name in ("loader", "payments"))
    (issued,) = loader.tokenize(PUT, emails(1)).get_all()
    held = [HeldToken("email", issued.token)]
    wire.lose()
    with pytest.raises(tokenvault.TransportError):
        loader.tokenize(dataclasses.replace(PUT, idempotency=Idempotency.OFF), emails(1))
    payments.detokenize(SEE, held)
    wire.lose()
    with pytest.raises(tokenvault.TransportError):
        payments.detokenize(dataclasses.replace(SEE, idempotency=Idempotency.OFF), held)
    payments.describe_tokens(SEE, held)
    wire.lose()
    assert payments.describe_tokens(SEE, held).calls[0].attempts > 1


def test_a_single_use_whose_answer_is_lost_is_shown_by_the_repeat(vault, wire, client_of):
    loader, payments = (client_of(vault.config(name, wire.endpoint)).connect() for name in ("loader", "payments"))
    (issued,) = loader.tokenize(PUT, [NewValue("email", EMAIL, max_uses=1)]).get_all()
    payments.describe_tokens(SEE, [HeldToken("email", issued.token)])
    wire.lose()
    answer = payments.detokenize(SEE, [HeldToken("email", issued.token)])
    assert answer.calls[0].attempts == 2 and answer.get_all()[0].text == EMAIL
    (spent,) = payments.detokenize(SEE, [HeldToken("email", issued.token)]).results
    assert spent.error.reason == "TOKEN_NOT_FOUND"


def test_a_call_outlives_a_vault_that_is_killed_and_comes_back(own_vault, client_of):
    loader = client_of(own_vault.config("loader", attempts_max=10)).connect()
    context = dataclasses.replace(PUT, idempotency="survives")
    (before,) = loader.tokenize(context, [NewValue("email", EMAIL)]).get_all()
    own_vault.kill()
    back = threading.Timer(0.5, own_vault.start)
    back.start()
    answer = loader.tokenize(context, [NewValue("email", EMAIL)])
    back.join()
    assert answer.get_all()[0].token == before.token and answer.calls[0].attempts > 1


def test_an_endpoint_that_is_silent_is_left_alone_until_it_answers(own_vault, client_of):
    loader = client_of(own_vault.config("loader")).connect()
    own_vault.kill()
    for _ in range(2):
        with pytest.raises(tokenvault.TransportError):
            loader.tokenize(dataclasses.replace(PUT, idempotency=Idempotency.OFF), emails(1))
    # The third repeats, and meets the open circuit on its way.
    with pytest.raises((tokenvault.CircuitOpen, tokenvault.TransportError)):
        loader.tokenize(PUT, emails(1), deadline=0.4)
    begun = time.monotonic()
    with pytest.raises(tokenvault.CircuitOpen) as refused:
        loader.tokenize(PUT, emails(1))
    assert time.monotonic() - begun < 0.1 and refused.value.retry_after > 0
    own_vault.start()
    ends = time.monotonic() + 20
    while True:
        try:
            assert loader.tokenize(PUT, emails(1)).get_all()
            break
        except tokenvault.TokenvaultError:
            assert time.monotonic() < ends
            time.sleep(0.1)


def test_who_is_not_trusted_is_told_apart(vault, own_vault, client_of):
    # The certificate of another authority: the vault refuses it.
    config = own_vault.config("loader")
    stranger = vault.config("loader")
    config = dataclasses.replace(config, certificate=stranger.certificate, key=stranger.key)
    with pytest.raises(tokenvault.CertificateRefused):
        client_of(config).tokenize(PUT, emails(1))
    # A key of another certificate.
    with pytest.raises(tokenvault.ConfigurationError, match="does not belong"):
        client_of(dataclasses.replace(stranger, key=own_vault.config("loader").key)).tokenize(PUT, emails(1))
    # A vault of another authority: we refuse it, before anything is sent.
    config = dataclasses.replace(stranger, endpoint=own_vault.endpoint, deadline=2.0)
    with pytest.raises(tokenvault.ConnectError):
        client_of(config).connect()
    with pytest.raises(tokenvault.ConnectError):
        client_of(config).tokenize(PUT, emails(1))


def test_calls_go_elsewhere_only_where_that_is_allowed(vault, copy_of_vault, client_of):
    context = dataclasses.replace(PUT, region="apac")
    apac = copy_of_vault("apac", "vault.toml", '["eu", "us"]', '["apac"]')
    by_region = client_of(vault.config("loader", regions={"apac": apac.endpoint}))
    assert by_region.tokenize(context, emails(1)).receipts[0].origin.endswith("/audit/apac/1")
    assert by_region.tokenize(PUT, emails(1)).receipts[0].origin.endswith("/audit/eu/1")

    # This one names the vault that serves the region.
    naming = copy_of_vault("naming", "catalog.toml", "https://vault-apac.example.com:8443", apac.endpoint)
    followed = client_of(naming.config("loader", followed=(apac.endpoint,)))
    assert followed.tokenize(context, emails(1)).receipts[0].origin.endswith("/audit/apac/1")
    assert followed.tokenize(PUT, emails(1)).receipts[0].origin.endswith("/audit/eu/1")
    streaming = client_of(naming.config("loader", followed=(apac.endpoint,)))
    with streaming.tokenize_stream(context, [emails(1)] * 3) as stream:
        assert {answer.receipts[0].origin.split("/")[2] for answer in stream} == {"apac"}
    for listed in ((), ("https://127.0.0.1:1",)):
        client = client_of(naming.config("loader", followed=listed))
        with pytest.raises(tokenvault.WrongRegion):
            client.tokenize(context, emails(1))
        with pytest.raises(tokenvault.WrongRegion), client.tokenize_stream(context, [emails(1)]) as stream:
            next(stream)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "http://127.0.0.1:1"},
        {"endpoint": "https://127.0.0.1"},
        {"endpoint": "https://127.0.0.1:1/path"},
        {"endpoint": "https://user@127.0.0.1:1"},
        {"deadline": 0},
        {"deadline": 3601},
        {"attempts_max": 11},
        {"in_flight_max": 0},
        {"ca": b"none"},
        {"key": b"none"},
        {"followed": ("https://nowhere",)},
        {"regions": {"eu": "nowhere"}},
    ],
    ids=str,
)
def test_a_configuration_is_checked_before_anything_is_dialled(vault, wrong):
    with pytest.raises(tokenvault.ConfigurationError):
        dataclasses.replace(vault.config("loader"), **wrong)
