#!/usr/bin/env bash
# Tokenizes a large file by the command line, in CSV and in JSON Lines, and holds the memory of the command at growing
# numbers of rows against each other.
#
#   make campaign-bulk                       10,000,000 rows at the most
#   ROWS=100000 make campaign-bulk           fewer
#
# Adds lines to docs/campaigns/bulk.md, which says what the figures mean. Input, output and vault go to TMPDIR, a few
# hundred bytes for each row, and are deleted at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
rows_max=${ROWS:-10000000}
report=docs/campaigns/bulk.md
# The memory at the last size may be this much above that of the first.
growth_kib_max=16384

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
cpu=$(sed -nE 's/^(model name|Model)[^:]*: *//p' /proc/cpuinfo | head -n 1)
disk=$(df --output=fstype "${TMPDIR:-/tmp}" | tail -n 1)
machine="$(nproc) × ${cpu:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo), $disk"

cargo build --workspace --bin tokenvault --release --locked
program=${CARGO_TARGET_DIR:-target}/release/tokenvault
folder=$(mktemp -d "${TMPDIR:-/tmp}/bulk.XXXXXX")
vault=
trap '[ -z "$vault" ] || { kill "$vault"; wait "$vault" || true; }; rm -rf "$folder"' EXIT

"$program" dev --serve --directory "$folder/vault" >"$folder/guide" 2>"$folder/vault.log" &
vault=$!
until grep -q '^Ctrl-C ' "$folder/guide"; do
  kill -0 "$vault" || { cat "$folder/vault.log" >&2; exit 1; }
  sleep 0.1
done
TOKENVAULT_ENDPOINT=$(sed -n 's/^export TOKENVAULT_ENDPOINT=\([^ ]*\) .*/\1/p' "$folder/guide")
export TOKENVAULT_ENDPOINT TOKENVAULT_CA=$folder/vault/ca.pem
as() { export TOKENVAULT_CERT=$folder/vault/clients/$1.pem TOKENVAULT_KEY=$folder/vault/clients/$1.key; }

# Rows of a number of ours, a customer of whom there are few, an address that is new each time, and some text.
generate() { # format rows
  awk -v rows="$2" -v format="$1" 'BEGIN {
    if (format == "csv") print "id,customer,email,note"
    for (n = 1; n <= rows; n++) {
      form = format == "csv" ? "%d,%d,user%d@example.com,\"row %d, and a note\"\n" : \
        "{\"id\":%d,\"customer\":{\"number\":\"%d\"},\"email\":\"user%d@example.com\",\"note\":\"row %d\"}\n"
      printf form, n, n % 50000, n, n
    }
  }'
}

# Runs a command and prints the most memory that it had, in KiB; its summary goes to a file.
measure() { # summary command...
  local summary=$1 peak=0 process now
  shift
  "$@" >"$summary" &
  process=$!
  while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$process/status" 2>/dev/null) && [ -n "$now" ]; do
    peak=$now
    sleep 0.05
  done
  wait "$process"
  echo "$peak"
}

figure() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$2"; }

mkdir -p "$(dirname "$report")"
[ -f "$report" ] || cat >"$report" <<'TEXT'
# Large files by the command line

Runs of `make campaign-bulk`: files of growing size through `tokenvault bulk tokenize` and back through `bulk
detokenize`, by the real command against a real vault on the same machine, each with a key of its own for every call and
its progress on the disk every second. Each row has two values: a customer number of a deterministic class, one of
50,000, and an e-mail address that is new each time.

- peak: the most memory that the command had (VmHWM of the kernel), sampled every 50 ms to its end;
- back: whether the values that came back are the input, byte for byte.

Peaks that do not grow with the rows show that nothing is kept of a row that is done.

| when | commit | machine | format | rows | tokenize: peak, rows/s | detokenize: peak, rows/s | back |
|---|---|---|---|---|---|---|---|
TEXT

failed=
for format in csv jsonl; do
  number=$([ "$format" = csv ] && echo customer || echo /customer/number)
  columns=(--column "$number=customer_id" --column email=email --audience payments --region eu --output jsonl)
  first=
  for share in 50 5 1; do
    rows=$((rows_max / share))
    echo "bulk: $rows rows of $format" >&2
    source=$folder/in.$format
    generate "$format" "$rows" >"$source"
    as loader
    peak=$(measure "$folder/there" "$program" bulk tokenize --in "$source" --out "$folder/tokens.$format" \
      --rejects "$folder/there-rejects.csv" "${columns[@]}" --purpose bulk_load)
    as payments
    back_peak=$(measure "$folder/back" "$program" bulk detokenize --in "$folder/tokens.$format" \
      --out "$folder/back.$format" --rejects "$folder/back-rejects.csv" "${columns[@]}" --purpose settlement)
    same=equal
    cmp -s "$source" "$folder/back.$format" || { same=DIFFERENT; failed=1; }
    first=${first:-$peak}
    [ $((peak - first)) -le "$growth_kib_max" ] || { same="$same, MEMORY GROWS"; failed=1; }
    printf '| %s | %s | %s | %s | %s | %s MiB, %s | %s MiB, %s | %s |\n' "$(date -u +%Y-%m-%d)" "$commit" "$machine" \
      "$format" "$rows" $((peak / 1024)) "$(figure rows_per_second "$folder/there")" \
      $((back_peak / 1024)) "$(figure rows_per_second "$folder/back")" "$same" >>"$report"
    rm -f "$folder"/*."$format" "$folder"/*-rejects.csv
  done
done
echo "bulk: the result is in $report" >&2
[ -z "$failed" ]
