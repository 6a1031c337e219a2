#!/bin/sh
# Draws the README's pictures of the windows into assets/screenshots; the small one at 100% and 200%.
# Needs: apt-get install imagemagick fonts-noto-cjk (256 colours are enough for them, and a third of the bytes; the notes' characters
# are not all embedded)
set -eu
cd "$(dirname "$0")/.."
scenes=offer,offer-incremental,downloading,applying,troubled,ready,not-trusted,versions,incident-crashed-details
KUZFLOW_PICTURES=$scenes KUZFLOW_SCALE=1.5 cargo test --quiet --test it window::pictures
mkdir -p assets/screenshots
for scene in $(echo $scenes | tr ',' ' '); do
    for look in zh-cn-light en-dark; do
        convert "target/pictures/$scene-$look.png" +dither -colors 256 -strip "png8:assets/screenshots/$scene-$look.png"
    done
done

small=offer-incremental,notification-hot,offer-prefetched,strip-downloading,applying,swapped,ready-blocker
for scale in 1 2; do
    KUZFLOW_NOTIFICATIONS=$small KUZFLOW_SCALE=$scale cargo test --quiet --test it notification::pictures
    for scene in notification-hot strip-downloading ready-blocker; do
        for look in zh-cn-light en-dark; do
            convert "target/pictures/small-$scene-$look.png" +dither -colors 256 -strip \
                "png8:assets/screenshots/small-$scene-$look-$scale.png"
        done
    done
done
