# room: KiB left for images.
place=$dir
until [ -d "$place" ]; do place=${place%/*} place=${place:-/}; done
df -Pk "$place" | tail -n 1
