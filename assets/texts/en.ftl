### Every text of the window and the terminal. Each message exists in both languages; a test in `texts.rs` keeps it so.

## Titles and subtitles of the window's phases

window-title = { $app } — update
window-title-install = { $app } — installation
idle-title = { $app }
idle-subtitle = Check whether a new version is available
checking-title = Checking for updates
checking-subtitle = Asking the update server…
checking-file-title = Checking the file
checking-file-subtitle = Verifying the publisher’s signature…
current-title = { $app } is up to date
no-update-title = No update at the moment
nothing-title = There is no version to install
current-subtitle = Current version { $version }
current-subtitle-none = No version is installed yet
offer-title = { $app } { $version } is available
offer-title-recalled = { $app } { $version } in place of { $bad }
offer-title-older = { $app } { $version } is older than your { $current }
older-refused = Nothing was installed. To go back to { $version } with your present files, add --accept-older.
offer-subtitle = { $way } • { $size }
offer-have = You have version { $version }
cost-list = { $before } • { $next }
price-small = Small update
price-whole = Download
offer-subtitle-incremental = Incremental update • { $size } (full package { $full })
install-title = Install { $app }
install-subtitle = Version { $version } • { $size }
downloading-title = Downloading { $app } { $version }
downloading-subtitle = You can keep using the current version meanwhile
downloading-subtitle-first = Ready to use as soon as it is complete
paused-title = Download paused
paused-subtitle = What has been downloaded is kept
installing-title = Installing { $app } { $version }
installing-subtitle = Writing and verifying the last files
installing-subtitle-incremental = Building it from what is already on this computer
installing-subtitle-file = Reading it from the file, verifying and writing
ready-title = { $app } { $version } is ready
ready-subtitle-running = Restart { $app } to use the new version. It asks you first if something is not saved.
ready-subtitle-stopped = Start the new version whenever you like
rolling-back-title = Going back…
rolling-back-subtitle = Bringing back the version and your files
rolling-back-subtitle-plain = Bringing back the version
rolled-back-title = { $app } { $version } is back
rolled-back-subtitle = With your files as they were when you left it.
rolled-back-subtitle-plain = It replaces { $version }, which stays installed.
rolled-back-retained-here = What you did in version { $version } since then is kept. You can open it and copy from it.
rolled-back-retained = What you did in version { $version } since then is kept in { $path }
pinned = Staying at version { $version }.
pinned-waits = Version { $version } was chosen and starts next. To stay where you are, switch back.
unpinned = Newer versions are offered again.
skipped = Version { $version } is not offered any more.
skip-nothing = Version { $version } would not be offered anyway.
skip-none = No such version is skipped.
incident-rolled-back = Version { $from } did not start properly, so you are back on { $to }, with your files as they were.
incident-rolled-back-plain = Version { $from } did not start properly, so you are back on { $to }.
incident-recalled = The publisher has recalled version { $from }, so you are back on { $to }, with your files as they were on { $date }. What you did since then is kept in { $path }
incident-recalled-plain = The publisher has recalled version { $from }, so you are back on { $to }.
incident-withdrawn = Version { $version } was to start next, but the publisher has recalled it. The version before stays active, and nothing was changed.
incident-not-switched = Version { $version } could not be prepared, so the version before stays active. Nothing was changed.
incident-hook-failed = A setup step of version { $version } did not succeed. The app starts all the same; something in it may be missing.
incident-conflicts = { $count ->
    [one] In version { $version } one file was changed both by you and by the release: yours is in use, the other lies beside it.
   *[other] In version { $version } { $count } files were changed both by you and by the release: yours are in use, the others lie beside them.
}
incident-unreadable = This computer cannot read { $path }. Version { $version } was started with what is known from other files, and your files are unchanged. Keep a copy of them elsewhere: the disk may be failing.
incident-repaired = Version { $version } was damaged and has been repaired. Your files are unchanged.
incident-not-repaired = Version { $version } is damaged and could not be repaired yet, so another version was started. The next start tries again.
incident-repaired-later = Version { $version } was damaged and has been repaired. The next start uses it; until then version { $started } runs.
incident-not-repaired-so = Version { $version } is damaged and could not be repaired yet, so version { $started } was started. The next start tries again.
incident-worked-in = Version { $version } runs again. What you did in version { $worked }, which stood in for it, is kept in { $path }.
incident-left-alone = Version { $version } has not said that it is ready. It is left alone, since you may be working in it. If you see nothing of it, end it and start it again, or go back to an earlier version.
incident-set-aside = Files that were set aside take { $size } of your disk. “list” names them; “prune --set-aside” and “prune --damaged” delete them.
stand-in-files = In { $started } your files are as they were on { $date }; your newer files are in { $version }, unchanged.
stand-in-without-files = { $started } has none of your files; they are in { $version }, unchanged.
ready-subtitle-elsewhere = It starts the next time you open { $app }
incident-file = { $yours } (beside it: { $beside })
swapping-title = Applying { $app } { $version }
swapping-subtitle = { $app } keeps running; this takes a moment
swapped-title = { $app } { $version } is in use
swapped-subtitle = No restart was needed
switching-progress = Copying your files: { $done } of { $total } MB
switching-title = Switching to { $app } { $version }
switching-subtitle = Starting the new version
starting-title = Starting { $app }
starting-subtitle = This version is setting itself up, the disk is slow, or another launcher is at work. { $app } starts as soon as it can.
starting-slow-disk = The disk is slow: the launcher waits for its own files.
switching-subtitle-start = Your files are made ready for this version. { $app } starts right afterwards.
closing-title = Closing { $app }
closing-subtitle = It asks you first if something is not saved
closing-title-person = { $app } is waiting for you
closing-subtitle-person = Save or discard your work there
closing-title-unreachable = { $app } is still running
closing-subtitle-unreachable = Please save your work and quit it
closing-person = Answer the question in { $app }, or close its window. It is not ended while something in it may be unsaved.
closing-unreachable = { $app } cannot be closed from here. Quit it in its window, in its terminal, or at its icon in the panel.
closing-then = Version { $version } starts as soon as { $app } has closed.
closing-then-back = Version { $version } comes back as soon as { $app } has closed.
closing-then-other = The other version starts as soon as { $app } has closed.
end-app-title = End { $app } without saving?
end-app-text = Everything in it that is not saved will be lost.
end-app-text-instead = To keep your work, save it in { $app } and close it there.
launched-title = { $app } { $version } has started
launched-subtitle = This window will close
launched-subtitle-notice = There is something you should know
failed-title = The update was not completed
failed-title-first = The installation was not completed
failed-subtitle-safe = The installed version is unaffected and works as before
failed-subtitle = Nothing was installed
failed-subtitle-tries-again = Nothing was installed yet. The launcher tries again by itself.
failed-title-other = This could not be done
failed-subtitle-launch = It is installed, but the system could not start it
failed-title-start = { $app } cannot be started
failed-subtitle-start = Nothing was changed
cancelled-title = Update cancelled
cancelled-title-first = Installation cancelled
cancelled-subtitle = Verified parts are kept and need no second download
repairing-title = Checking and repairing { $app } { $version }
repairing-subtitle = Comparing every file with the published release
repaired-title = Version { $version } is repaired
repaired-title-whole = Version { $version } is intact
repaired-title-left = Version { $version } could not be fully repaired
repaired-items = { $count ->
    [one] One damaged item was restored
   *[other] { $count } damaged items were restored
}
repaired-left = { $count ->
    [one] One item is still damaged
   *[other] { $count } items are still damaged
}
repair-hint = To repair it: kuzflow-launcher verify --repair { $version }
repaired-nothing = All files are as they were published
repaired-removed = Not part of this version, taken away: { $path }
versions-only-copy = Your files of version { $version }, set aside on { $date }: { $path } ({ $size }); “prune --set-aside” deletes them
versions-set-aside = Set aside of a damaged or removed version: { $path } ({ $size }); “prune --damaged” deletes it
repaired-aside = Files that do not belong to this version, yet may be yours, are kept in { $path }
how-cloned = copied from another file on this computer
how-patched = rebuilt from another version with a patch
how-fetched = downloaded
how-made = made anew
how-permissions = permissions set again

