#!/usr/bin/env bash
# From an empty data directory to the first page, as a newcomer sees it; prints the seconds, and that Ctrl-C leaves nothing.
set -euo pipefail
data=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
trap 'kill -INT "$portal" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$data"' EXIT
begun=$(date +%s.%N)
PORTAL_DATA_DIR=$data PORT=$port make --no-print-directory run >"$data/log" 2>&1 &
portal=$!
until curl -fsS -o /dev/null "http://127.0.0.1:$port/admin/login/" 2>/dev/null; do
  kill -0 "$portal" 2>/dev/null || { cat "$data/log"; echo "the portal ended"; exit 1; }
  [ "$(echo "$(date +%s.%N) - $begun > 180" | bc -l 2>/dev/null || echo 0)" = 1 ] && { tail -50 "$data/log"; exit 1; }
  sleep 0.2
done
printf 'first page after %.1f s\n' "$(python3 -c "import time; print(time.time() - $begun)")"
