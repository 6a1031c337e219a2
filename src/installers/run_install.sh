#!/bin/sh
# Installs @TITLE@ for this user, without root. "sh FILE --help" says what else it does.
set -eu
umask 022
title=@TITLE@
version=@VERSION@
name=@NAME@
machines=@MACHINES@
digest=@DIGEST@
place="$HOME/.local/lib/$name"
command="$HOME/.local/bin/$name"

fail() {
  echo "$title: $1" >&2
  exit 1
}

# The files, packed, behind the last line of this script.
archive() {
  tail -n +@LINE@ "$0"
}

usage() {
  cat <<END
Installs $title $version for this user, in $place.
It needs no root, and is taken out again by $place/uninstall.

  sh $0                  install, or replace an older installation
  sh $0 --start          install, then start it
  sh $0 --no-shortcut    install without an entry in the menu
  sh $0 --extract DIR    only unpack the files into DIR
END
}

check() {
  [ "$(uname -s)" = Linux ] || fail "this file is for Linux, and this is $(uname -s)"
  case " $machines " in
    *" $(uname -m) "*) ;;
    *) fail "this file is for $machines, and this computer is $(uname -m); fetch the one for it" ;;
  esac
  if command -v sha256sum >/dev/null 2>&1; then
    [ "$(archive | sha256sum | cut -d ' ' -f 1)" = "$digest" ] || fail "this file is damaged; fetch it again"
  fi
}

extract() {
  mkdir -p "$1"
  archive | tar -xzof - -C "$1" || fail "the files cannot be unpacked into $1"
}

install() {
  new="$HOME/.local/lib/.$name.new"
  old="$HOME/.local/lib/.$name.old"
  mkdir -p "$HOME/.local/lib" "$HOME/.local/bin"
  # An installation that was interrupted between the two steps below.
  if [ -d "$old" ] && [ ! -d "$place" ]; then mv "$old" "$place"; fi
  if [ -e "$place" ] && { [ ! -f "$place/launcher.toml" ] || [ ! -f "$place/uninstall" ]; }; then
    fail "$place is a folder of another program; move it away first"
  fi
  rm -rf "$new" "$old"
  trap 'rm -rf "$new"' EXIT
  extract "$new"
  "$new/$name" --version >/dev/null || fail "the launcher does not run on this system"
  if [ -d "$place" ]; then mv "$place" "$old"; fi
  mv "$new" "$place"
  rm -rf "$old"
  if [ -e "$command" ] && [ ! -L "$command" ]; then
    echo "$title: $command is another program and stays; start $place/$name instead" >&2
  else
    ln -sfn "../lib/$name/$name" "$command"
  fi
}

start= shortcut=yes
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit ;;
    --start) start=yes ;;
    --no-shortcut) shortcut= ;;
    --extract)
      [ $# -gt 1 ] || fail "--extract needs a folder"
      check
      extract "$2"
      exit
      ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
check
install
if [ -n "$shortcut" ]; then
  # 3: it is in the menu already.
  status=0
  "$place/$name" --headless shortcut >/dev/null || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || echo "$title: the menu has no entry for it; start $command" >&2
fi
echo "$title $version is installed. Start it from the menu, or with $command"
if [ -n "$start" ]; then exec "$place/$name"; fi
exit 0
