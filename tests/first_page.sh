#!/usr/bin/env bash
# From an empty data directory to the first page as a newcomer sees it, and back by Ctrl-C: prints the seconds of both,
# and fails if a process is left. Needs bash and what `make run` itself needs. On a machine without .venv the seconds
# include making it. GIVE_UP_S (180) is no promise, only the end of patience.
set -euo pipefail
cd "$(dirname "$0")/.."

now_ms() { local t=${EPOCHREALTIME:-$SECONDS.000000}; echo $((${t//[.,]/} / 1000)); }
since() { local ms=$(($(now_ms) - $1)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

page() { # status line of the sign-in page; empty without an answer
  (
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 0
    printf 'GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$port" >&3
    IFS= read -r -t 5 line <&3 && echo "${line%$'\r'}"
  ) 2>/dev/null || true
}

left() { # pids that work in or were told of the data directory; servers rewrite their environment or their title
  local process
  for process in /proc/[0-9]*; do
    [ "${process#/proc/}" = $$ ] && continue
    if { [[ "$(readlink "$process/cwd")" == "$data"* ]] || grep -qsF -- "$data" "$process/environ"; } 2>/dev/null
    then echo "${process#/proc/}"; fi
  done
}

data=$(mktemp -d)
log=$data.log # not in the directory: the portal makes what it needs there
port=$((20000 + RANDOM % 12000))
while listens "$port"; do port=$((port + 1)); done

set -m # a process group of its own, which Ctrl-C is then sent to, as a terminal does
begun=$(now_ms)
PORTAL_DATA_DIR=$data PORT=$port make --no-print-directory run >"$log" 2>&1 &
portal=$!
set +m
finish() {
  trap - EXIT
  kill -INT -- "-$portal" 2>/dev/null || true
  wait "$portal" 2>/dev/null || true
  rm -rf "$data" "$log"
}
trap finish EXIT
failed() { echo "$1; its last words:"; tail -40 "$log"; exit 1; }

until [[ "$(page)" == "HTTP/1."*" 200"* ]]; do
  kill -0 "$portal" 2>/dev/null || failed "the portal ended"
  [ $((($(now_ms) - begun) / 1000)) -lt "${GIVE_UP_S:-180}" ] || failed "no page within ${GIVE_UP_S:-180} s"
  sleep 0.2
done
echo "first page after $(since "$begun")"

stopped=$(now_ms)
kill -INT -- "-$portal"
code=0
wait "$portal" || code=$?
# make itself ends as interrupted, whatever the portal said.
[ "$code" = 0 ] || [ "$code" = 130 ] || failed "Ctrl-C ended with exit code $code"
echo "Ctrl-C took $(since "$stopped")"
if [ -d /proc/self ] && [ -n "$(left)" ]; then
  # shellcheck disable=SC2046
  ps -o pid,ppid,args -p $(left | paste -sd,) || true
  failed "processes were left"
fi
echo "no process is left"
