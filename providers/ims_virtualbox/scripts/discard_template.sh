# discard_template: folder|template NAME OPERATION
case $1 in
folder) place=$making/$2 ;;
template) place=$dir/templates/${2%/*} ;;
esac
[ -d "$place" ] || { echo absent && exit; }
if [ "$1" = template ] && ! grep -qF "\"operation\": \"$3\"" "$place/manifest.json" 2>/dev/null; then
    echo not-ours && exit
fi
lock "$place" || { echo absent && exit; }
rm -rf "$place"
echo removed
