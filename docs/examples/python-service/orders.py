"""Orders in SQLite: tokens, and the receipts of the calls that were made for them.

It must never see a value: nothing in this file takes one.
"""

import contextlib
import dataclasses
import json
import re
import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number       TEXT PRIMARY KEY,
    key          TEXT NOT NULL,    -- of the request that placed it
    amount_cents INTEGER NOT NULL,
    card_number  TEXT NOT NULL,    -- a token
    email        TEXT NOT NULL,    -- a token
    settled      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS receipts (
    number  TEXT NOT NULL REFERENCES orders,
    receipt TEXT NOT NULL          -- JSON, as vault.Evidence
) STRICT;
"""


def is_number(text):
    """Whether a text can be an order's number.

    It is the vault's rule for a reference: without 13 digits in a row. So a card number that was sent in the wrong
    field gets into no log.
    """
    return bool(re.fullmatch(r"[A-Za-z0-9-]{1,32}", text)) and not re.search(r"[0-9]{13}", text)


@dataclasses.dataclass(frozen=True)
class Tokens:
    """What stands where a card number and an address stood.

    Worthless to a thief, yet a key to the values for whoever has our identity: not shown, so that they get into no log
    by accident.
    """

    card_number: str = dataclasses.field(repr=False)
    email: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Order:
    number: str
    key: str  # of the request that placed it
    amount_cents: int
    tokens: Tokens
    settled: bool
    receipts: list


class Orders:
    """All orders. A connection for each use: threads share none."""

    def __init__(self, folder):
        self._path = folder / "orders.sqlite"
        with self._connection() as database:
            database.executescript(SCHEMA)

    def find(self, number):
        """The order, or None."""
        with self._connection() as database:
            columns = "key, amount_cents, card_number, email, settled"
            row = database.execute(f"SELECT {columns} FROM orders WHERE number = ?", [number]).fetchone()
            if row is None:
                return None
            key, amount_cents, card_number, email, settled = row
            receipts = database.execute("SELECT receipt FROM receipts WHERE number = ? ORDER BY rowid", [number])
            receipts = [json.loads(receipt) for (receipt,) in receipts]
            return Order(number, key, amount_cents, Tokens(card_number, email), bool(settled), receipts)

    def place(self, number, key, amount_cents, tokens, evidence):
        """Keeps an order. False if there is one under this number already, which stays as it is."""
        with self._connection() as database:
            row = [number, key, amount_cents, tokens.card_number, tokens.email]
            statement = "INSERT INTO orders (number, key, amount_cents, card_number, email) VALUES (?, ?, ?, ?, ?)"
            new = database.execute(statement + " ON CONFLICT DO NOTHING", row).rowcount == 1
            if new:
                self._keep(database, number, evidence)
            return new

    def keep(self, number, evidence):
        """Keeps a further receipt."""
        with self._connection() as database:
            self._keep(database, number, evidence)

    def settle(self, number):
        """Marks an order as settled."""
        with self._connection() as database:
            database.execute("UPDATE orders SET settled = 1 WHERE number = ?", [number])

    @contextlib.contextmanager
    def _connection(self):
        """A connection, and one transaction: committed at the end, rolled back if that is not reached."""
        with contextlib.closing(sqlite3.connect(self._path)) as database, database:
            yield database

    @staticmethod
    def _keep(database, number, evidence):
        database.execute("INSERT INTO receipts VALUES (?, ?)", [number, json.dumps(dataclasses.asdict(evidence))])