## What happened while nobody looked

notice-several = { $count } things you should know
notice-several-subtitle = The newest comes first. Your files are safe.
notice-several-subtitle-plain = The newest comes first.
notice-rolled-back = Version { $version } did not start properly
notice-rolled-back-now = You are back on { $version }, and your files are as they were.
notice-rolled-back-now-plain = You are back on { $version }.
notice-recalled = The publisher has recalled version { $version }
notice-recalled-now = You are back on { $version }, with your files as they were on { $date }. What you did since then is kept.
notice-recalled-why = The publisher has withdrawn that version, so an earlier one takes its place. It brings its own files, since the withdrawn version may have damaged the newer ones.
notice-withdrawn = Version { $version } was not started
notice-withdrawn-now = The publisher has recalled it. The version before stays active, and nothing was changed.
notice-withdrawn-why = A version that waits for the next start is not used any more once its publisher has recalled it.
notice-not-switched = Version { $version } could not be prepared
notice-not-switched-now = The version before stays active. Nothing was changed.
notice-hook-failed = A setup step of version { $version } did not succeed
notice-hook-failed-now = The app works all the same. Something in it may be missing.
notice-conflicts = { $count ->
    [one] One of your files is kept twice
   *[other] { $count } of your files are kept twice
}
notice-conflicts-now = { $count ->
    [one] You and version { $version } both changed it. Yours stays in use.
   *[other] You and version { $version } both changed them. Yours stay in use.
}
notice-unreadable = A file cannot be read
notice-unreadable-now = Version { $version } was started all the same, and your files are unchanged.
notice-unreadable-why = The file { $path } is there, and this computer cannot read it. Keep a copy of your files elsewhere, and have the disk checked: it may be failing.
notice-repaired = Version { $version } has been repaired
notice-repaired-now = It was damaged. Your files are unchanged.
notice-repaired-later = It was damaged. The next start uses it; until then version { $started } runs.
notice-repaired-why = Some of its files were missing or damaged, so it could not be started. They are restored now.
notice-not-repaired = Version { $version } could not be repaired yet
notice-not-repaired-now = It is damaged, so another version was started. Your files in it are unchanged.
notice-not-repaired-so = It is damaged, so version { $started } was started.
notice-not-repaired-why = What is missing could not be downloaded or written. The next start tries again; an internet connection and free space on the disk may help.
notice-left-alone = Version { $version } has not said that it is ready
notice-left-alone-now = It is left alone, since you may be working in it. If you see nothing of it, end it and start it again.
notice-left-alone-why = It was expected to say that it is ready, and no window of it can be seen from here. You can go back to an earlier version under “Installed versions”.
notice-set-aside = Files that were set aside take { $size }
notice-set-aside-now = They stay until you delete them: see “Installed versions”.
notice-set-aside-why = Going back to an earlier version, repairs and removed versions leave files that exist nowhere else. Nothing deletes them by itself.
notice-worked-in = What you did in version { $worked } is kept
notice-worked-in-now = It stood in for version { $version }, which runs again with its own files.
notice-worked-in-why = While one version could not be started you worked in another. Its files are a state of their own, and stay until you delete them.
notice-why = What happened
notice-when = When
notice-retained = Your files from { $version }
notice-retained-text = What you did in this version is kept. You can open it and copy from it.
notice-next = What happens now
notice-next-text = { $version } is not offered again on this computer. The next version will be.
notice-not-switched-why = Its own preparation did not succeed. The lines below help whoever looks into it.
notice-hook-failed-why = The release brought a script of its own for this step, and the script did not end well. The lines below help whoever looks into it.
notice-files = Your files
notice-beside = beside it: { $name }
notice-more = { $count ->
    [one] and one more
   *[other] and { $count } more
}
failure-crashed = It closed by itself with error code { $status }.
failure-signal = It crashed (signal { $signal }).
failure-exception = It crashed (exception { $code }).
failure-ended-at-once = It closed again at once, without saying why.
failure-hung = It started, but never said that it was ready.
failure-reported = It reported a problem: “{ $reason }”
failure-reported-nothing = It reported a problem.
failure-not-started = It could not be started at all.
failure-never-up = It was started several times, and each time it was interrupted before it was ready.

