#!/bin/sh
# Makes the fonts in assets/fonts from Debian's fonts-noto-cjk: the characters of the catalogue, printable ASCII and common punctuation.
# Run it after a change of assets/texts; a test says when it is needed.
# Needs: apt-get install fonts-noto-cjk; pip install fonttools
set -eu
cd "$(dirname "$0")/../.."
source=${1:-/usr/share/fonts/opentype/noto}
out=assets/fonts
characters=$(mktemp)
trap 'rm -f "$characters"' EXIT
cat assets/texts/*.ftl > "$characters"
printf '%s' '中文…—–‘’“”•·×→←↑↓✓、。，：；！？（）《》「」【】～％￥©®™°±' >> "$characters"

# Faces in Noto's collections: 1 is Noto Sans CJK KR, 2 is Noto Sans CJK SC, 7 is Noto Sans Mono CJK SC.
subset() { # collection, face, name, further options
    collection=$1 face=$2 name=$3
    shift 3
    pyftsubset "$source/$collection" --font-number="$face" --output-file="$out/$name" --layout-features='kern' \
        --no-hinting --notdef-outline --name-IDs='0,1,2,13,14' --drop-tables+=VORG,vhea,vmtx,BASE,GSUB,DSIG "$@"
}
subset NotoSansCJK-Regular.ttc 2 NotoSansSC-Regular.otf --text-file="$characters" --unicodes=U+20-7E,U+A0-FF
subset NotoSansCJK-Bold.ttc 2 NotoSansSC-Bold.otf --text-file="$characters" --unicodes=U+20-7E,U+A0-FF
# Quotation marks, dashes and the ellipsis share their code points between Chinese (a full square) and English (as narrow as a
# letter); the Korean face has the narrow ones.
narrow=U+2013,U+2014,U+2018,U+2019,U+201C,U+201D,U+2022,U+2026
for weight in Regular Bold; do
    subset NotoSansCJK-$weight.ttc 1 NotoSansNarrowMarks-$weight.otf --unicodes="$narrow,U+2E"
    # Every face has the ellipsis at half height, as Chinese is written; English wants three full stops on the line.
    python3 - "$out/NotoSansNarrowMarks-$weight.otf" << 'PYTHON'
import sys
from fontTools.misc.transform import Offset
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont

font = TTFont(sys.argv[1])
names, glyphs = font.getBestCmap(), font.getGlyphSet()
stop, ellipsis = names[0x2E], names[0x2026]
width = glyphs[stop].width
strings = font["CFF "].cff.topDictIndex[0].CharStrings
private = strings[ellipsis].private
pen = T2CharStringPen(3 * width - private.nominalWidthX, None)
for place in range(3):
    glyphs[stop].draw(TransformPen(pen, Offset(place * width, 0)))
drawn = pen.getCharString(private=private, globalSubrs=strings[ellipsis].globalSubrs)
strings[ellipsis] = drawn
font["hmtx"][ellipsis] = (3 * width, font["hmtx"][stop][1])
for table in font["cmap"].tables:
    table.cmap.pop(0x2E, None)
font.save(sys.argv[1])
PYTHON
done
subset NotoSansCJK-Regular.ttc 7 NotoSansMonoSC-Regular.otf --unicodes=U+20-7E
ls -l "$out"
