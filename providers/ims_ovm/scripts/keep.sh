# keep: UUID IMAGE-UUID; the guest's answer, which goes with its domain.
find_vm "$1"
[ -n "$vm" ] || exit 0
domid=$(domain_of "$2")
[ -n "$domid" ] || exit 0
xenstore-ls -f "/local/domain/$domid/data/ims/receipt" 2>/dev/null |
    head -c 524288 >"$vm/ims/receipt.new" # a guest may write as much as it likes
if [ -s "$vm/ims/receipt.new" ]; then
    mv -f "$vm/ims/receipt.new" "$vm/ims/receipt"
else
    rm -f "$vm/ims/receipt.new" # it has not answered since it was resumed
fi
