# How a VM is found: its folder in $pool has our mark in the file $marked.

# A copy that somebody made of a VM's folder has another name than its mark.
folder_of() { # UUID
    grep -lF -- "\"vm\": \"$1\"" "$pool"/*/"$marked" 2>/dev/null | while IFS= read -r mark; do
        folder=${mark%/"$marked"}
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
