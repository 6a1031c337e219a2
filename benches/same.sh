#!/usr/bin/env bash
# Whether two builds of the programs do the same to the byte: packages, packs of every algorithm, signed metadata, and what
# `--json` says. For changes that must not show outside.
#
#   benches/same.sh OLD NEW [PAIR...]   OLD and NEW: folders with kuzflow and kuzflow-launcher of each build
#
# A PAIR is one of
#   sip, QtCore, …   a library of PyQt5 and of PyQt6 (target/qt-venv, which .ci/run makes) with some Python beside it
#   a folder         with `old` and `new`, two releases of an app
#   a folder         of such folders: all of them, the smallest first
# Without one: sip. ALGORITHMS says which packs are made ("auto aligned zstd bsdiff4"); bsdiff4 wants 17 bytes of memory for
# each byte of the largest file.
#
# Needs faketime. Times, durations and speeds in `--json` are left out of the comparison. Says what differs, and ends with 0
# if nothing does.
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2")
shift 2
algorithms=${ALGORITHMS:-auto aligned zstd bsdiff4}
site=$(echo "$(realpath "$(dirname "$0")/..")"/target/qt-venv/lib/python3*/site-packages)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The two releases of a pair, as `one` and `two` in this folder.
releases() {
  local pair=$1 release
  if [ -d "$pair/old" ]; then
    cp -a "$pair/old" one
    cp -a "$pair/new" two
  else
    mkdir -p {one,two}/{app,lib}
    cp "$site/PyQt5/$pair".*so one/lib/core.so
    cp "$site/PyQt6/$pair".*so two/lib/core.so
    cp -r "$site/PyQt5/uic" one/app/uic
    cp -r "$site/PyQt6/uic" two/app/uic
    find . -name __pycache__ -prune -exec rm -rf {} +
  fi
  for release in one two; do
    printf '#!/bin/sh\necho %s up >> "$KUZFLOW_HEALTH"\n' "$release" > "$release/app/start.sh"
    chmod +x "$release/app/start.sh"
  done
  find one two -exec touch -h -d '2024-01-01 00:00:00 UTC' {} +
}

# Builds, publishes and installs with the programs in a folder, at fixed times, in this folder.
day() {
  local programs=$1
  local kuzflow=("$programs/kuzflow" --json)
  local launcher=("$programs/kuzflow-launcher" --json --headless --language en --home home --config publisher/launcher/launcher.toml)
  cp -r ../publisher .
  at() { faketime -f "2026-11-28 $1:00" "${@:2}"; }
  build() {
    at 12:00 "${kuzflow[@]}" build --app "../$1" --name sample --app-version "$2" --entry exe:app/start.sh --runtime none \
      --out "$1.kuzflow" > "build-$1.json"
  }
  build one 1.0.0
  build two 1.1.0
  for algorithm in $algorithms; do
    at 12:00 "${kuzflow[@]}" diff one.kuzflow two.kuzflow --algorithm "$algorithm" --threads 2 --out "$algorithm.kuzpatch" \
      > "diff-$algorithm.json"
  done
  at 12:00 "${kuzflow[@]}" publish one.kuzflow --repo publisher > publish-1.json
  at 12:10 "${kuzflow[@]}" publish two.kuzflow --repo publisher > publish-2.json
  at 12:20 "${kuzflow[@]}" rollout --repo publisher --version 1.1.0 --percent 50 > rollout.json
  at 12:30 "${kuzflow[@]}" refresh --repo publisher > refresh.json
  at 12:40 "${kuzflow[@]}" list --repo publisher > list.json
  at 12:50 "${kuzflow[@]}" bundle --repo publisher --version 1.0.0 --out one.kuzflow-bundle > bundle.json
  at 12:50 "${kuzflow[@]}" inspect two.kuzflow > inspect.json
  at 13:00 "${launcher[@]}" install one.kuzflow-bundle > install.json || true
  at 13:00 "${launcher[@]}" list > installed.json || true
  at 13:00 "${launcher[@]}" verify > verify.json || true
  rm -rf home
}

# What `--json` says without what differs from run to run: speeds, progress, and the folder of this run.
settled() {
  sed -E 's/"(seconds|milliseconds|speed|estimated_seconds|seconds_left)":[0-9.]+//g; /"event":"(progress|disk_use)"/d' "$1" |
    sed -E "s/\"(whole|free)\":[0-9]+//g; s#$PWD/(old|new)#FOLDER#g"
}

# Compares all files of the folders `old` and `new` of this folder.
compare() {
  local differing=0 file
  diff <(cd old && find . -type f | sort) <(cd new && find . -type f | sort) || differing=1
  while read -r file; do
    case $file in
      *.lock | ./publisher/keys/*) continue ;;
      ./*.json) diff <(settled "old/$file") <(settled "new/$file") > difference ;;
      *) cmp "old/$file" "new/$file" > difference ;;
    esac && echo "same    $file $(stat -c %s "old/$file")" ||
      { echo "DIFFERS $file"; head -c 600 difference; differing=1; }
  done < <(cd old && find . -type f | sort)
  return $differing
}

pairs=()
for pair in "${@:-sip}"; do
  if [ -d "$pair/old" ] || [ ! -d "$pair" ]; then
    pairs+=("$pair")
  else
    mapfile -t -O "${#pairs[@]}" pairs < <(du -s "$(realpath "$pair")"/*/ | sort -n | cut -f 2-)
  fi
done

differing=0
for pair in "${pairs[@]}"; do
  echo "== ${pair%/}"
  if [ -d "$pair" ]; then pair=$(realpath "$pair"); fi
  rm -rf "$work/pair"
  mkdir "$work/pair"
  cd "$work/pair"
  releases "$pair"
  # Keys are made once: what they sign is the same then.
  "$old/kuzflow" init publisher --app sample --node http://127.0.0.1:9/ > /dev/null
  for build in old new; do
    mkdir "$build"
    (cd "$build" && day "${!build}")
  done
  compare || differing=1
  cd "$OLDPWD"
done
exit $differing
