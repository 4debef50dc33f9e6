# delete_template: NAME. Its manifest goes last, so that it can be done again.
lock "$dir/templates/$1" || refuse template-not-found "there is no template '$1'"
user=$(grep -lF -- "\"template\": \"$1\"" "$dir"/vms/*/mark.json 2>/dev/null | head -n 1) || :
[ -z "$user" ] || (user=${user%/mark.json} && refuse template-in-use "by VM ${user##*/}")
find "$dir/templates/$1" -mindepth 1 ! -name manifest.json -delete
rm -rf "${dir:?}/templates/$1"
