#!/usr/bin/env python3
"""An order service: it takes card numbers and addresses at its door, keeps tokens, and sees a card again only to settle
the order. It must never write a value anywhere: not to its database, not to its log, not into an answer.

    service.py   settings and HTTP: what comes in, what goes out, by which status
    vault.py     the two calls to the vault, and what its refusals mean for an order
    orders.py    the database in which orders are kept

It runs against `tokenvault dev --serve`; docs/examples/README.md has the commands.
"""

import dataclasses
import http.server
import json
import logging
import math
import os
import pathlib
import re
import signal
import sys
import threading

import vault
from orders import Orders, is_number

BODY_BYTES_MAX = 16 * 1024
# How long a caller of ours may take to send a request.
REQUEST_SECONDS_MAX = 10

log = logging.getLogger("orders")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that differs from one place to another.

    Names of regions, audiences and purposes are those of the vault's catalog; its operators say which ones a service is
    granted. The identity that brings values in can't see them again; the one that sees cards brings nothing in. A
    service that needs one of the two has only that one.
    """

    listen: tuple
    folder: pathlib.Path
    endpoint: str
    ca: pathlib.Path
    identities: pathlib.Path
    takes_as: str
    settles_as: str
    region: str
    audience: str
    take_purpose: str
    settle_purpose: str

    @classmethod
    def read(cls, environment):
        def needed(name):
            return environment.get(name) or sys.exit(f"set {name}; see docs/examples/README.md")

        host, _, port = needed("ORDERS_LISTEN").rpartition(":")
        return cls(
            listen=(host, int(port)),
            folder=pathlib.Path(needed("ORDERS_FOLDER")),
            endpoint=needed("TOKENVAULT_ENDPOINT").removeprefix("https://"),
            ca=pathlib.Path(needed("TOKENVAULT_CA")),
            identities=pathlib.Path(needed("ORDERS_IDENTITIES")),
            takes_as=environment.get("ORDERS_TAKES_AS", "loader"),
            settles_as=environment.get("ORDERS_SETTLES_AS", "payments"),
            region=environment.get("ORDERS_REGION", "eu"),
            audience=environment.get("ORDERS_AUDIENCE", "payments"),
            take_purpose=environment.get("ORDERS_TAKE_PURPOSE", "bulk_load"),
            settle_purpose=environment.get("ORDERS_SETTLE_PURPOSE", "settlement"),
        )


class Refused(Exception):
    """A request that is not answered as it hoped: status, body, headers. The body never holds what was sent."""

    def __init__(self, status, error, headers=None, **more):
        super().__init__(error)
        self.status, self.body, self.headers = status, {"error": error, **more}, headers or {}


UNKNOWN = (404, "there is no such order")
TAKEN = (409, "there is another order with this number")


class Service:
    """What the paths do. Each returns a status and what is shown."""

    def __init__(self, the_vault, orders):
        self._vault, self._orders = the_vault, orders

    def place(self, body, key):
        """Takes an order. The header `Idempotency-Key` names the request: a repeat of it gets the same answer."""
        number, amount_cents, card_number, email = self._parse(body)
        if not is_number(number):
            raise Refused(400, "order must match [A-Za-z0-9-]{1,32} and hold no run of 13 digits")
        if not re.fullmatch(r"[!-~]{1,80}", key):
            raise Refused(400, "the header Idempotency-Key must hold 1 to 80 visible ASCII characters")
        key = f"order/{number}/{key}"
        there = self._orders.find(number)
        # Asked before the vault is: what nobody will point to should not be stored there.
        if there and there.key != key:
            raise Refused(*TAKEN)
        tokens, evidence = self._vault.take(number, key, card_number, email)
        new = self._orders.place(number, key, amount_cents, tokens, evidence)
        order = self._orders.find(number)
        if new:
            log.info("order placed", extra={"order": number, "vault_request": evidence.request})
        elif (order.tokens, order.amount_cents) != (tokens, amount_cents):
            raise Refused(*TAKEN)
        return 201 if new else 200, self._shown(order)

    def show(self, number):
        """Shows what is kept: tokens, and receipts."""
        return 200, self._shown(self._find(number))

    def settle(self, number):
        """Settles an order: the one place where a card is seen again, for as long as the charge takes."""
        order = self._find(number)
        if not order.settled:
            card, evidence = self._vault.reveal_card(number, order.tokens)
            # The receipt is kept before the card is used: whatever happens next, that it was seen can be proven.
            self._orders.keep(number, evidence)
            charged = charge(number, order.amount_cents, card)
            del card
            if not charged:
                log.error("charge refused", extra={"order": number, "vault_request": evidence.request})
                raise Refused(502, "the payment provider refused the charge")
            self._orders.settle(number)
            log.info("order settled", extra={"order": number, "vault_request": evidence.request})
        return 200, self._shown(self._find(number))

    def _find(self, number):
        # What is no number may be a card number, and goes no further.
        order = self._orders.find(number) if is_number(number) else None
        if order is None:
            raise Refused(*UNKNOWN)
        return order

    @staticmethod
    def _parse(body):
        try:
            sent = json.loads(body)
            number, amount_cents = sent["order"], sent["amount_cents"]
            card_number, email = sent["card_number"].encode(), sent["email"].encode()
            if not isinstance(number, str) or type(amount_cents) is not int or not 0 <= amount_cents < 2**63:
                raise ValueError
            return number, amount_cents, card_number, email
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not what Python says: its messages quote what they could not read.
            wanted = "the body must be JSON: order, card_number, email as strings, amount_cents as a number"
            raise Refused(400, wanted) from None

    @staticmethod
    def _shown(order):
        return {
            "order": order.number,
            "amount_cents": order.amount_cents,
            "tokens": dataclasses.asdict(order.tokens),
            "status": "settled" if order.settled else "placed",
            "receipts": order.receipts,
        }


def charge(_number, _amount_cents, card):
    """Where a company calls its payment provider, with the order's number as the provider's idempotency key, so that no
    repeat charges twice.

    Like any provider it refuses what fails the Luhn check (ISO/IEC 7812-1, annex B), as every token of the sample
    catalog's card numbers does: a token that is sent by mistake is charged to nobody.
    """
    digits = [byte - ord("0") for byte in reversed(card)]
    doubled = (digit * 2 // 10 + digit * 2 % 10 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def refused(problem):
    """What a problem with the vault is to whoever calls us."""
    match problem:
        case vault.Values():
            return Refused(422, "correct these fields and send the order under a new key", fields=problem.fields)
        case vault.KeyReused():
            return Refused(409, "this key was used with other values; use a new key for a new request")
        case vault.CardGone():
            return Refused(409, "the card is not on file any more; ask the customer for it again")
        case vault.Away():
            after = str(max(1, math.ceil(problem.after_seconds)))
            return Refused(503, "try again under the same key", {"Retry-After": after})
        case _:
            return Refused(500, "this is our fault; our operators are told")


class Door(http.server.BaseHTTPRequestHandler):
    """HTTP."""

    service: Service
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS_MAX

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        headers = {}
        try:
            status, body = self._route(self._body())
        except vault.Problem as problem:
            answer = refused(problem)
            status, body, headers = answer.status, answer.body, answer.headers
        except Refused as answer:
            status, body, headers = answer.status, answer.body, answer.headers
        except Exception as error:  # pylint: disable=broad-except
            # Its kind alone: what an unforeseen error says may hold anything.
            log.error("fault: %s", type(error).__name__)
            status, body = 500, {"error": "this is our fault; our operators are told"}
        text = (json.dumps(body, indent=2) + "\n").encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refused(413, "send at most 16 KiB, with a Content-Length")
        return self.rfile.read(int(length))

    def _route(self, body):
        match (self.command, self.path.split("/")[1:]):
            case ("GET", ["health"]):
                return 200, {"status": "ok"}
            case ("POST", ["orders"]):
                return self.service.place(body, self.headers.get("Idempotency-Key", ""))
            case ("GET", ["orders", number]):
                return self.service.show(number)
            case ("POST", ["orders", number, "settle"]):
                return self.service.settle(number)
            case _:
                raise Refused(404, "there is no such path")

    def send_error(self, code, *_):
        """Without the base class's explanation, which quotes what it could not read."""
        super().send_error(code)

    def log_message(self, *_):
        """Nothing: the base class writes paths, and whatever was sent in place of a request."""


class JsonLines(logging.Formatter):
    """One JSON object a line: what we say, and the fields that we name. Nothing is taken from a request as it is."""

    def format(self, record):
        fields = {name: getattr(record, name) for name in ("order", "reason", "code", "vault_request", "address")
                  if hasattr(record, name)}
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage(), **fields}
        return json.dumps(line)


def main():
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    settings = Settings.read(os.environ)
    settings.folder.mkdir(parents=True, exist_ok=True)
    Door.service = Service(vault.Vault(settings), Orders(settings.folder))
    server = http.server.ThreadingHTTPServer(settings.listen, Door)
    # Orders in flight end before the process does.
    server.daemon_threads = False
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("listening", extra={"address": "{}:{}".format(*server.server_address[:2])})
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