## Why there is no update

no-update-newest = You are using the newest version.
no-update-skipped = There is a newer version, which you chose to skip.
no-update-failed-here = There is a newer version, but it did not start properly on this computer. The next one will be offered.
no-update-pinned = You chose to stay at this version. To get newer ones, choose “Offer newer versions again” under “Installed versions”.
    .in-terminal = You chose to stay at this version. To get newer ones: “pin --release”.
no-update-not-yet = There is a newer version. It is being rolled out step by step and has not reached this computer yet.
no-update-only-whole = There is a newer version. It could only be downloaded whole, and the settings allow incremental updates only.
no-update-nothing = The update server has no version for this computer yet.
no-update-system-too-old = Your system is no longer supported: the newer version needs { $needed }, this computer has { $found }. The version that you have goes on working.
no-update-ahead = Your version is newer than { $version }, the newest one of the channel that you chose. It stays until the channel has a newer one.
no-update-recalled = The publisher has recalled the version that you have. Nothing can take its place on this computer yet; the next version will be offered.
no-update-recalled-besides = The publisher has recalled the version that you have.
no-update-installed = The version in this file is installed and in use already.

## Details

way-full = Full update
way-incremental = Incremental update
way-patches = { $count ->
    [one] One patch on top of { $from }
   *[other] { $count } patches in a row, starting from { $from }
}
way-patches-and-entries = Patches on top of { $from }, then the files changed since
way-entries = Changed files only, the rest comes from { $from }
way-entries-here = Changed files only, the rest is already here
way-file = From a file
way-installed = Ready on this computer
reason-cheapest = This is the smallest download
reason-sooner = On this fast connection the full package is ready sooner
reason-nothing-installed = Nothing is installed yet
reason-above-threshold = Too much has changed for a smaller download
reason-switched-off = Incremental updates are switched off
reason-unknown = What changed since your version is not known
files-all = { $count ->
    [one] { $count } file: { $list }
   *[other] { $count } files: { $list }
}
files-none = No files
files-cloned = { $count } reused
files-patched = { $count } patched
files-fetched = { $count } downloaded
restart-needed = restart needed
restart-not-needed = no restart needed
list = { $before }, { $next }
sentences = { $first } { $second }
detail-current = Current version
detail-target = New version
detail-size = Download size
detail-time = Estimated time
detail-way = Method
detail-reason = Reason
detail-files = Contents
detail-restart = Afterwards
detail-line = { $name }: { $value }
detail-file = File
detail-no-download = no download
detail-time-unknown = Estimated once the download starts
detail-already = { $size }, { $done } already here
detail-saved = { $size }, { $percent } less than the full package
recalled = The publisher has recalled version { $version }. This version takes its place.
recalled-because = The publisher's reason: { $reason }
recalled-files = Your files come back as they were on { $date }. What you did since then is kept in a folder that you can open.
mandatory = The publisher requires this update. You can go on working now; { $app } asks again at each start until it is installed.
notes-title = What’s new
notes-title-in = { $title } ({ $language })

