# discard: KIND NAME OPERATION; prints what it found.
kind=$1 name=$2 operation=$3
made_by() { # FILE: whether this operation made it
    grep -qF -- "\"operation\": \"$operation\"" "$1" 2>/dev/null
}
discard_vm() { # UUID
    find_vm "$1"
    if [ -z "$vm" ]; then
        echo absent
    elif made_by "$vm/mark.json"; then
        remove_vm "$1"
        echo removed
    else
        echo not-ours
    fi
}
discard_template() { # FOLDER
    if ! lock "$1"; then
        echo absent
    elif rmdir "$1" 2>/dev/null; then
        echo absent
    elif made_by "$1/manifest.json"; then
        remove_template "$1"
        echo removed
    else
        echo not-ours
    fi
}
case $kind in
vm) discard_vm "$name" ;;
template) discard_template "$dir/templates/${name%/*}" ;;
folder)
    # Whoever fills it may still be at work although nobody listens: its lock is waited for.
    if lock "$dir/making/$name"; then
        rm -rf "$dir/making/$name"
        echo removed
    elif published=$(grep -lF -- "\"operation\": \"$operation\"" \
        "$dir"/vms/*/mark.json 2>/dev/null | head -n 1) && [ -n "$published" ]; then
        discard_vm "$(sed -n 's/^ *"vm": "\(.*\)",*$/\1/p' "$published")"
    else
        echo absent
    fi
    ;;
esac
