# What stands in the pool's directory $dir, and how a VM in it and its domain are found.
#
#   DIR/vms/NAME/          a VM: vm.cfg mark.json cards.json, root.raw or root.qcow2, and
#                          context.json (keys for xenstore) or seed.img (a medium); at times
#                          receipt (the guest's last), memory (of a suspended VM), starting
#   DIR/templates/NAME/    a template: manifest.json and disk, perhaps kernel and ramdisk
#   DIR/making/NAME-OP/    either of them before it is whole; moved into its place in one step

pool=$dir/vms
marked=mark.json
vm=

list_domains() { # gives $domains
    domains=$(xl list -v) || refuse no-xl "xl does not answer in this dom0"
}

# Gives $domid, $state (the letters of `xl list`), $seconds (of CPU time), $memory (MiB) and $reason
# (why it was shut down) of the domain of $uuid; all empty where there is none. One that is dying is
# none any more. The columns are counted from the UUID, because a foreign domain's name may hold spaces.
look_for_domain() {
    list_domains
    found=$(printf '%s\n' "$domains" | awk -v uuid="$uuid" -v name="${vm##*/}" '{
        for (i = NF; i > 5; i--) if ($i == uuid && $(i - 2) !~ /d/) {
            if (name != "" && $1 != name) other = "other"
            else own = $(i - 5) " " $(i - 2) " " $(i - 1) " " $(i - 4) " " $(i + 1)
            next
        }
    } END { print own == "" ? other : own }')
    [ "$found" != other ] || refuse uuid-taken "a domain of another name has its UUID"
    read -r domid state seconds memory reason <<END
$found
END
}

# When a guest reboots, xl makes its domain anew, and there is none for some seconds; the process
# that does so has the VM's file among its arguments.
is_watched() {
    # shellcheck disable=SC2062 # these are files
    printf '%s\n' "$vm/vm.cfg" "$vm/memory" | grep -qsF --file=- /proc/[0-9]*/cmdline
}

find_domain() { # UUID, of $vm where there is one; gives what look_for_domain does
    uuid=$1
    tries=100
    while look_for_domain; do
        case $domid:$state:$reason in
        ::) [ -n "$vm" ] && is_watched || return 0 ;;
        *:*s*:1) is_watched || return 0 ;;
        *:*s*:2) # by somebody else: a save of ours holds the lock; or whoever did it is gone
            grep -aqs '[l]ibxl-save-helper' /proc/[0-9]*/cmdline || return 0
            refuse busy "its memory is being saved"
            ;;
        *) return 0 ;;
        esac
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || refuse busy "it reboots, and does not come to an end of it"
        sleep 0.2
    done
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

# Once its CPUs run, saved memory must never be used again, whoever had it restored.
forget_memory() { # by $vm and $state
    if is_on && ! unfinished; then
        rm -f "$vm/memory" "$vm/memory.used"
    fi
}

keep_receipt() { # of $domid in $vm; without its domain there is no other trace of it
    xenstore-ls -f "/local/domain/$domid/data/ims/receipt" 2>/dev/null |
        head -c 524288 >"$vm/.receipt" # a guest may write as much as it likes
    if [ -s "$vm/.receipt" ]; then
        mv -f "$vm/.receipt" "$vm/receipt"
    else
        rm -f "$vm/.receipt"
    fi
}

destroy() { # $domid, by force, and wait until it is gone
    gone=$domid
    xl destroy "$gone" >&2 || :
    tries=100
    while look_for_domain && [ "$domid" = "$gone" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || refuse busy "domain $gone does not go away"
        sleep 0.2
    done
}
