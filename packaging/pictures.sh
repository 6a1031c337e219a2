#!/bin/sh
# Draws every state of the window in both languages and themes on screens of six sizes, and the small window at three scales, and
# lays them out on sheets to look at: target/pictures/sheets. Takes half an hour. Needs: apt-get install imagemagick fonts-noto-cjk
set -eu
cd "$(dirname "$0")/.."
pictures=target/pictures
sheets=$pictures/sheets
mkdir -p "$sheets"

# sheet NAME COLUMNSxROWS SIZE FILE…: contact sheets of pictures under their names
sheet() {
    name=$1 tiles=$2 size=$3
    shift 3
    montage -label '%t' "$@" -tile "$tiles" -geometry "$size>+6+6" -background gray70 "$sheets/$name.png"
}

for screen in 1024x600@1 1366x768@1.5 1920x1080@1.25 1280x800@2 3840x2160@2.5 least@1; do
    KUZFLOW_PICTURES=all KUZFLOW_SCREEN=${screen%@*} KUZFLOW_SCALE=${screen#*@} cargo test --quiet --test it window::pictures
    for look in zh-cn-light zh-cn-dark en-light en-dark; do
        sheet "$screen-$look" 4x3 640x720 "$pictures/$screen"/*-$look.png
    done
done

for scale in 1 2 2.5; do
    KUZFLOW_NOTIFICATIONS=all KUZFLOW_SCALE=$scale cargo test --quiet --test it notification::pictures
    sheet "small@$scale" 4x9 480x200 "$pictures"/small-*.png
done