## Nodes and progress

nodes-title = Download servers
nodes-count = { $count }
progress-title = Total progress
progress-amount = { $done } of { $total }
progress-files = { $done } of { $total } files written
progress-step = File { $done } of { $total }
progress-steps-title = Files written
progress-fallen-back = { $count ->
    [one] One file was downloaded whole, since its patch did not fit. All is well.
   *[other] { $count } files were downloaded whole, since their patches did not fit. All is well.
}
progress-repaired-bases = { $count ->
    [one] One installed file was damaged and is downloaded again. All is well.
   *[other] { $count } installed files were damaged and are downloaded again. All is well.
}
progress-speed = { $speed }/s
progress-left = { $duration } left
progress-left-long = More than a day left
progress-waiting = Waiting
progress-left-unknown = Estimating time left
status-connecting = Connecting…
status-downloading = { $count ->
    [one] Downloading from one server
   *[other] Downloading from { $count } servers
}
status-downloading-peers = { $count ->
    [one] Downloading from one computer nearby
   *[other] Downloading from { $count } computers nearby
}
status-peers = { $count ->
    [one] one computer nearby
   *[other] { $count } computers nearby
}
status-waiting = No server answers at the moment, trying again…
status-paused = Paused
status-verifying = Verifying and writing
node-idle = Standing by
node-waiting = Will try again
node-dropped = Not used
node-published = { $bandwidth } Mbps
node-bar = Progress from { $name }
fault-unreachable = Cannot be reached
fault-refused = Answered with an error
fault-stalled = Sent nothing for too long
fault-truncated = Broke off early
fault-wrong-bytes = Data do not match the signature
fault-ignored-range = Cannot send parts of a file
fault-different-file = Holds another file than the published one
region-asia-pacific = Asia-Pacific
region-europe = Europe
region-americas = Americas
region-global = Global
region-peer = this network
node-peer = Computer nearby ({ $name })

## The small window beside the running app, and the system's notification

notification-title = { $app }: new version { $version }
notification-title-short = { $app } { $version }
notification-now = Update
notification-fetched = Already downloaded
notification-no-restart = No restart needed
notification-open = Show the whole window
strip-step = { $name } ({ $step }/{ $steps })
strip-preparing = Preparing
strip-downloading = Downloading
strip-installing = Installing
strip-swapping = Applying
strip-switching = Restarting
strip-progress = Progress of the update
strip-detail = { $amount } • { $speed }
restart-now = Restart
start-now = Start
strip-waiting = Waiting for { $app } to close
strip-starting = Starting the new version
restart-subtitle = Restart { $app } to use it
blocker-files = What changed cannot be replaced while the app runs.
blocker-loading = The app uses what changed in a way that needs a restart.
blocker-content = The running app could not check the new files.
blocker-needed = Other parts of the running app still need the old version of it.
blocker-in-use = Something that changed is in use right now.
blocker-tried = It was tried without a restart, did not work, and was undone.
blocker-busy = The app accepts no changes at the moment.
blocker-undo = The change was begun and could not be undone completely: please restart the app soon.
blocker-other = This change takes effect after a restart.

