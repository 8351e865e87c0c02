#!/usr/bin/env bash
# Feeds every decoder with damaged input for long.
#
#   make campaign-decoders                      10,000,000 inputs each (catalogs and policies fewer), seed by chance
#   ROUNDS=50000000 SEED=7 make campaign-decoders
#
# Adds a line to docs/campaigns/decoders.md. Needs no disk. About 4 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${ROUNDS:-10000000}
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
report=docs/campaigns/decoders.md

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
echo "decoders: $rounds rounds, seed $seed" >&2
start=$SECONDS
result="no panic, nothing taken that was not understood"
DECODERS_ROUNDS=$rounds DECODERS_SEED=$seed cargo test --workspace --test decoders --release --locked || result=FAILED
mkdir -p "$(dirname "$report")"
[ -f "$report" ] || cat >"$report" <<'EOF'
# Decoders on damaged input

Runs of `make campaign-decoders`: golden files and published texts, damaged at chance, given to everything that reads
bytes or text from outside of the process.

| when | commit | seed | rounds each | took | result |
|---|---|---|---|---|---|
EOF
printf '| %s | %s | %s | %s | %s s | %s |\n' \
  "$(date -u +%Y-%m-%d)" "$commit" "$seed" "$rounds" $((SECONDS - start)) "$result" >>"$report"
echo "decoders: $result; see $report" >&2
[ "$result" != FAILED ]
