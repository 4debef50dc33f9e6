# users: TEMPLATE; the folder of a VM that was made from it.
grep -lF -- "\"template\": \"$1\"" "$pool"/*/ims/vm.json "$ours"/deleting/*.json 2>/dev/null |
    head -n 1 | sed 's|/ims/vm.json$||; s|.*/||' || :
