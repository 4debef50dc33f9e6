# What stands in the repository $dir. The folders are the Manager's; everything called ims is ours.
#
#   DIR/running_pool/FOLDER/         a VM: vm.cfg and its disks
#     ims/vm.json                    what IMS knows of it; see ims_ovm.record
#     ims/receipt                    its guest's last answer
#   DIR/seed_pool/NAME/              a template: vm.cfg and its disks
#     ims/operation                  the operation that brought it: without that, it is not ours
#     ims/manifest.json              what it is, once it was imported
#   DIR/ims/importing/NAME           links to the operation that is importing it; so a name is taken
#                                    and signed in one step
#   DIR/ims/fetching/NAME            the same: what the Manager makes by that name is for us
#   DIR/ims/removing/NAME            the same: what the Manager has by that name was ours
#   DIR/ims/deleting/FOLDER.json     vm.json of a VM that the Manager is asked to delete
#   DIR/ims/making/NAME-OP/          a template that is being brought
#   DIR/ims/id                       which repository this is
#
# The dom0 of Oracle VM 2.2 is an old one: nothing here that came after 2009.
pool=$dir/running_pool
marked=ims/vm.json
seeds=$dir/seed_pool
ours=$dir/ims
making=$ours/making

# xl and xm differ from each other, and xenstore is the same for both.
domains() { # the lines that tell of domains and of what their guests wrote
    xenstore-ls -f /local/domain 2>/dev/null |
        grep -E '^/local/domain/[0-9]+/(vm|name|data/ims/receipt/.*|attr/.*) = ' | head -c 16777216 || :
}

records() { # vm.json of every VM, as a tar archive
    [ ! -d "$pool" ] || (cd "$pool" && find . ../ims/deleting -mindepth 1 -maxdepth 3 \
        \( -path './*/ims/vm.json' -o -path '../ims/deleting/*.json' -o -path "./*/ims/${1:-vm.json}" \) \
        -print0 2>/dev/null | tar --null -P -cf - -T - 2>/dev/null) || :
}

domain_of() { # UUID of the Manager's; the domain's id, or nothing
    xenstore-ls -f /local/domain 2>/dev/null |
        sed -n "s|^/local/domain/\([1-9][0-9]*\)/vm = \"/vm/$1\"\$|\1|p" | head -n 1
}

refuse_running() { # UUID of the Manager's
    [ -z "$(domain_of "$1")" ] || refuse vm-running "it is running, and has its disks in use"
}

# Nothing of the VM is mounted in dom0: not what a script that was killed left, either. The kernel
# names no links in its list, and /OVS may be one.
unmount() { # in $vm, locked; gives $at
    at=$(cd -P "$vm" && pwd -P)/.mounted
    while grep -qsF " $at " /proc/mounts; do umount "$at" || umount -l "$at"; done
    rm -rf "$vm/.files"
    rmdir "$at" 2>/dev/null || :
}

# What comes on standard input takes the place of the VM's files, one by one, vm.json last; an
# archive that was cut short changes nothing.
take() { # UUID of the Manager's; in $vm, locked
    unmount
    rm -rf "$vm/.ims"
    mkdir "$vm/.ims"
    unpack "$vm/.ims"
    mkdir -p "$vm/ims"
    for file in "$vm"/.ims/*; do
        case $file in */vm.json) continue ;; esac
        refuse_running "$1"
        chmod --reference="$vm/${file##*/}" "$file" 2>/dev/null || :
        mv -f "$file" "$vm/"
        rm -f "$vm/ims/receipt" # of an earlier start
    done
    mv -f "$vm/.ims/vm.json" "$vm/ims/"
    rmdir "$vm/.ims"
}

