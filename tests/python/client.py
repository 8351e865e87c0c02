#!/usr/bin/env python3
"""A client of the vault that has nothing of the vault's but its contract, proto/.

    client.py --address HOST:PORT --proto FOLDER --certificates FOLDER

Generates its stubs, connects with client certificates (loader.pem, payments.pem, auditor.pem and their keys, ca.pem),
replaces values by tokens, reveals them, and reads what the vault says of what it refuses. It ends with `all is well`,
or with the assertion that failed.
"""

import argparse
import hashlib
import importlib.resources
import pathlib
import secrets
import sys
import tempfile
import time

import grpc
import grpc_tools.protoc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

CARD = b"4111111111111111"
EMAIL = b"python@example.org"


def generate(proto, out):
    """Generates the stubs of all files of the contract and puts them on the path."""
    files = sorted(str(file.relative_to(proto)) for file in proto.glob("tokenvault/v1/*.proto"))
    assert files, f"there is no contract in {proto}"
    common = importlib.resources.files("grpc_tools") / "_proto"
    outputs = [f"--python_out={out}", f"--grpc_python_out={out}"]
    code = grpc_tools.protoc.main(["protoc", f"-I{proto}", f"-I{common}", *outputs, *files])
    assert code == 0, "protoc refused the contract"
    sys.path.insert(0, str(out))


