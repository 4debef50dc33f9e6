# discard_making: MAKING; prints whether it was there. Whoever fills it may still be at work.
if lock "$making/$1"; then
    rm -rf "${making:?}/$1"
    echo removed
else
    echo absent
fi
