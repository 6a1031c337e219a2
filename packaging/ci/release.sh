#!/usr/bin/env bash
# One release, from the app's folder to what people download: build, try, sign, publish, make the installers and their page, upload.
#
#   packaging/ci/release.sh 1.2.0 [options of kuzflow release]
#
# It can be called again after a failure at any step: what is published already stays as it is.
#
# KUZFLOW_REPO            the publisher's folder with the repository so far; default: kuzflow
# KUZFLOW_KEYS            a folder with the targets key, if it is not in the publisher's folder
# KUZFLOW_KEY_PASSWORD    its password, which kuzflow reads by itself
# KUZFLOW_LAUNCHERS       launchers, PLATFORM=FILE with spaces between; default: the one beside kuzflow
# KUZFLOW_SIGN            a command that signs a folder of installers, for example "gpg-sign"; it gets the folder as its last word
# KUZFLOW_SITE_URL        where the download page will be
# KUZFLOW_UPLOAD          where rsync brings the repository and the installers; default: nowhere
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | head -n -1 >&2; exit 2; }
version=${1#v}
shift
repo=${KUZFLOW_REPO:-kuzflow}

keys=()
[ -z "${KUZFLOW_KEYS:-}" ] || keys=(--keys "$KUZFLOW_KEYS")
kuzflow release "$version" --repo "$repo" "${keys[@]}" "$@"

launchers=()
for launcher in ${KUZFLOW_LAUNCHERS:-}; do launchers+=(--launcher "$launcher"); done
# Both kinds, in folders of their own: their files have the same names.
for kind in online with-release; do
  folder=$repo/installers/$kind
  kuzflow package "$version" --repo "$repo" "--$kind" "${launchers[@]}" --out "$folder"
  # Unquoted, since it is a command with its own words.
  [ -z "${KUZFLOW_SIGN:-}" ] || $KUZFLOW_SIGN "$folder"
  kuzflow site --repo "$repo" --installers "$folder" ${KUZFLOW_SITE_URL:+--url "$KUZFLOW_SITE_URL/$kind/"}
done

if [ -n "${KUZFLOW_UPLOAD:-}" ]; then
  # Clients see the new release only with the timestamp, which is why it goes last.
  rsync -a --exclude metadata/timestamp.json "$repo/repository/" "$KUZFLOW_UPLOAD/repository/"
  rsync -a "$repo/repository/metadata/timestamp.json" "$KUZFLOW_UPLOAD/repository/metadata/"
  rsync -a --exclude '.*' "$repo/installers/" "$KUZFLOW_UPLOAD/download/"
fi
