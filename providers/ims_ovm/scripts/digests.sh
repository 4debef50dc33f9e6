# digests: TEMPLATE; the SHA-256 of its files.
cd "$seeds/$1" || refuse template-not-found "its folder is gone"
find . -mindepth 1 -maxdepth 1 -type f -exec sha256sum {} + | sed 's|  \./|  |'
