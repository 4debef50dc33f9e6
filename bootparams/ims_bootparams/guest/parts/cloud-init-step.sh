#!/bin/sh
# step NAME COMMAND...: runs one step of the context, unless it was run before, and notes its
# result for the receipt. `placed` is a command of its own.
results=/var/lib/ims/cloud-init/results

placed() { # PATH SHA256 MODE OWNER
    chown "$4" "$1" && chmod "$3" "$1" &&
        [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]
}

name=$1
shift
! grep -q "^$name " "$results" 2>/dev/null || exit 0
(umask 022 && "$@")
status=$?
umask 077
if [ "$status" -eq 0 ]; then
    echo "$name ok" >>"$results"
else
    echo "$name exit status $status; see /var/log/cloud-init-output.log" >>"$results"
fi
exit "$status"
