# mount: UUID IMAGE-UUID IMAGE; the files for the image come as a tar archive. Whatever ends this,
# nothing stays mounted: what an earlier end by force left is undone first.
need_vm "$1"
refuse_running "$2"
[ -f "$vm/$3" ] || refuse no-bootparams "it has no $3"
unmount
trap 'status=$?; unmount; exit "$status"' EXIT
trap 'exit 66' HUP INT TERM
new=$vm/.files
mkdir "$at" "$new"
unpack "$new"
mount -o loop,nodev,nosuid,noexec "$vm/$3" "$at" || refuse not-mountable "dom0 cannot mount its $3"
# A guest may have written to it: no name of it is trusted, and no link is followed.
inside() { # NAME; whether all that leads to it are folders of the image
    case $1 in */*) inside "${1%/*}" && [ -d "$at/${1%/*}" ] && [ ! -L "$at/${1%/*}" ] ;; esac
}
if [ -f "$at/ims.files" ] && [ ! -L "$at/ims.files" ]; then
    cp "$at/ims.files" "$new/.before"
    while IFS= read -r name; do
        case /$name/ in */../* | */./* | *//* | *[!A-Za-z0-9._/-]*) continue ;; esac
        inside "$name" || continue
        [ -d "$at/$name" ] && [ ! -L "$at/$name" ] || rm -f "$at/$name"
        # A folder goes with its last file.
        while inside "$name" && [ "$name" != "${name%/*}" ]; do
            name=${name%/*}
            rmdir "$at/$name" 2>/dev/null || break
        done
    done <"$new/.before"
    rm "$new/.before"
fi
(cd "$new" && find . -type d ! -name .) | while IFS= read -r folder; do
    [ -d "$at/$folder" ] && [ ! -L "$at/$folder" ] || {
        rm -f "$at/$folder"
        mkdir "$at/$folder"
    }
done
(cd "$new" && find . -type f) | while IFS= read -r file; do
    rm -rf "${at:?}/$file"
    cat "$new/$file" >"$at/$file"
done
umount "$at"
rm -f "$vm/ims/receipt"
