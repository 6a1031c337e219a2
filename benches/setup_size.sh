#!/usr/bin/env bash
# How large `Setup.exe --online` is beside the launcher in it, compressed by `xz -9`: at most 0.5 MB more.
#
#   benches/setup_size.sh LAUNCHER.exe [KUZFLOW]
#
# LAUNCHER.exe   the launcher for Windows as it is shipped, stripped
# KUZFLOW        the program that makes the installer; `kuzflow` of the PATH without it
#
# Needs NSIS and xz. Ends with 1 if the installer is larger.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | head -n -1 >&2; exit 2; }
launcher=$(realpath "$1") kuzflow=${2:-kuzflow}
[[ $kuzflow != */* ]] || kuzflow=$(realpath "$kuzflow")
icon=$(realpath "$(dirname "$0")/../assets/icons/launcher.png")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir app
printf 'MZ' >app/run.exe
"$kuzflow" init publisher --name sample --node https://updates.example.com/ >/dev/null
"$kuzflow" build --repo publisher --app app --entry exe:run.exe --runtime none --icon "$icon" --platform Windows_AMD64 --app-version 1.0.0 \
  --out sample.kuzflow >/dev/null
"$kuzflow" publish sample.kuzflow --repo publisher >/dev/null
"$kuzflow" package --repo publisher --launcher "Windows_AMD64=$launcher" --format setup --online --out out >/dev/null 2>&1
setup=$(stat -c %s out/*-setup.exe) packed=$(xz -9 --stdout "$launcher" | wc -c)
echo "launcher $(stat -c %s "$launcher"), as xz $packed, Setup.exe $setup: $((setup - packed)) bytes more"
[ $((setup - packed)) -le 500000 ]