## Buttons

action-start = Update now
action-install = Install
action-go-on = Continue installing
action-later = Later
action-skip = Skip this version
action-offer-skipped = Offer it again
action-pause = Pause
action-resume = Resume
action-cancel = Cancel
action-restart-now = Restart { $app }
action-start-now = Start { $app }
action-restart-later = Later
action-keep-running = Restart later
action-not-back = Not now
action-end-app = End without saving…
action-end-app-now = End without saving
action-retry = Try again
action-check = Check for updates
action-install-file = Install from a file…
action-accept-expired = Install anyway
action-close = Close
action-versions = Installed versions
action-back = Back
action-switch = Switch to this…
action-switch-now = Switch
action-go-back = Go back to this…
action-go-back-now = Go back
action-pin = Stay at this version
action-unpin = Offer newer versions again
action-prune = Free up space…
action-prune-now = Free up space
action-ok = OK
action-details = Details
action-open-folder = Open folder
action-remove = Remove
action-delete = Delete…
action-delete-now = Delete
action-hide-details = Hide details
action-copy-details = Copy details
action-copied = Copied
action-dismiss = Got it
action-replace-shortcuts = Replace
action-leave-shortcuts = Leave
action-language = Language: { $language }
action-theme = Appearance: { $theme }
action-restart-app = Restart the app
action-start-app = Start the app
theme-auto = system
theme-light = light
theme-dark = dark

## Version menu

versions-title = Installed versions
versions-subtitle = { $count ->
    [one] One version, { $size }
   *[other] { $count } versions, { $size } in all
}
versions-subtitle-measured = { $count ->
    [one] One version, up to { $size } on the disk
   *[other] { $count } versions, up to { $size } on the disk
}
versions-empty = No version is installed yet.
versions-removed = Version { $version } has been removed.
versions-none-removed = There is no version to remove.
switch-chosen = { $version } is chosen already: it is what starts.
version-facts = { $size } • installed { $date }
version-active = Active
version-next = Starts next
version-running = Running
version-ready = Ready
version-way-switch = Switch: your current files come with you.
version-way-back = Go back: your files as they were on { $date }.
version-failed = Did not start here
version-recalled = Recalled
version-pinned = Pinned
version-left = your files of { $date } are kept
surplus = { $count ->
    [one] One old version can go: up to { $size }
   *[other] { $count } old versions can go: up to { $size }
}
retained-title = Kept files
retained-text = Your files as they were when you left a version. The newest three stay, and all that you went back from.
delete-title = Delete your files from version { $version }?
delete-text-date = They are as they were on { $date }.
delete-text = What you did later is elsewhere and stays.
delete-text-only = They exist only here. Once they are deleted, nothing brings them back.
retained-of = Your files from version { $version }
switch-title = Switch to { $version }?
switch-text = Your current files come with you.
switch-text-back = { $version } stays installed, with your files as they are now, so that you can go back to it.
switch-text-failed = This version did not start properly on this computer before.
switch-text-running = It takes effect when { $app } restarts.
go-back-title = Go back to { $version }?
go-back-text = Version { $version } comes back, and your files as they were on { $date }.
go-back-text-plain = Version { $version } comes back, as it was on { $date }.
go-back-text-retained = What you did since then is kept in a folder that you can open.
go-back-text-running = { $app } will close and reopen. It asks you first if something is not saved.
prune-title = Free up space?
prune-text = Will be deleted: { $list }. That frees up to { $size }.
prune-text-stays = The active version and the one to go back to stay.
prune-text-files = Your current files and the kept ones stay as well.
remove-title = Remove { $version }?
remove-text = This version will be deleted from the disk, which frees up to { $size }. Other versions are not affected.
remove-text-retained = Your own files from it are kept.
folder-failed = Cannot open the folder { $path }

## Installing from a file

file-kind = Update files
file-dialog-failed = The system’s file dialog cannot be opened. Drop the file on this window instead.
drop-title = Drop to install
drop-busy = Please wait until the current step is done

## When something fails: what happened, why, what to do next

