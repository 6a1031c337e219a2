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

# Prints the version that a launcher says of itself: the last word of its first line.
version_of() {
  line=$("$1" --version 2>/dev/null) || return 0
  line=${line%%
*}
  echo "${line##* }"
}

# Takes the first of the parts in $x and in $y between dots, into $m and $n.
next_parts() {
  m=${x%%.*} n=${y%%.*}
  case $x in *.*) x=${x#*.} ;; *) x= ;; esac
  case $y in *.*) y=${y#*.} ;; *) y= ;; esac
}

is_number() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
}

# Whether the version $1 is newer than $2, by the rules of semantic versions.
is_newer() {
  a=${1%%+*} b=${2%%+*}
  x=${a%%-*} y=${b%%-*}
  while [ -n "$x$y" ]; do
    next_parts
    m=${m:-0} n=${n:-0}
    is_number "$m" && is_number "$n" || return 1
    [ "$m" -eq "$n" ] || { [ "$m" -gt "$n" ]; return; }
  done
  # What follows a hyphen comes before the release itself.
  case $a in *-*) x=${a#*-} ;; *) x= ;; esac
  case $b in *-*) y=${b#*-} ;; *) y= ;; esac
  [ -n "$x" ] || { [ -n "$y" ]; return; }
  [ -n "$y" ] || return 1
  while [ -n "$x" ] && [ -n "$y" ]; do
    next_parts
    [ "$m" != "$n" ] || continue
    if is_number "$m" && is_number "$n"; then [ "$m" -gt "$n" ]; return; fi
    # A number comes before a word.
    if is_number "$m"; then return 1; fi
    if is_number "$n"; then return 0; fi
    LC_ALL=C expr "x$m" \> "x$n" >/dev/null
    return
  done
  [ -n "$x" ]
}

# A launcher renews itself: one that is newer than this file's stays, with what it knows of its own renewal.
keep_newer_launcher() {
  installed=$(version_of "$place/$name") brought=$(version_of "$new/$name")
  is_newer "$installed" "$brought" || return 0
  for file in "$name" "$name.old" "$name.update.json"; do
    if [ -f "$place/$file" ]; then cp -p "$place/$file" "$new/$file"; fi
  done
  echo "$title: the installed launcher $installed is newer than $brought, and stays"
}

# Whether the former installation has brought a file of this name; the list stands in its script.
is_brought() {
  eval "set -- \"\$1\" $brought"
  wanted=$1
  shift
  for file in "$@"; do
    [ "$file" != "$wanted" ] || return 0
  done
  return 1
}

# Puts back what a person has put into the folder or changed there, before the former installation goes.
keep_files_of_the_user() {
  brought=
  while IFS= read -r line; do
    case $line in "for file in "*"; do") brought=${line#for file in } brought=${brought%; do} ;; esac
  done <"$old/uninstall"
  # Settings that are not as they were brought have been changed by a person. An installer before this one has left no copy of them.
  shipped=$old/launcher.toml.shipped
  [ -f "$shipped" ] || shipped=$place/launcher.toml
  if [ "$(cat "$old/launcher.toml")" != "$(cat "$shipped")" ]; then
    cp -p "$old/launcher.toml" "$place/launcher.toml.old"
  elif [ -f "$old/launcher.toml.old" ]; then
    cp -p "$old/launcher.toml.old" "$place/launcher.toml.old"
  fi
  for path in "$old"/* "$old"/.[!.]* "$old"/..?*; do
    other=${path##*/}
    [ -e "$path" ] || [ -L "$path" ] || continue
    # The last four are of the launcher's own renewal, which begins anew.
    case $other in "$name" | "$name.old" | "$name.new" | "$name.update.json" | "$name.update.lock") continue ;; esac
    if is_brought "$other"; then continue; fi
    if [ -e "$place/$other" ] || [ -L "$place/$other" ]; then
      mv "$path" "$place/$other.old"
    else
      mv "$path" "$place/$other"
    fi
  done
}

install() {
  new="$HOME/.local/lib/.$name.new"
  old="$HOME/.local/lib/.$name.old"
  mkdir -p "$HOME/.local/lib" "$HOME/.local/bin"
  # An installation that was interrupted between the steps below.
  if [ -d "$old" ] && [ ! -d "$place" ]; then mv "$old" "$place"; fi
  if [ -f "$old/uninstall" ] && [ -f "$old/launcher.toml" ] && [ -f "$place/launcher.toml" ]; then keep_files_of_the_user; fi
  if [ -e "$place" ] && { [ ! -f "$place/launcher.toml" ] || [ ! -f "$place/uninstall" ]; }; then
    fail "$place is a folder of another program; move it away first"
  fi
  rm -rf "$new" "$old"
  trap 'rm -rf "$new"' EXIT
  extract "$new"
  "$new/$name" --version >/dev/null || fail "the launcher does not run on this system"
  if [ -d "$place" ]; then
    keep_newer_launcher
    mv "$place" "$old"
  fi
  mv "$new" "$place"
  if [ -d "$old" ]; then keep_files_of_the_user; fi
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
# Shortcuts of an earlier installation stay until the user says otherwise.
if old=$("$place/$name" --headless old-shortcuts status 2>/dev/null) && [ -n "$old" ]; then
  echo "$old"
  echo "To replace them: $command old-shortcuts replace"
fi
echo "$title $version is installed. Start it from the menu, or with $command"
if [ -n "$start" ]; then exec "$place/$name"; fi
exit 0
