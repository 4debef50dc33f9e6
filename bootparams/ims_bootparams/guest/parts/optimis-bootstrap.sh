#!/bin/sh
# bootstrap.sh: what a guest of OPTIMIS runs of its context, as root: the SSH keys, then
# agents.sh if there is one, then the context's scripts in order.
#
# It lies in scripts/ of the context, wherever that is mounted, and may run at each boot: a key is
# appended once, and a script that ended well is not run again while its place and bytes are the
# same. What fails does not keep the rest from being done, but is told at the end by status 1.
#
# IMS_ROOT is another directory to take for the root of the machine.
export LC_ALL=C
unset CDPATH
umask 077
root=${IMS_ROOT-}
context=$(cd "$(dirname "$0")/.." && pwd) || exit
both=$context/securitykeys/SSH.key
ssh=$root/root/.ssh
state=$root/var/lib/ims/optimis
status=0

failed() { # WHAT
    echo "bootstrap.sh: $1 failed" >&2
    status=1
}

# The first 27 lines; they are empty where there is no private key.
install_private_key() {
    head -n 27 "$both" | grep -q '^-----BEGIN ' || return 0
    head -n 27 "$both" >"$ssh/id_rsa.new" && mv -f "$ssh/id_rsa.new" "$ssh/id_rsa"
}

authorize() {
    list=$ssh/authorized_keys
    # Another hand may have left out the last line feed.
    [ ! -s "$list" ] || [ -z "$(tail -c 1 "$list")" ] || echo >>"$list" || return
    grep ssh-rsa "$both" | while IFS= read -r key; do
        case $key in
        *user@hostname*) key=${key%%user@hostname*}root@$(uname -n)${key#*user@hostname} ;;
        esac
        grep -qxF -e "$key" "$list" 2>/dev/null || printf '%s\n' "$key" >>"$list" || exit
    done
}

# From a copy: on the disc no file is executable.
run_script() { # PATH
    place=${1##*/}
    mark="$place $(sha256sum <"$1")" || return
    ! grep -qxF -e "$mark" "$state/done" 2>/dev/null || return 0
    cp -f "$1" "$state/$place" && chmod 0700 "$state/$place" &&
        (umask 022 && "$state/$place") && echo "$mark" >>"$state/done"
}

if [ -f "$both" ]; then
    mkdir -p "$ssh" || failed "$ssh"
    install_private_key || failed "the private key"
    authorize || failed "authorized_keys"
fi
if [ -f "$context/scripts/agents.sh" ]; then
    (umask 022 && sh "$context/scripts/agents.sh") || failed "agents.sh"
fi
mkdir -p "$state" || failed "$state"
for script in "$context"/scripts/[0-9][0-9][0-9][0-9]; do
    [ ! -f "$script" ] || run_script "$script" || failed "${script##*/}"
done
exit "$status"
