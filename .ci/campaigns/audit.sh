#!/usr/bin/env bash
# Asks an access log of millions of entries while calls go on: first pages, counts, proofs, tails, exports; then
# verifies and indexes it with the vault stopped.
#
#   make campaign-audit                       10,000,000 entries
#   ENTRIES=1000000 make campaign-audit       fewer
#   KEEP=folder make campaign-audit           a log that is made there, or was made there before
#
# Adds a table to docs/campaigns/audit.md, which says what the figures mean. The log is made by the journal itself and
# served by the vault; some 353 bytes on the disk for each entry, and more for its export, deleted at the end unless
# KEEP is set.
set -euo pipefail
cd "$(dirname "$0")/../.."
entries=${ENTRIES:-10000000}
report=docs/campaigns/audit.md
keep=(${KEEP:+--keep "$KEEP"})

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto benches Cargo.lock)" ] || commit="$commit and changes"
cpu=$(sed -nE 's/^(model name|Model)[^:]*: *//p' /proc/cpuinfo | head -n 1)
machine="$(nproc) × ${cpu:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)"

# The bench runs its commands.
cargo build --workspace --bin tokenvault --release --locked
log=$(mktemp "${TMPDIR:-/tmp}/audit.XXXXXX")
trap 'rm -f "$log"' EXIT
load=$(cut -d ' ' -f 1 /proc/loadavg)
cargo bench -p vault-benches --bench audit --locked -- --entries "$entries" "${keep[@]}" | tee "$log"

mkdir -p "$(dirname "$report")"
[ -f "$report" ] || cat >"$report" <<'TEXT'
# The access log at ten million entries

Runs of `make campaign-audit`, or of its bench by hand: a log that the journal wrote itself, with 200 callers by Zipf's
law, 12 classes, tokens that are used again and again, and log time through a whole year, served by a vault on the same
machine as its asker. "With traffic" is beside 1000 calls a second, half of them to tokenize one value, half to
detokenize one. One question is under way at a time, each at least 200 times, each about something else. What the cases
are, benches/audit.rs says; what came of them, [PERFORMANCE.md](../PERFORMANCE.md#the-access-log).

The load is the system's average of one minute before the run; above 0.5 others used the machine.
TEXT
{
  printf '\n## %s entries, %s, commit %s\n\n%s, load %s before.\n\n```text\n' \
    "$entries" "$(date -u +%Y-%m-%d)" "$commit" "$machine" "$load"
  sed -n '/^  *load .* at the end/,$p' "$log" | sed -e '1d' -e '/^  all of it in /d' -e 's/^  //' | cat -s |
    cut -c 1-400
  printf '```\n'
} >>"$report"
echo "audit: the result is in $report" >&2
! grep -q ': FAIL$' "$log"