problem-no-network = The update server cannot be reached
    .why = The network may be down, or a firewall or proxy is in the way.
    .next = Check the network connection and try again. What has been downloaded is kept.
problem-nodes-unusable = The update server does not have what is needed
    .why = The servers answer, but the file is missing, incomplete or still being copied; or this network wants you to sign in first.
    .next = If this network has a sign-in page, open it in your browser. Otherwise try again in a few minutes; if it stays like this, tell the publisher.
problem-not-trusted = The update failed its security check
    .why = What arrived does not match the publisher’s signature: it was tampered with on the way, a file on the server is damaged, or this launcher was made for another server.
    .next = To be safe, nothing was installed. Try again on another network; if it still fails, tell the publisher.
problem-metadata-expired = The update information has expired
    .why = The publisher has not renewed it, someone keeps newer information from you, or this computer’s clock is wrong.
    .next = Check date and time of this computer, then try again.
problem-disk-full = Not enough disk space
    .why = The new version needs more free space: { $subject }
    .next = Free some space, or remove an old version under “Installed versions”, then try again.
    .next-in-terminal = Free some space, or remove an old version (“prune”, or “remove VERSION”), then try again.
problem-disk-error = A file cannot be read or written
    .why = The system could not read or write it: { $subject }
    .next = Check the disk and the folder’s permissions, close programs that use the file, then try again.
problem-file-size-limit = This computer allows no file of that size
    .why = The system refused to let this file grow: { $subject }
    .next = Ask whoever looks after this computer to raise the limit on file sizes, then try again.
    .next-in-terminal = Raise the limit (in a shell: ulimit -f unlimited), or ask whoever looks after this computer, then try again.
problem-file-missing = A file or folder is missing
    .why = It is not there: { $subject }
    .next = Check the path, then try again.
problem-exhausted = This computer has too little to work with just now
    .why = Too many programs or files are open, or its memory is used up: { $subject }
    .next = Close some programs, then try again.
problem-another-disk = A part of the installation is on another disk
    .why = Nothing can be moved between two disks in one step: { $subject }
    .next = Put the whole folder of the installation on one disk, then try again.
problem-busy = Another launcher is at work
    .why = Only one launcher at a time may change the installation.
    .next = Wait until it is done or close it, then try again.
problem-bad-package = The package is damaged
    .why = Its contents are not what the publisher declared: { $subject }
    .next = Nothing was installed. Try again; if it still fails, tell the publisher.
problem-no-such-version = This version cannot be found
    .why = Neither this computer nor the update server has { $subject }.
    .next = Choose another one under “Installed versions”, or check for updates.
    .next-in-terminal = “list” shows the installed versions, and “check” whether there is a newer one.
problem-not-installed = This version is not installed
    .why = { $subject } is not on this computer.
    .next = Choose another one under “Installed versions”, or install it first.
    .next-in-terminal = “list” shows the installed versions; “update --to VERSION” installs another one.
problem-version-in-use = This version is in use
    .why = { $subject } is running, or is the active version, and cannot be changed now.
    .next = Close the app first; to remove this version, switch to another one.
    .next-in-terminal = Close the app first; to remove this version, switch to another one (“switch VERSION”).
problem-data-too-new = Your files are too new for this version
    .why = Version { $subject } does not know the form in which a newer version has written your files.
    .next = Go back to it with your files as they were then, or stay at the newer version.
    .next-in-terminal = Go back to it with your files as they were then (“rollback VERSION”), or stay at the newer version.
problem-migration-failed = The new version could not be prepared
    .why = The release’s own preparation for { $subject } did not succeed. Nothing was changed; the version before stays active.
    .next = Go on working. Tell the publisher; the details help.
problem-no-rollback-point = There is nothing to go back to
    .why = No earlier state is kept for { $subject }.
    .next = Choose another installed version under “Installed versions”, and switch to it.
    .next-in-terminal = “list” shows the installed versions; “switch VERSION” switches to one of them.
problem-app-running = { $subject } is running
    .why = Uninstalling would take the files away that it works with.
    .next = Save your work, close the app, then try again.
problem-open-twice = { $app } is open a second time
    .why = Another version can start only when { $app } is closed everywhere. Nothing was closed.
    .next = Close the other { $app }, then try again.
problem-launch-failed = The app could not be started
    .why = Starting it failed: { $subject }
    .next = Try again, or switch to another version under “Installed versions”.
    .next-in-terminal = Try again, or switch to another version (“list”, then “switch VERSION”).
