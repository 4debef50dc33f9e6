# What stands in the directory $dir of a VirtualBox host.
#
#   DIR/vms/NAME-OPERATION/        a VM
#     NAME/                        VirtualBox's own folder: NAME.vbox, Logs, Snapshots
#     root.vdi                     its disk, as it was made
#     seed-NONCE.iso               the medium with its context
#     console.log, receipt.log     what its guest wrote to its serial ports since its power came
#     console.kept, receipt.kept   and before that
#   DIR/templates/NAME/            a template: manifest.json, disk.vdi
#   DIR/making/NAME-OPERATION/     a template that is being brought
vms=$dir/vms
PATH=$PATH:/usr/local/bin:/opt/VirtualBox
# With C alone, VBoxManage takes no arguments that are not ASCII.
export LC_ALL=C.UTF-8

# The server that it starts outlives it, and must not inherit our locks.
vbox() {
    command -v VBoxManage >/dev/null || refuse no-vboxmanage "VBoxManage is not on its PATH"
    VBoxManage -q "$@" 8<&- 9<&-
}

# Where VirtualBox keeps its own settings (com::GetVBoxUserHomeDirectory in its source).
settings_home() {
    for home in "${VBOX_USER_HOME:-}" "$HOME/Library/VirtualBox" "$HOME/.VirtualBox"; do
        [ -n "$home" ] && [ -d "$home" ] && printf '%s\n' "$home" && return
    done
    printf '%s\n' "${XDG_CONFIG_HOME:-$HOME/.config}/VirtualBox"
}

# While somebody makes a disk that depends on a template's, nobody makes VirtualBox forget that.
hold_template() { # NAME
    [ -d "$dir/templates/$1" ] || refuse template-not-found "there is no template $1"
    exec 8<"$dir/templates/$1"
    flock -w 20 8 || refuse busy "template $1 is in use by another request"
}

need_folder() { # NAME; locked
    lock "$vms/$1" || refuse vm-gone "its folder $vms/$1 is not there"
}
