#!/bin/sh
# Removes @TITLE@ for this user. Your own files stay; with --delete-data they go as well.
set -eu
name=@NAME@
place=$(cd "$(dirname "$0")" && pwd -P)
case ${1:---keep-data} in
  --keep-data | --delete-data) ;;
  *)
    echo "usage: $0 [--keep-data | --delete-data]" >&2
    exit 2
    ;;
esac
# 3: there was nothing to do. After any other failure everything stays, and the same call goes on.
status=0
"$place/$name" --headless uninstall --yes "${1:---keep-data}" || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
command="$HOME/.local/bin/$name"
if [ "$(readlink "$command" || true)" = "../lib/$name/$name" ]; then rm -f "$command"; fi
for file in @FILES@; do
  rm -f "$place/$file"
done
rmdir "$place" || echo "$place has files that are not from this installer, and stays" >&2
