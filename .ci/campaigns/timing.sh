#!/usr/bin/env bash
# Compares how long refusals of tokens take: of tokens that were never given, another tenant's or audience's, expired.
#
#   make campaign-timing                      20000 rounds of one token a call, then 1000 rounds of 1000 tokens a call
#   ROUNDS=5000 make campaign-timing          as many of the first kind
#
# Adds lines to docs/campaigns/timing.md, which says what the figures mean. About 10 milliseconds a round of one token,
# 150 of a thousand.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${ROUNDS:-20000}
batches=${BATCHES:-1000}
report=docs/campaigns/timing.md
test=security::timing::the_time_of_a_refusal_does_not_tell_whose_token_it_is

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
cpu=$(sed -nE 's/^(model name|Model)[^:]*: *//p' /proc/cpuinfo | head -n 1)
machine="$(nproc) × ${cpu:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)"

log=$(mktemp "${TMPDIR:-/tmp}/timing.XXXXXX")
trap 'rm -f "$log"' EXIT
mkdir -p "$(dirname "$report")"
[ -f "$report" ] || cat >"$report" <<'EOF'
# What the time of a refusal tells

Runs of `make campaign-timing`. A caller with a grant, on the same machine as the vault, is refused tokens of two
classes (`session`, opaque; `voucher`, format-preserving): never given, of another tenant, of another audience, expired.
Each round has one call of each kind, in an order drawn anew; each kind is compared with those that were never given.

- ×1, ×1000: tokens in a call, all of one kind. Many make a difference as many times larger.
- A: the chance that a refusal of the kind takes longer (Mann and Whitney's U, divided by the number of pairs); 0.5 says
  nothing. The run fails where it lies further off than 0.05 and five standard deviations of chance.
- p: how likely chance alone makes a difference as large, two-sided, for each comparison alone: of twenty, one is below
  0.05.
- median: by how much the middle times differ.

| when | commit | machine | took | result |
|---|---|---|---|---|
EOF
measure() {
  local start=$SECONDS result
  echo "timing: $1 rounds of $2 tokens a call, $machine" >&2
  TIMING_ROUNDS=$1 TIMING_ITEMS=$2 cargo test --workspace --test it --release --locked -- \
    --exact --nocapture "$test" | tee "$log"
  result=$(sed -n 's/^result: //p' "$log")
  [ -n "$result" ] || { echo "timing: the test did not run" >&2; exit 1; }
  printf '| %s | %s | %s | %s | %s |\n' \
    "$(date -u +%Y-%m-%d)" "$commit" "$machine" "$((SECONDS - start)) s" "$result" >>"$report"
}
measure "$rounds" 1
measure "$batches" 1000
echo "timing: the result is in $report" >&2
