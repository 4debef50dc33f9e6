# look: BOUNDARY EVIDENCE [NAME-OR-UUID...]; prints sections, each after a line with the boundary.
boundary=$1 evidence=$2
shift 2
cd "$dir/vms" 2>/dev/null || cd /
list_domains
section "$boundary" domains
printf '%s\n' "$domains"
section "$boundary" files
[ "$PWD" = / ] || find . -mindepth 2 -maxdepth 2 -printf '%P\n' 2>/dev/null || : # they come and go
section "$boundary" monitors
# shellcheck disable=SC2062 # these are files
printf '%s\n' "$dir/vms/" | grep -ahsF --file=- /proc/[0-9]*/cmdline || :
receipts=mark.json
if [ "$evidence" = yes ]; then
    section "$boundary" xenstore
    for domid in $(printf '%s\n' "$domains" | awk -v wanted=" $* " 'NR > 1 {
        for (i = NF; i > 5; i--) if (length($i) == 36 && split($i, part, "-") == 5) {
            if ($(i - 5) != 0 && (wanted == "  " || index(wanted, " " $i " ") ||
                index(wanted, " " $1 " "))) print $(i - 5)
            next
        }
    }'); do
        xenstore-ls -f "/local/domain/$domid/data" "/local/domain/$domid/attr" 2>/dev/null |
            head -c 524288 # a guest may write as much as it likes
    done
    receipts=receipt
    section "$boundary" neighbours
    ip neigh show || :
fi
section "$boundary" archive
[ "$PWD" = / ] || find . -mindepth 2 -maxdepth 2 \
    \( -name mark.json -o -name vm.cfg -o -name cards.json -o -name "$receipts" \) -print0 2>/dev/null |
    tar --null -cf - -T - 2>/dev/null || :
