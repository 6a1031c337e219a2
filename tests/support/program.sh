#!/bin/sh
echo "version=$KUZFLOW_VERSION args=$*"
[ ! -f "${0%/*}/orders" ] || . "${0%/*}/orders"
[ -n "$CODE$SILENT" ] || echo up >>"$KUZFLOW_HEALTH"
[ -z "$STAY" ] || [ -n "$CODE$COMPLAINT" ] || exec sleep "$STAY"
[ -z "$STAY" ] || sleep "$STAY"
[ -z "$COMPLAINT" ] || echo "$COMPLAINT" >&2
exit "${CODE:-0}"
