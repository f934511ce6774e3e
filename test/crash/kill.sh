#!/bin/sh
# The kill -9 loop as a suite; see kill.mjs.
exec node "$(dirname "$0")/kill.mjs" "$@"
