#!/bin/sh
# Runs Asterisk in the foreground. On SIGTERM calls that are going on may end by themselves;
# those that have not when the time is over are hung up in order, so that no phone sits in silence.
set -eu

# Shorter than stop_grace_period in compose.yaml, or Docker kills before the phones are told.
calls_may_last_s="${HOTLINE_STOP_AFTER_S:-45}"

for file in asterisk.conf extensions.conf manager.conf pjsip.conf; do
    if [ ! -r "/rendered/$file" ]; then
        echo "/rendered/$file is missing or not readable; run the render service first:" \
            "docker compose run --rm render" >&2
        exit 1
    fi
done
cp -R /rendered/. /etc/asterisk/

# The trunk and whatever else is the admin's: read after the rendered file of the same name.
for file in /own/*.conf; do
    [ -e "$file" ] || continue
    printf '\n#include "%s"\n' "$file" >> "/etc/asterisk/$(basename "$file")"
done

# A CEL row is lost without a word when this folder is missing.
mkdir -p /var/log/asterisk/cel-custom

asterisk -f &
pbx=$!

stop() {
    trap '' TERM INT
    asterisk -rx 'core stop gracefully' > /dev/null 2>&1 &
    if ! timeout "$calls_may_last_s" tail --pid="$pbx" -f /dev/null; then
        echo "calls still going on after ${calls_may_last_s} s are hung up now" >&2
        asterisk -rx 'core stop now' > /dev/null 2>&1 || kill -TERM "$pbx"
    fi
    status=0
    wait "$pbx" || status=$?
    exit "$status"
}
trap stop TERM INT

wait "$pbx"
