# removing: NAME OPERATION; from now on what the Manager has by that name is known although the
# folder may go.
mkdir -p "$ours/removing"
ln -sfn "$2" "$ours/removing/$1"
