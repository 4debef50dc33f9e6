# Begins every script that IMS runs in a dom0. $1 is the pool's directory.
#
#   DIR/vms/NAME/          a VM: vm.cfg mark.json cards.json, root.raw or root.qcow2, and
#                          context.json (keys for xenstore) or seed.img (a medium); at times
#                          receipt (the guest's last), memory (of a suspended VM), starting
#   DIR/templates/NAME/    a template: manifest.json and disk, perhaps kernel and ramdisk
#   DIR/making/NAME-OP/    either of them before it is whole; moved into its place in one step
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
dir=$1
shift

# Ends the script: IMS knows the word, a person reads the sentence.
refuse() { # WORD SENTENCE
    printf 'ims-refusal %s %s\n' "$1" "$2" >&2
    exit 65
}

# The lock of a folder is the folder itself, so that none is left behind; it goes with the last
# process that has descriptor 9. Fails when the folder is not there (any more).
lock() { # FOLDER
    [ -d "$1" ] || return 1
    exec 9<"$1"
    flock -w 20 9 || refuse busy "$1 is in use by another request"
    # shellcheck disable=SC3013 # every sh that a dom0 has knows -ef
    [ "$1" -ef /proc/self/fd/9 ]
}

# A copy that somebody made of a VM's folder has another name than its mark.
folder_of() { # UUID
    grep -lF -- "\"vm\": \"$1\"" "$dir"/vms/*/mark.json 2>/dev/null | while IFS= read -r mark; do
        folder=${mark%/mark.json}
        grep -qF -- "\"name\": \"${folder##*/}\"" "$mark" || continue
        printf '%s\n' "$folder"
        break
    done
}

find_vm() { # UUID; gives $vm, locked, or nothing
    vm=$(folder_of "$1")
    [ -z "$vm" ] || lock "$vm" || vm=
}

need_vm() { # UUID; gives $vm, locked
    find_vm "$1"
    [ -n "$vm" ] || refuse vm-not-found "there is no VM $1"
}

list_domains() { # gives $domains
    domains=$(xl list -v) || refuse no-xl "xl does not answer in this dom0"
}

# Gives $domid, $state (the letters of `xl list`) and $seconds (of CPU time) of a domain; all empty
# where there is none.
# The columns are counted from the UUID, because a foreign domain's name may hold spaces.
find_domain() { # UUID
    list_domains
    found=$(printf '%s\n' "$domains" | awk -v uuid="$1" '{
        for (i = NF; i > 5; i--) if ($i == uuid) { print $(i - 5), $(i - 2), $(i - 1); next }
    }' | tail -n 1)
    domid=${found%% *} state=${found#* } seconds=${found##* }
    state=${state% *}
}

is_on() { # by $state; a domain that crashed or was shut down is only kept to be looked at
    case $state in '' | *[scd]*) return 1 ;; esac
}

# A start or resume that was cut short leaves a domain that never ran. One that was paused later has
# used CPU time: it is nobody's to destroy, and its disks have gone on.
unfinished() { # by $vm, $state and $seconds
    [ -e "$vm/starting" ] || return 1
    case $state:$seconds in *p*:0.0) ;; *) return 1 ;; esac
}

# What comes on standard input, a tar archive; one that was cut short between two files looks whole
# to tar, but lacks the last.
unpack() { # FOLDER
    tar -xf - -C "$1"
    rm "$1/.whole" || refuse cut-short "what was sent did not arrive whole"
}

# What comes on standard input, a tar archive, takes the place of the VM's files one by one, the
# mark last. An archive that was cut short changes nothing.
take_files() { # in $vm
    rm -rf "$vm/.new"
    mkdir "$vm/.new"
    unpack "$vm/.new"
    for file in "$vm"/.new/*; do
        case $file in */mark.json | "$vm/.new/*") ;; *) mv -f "$file" "$vm/" ;; esac
    done
    [ ! -e "$vm/.new/mark.json" ] || mv -f "$vm/.new/mark.json" "$vm/"
    rmdir "$vm/.new"
}

keep_receipt() { # of $domid in $vm; without its domain there is no other trace of it
    xenstore-ls -f "/local/domain/$domid/data/ims/receipt" >"$vm/.receipt" 2>/dev/null || :
    if [ -s "$vm/.receipt" ]; then
        mv -f "$vm/.receipt" "$vm/receipt"
    else
        rm -f "$vm/.receipt"
    fi
}

destroy() { # $domid, by force, and wait until it is gone
    xl destroy "$domid" 2>/dev/null || xl list "$domid" >/dev/null 2>&1 || return 0
    tries=100
    while xl list "$domid" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || refuse busy "domain $domid does not go away"
        sleep 0.2
    done
}
