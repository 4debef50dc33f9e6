# imported_by: NAME; the operation that brought it, or is at it; "-" for another's, nothing for none.
if [ -n "$(ls -A "$seeds/$1" 2>/dev/null)" ]; then
    cat "$seeds/$1/ims/operation" 2>/dev/null || readlink "$ours/fetching/$1" || echo -
else
    readlink "$ours/removing/$1" || readlink "$ours/fetching/$1" || :
fi
