# templates: their manifests as a tar archive.
cd "$dir/templates" 2>/dev/null || exit 0
find . -mindepth 2 -maxdepth 2 -name manifest.json -print0 | tar --null -cf - -T - 2>/dev/null || :
