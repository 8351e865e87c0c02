"""What every attempt shows, and when there is another: looked at from the side of the server.

A server of the test stands where the vault stands, since a vault can't be told to refuse in a certain way, and does not
say what it was shown. It decides nothing else.
"""

import concurrent.futures
import http.server
import json
import ssl
import threading
import time
import urllib.parse

import grpc
import pytest
from conftest import EMAIL, PUT, free_port
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

import tokenvault
from tokenvault import ClientCredentials, FileToken, NewValue, StaticToken
from tokenvault.v1 import audit_service_pb2 as audit_v1
from tokenvault.v1 import token_service_pb2 as v1


def refusal(code, reason, retry_seconds=None, domain="tokenvault"):
    """The status of a refusal, as the vault writes it."""
    details = [error_details_pb2.ErrorInfo(reason=reason, domain=domain)]
    if retry_seconds is not None:
        pause = duration_pb2.Duration(nanos=int(retry_seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=pause))
    packed = [any_pb2.Any() for _ in details]
    for any_, detail in zip(packed, details):
        any_.Pack(detail)
    return status_pb2.Status(code=code.value[0], message="refused", details=packed)


class Server(grpc.GenericRpcHandler):
    """Refuses as it is told, one call after the other, then issues tokens."""

    def __init__(self):
        self.refusals = []
        self.shown = []
        self.keys = []
        self.times = []

    def service(self, details):
        if details.method.endswith("Stream"):
            handler = grpc.stream_stream_rpc_method_handler
            return handler(
                self._stream, v1.TokenizeStreamRequest.FromString, v1.TokenizeStreamResponse.SerializeToString
            )
        handler = grpc.unary_unary_rpc_method_handler
        return handler(self._tokenize, v1.TokenizeRequest.FromString, v1.TokenizeResponse.SerializeToString)

    def _tokenize(self, request, context):
        self._meet(context)
        self.keys.append(request.idempotency_key)
        self._refuse(context)
        results = [self._issued() for _ in request.items]
        return v1.TokenizeResponse(results=results, receipt=self._receipt())

    def _stream(self, requests, context):
        self._meet(context)
        self._refuse(context)
        for request in requests:
            if request.HasField("start"):
                self.keys.append(request.start.idempotency_key)
            results = [self._issued() for _ in request.items]
            yield v1.TokenizeStreamResponse(sequence=request.sequence, results=results, receipt=self._receipt())
            self._refuse(context)

    def _meet(self, context):
        self.shown.append(dict(context.invocation_metadata()))
        self.times.append(time.monotonic())

    def _refuse(self, context):
        if self.refusals:
            status = self.refusals.pop(0)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            context.abort(code, status.message)

    def _issued(self):
        return v1.TokenizeResult(issued=v1.TokenIssued(token="tok_eu_x", created=True))

    def _receipt(self):
        return audit_v1.Receipt(origin="v/audit/eu/1", index=1, leaf_hash=bytes(32), log_id=bytes(32))


@pytest.fixture
def server(vault):
    """A server with the vault's certificate."""
    handler = Server()
    files = [vault.folder / name for name in ("server.key", "server.pem", "ca.pem")]
    key, certificate, ca = (file.read_bytes() for file in files)
    credentials = grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        serving = grpc.server(pool)
        serving.add_generic_rpc_handlers((handler,))
        handler.port = serving.add_secure_port("127.0.0.1:0", credentials)
        handler.endpoint = f"https://127.0.0.1:{handler.port}"
        serving.start()
        yield handler
        serving.stop(0).wait()


BUSY = refusal(grpc.StatusCode.UNAVAILABLE, "BUSY")
LOADER = "spiffe://dev.tokenvault.internal/loader"
VALUES = [NewValue("email", EMAIL)]


