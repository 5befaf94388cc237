#!/bin/sh
# Draws the secrets of compose.yaml into deploy/secrets/, each once: a file that is there stays as it is.
# The directory is closed to others; the files in it are not, because a container reads them under a user of its own.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

hex() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { # name, text
  if [ -s "$1" ]; then echo "kept  secrets/$1"; return; fi
  printf '%s\n' "$2" >"$1"
  chmod 444 "$1"
  echo "made  secrets/$1"
}

keep postgres_password "$(hex)"
keep database_url "postgresql://portal_app:$(hex)@postgres:5432/portal"
keep database_owner_url "postgresql://portal_owner:$(hex)@postgres:5432/portal"
keep secret_key "$(hex)$(hex)"
keep encryption_keys "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n')"
# The mail server's password is not ours to draw: write it into secrets/smtp_password.
[ -e smtp_password ] || { : >smtp_password; chmod 444 smtp_password; }