problem-did-not-start = { $app } did not start
    .why = { $subject }
    .next = Try again. If it stays like this, choose another version under “Installed versions”, and send the details below to whoever made the app.
    .next-in-terminal = Try again. If it stays like this, switch to another version (“list”, then “switch VERSION”), and send the lines below to whoever made the app.
did-not-start-alone = Try again. If it stays like this, send the details below to whoever made the app.
failed-subtitle-did-not-start = It was started and ended at once
problem-ended-with-error = { $app } ended with an error
    .why = { $subject }
    .next = Try again. If it happens again, choose another version under “Installed versions”, and send the details below to whoever made the app.
    .next-in-terminal = Try again. If it happens again, switch to another version (“list”, then “switch VERSION”), and send the lines below to whoever made the app.
failed-subtitle-ended-with-error = It had started, and closed soon after
problem-programs-forbidden = This computer lets no app be started from its folder
    .why = The disk that holds it is set up so that no program can be started from it (noexec): { $subject }
    .next = Ask whoever looks after this computer to allow it, or install the app in another folder. No version is at fault.
problem-nothing-installed = The app is not installed yet
    .why = There is no usable version of it here: { $subject }
    .next = Try again: the launcher then installs it. That needs the network, or a file from the publisher.
    .next-in-terminal = “update” installs it over the network, and “install FILE” from a file of the publisher.
problem-home-of-another-program = This folder holds files of another program
    .why = The app was to be installed here, and would change these files: { $subject }
    .next = Choose an empty folder for the app, or ask the publisher.
    .next-in-terminal = Name another folder with the option --home, or as home in launcher.toml. Nothing was changed.
problem-app-of-another-publisher = Another publisher’s app of this name is installed
    .why = This launcher belongs to another publisher than the app in this folder: { $subject }
    .next = Start that app with its own launcher, or uninstall it with that one first.
    .next-in-terminal = Use the launcher that came with that app, or name another folder with the option --home. Nothing was changed.
problem-nothing-for-this = The update server has nothing for this installation
    .why = This launcher looks for { $wanted }. The server has { $found }.
    .next = Ask the publisher: the app, the channel or the platform in launcher.toml may be wrong.
problem-bad-settings = The launcher’s settings cannot be read
    .why = The settings file or the trust file shipped with it is missing or faulty: { $subject }
    .next = Install the launcher again, or ask the publisher.
problem-launcher-too-old = The launcher is too old
    .why = This version needs a newer launcher.
    .next = Close this window: the launcher updates itself first, if it can, and starts again. If this message comes back, get the newest launcher from the publisher.
    .next-in-terminal = Start the app with the launcher: it updates itself first, if it can. If this message comes back, get the newest launcher from the publisher.
problem-bundle-damaged = This file cannot be used
    .why = It is not an update file, or a part of it is missing: { $subject }
    .next = Copy it again completely, or get it from the publisher once more.
problem-bundle-is-package = This file cannot be installed by itself
    .why = It is a package without the signatures that say who made it: { $subject }
    .next = Ask the publisher for the file that ends in .kuzflow-bundle: it has both.
problem-bundle-not-trusted = The file failed its security check
    .why = What is in it does not match this publisher’s signature. It was damaged while copying, changed by someone, or belongs to another program: { $subject }
    .next = To be safe, nothing was installed. Copy the file again, or get it directly from the publisher.
problem-bundle-expired = This file is old
    .why = It is genuine, but the publisher has vouched for it only until { $subject }. There may be a newer version, with important fixes.
    .next = Better: connect to the network, or get a newer file. If you trust whoever gave you this one, you can install it anyway.
    .next-in-terminal = Better: connect to the network, or get a newer file. If you trust whoever gave you this one, you can install it anyway: “install FILE --accept-expired”.
problem-bundle-unsuitable = This file is not for this installation
    .why = It holds { $subject }, which is another program, system or channel.
    .next = Ask the publisher for the file that fits this computer.
problem-bundle-withdrawn = The publisher has withdrawn this version
    .why = Newer information from the publisher no longer allows it: { $subject }
    .next = Get a newer file from the publisher, or check for updates.
    .next-in-terminal = Get a newer file from the publisher, or look for a newer version (“update”).
problem-bundle-undecided = It is not known whether this version is still allowed
    .why = The file is older than the newest information from the publisher, and the list of older versions is not on this computer: { $subject }
    .next = Connect to the internet and open the file once more, or get a newer one from the publisher.
problem-bundle-too-far = Another version has to be installed first
    .why = This version can only follow { $subject } or a newer one.
    .next = Install that one first, or check for updates over the network.
    .next-in-terminal = Install that one first (“update --to VERSION”), or the newest one over the network (“update”).