def connect(address, certificates, name):
    """A channel with a client certificate, or without one."""
    ca = (certificates / "ca.pem").read_bytes()
    key = chain = None
    if name:
        key = (certificates / f"{name}.key").read_bytes()
        chain = (certificates / f"{name}.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "localhost")])


def detail(status, kind):
    """The one detail of a kind, out of a google.rpc.Status."""
    found = []
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    assert len(found) == 1, f"{len(found)} details of {kind.__name__}"
    return found[0]


def fresh():
    """What a call says so that it counts once: a nonce that was never used, and the time."""
    return [("tokenvault-nonce", secrets.token_hex(16)), ("tokenvault-timestamp", str(time.time_ns() // 1_000_000))]


def refused(call, request, code, reason, metadata=None):
    """Makes a call that must be refused, and returns the status."""
    try:
        call(request, timeout=10, metadata=metadata or fresh())
    except grpc.RpcError as error:
        assert error.code() == code, error
        status = rpc_status.from_call(error)
        info = detail(status, error_details_pb2.ErrorInfo)
        assert (info.domain, info.reason) == ("tokenvault", reason), info
        request_id = dict(error.trailing_metadata() or ()) | dict(error.initial_metadata() or ())
        assert detail(status, error_details_pb2.RequestInfo).request_id == request_id["tokenvault-request-id"]
        return status
    raise AssertionError(f"{reason} was expected")


def tokenize_and_reveal(v1, loader, payments):
    """Values in, tokens out, and back; the same request again gives the same tokens."""
    request = v1.TokenizeRequest(
        region="eu",
        purpose="bulk_load",
        reference="order-1",
        audience="payments",
        idempotency_key="python-1",
        items=[
            v1.TokenizeItem(data_class="card_number", value=CARD),
            v1.TokenizeItem(data_class="email", value=EMAIL),
            v1.TokenizeItem(data_class="card_number", value=b"4111111111111112"),
        ],
    )
    answer = loader.Tokenize(request, timeout=10)
    card, email, broken = answer.results
    assert card.issued.created and len(card.issued.token) == len(CARD) and card.issued.token[-4:] == "1111"
    assert email.issued.token.startswith("tok_eu_")
    info = detail(broken.error, error_details_pb2.ErrorInfo)
    assert (broken.error.code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "VALUE_REJECTED"), info
    assert info.metadata["rule"], info
    assert len(answer.receipt.leaf_hash) == hashlib.sha256().digest_size
    again = loader.Tokenize(request, timeout=10)
    assert [result.issued.token for result in again.results] == [card.issued.token, email.issued.token, ""]
    assert again.receipt.index > answer.receipt.index, "a repeat is an entry of its own"

    tokens = [("card_number", card.issued.token), ("email", email.issued.token), ("email", "tok_eu_nothing")]
    answer = payments.Detokenize(
        v1.DetokenizeRequest(
            region="eu",
            purpose="settlement",
            audience="payments",
            items=[v1.DetokenizeItem(data_class=data_class, token=token) for data_class, token in tokens],
        ),
        timeout=10,
        metadata=fresh(),
    )
    assert [result.revealed.value for result in answer.results] == [CARD, EMAIL, b""]
    info = detail(answer.results[2].error, error_details_pb2.ErrorInfo)
    assert info.reason == "TOKEN_NOT_FOUND", info
    return answer.receipt


def refusals(v1, loader):
    """What the vault refuses, it refuses in gRPC's own words."""
    item = v1.TokenizeItem(data_class="email", value=EMAIL)
    good = {"region": "eu", "purpose": "bulk_load", "audience": "payments"}
    empty = refused(loader.Tokenize, v1.TokenizeRequest(**good), grpc.StatusCode.INVALID_ARGUMENT, "BATCH_EMPTY")
    assert empty.message
    wrong = v1.TokenizeRequest(**{**good, "region": "apac"}, items=[item])
    status = refused(loader.Tokenize, wrong, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_REGION")
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info.metadata["endpoint"] == "https://vault-apac.example.com:8443", info
    field = v1.TokenizeRequest(**{**good, "audience": "NOT A NAME"}, items=[item])
    status = refused(loader.Tokenize, field, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert detail(status, error_details_pb2.BadRequest).field_violations[0].field == "audience"
    asked = v1.DetokenizeRequest(
        **{**good, "purpose": "settlement"}, items=[v1.DetokenizeItem(data_class="email", token="tok_eu_x")]
    )
    once = fresh()
    answer = loader.Detokenize(asked, timeout=10, metadata=once)
    refused(loader.Detokenize, asked, grpc.StatusCode.FAILED_PRECONDITION, "NONCE_REPLAYED", once)
    denied = answer.results[0].error
    assert denied.code == grpc.StatusCode.PERMISSION_DENIED.value[0], denied
    assert detail(denied, error_details_pb2.ErrorInfo).reason == "ACCESS_DENIED"


def audit(audit_v1, auditor, receipt):
    """The entry of the reveal is in the log, and a signed checkpoint covers it."""
    entry_filter = audit_v1.AccessLogFilter(action="detokenize", decision="allowed")
    request = audit_v1.QueryAccessLogRequest(region="eu", purpose="audit", filter=entry_filter)
    entries = auditor.QueryAccessLog(request, timeout=10).entries
    entry = next(entry for entry in entries if entry.receipt == receipt)
    assert entry.principal == "spiffe://test.tokenvault/payments" and entry.purpose == "settlement", entry
    answer = auditor.GetCheckpoint(audit_v1.GetCheckpointRequest(region="eu"), timeout=10)
    origin, size, *_ = answer.checkpoint.split("\n")
    assert origin == receipt.origin and int(size) > receipt.index and answer.verifier_key.startswith(origin)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--address", required=True)
    arguments.add_argument("--proto", required=True, type=pathlib.Path)
    arguments.add_argument("--certificates", required=True, type=pathlib.Path)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as out:
        generate(arguments.proto.resolve(), out)
        from tokenvault.v1 import audit_service_pb2 as audit_v1
        from tokenvault.v1 import audit_service_pb2_grpc, token_service_pb2_grpc
        from tokenvault.v1 import token_service_pb2 as v1

        def channel(name):
            return connect(arguments.address, arguments.certificates, name)

        loader = token_service_pb2_grpc.TokenServiceStub(channel("loader"))
        payments = token_service_pb2_grpc.TokenServiceStub(channel("payments"))
        auditor = audit_service_pb2_grpc.AuditServiceStub(channel("auditor"))
        receipt = tokenize_and_reveal(v1, loader, payments)
        refusals(v1, loader)
        audit(audit_v1, auditor, receipt)
        nobody = token_service_pb2_grpc.TokenServiceStub(channel(None))
        try:
            nobody.Tokenize(v1.TokenizeRequest(), timeout=10)
            raise AssertionError("a caller without a certificate was answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    print("all is well")


if __name__ == "__main__":
    main()
