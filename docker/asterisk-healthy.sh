#!/bin/sh
# Healthy is a PBX that can take a call: booted, listening for SIP, with a number that leads
# into the hotline's dialplan.
set -eu

ask() {
    asterisk -rx "$1" 2> /dev/null || {
        echo "Asterisk does not answer on its console" >&2
        exit 1
    }
}

fully_booted=$(ask 'core waitfullybooted')
transports=$(ask 'pjsip show transports')
dialplan=$(ask 'dialplan show')

case "$fully_booted" in
    *"fully booted"*) ;;
    *) echo "Asterisk is still starting" >&2; exit 1 ;;
esac
case "$transports" in
    *"Objects found: "[1-9]*) ;;
    *) echo "no SIP transport: pjsip.conf was not loaded or its port is taken" >&2; exit 1 ;;
esac
case "$dialplan" in
    *"Goto(hotline-case,s,1)"*) ;;
    *) echo "the hotline's dialplan is not loaded: no number leads to it" >&2; exit 1 ;;
esac
