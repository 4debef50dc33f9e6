# room: KiB left for images.
room
