#!/usr/bin/env bash
# Builds verify.go from Debian's packages alone (golang-go, golang-golang-x-mod-dev; .ci/setup.sh installs them), and
# runs it. Nothing is fetched.
set -euo pipefail
cd "$(dirname "$0")"
sources=/usr/share/gocode
if ! command -v go >/dev/null || [ ! -d "$sources/src/golang.org/x/mod/sumdb/tlog" ]; then
  echo "go.sh: golang-go or golang-golang-x-mod-dev is missing; make setup installs them" >&2
  exit 1
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/verify-go.XXXXXX")
trap 'rm -rf "$work"' EXIT
export GOPATH=$sources GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOCACHE=$work/cache CGO_ENABLED=0
go build -o "$work/verify" verify.go
"$work/verify"
