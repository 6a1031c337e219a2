#!/usr/bin/env bash
# Whether two builds of the programs do the same to the byte: packages, packs of every algorithm, signed metadata, and what
# `--json` says. For changes that must not show outside.
#
#   benches/same.sh OLD NEW [sip]  folders with kuzflow and kuzflow-launcher of each build; with a smaller library than QtCore
#
# Needs faketime, and target/qt-venv (.ci/run makes it): its two releases of PyQt are the pair. Times, durations and speeds
# in `--json` are left out of the comparison. Ends with 0 if nothing differs.
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2")
site=$(echo "$(realpath "$(dirname "$0")/..")"/target/qt-venv/lib/python3*/site-packages)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for release in one two; do mkdir -p "$release/app" "$release/lib"; done
library=${3:-QtCore}
cp "$site/PyQt5/$library".*so one/lib/core.so
cp "$site/PyQt6/$library".*so two/lib/core.so
cp -r "$site/PyQt5/uic" one/app/uic
cp -r "$site/PyQt6/uic" two/app/uic
find . -name __pycache__ -prune -exec rm -rf {} +
for release in one two; do
  printf '#!/bin/sh\necho %s up >> "$KUZFLOW_HEALTH"\n' "$release" > "$release/app/start.sh"
  chmod +x "$release/app/start.sh"
done
find one two -exec touch -h -d '2024-01-01 00:00:00 UTC' {} +
# Keys are made once: what they sign is the same then.
"$old/kuzflow" init publisher --app sample --node http://127.0.0.1:9/ > /dev/null

at() { faketime -f "$1" "${@:2}"; }
day() { # build, publish and use with the programs in $1, in this folder
  local build=$1
  cp -r ../publisher .
  at '2026-11-28 12:00:00' "$build/kuzflow" --json build --app ../one --name sample --app-version 1.0.0 --entry exe:app/start.sh \
    --runtime none --out one.kuzflow > build-1.json
  at '2026-11-28 12:00:00' "$build/kuzflow" --json build --app ../two --name sample --app-version 1.1.0 --entry exe:app/start.sh \
    --runtime none --out two.kuzflow > build-2.json
  for algorithm in auto aligned zstd bsdiff4; do
    at '2026-11-28 12:00:00' "$build/kuzflow" --json diff one.kuzflow two.kuzflow --algorithm $algorithm --threads 2 \
      --out $algorithm.kuzpatch > diff-$algorithm.json
  done
  at '2026-11-28 12:00:00' "$build/kuzflow" --json publish one.kuzflow --repo publisher > publish-1.json
  at '2026-11-28 12:10:00' "$build/kuzflow" --json publish two.kuzflow --repo publisher > publish-2.json
  at '2026-11-28 12:20:00' "$build/kuzflow" --json rollout --repo publisher --version 1.1.0 --percent 50 > rollout.json
  at '2026-11-28 12:30:00' "$build/kuzflow" --json refresh --repo publisher > refresh.json
  at '2026-11-28 12:40:00' "$build/kuzflow" --json list --repo publisher > list.json
  at '2026-11-28 12:50:00' "$build/kuzflow" --json bundle --repo publisher --version 1.0.0 --out one.kuzflow-bundle > bundle.json
  at '2026-11-28 12:50:00' "$build/kuzflow" --json inspect two.kuzflow > inspect.json
  local launcher=("$build/kuzflow-launcher" --json --headless --language en --home home --config publisher/launcher/launcher.toml)
  at '2026-11-28 13:00:00' "${launcher[@]}" install one.kuzflow-bundle > install.json || true
  at '2026-11-28 13:00:00' "${launcher[@]}" list > installed.json || true
  at '2026-11-28 13:00:00' "${launcher[@]}" verify > verify.json || true
}

for build in old new; do
  mkdir "$build"
  (cd "$build" && day "${!build}")
done

# Without what differs from run to run.
settled() {
  sed -E 's/"(seconds|milliseconds|speed|estimated_seconds|seconds_left)":[0-9.]+//g; /"event":"(progress|disk_use)"/d; s/"(whole|free)":[0-9]+//g' "$1" | sed "s#$work/\(old\|new\)#FOLDER#g"
}
differing=0
cd old
while read -r file; do
  if [[ $file == *.json && $file != */metadata/* ]]; then
    if ! diff <(settled "$file") <(settled "../new/$file") > ../difference; then
      echo "DIFFERS $file"; head -c 600 ../difference; differing=1
      continue
    fi
  elif ! cmp -s "$file" "../new/$file"; then
    echo "DIFFERS $file"; differing=1
    continue
  fi
  echo "same    $file $(stat -c %s "$file")"
done < <(find . -type f -not -path './home/*' -not -name '*.lock' | sort)
diff <(find . -type f -not -path './home/*' | sort) <(cd ../new; find . -type f -not -path './home/*' | sort) || differing=1
exit $differing
