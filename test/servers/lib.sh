# lib.sh - what the scripts beside it share; they source it.
#
# A directory holds all there is of a server: its files, its `port`, its process ids.
# Started again over the same directory it is the same server on the same port.
set -u
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
me=$(basename "$0")

usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 64
}

# Say why, with the end of each log, leave nothing running, and fail.
die() {
    echo "$me: $1" >&2
    shift
    local log
    for log in "$@"; do
        [ -s "$log" ] || continue
        echo "--- $log" >&2
        tail -n 30 "$log" >&2
    done
    case $me in
    *-up) "$here/${me%-up}-down" --kill "$dir" >&2 || true ;;
    esac
    exit 1
}

need() {
    command -v "$1" >/dev/null || die "there is no $1; scripts/deps test installs it"
}

# Ports below those that the kernel gives out by itself: nobody's outgoing connection
# can sit on one while its server is down for a moment.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
            echo "$port"
            return
        }
    done
    return 1
}

# The port of this directory: that of last time, or a new one.
own_port() {
    [ -s "$dir/port" ] || free_port >"$dir/port" || die "no port is free"
    cat "$dir/port"
}

# Is process $1 alive, and still the one whose command line has $2?
lives() {
    [ -n "$1" ] && [ -r "/proc/$1/cmdline" ] &&
        tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -e "$2" &&
        ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# until_true SECONDS COMMAND...: ask again until it is true; false when time is up.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

gone() {
    ! lives "$1" "$2"
}

# stop PID WORD SIGNAL: end a process and wait; -9 when it does not go in 20 s.
stop() {
    lives "$1" "$2" || return 0
    kill -"$3" "$1" 2>/dev/null || true
    until_true 20 gone "$1" "$2" && return 0
    kill -KILL "$1" 2>/dev/null || true
    until_true 20 gone "$1" "$2" || {
        echo "$me: process $1 does not end" >&2
        return 1
    }
}
