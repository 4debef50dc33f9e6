# --- Users and keys ----------------------------------------------------------------------------
account() { # USER FIELDS
    awk -F : -v name="$1" '$1 == name { print; exit }' "$root/etc/passwd" | cut -d : -f "$2"
}

# Our keys stand between two marks, so that a key taken from the context goes away as well. While
# they are written the directory is root's, so that the user cannot lay a link there meanwhile.
authorize() ( # USER KEYS MARK; a subshell, because it goes elsewhere
    home=$(account "$1" 6)
    [ -n "$home" ] || fail "there is no user $1"
    [ -n "$2" ] || [ -e "$root$home/.ssh/authorized_keys" ] || return 0
    owner=$(account "$1" 3,4)
    go_to "$home" || fail "$home could not be entered"
    [ -e .ssh ] || mkdir .ssh
    enter .ssh || fail "$home/.ssh is a symbolic link"
    own 0:0 .
    chmod 0700 .
    status=0
    (rewrite_keys "$2" "$3") || status=$? # whatever became of it, the directory is given back
    own "$owner" .
    exit "$status"
)

rewrite_keys() { # KEYS MARK; of $owner, in the current directory
    [ ! -L authorized_keys ] || fail "$home/.ssh/authorized_keys is a symbolic link"
    {
        [ ! -e authorized_keys ] ||
            awk -v mark="ims $2" '$0 == "# begin " mark { mine = 1 }
                !mine; $0 == "# end " mark { mine = 0 }' authorized_keys
        [ -z "$1" ] || printf '# begin ims %s\n%s\n# end ims %s\n' "$2" "$1" "$2"
    } | put_here authorized_keys 0600 "$owner"
}

# The keys are whoever's is the default user now; who was it before has them no longer.
apply_ssh_keys() {
    user=$IMS_DEFAULT_USER # empty on a medium of before there was this key
    [ -n "$user" ] || [ ! -s "$root/etc/ims/default-user" ] ||
        read -r user <"$root/etc/ims/default-user" || : # without a line feed at the end
    user=${user:-root} before=''
    [ ! -s "$state/default-user" ] || read -r before <"$state/default-user"
    if [ -n "$before" ] && [ "$before" != "$user" ] && [ -n "$(account "$before" 1)" ]; then
        authorize "$before" '' default
    fi
    authorize "$user" "$IMS_SSH_KEYS" default
    echo "$user" >"$state/default-user"
}

add_account() { # USER
    shell=/bin/sh
    [ ! -x "$root/bin/bash" ] || shell=/bin/bash
    if [ -z "$root" ] && command -v useradd >/dev/null; then
        useradd -m -s "$shell" "$1"
    else
        id=$(awk -F : '$3 >= 1000 && $3 < 60000 && $3 >= next_id { next_id = $3 + 1 }
            END { print next_id ? next_id : 1000 }' "$root/etc/passwd" "$root/etc/group")
        rewrite passwd with_line "$1:x:$id:$id::/home/$1:$shell"
        rewrite group with_line "$1:x:$id:"
        (umask 022 && go_to /home)
        (go_to "/home/$1" && own "$id:$id" .)
    fi
    # Not '!', which means locked: sshd would then refuse the user's key as well.
    set_password "$1" '*'
}

# A file of /etc becomes what a command makes of it, in one step. Mode and owner stay; what a link
# or another name shares is left as it is.
rewrite() ( # NAME COMMAND...
    file=$1
    shift
    go_to /etc || exit
    [ -e "./$file" ] || put "/etc/$file" 0600 </dev/null
    rm -f "./$file.ims-new"
    cp -p "./$file" "./$file.ims-new" && "$@" <"./$file" >"./$file.ims-new" &&
        mv -f "./$file.ims-new" "./$file"
)

with_line() { cat && printf '%s\n' "$1"; }

# Through the environment, because arguments are for every user to see.
set_password() { # USER HASH
    USER_NAME=$1 USER_HASH=$2 rewrite shadow awk '
        BEGIN { FS = OFS = ":" }
        $1 == ENVIRON["USER_NAME"] { $2 = ENVIRON["USER_HASH"]; found = 1 }
        { print }
        END { if (!found) print ENVIRON["USER_NAME"] ":" ENVIRON["USER_HASH"] ":::::::" }
    '
}

set_sudo() { # USER yes|no
    rule=/etc/sudoers.d/ims-$1
    if [ "$2" != yes ]; then
        clear_away "${rule%/*}" "${rule##*/}"
    elif [ -d "$root/etc/sudoers.d" ]; then
        printf '%s ALL=(ALL:ALL) NOPASSWD:ALL\n' "$1" | put "$rule" 0440
    else
        fail "/etc/sudoers.d is not there"
    fi
}

apply_user() { # INDEX
    get "USER_$1_NAME" && user=$value
    [ -n "$(account "$user" 1)" ] || add_account "$user"
    get "USER_$1_PASSWORD_HASH"
    [ -z "$value" ] || set_password "$user" "$value"
    get "USER_$1_SSH_KEYS"
    authorize "$user" "$value" user
    get "USER_$1_SUDO"
    set_sudo "$user" "$value"
}

# Not the server's own: those of the context's types, which it has from the next connection on.
apply_host_key() { # INDEX
    get "HOST_KEY_$1_TYPE" && file=/etc/ssh/ssh_host_${value}_key
    get "HOST_KEY_$1_PRIVATE"
    printf '%s\n' "$value" | sed '/^$/d' | put "$file" 0600
    get "HOST_KEY_$1_PUBLIC"
    printf '%s\n' "$value" | put "$file.pub" 0644
    for pid in "$root"/run/sshd.pid "$root"/var/run/sshd.pid; do
        [ ! -s "$pid" ] || system kill -HUP "$(cat "$pid")" || :
        [ ! -s "$pid" ] || break
    done
}
