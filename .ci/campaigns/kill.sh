#!/usr/bin/env bash
# Kills a vault under load, again and again, and holds what is left against what its clients were told.
#
#   make campaign-kill                       500 rounds, seed by chance
#   ROUNDS=2000 SEED=7 make campaign-kill    as many, and the seed of an earlier run
#
# Adds a line to docs/campaigns/kill.md, which says what the figures mean. The vault's directories go to TMPDIR: put it
# on the disk that shall be shown. About 2 seconds a round.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${ROUNDS:-500}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
report=docs/campaigns/kill.md
test=kill::killed_under_load_it_loses_nothing_and_has_revealed_nothing_without_evidence

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
cpu=$(sed -nE 's/^(model name|Model)[^:]*: *//p' /proc/cpuinfo | head -n 1)
disk=$(stat -f -c %T "${TMPDIR:-/tmp}")
machine="$(nproc) × ${cpu:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo), $disk"

cargo build --workspace --bin tokenvault --release --locked
echo "kill: $rounds rounds, seed $seed, $machine" >&2
start=$SECONDS
log=$(mktemp "${TMPDIR:-/tmp}/kill.XXXXXX")
trap 'rm -f "$log"' EXIT
FAULTS_KILL_ROUNDS=$rounds FAULTS_SEED=$seed cargo test --workspace --test faults --release --locked -- \
  --exact --nocapture "$test" | tee "$log"
result=$(sed -n 's/^result: //p' "$log")
[ -n "$result" ] || { echo "kill: the test did not run" >&2; exit 1; }

mkdir -p "$(dirname "$report")"
[ -f "$report" ] || cat >"$report" <<'EOF'
# Killed under load

Runs of `make campaign-kill`. Each round lets six clients work on a vault (single calls and batches of three data
classes, reveals, requests repeated under their idempotency key, checkpoints), sends `SIGKILL` at a moment drawn by
chance, sometimes a second one while the vault starts again, and then holds what is left against the clients' own books:

- lost: acknowledged tokens that do not reveal their value;
- without evidence: answers whose receipt does not lead to their entry in the log;
- proofs broken: checkpoints, handed out or kept outside, that the log does not continue, and tiles that are not what
  their entries say.

A kill leaves what the kernel had taken, so it can't show a missing sync: the tests under `power::` do, on a file system
that forgets.

| when | commit | seed | machine | took | result |
|---|---|---|---|---|---|
EOF
printf '| %s | %s | %s | %s | %s s | %s |\n' \
  "$(date -u +%Y-%m-%d)" "$commit" "$seed" "$machine" $((SECONDS - start)) "$result" >>"$report"
echo "kill: the result is in $report" >&2