problem-internal = An error inside the launcher
    .why = This is a fault of the launcher, not of anything you did.
    .next = Try again, and send the details below to the publisher.
problem-subject-unknown = see the details
no-window = The update window cannot be opened. The app will be started without it.

## Computers of the same office

sharing-switch = Share updates with computers nearby
sharing-explained = Saves internet traffic in an office. Only released files of this app are shared, never your own.
channel-title = Channel
channel-explained = Which releases you are offered. If you leave a channel whose versions are newer, your version stays until the other one has caught up.
channel-is = This installation follows the channel { $channel }.
channel-choices = Channels to choose from: { $channels }
channel-fixed = The publisher offers no other channels.
channel-unknown = There is no channel { $channel } to choose. Channels: { $channels }
action-back-to-channel = Go back now
reports-switch = Tell the publisher how updates went
reports-explained = Sends versions, kind of system, times, bytes, servers used and kinds of errors. Never your name, your address or anything about your files.
reports-off-by-publisher = The publisher of this app wants no reports.
reports-switched-on = Reports to the publisher are on.
reports-switched-off = Reports to the publisher are off.
reports-waiting = Waiting to be sent to { $address }:
reports-none-waiting = Nothing waits to be sent to { $address }.
peers-off-by-publisher = The publisher of this app has not switched on sharing with computers nearby.
peers-switched-on = Sharing with computers nearby is on.
peers-switched-off = Sharing with computers nearby is off.
peers-serving = Computers nearby can get the installed versions from here (port { $port }). Press Ctrl+C to stop.
peers-not-serving = Computers nearby cannot be reached from here; the log says why.

## Desktop

shortcut-comment = Start { $app } and keep it up to date
shortcut-bundle = Update bundle
shortcut-versions = Versions and update settings
shortcut-check = Check for updates
shortcut-no-desktop = There is no desktop folder here, so only the menu entry is made.
shortcut-made = { $app } is in the menu:
shortcut-removed = The shortcut of { $app } is removed:
shortcut-nothing = There is nothing to do.
old-shortcuts-none = There is no old shortcut of { $app }.
old-shortcuts-found = Shortcuts that still start an earlier installation of { $app }:
old-shortcuts-replaced = { $app } has taken the place of these old shortcuts:
old-shortcuts-restored = These old shortcuts are back:
old-shortcuts-title = { $count ->
    [one] One shortcut still starts the old { $app }
   *[other] { $count } shortcuts still start the old { $app }
}
old-shortcuts-subtitle = Left by an earlier installation. The new one can take over; uninstalling it brings the old shortcuts back.
old-shortcut-desktop = on the desktop
old-shortcut-menu = in the menu
old-shortcuts-switch = Replace old shortcuts of { $app }
old-shortcuts-left = { $count ->
    [one] One shortcut still starts an earlier installation.
   *[other] { $count } shortcuts still start an earlier installation.
}
old-shortcuts-gone = { $count ->
    [one] One shortcut of an earlier installation was replaced. Switch this off to bring it back.
   *[other] { $count } shortcuts of an earlier installation were replaced. Switch this off to bring them back.
}
autostart-is-on = { $app } starts when you log in.
autostart-is-off = { $app } does not start when you log in.
login-start-switch = Start { $app } when I log in
login-start-explained = { $app } then starts by itself whenever you log in to this computer.
login-start-off-in-system = Windows has switched this off. Change it in the settings of Windows, under Apps, Startup.
login-start-unavailable = This system has no folder for programs that start at login.
uninstall-question = Uninstall { $app } from { $folder }?
uninstall-question-data = Keep your settings and data for the next installation?
uninstall-done = { $app } is uninstalled.
uninstall-nothing = { $app } is not installed.
uninstall-left = Nothing was changed.
uninstall-retained = Your settings and data are kept in { $folder }. The next installation takes them over.
uninstall-foreign = Left alone, since it does not belong to the launcher: { $folder }
uninstall-launcher = The launcher itself was not removed: { $folder }
uninstall-hook-failed = The app's own clean-up step did not succeed. Some things that the app set up outside of its folder may be left:

## Durations and dates

duration-seconds = { $seconds ->
    [one] 1 second
   *[other] { $seconds } seconds
}
duration-minutes = { $minutes } min { $seconds } s
duration-hours = { $hours } h { $minutes } min
about = about { $duration }
moment = { $date }, { $time }
date = { $monthname } { $day }, { $year }
