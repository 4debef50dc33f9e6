# --- Reading bootparams.conf -------------------------------------------------------------------
# Fails unless the file holds nothing but lines KEY='value', a quote in a value being '\''. Such a
# file does nothing when it is sourced but set these variables.
check_conf() { # FILE
    [ -f "$1" ] || fail "the medium has no bootparams.conf"
    tr -d '\000' <"$1" | cmp -s - "$1" || fail "bootparams.conf holds a NUL"
    awk '
        function bad() { print "bootparams.conf is malformed at line " NR; failed = 1; exit 1 }
        {
            rest = $0
            if (!open) {
                if (rest !~ /^IMS_[A-Z0-9_]+=\047/) bad()
                sub(/^[^\047]*\047/, "", rest)
                open = 1
            }
            while (open && (at = index(rest, "\047"))) {
                if (substr(rest, at, 4) == "\047\\\047\047") rest = substr(rest, at + 4)
                else if (at == length(rest)) open = 0
                else bad()
            }
        }
        END { if (open && !failed) bad() }
    ' "$1" >&2
    . "$1"
    [ "$IMS_FORMAT" = 1 ] || fail "bootparams.conf has a format that is not known"
}

# Gives the value of the key IMS_$1, whatever is in it, as $value.
get() { eval "value=\$IMS_$1"; }
