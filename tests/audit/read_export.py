"""Reads an export of the access log by Python's standard library alone, of Parquet by DuckDB, and says what it holds.

python3 read_export.py FORMAT FILE: one JSON object on standard output, with the file's SHA-256 and an object for each
entry, of what all formats have: index, leaf, time (ms), request, principal, action, decision, reason, purpose,
reference, and the data classes of its items in order. Of Parquet also "rows", as JSON Lines has them, with times in
milliseconds, and "groups", how many row groups there are. Nothing of the vault is used.
"""

import csv
import datetime
import hashlib
import json
import re
import sys

FORMAT, FILE = sys.argv[1:]


def ms(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def jsonl(file):
    for line in file:
        entry = json.loads(line)
        yield {
            "index": entry["receipt"]["index"],
            "leaf": entry["receipt"]["leaf_hash"],
            "time": ms(entry["time"]),
            "request": entry["request_id"],
            "principal": entry["principal"],
            "action": entry["action"],
            "decision": entry["decision"],
            "reason": entry["reason"],
            "purpose": entry["purpose"],
            "reference": entry["reference"],
            "classes": [items["data_class"] for items in entry["items"]],
        }


def unguarded(cell):
    """A cell as it was: one leading apostrophe keeps spreadsheets from taking it for a formula."""
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), "a formula"
    return cell[1:] if cell.startswith("'") else cell


def rows_of_csv(file):
    entry = None
    for row in csv.DictReader(file, strict=True):
        row = {name: unguarded(cell) for name, cell in row.items()}
        if entry is None or entry["index"] != int(row["index"]):
            if entry is not None:
                yield entry
            entry = {
                "index": int(row["index"]),
                "leaf": row["leaf_hash"],
                "time": ms(row["time"]),
                "request": row["request_id"],
                "classes": [],
                **{name: row[name] for name in ("principal", "action", "decision", "reason", "purpose", "reference")},
            }
        if row["run"]:
            assert int(row["run"]) == len(entry["classes"])
            entry["classes"].append(row["data_class"])
    if entry is not None:
        yield entry


# What schema.ocsf.io 1.5.0 requires of every event, and of these two classes.
REQUIRED = ("activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid")
REQUIRED_OF_CLASS = {6003: ("actor", "api", "src_endpoint"), 6005: ("actor", "src_endpoint", "database")}


def ocsf(file):
    for line in file:
        event = json.loads(line)
        for name in REQUIRED + REQUIRED_OF_CLASS[event["class_uid"]]:
            assert name in event, name
        assert event["category_uid"] == 6
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        metadata, more = event["metadata"], event["unmapped"]
        assert metadata["version"] == "1.5.0" and metadata["profiles"] == ["security_control"]
        assert metadata["product"]["name"] and set(event["src_endpoint"]) & {"ip", "uid"}
        assert "name" in event.get("database", {"name": ""}) and "type_id" in event.get("database", {"type_id": 0})
        # Datastore Activity has no place for the name of the call: what it is, is its activity.
        of_data = {9: "tokenize", 10: "detokenize"}
        action = event["api"]["operation"] if "api" in event else of_data[event["activity_id"]]
        yield {
            "index": metadata["sequence"],
            "leaf": metadata["uid"],
            "time": event["time"],
            "request": metadata["correlation_uid"],
            "principal": event["actor"]["user"]["uid"],
            "action": action,
            "decision": more["decision"],
            "reason": event.get("status_code", ""),
            "purpose": more.get("purpose", ""),
            "reference": more.get("reference", ""),
            "classes": [items["data_class"] for items in more["items"]],
        }


def cef(file):
    for line in file:
        assert line.endswith("\n")
        fields = re.match(r"CEF:0\|" + r"((?:[^|\\]|\\[|\\])*)\|" * 6 + r"(.*)$", line)
        action, extension = fields.group(4), fields.group(7)
        pairs = re.findall(r"(?:^| )(\w+)=((?:[^=\\]|\\.)*?)(?= \w+=|$)", extension)
        fields = {key: re.sub(r"\\(.)", r"\1", value) for key, value in pairs}
        named = {fields[key + "Label"]: value for key, value in fields.items() if key + "Label" in fields}
        assert action == fields["act"]
        yield {
            "index": int(named["logIndex"]),
            "leaf": named["leafHash"],
            "time": int(fields["rt"]),
            "request": fields["externalId"],
            "principal": fields["suser"],
            "action": fields["act"],
            "decision": fields["outcome"],
            "reason": fields.get("reason", ""),
            "purpose": named.get("purpose", ""),
            "reference": named.get("reference", ""),
            "classes": named.get("dataClasses", "").split(),
        }


def plain(value):
    """A value as JSON Lines has it: bytes are hexadecimal there."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value


# Types that readers of Parquet know without being told: of the columns that could be something else.
TYPES = {
    "time": "TIMESTAMP WITH TIME ZONE",
    "wall_time": "TIMESTAMP WITH TIME ZONE",
    "receipt": "STRUCT(origin VARCHAR, \"index\" BIGINT, leaf_hash BLOB, log_id BLOB)",
    "policy_ids": "VARCHAR[]",
    "items": "STRUCT(data_class VARCHAR, outcome VARCHAR, \"level\" VARCHAR, count BIGINT, record_numbers BIGINT[], "
    "token_hashes BLOB[])[]",
    "count": "BIGINT",
}


def rows_of_parquet():
    import duckdb

    described = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [FILE]).fetchall()
    for name, kind, *_ in described:
        assert kind == TYPES.get(name, "VARCHAR"), (name, kind)
    read = "SELECT * REPLACE (epoch_ms(time) AS time, epoch_ms(wall_time) AS wall_time) FROM read_parquet(?)"
    found = duckdb.execute(read, [FILE])
    names = [column[0] for column in found.description]
    rows = [plain(dict(zip(names, row))) for row in found.fetchall()]
    groups = duckdb.execute("SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [FILE]).fetchone()[0]
    # A range of time is found by what the file says of its groups.
    if rows:
        latest = duckdb.execute("SELECT epoch_ms(max(time)) FROM read_parquet(?)", [FILE]).fetchone()[0]
        assert latest == max(row["time"] for row in rows)
    return rows, groups


def parquet(rows):
    for row in rows:
        same = ("time", "principal", "action", "decision", "reason", "purpose", "reference")
        yield {
            "index": row["receipt"]["index"],
            "leaf": row["receipt"]["leaf_hash"],
            "request": row["request_id"],
            "classes": [items["data_class"] for items in row["items"]],
            **{name: row[name] for name in same},
        }


READERS = {"jsonl": jsonl, "csv": rows_of_csv, "ocsf": ocsf, "cef": cef}
more = {}
if FORMAT == "parquet":
    more["rows"], more["groups"] = rows_of_parquet()
    entries = list(parquet(more["rows"]))
else:
    # RFC 4180 ends lines by CR and LF, the others by LF alone: neither is to be made into the other.
    with open(FILE, encoding="utf-8", newline="" if FORMAT == "csv" else "\n") as opened:
        entries = list(READERS[FORMAT](opened))
with open(FILE, "rb") as opened:
    print(json.dumps({"sha256": hashlib.sha256(opened.read()).hexdigest(), "entries": entries, **more}))
