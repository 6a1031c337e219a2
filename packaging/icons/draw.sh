#!/bin/sh
# Draws assets/icons/launcher.png, the icon of a launcher whose app brings none.
# Needs: apt-get install imagemagick
set -eu
cd "$(dirname "$0")/../.."
mask=$(mktemp --suffix=.png)
trap 'rm -f "$mask"' EXIT
convert -size 1024x1024 xc:black -fill white -draw 'roundrectangle 0,0 1023,1023 228,228' "$mask"
convert -size 1024x1024 gradient:'#5b9bff-#2251d8' \
    -fill none -stroke '#ffffff' -strokewidth 76 \
    -draw 'stroke-linecap round stroke-linejoin round path "M 512 240 L 512 600"' \
    -draw 'stroke-linecap round stroke-linejoin round path "M 364 460 L 512 608 L 660 460"' \
    -draw 'stroke-linecap round stroke-linejoin round path "M 264 640 L 264 700 Q 264 768 332 768 L 692 768 Q 760 768 760 700 L 760 640"' \
    "$mask" -alpha off -compose CopyOpacity -composite -resize 256x256 -strip -define png:compression-level=9 assets/icons/launcher.png