def test_every_attempt_shows_what_no_other_did(vault, server, client_of):
    loader = client_of(vault.config("loader", server.endpoint, token_source=StaticToken("a.b.c")))
    server.refusals = [BUSY, BUSY, BUSY]
    answer = loader.tokenize(PUT, VALUES)
    assert answer.calls[0].attempts == 4 and len(set(server.keys)) == 1 and len(server.keys[0]) == 32
    server.refusals = [BUSY]
    with loader.tokenize_stream(PUT, [VALUES]) as stream:
        assert len(list(stream)) == 1
    nonces = [shown["tokenvault-nonce"] for shown in server.shown]
    assert len(nonces) == len(set(nonces)) == 6
    assert all(len(bytes.fromhex(nonce)) == 16 and nonce == nonce.lower() for nonce in nonces)
    now = time.time() * 1000
    assert all(now - 30_000 < int(shown["tokenvault-timestamp"]) <= now for shown in server.shown)
    assert {shown["authorization"] for shown in server.shown} == {"Bearer a.b.c"}


@pytest.mark.parametrize(
    ("status", "attempts", "kind"),
    [
        (BUSY, 4, tokenvault.Unavailable),
        (refusal(grpc.StatusCode.ABORTED, "COMMIT_CONFLICT"), 4, tokenvault.CommitConflict),
        (refusal(grpc.StatusCode.UNAVAILABLE, "BUSY", domain="proxy.example.com"), 4, tokenvault.TransportError),
        (refusal(grpc.StatusCode.ABORTED, "COMMIT_CONFLICT", domain="proxy.example.com"), 1, tokenvault.Refused),
        (refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"), 1, tokenvault.Refused),
        (refusal(grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED"), 1, tokenvault.Denied),
        (refusal(grpc.StatusCode.UNAUTHENTICATED, "PRINCIPAL_UNKNOWN"), 1, tokenvault.Denied),
        (refusal(grpc.StatusCode.INTERNAL, "INTERNAL"), 1, tokenvault.Refused),
        (refusal(grpc.StatusCode.NOT_FOUND, "NOT_INVENTED_YET"), 1, tokenvault.Refused),
    ],
    ids=lambda value: getattr(value, "message", None) and str(value.code),
)
def test_only_what_can_help_is_repeated(vault, server, client_of, status, attempts, kind):
    loader = client_of(vault.config("loader", server.endpoint))
    server.refusals = [status] * 5
    with pytest.raises(kind) as refused:
        loader.tokenize(PUT, VALUES)
    assert len(server.shown) == attempts and len(set(server.keys)) == 1
    if isinstance(refused.value, tokenvault.Refused) and "proxy" not in str(status):
        assert refused.value.reason and refused.value.code.value[0] == status.code


def test_the_vaults_own_pause_is_kept_or_not_begun(vault, server, client_of):
    loader = client_of(vault.config("loader", server.endpoint, deadline=2.0))
    server.refusals = [refusal(grpc.StatusCode.UNAVAILABLE, "BUSY", 0.4)]
    assert loader.tokenize(PUT, VALUES).get_all()
    assert server.times[1] - server.times[0] >= 0.4
    server.refusals = [refusal(grpc.StatusCode.UNAVAILABLE, "BUSY", 0.9)]
    begun = time.monotonic()
    with pytest.raises(tokenvault.Unavailable) as refused:
        loader.tokenize(PUT, VALUES, deadline=0.8)
    assert time.monotonic() - begun < 0.5 and refused.value.retry_after == pytest.approx(0.9)


def test_a_stream_goes_on_after_what_passes(vault, server, client_of):
    # gRPC itself may fail a stream that ends while it is written to ("Internal error from Core"): that passes too.
    loader = client_of(vault.config("loader", server.endpoint, attempts_max=7))
    passing = [("ABORTED", "COMMIT_CONFLICT"), ("DEADLINE_EXCEEDED",) * 2, ("CANCELLED",) * 2, ("UNAVAILABLE", "BUSY")]
    server.refusals = [refusal(grpc.StatusCode[code], reason) for code, reason in passing]
    with loader.tokenize_stream(PUT, [VALUES] * 12) as stream:
        assert len(list(stream)) == 12
    assert 5 <= len(server.shown) <= 7 and len(set(server.keys)) == 1
    server.refusals = [BUSY] * 9
    before = len(server.shown)
    given_up = pytest.raises((tokenvault.Unavailable, tokenvault.TransportError))
    with given_up, loader.tokenize_stream(PUT, [VALUES]) as stream:
        list(stream)
    assert 1 <= len(server.shown) - before <= 7


def test_a_token_in_a_file_is_read_again_when_it_changes(vault, server, client_of, tmp_path):
    file = tmp_path / "token"
    loader = client_of(vault.config("loader", server.endpoint, token_source=FileToken(file)))
    with pytest.raises(tokenvault.TokenUnavailable):
        loader.tokenize(PUT, VALUES)
    for token in ("one", "second"):
        (tmp_path / "new").write_text(token + "\n")
        (tmp_path / "new").rename(file)
        loader.tokenize(PUT, VALUES)
        loader.tokenize(PUT, VALUES)
    shown = [shown["authorization"] for shown in server.shown]
    assert shown == ["Bearer one"] * 2 + ["Bearer second"] * 2


class Authorization(http.server.BaseHTTPRequestHandler):
    """An authorization server: it gives a new token for every request, or what it is told to."""

    def do_POST(self):
        told = self.server.told
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        ((_, name),) = self.connection.getpeercert()["subjectAltName"]
        number = len(told["asked"]) + 1
        told["asked"].append({**dict(urllib.parse.parse_qsl(body)), "shown": name})
        answer = told["answers"].pop(0) if told["answers"] else None
        time.sleep(told["delay"])
        if answer is None:
            answer = (
                200,
                json.dumps({"access_token": f"t{number}", "token_type": "Bearer", "expires_in": told["life"]}),
            )
        self.send_response(answer[0])
        self.send_header("location", "https://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(answer[1].encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def authorization(vault):
    """Where tokens are issued, over mutual TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=vault.folder / "ca.pem")
    context.load_cert_chain(vault.folder / "server.pem", vault.folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Authorization)
    serving.socket = context.wrap_socket(serving.socket, server_side=True)
    serving.told = {"asked": [], "answers": [], "life": 3600, "delay": 0}
    serving.url = f"https://localhost:{serving.server_port}/token"
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def credentials(vault, url, **more):
    clients = vault.folder / "clients"
    files = {"ca": vault.folder / "ca.pem", "certificate": clients / "loader.pem", "key": clients / "loader.key"}
    return ClientCredentials(url, "order-service", **files, **more)


def test_tokens_are_fetched_over_mutual_tls_and_renewed_before_they_expire(vault, server, authorization, client_of):
    source = credentials(vault, authorization.url, scope="vault", audience="vault-eu", more={"resource": "r"})
    loader = client_of(vault.config("loader", server.endpoint, token_source=source))
    for _ in range(3):
        loader.tokenize(PUT, VALUES)
    asked = {"grant_type": "client_credentials", "client_id": "order-service", "scope": "vault"}
    assert authorization.told["asked"] == [{**asked, "audience": "vault-eu", "resource": "r", "shown": LOADER}]
    # What the vault does not know is not shown again.
    server.refusals = [refusal(grpc.StatusCode.UNAUTHENTICATED, "PRINCIPAL_UNKNOWN")]
    with pytest.raises(tokenvault.Denied):
        loader.tokenize(PUT, VALUES)
    authorization.told["life"] = 3
    loader.tokenize(PUT, VALUES)
    loader.tokenize(PUT, VALUES)
    time.sleep(2.5)
    # It would live for a moment more; while the server is away it is shown still, and no call waits for the next one.
    authorization.told["answers"] = [(500, "")]
    loader.tokenize(PUT, VALUES)
    loader.tokenize(PUT, VALUES)
    time.sleep(1.1)
    loader.tokenize(PUT, VALUES)
    shown = [shown["authorization"].split()[1] for shown in server.shown]
    assert shown == ["t1"] * 4 + ["t2"] * 4 + ["t4"]


def test_many_who_ask_at_once_need_one_token_and_nobody_waits_beyond_its_time(vault, authorization):
    source = credentials(vault, authorization.url)
    authorization.told["delay"] = 0.5
    with pytest.raises(tokenvault.TokenUnavailable) as late:
        source.token(0.1)
    assert late.value.is_passing
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        shown = list(threads.map(lambda _: source.token(5), range(16)))
    assert set(shown) == {"t1"} and len(authorization.told["asked"]) == 1
    # A server that says nothing is left after five seconds, and not asked again by each who calls.
    authorization.told["delay"] = 20
    source.refused("t1")
    begun = time.monotonic()
    with pytest.raises(tokenvault.TokenUnavailable, match="no answer in time"):
        source.token(60)
    assert 4 < time.monotonic() - begun < 8
    with pytest.raises(tokenvault.TokenUnavailable, match="no answer in time"):
        source.token(60)
    assert len(authorization.told["asked"]) == 2


def test_an_authorization_server_that_gives_none_is_told_apart(vault, authorization):
    secret = "eyJ.very-Secret"
    answers = [
        (200, json.dumps({"access_token": f"{secret} x", "token_type": "Bearer"})),
        (200, json.dumps({"access_token": secret, "token_type": "mac"})),
        (200, json.dumps({"access_token": secret, "expires_in": -1})),
        (200, secret),
        (200, secret * 10_000),
        (200, "[" * 60_000),
        (302, secret),
        (401, secret),
        (503, secret),
    ]
    for number, answer in enumerate(answers):
        authorization.told["answers"] = [answer]
        with pytest.raises(tokenvault.TokenUnavailable) as refused:
            credentials(vault, authorization.url).token(5)
        assert secret not in str(refused.value) and refused.value.is_passing == (number == len(answers) - 1)
    with pytest.raises(tokenvault.TokenUnavailable):
        credentials(vault, f"https://127.0.0.1:{free_port()}/").token(5)
    authorization.told["answers"] = [(400, json.dumps({"error": "invalid_client", "error_description": secret}))]
    with pytest.raises(tokenvault.TokenUnavailable) as refused:
        credentials(vault, authorization.url).token(5)
    assert str(refused.value) == "the authorization server refuses a token: invalid_client"
    for url in ("http://localhost/", "https://me@localhost/", "https://localhost/#a", "https:///", "https://a b/"):
        with pytest.raises(tokenvault.ConfigurationError):
            credentials(vault, url)
    for wrong in ("", "a\nb", "\u00e4", "x" * 1025):
        with pytest.raises(tokenvault.ConfigurationError):
            credentials(vault, authorization.url, scope=wrong)
    with pytest.raises(tokenvault.ConfigurationError):
        credentials(vault, authorization.url).__class__("https://x/", "c", ca="/nowhere", certificate="/x", key="/x")


def test_an_answer_that_makes_no_sense_is_refused(vault, server, client_of):
    loader = client_of(vault.config("loader", server.endpoint))
    server._issued = v1.TokenizeResult
    with pytest.raises(tokenvault.AnswerMalformed):
        loader.tokenize(PUT, VALUES)
    server._issued = lambda: v1.TokenizeResult(issued=v1.TokenIssued(token="t"))
    server._issued = lambda: v1.TokenizeResult(issued=v1.TokenIssued(token="tok_eu_x", created=True))
    server._receipt = lambda: audit_v1.Receipt(origin="v/audit/eu/1", index=1, leaf_hash=bytes(32), log_id=bytes(31))
    with pytest.raises(tokenvault.AnswerMalformed):
        loader.tokenize(PUT, VALUES)
    server._receipt = audit_v1.Receipt
    with pytest.raises(tokenvault.AnswerMalformed):
        loader.tokenize(PUT, VALUES)
    with pytest.raises(tokenvault.AnswerMalformed), loader.tokenize_stream(PUT, [VALUES]) as stream:
        next(stream)


def test_details_that_are_none_are_left_out():
    from tokenvault._errors import of_item

    packed = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    error = of_item(status_pb2.Status(code=5, message="gone", details=[packed]), "1f")
    assert type(error) is tokenvault.Refused and (error.reason, error.request_id) == ("", "1f")
    assert of_item(status_pb2.Status(code=77), None).code == grpc.StatusCode.UNKNOWN
