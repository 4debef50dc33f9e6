# delete_template: NAME
lock "$dir/templates/$1" || refuse template-not-found "there is no template '$1'"
user=$(grep -lF -- "\"template\": \"$1\"" "$dir"/vms/*/mark.json 2>/dev/null | head -n 1) || :
[ -z "$user" ] || (user=${user%/mark.json} && refuse template-in-use "by VM ${user##*/}")
remove_template "$dir/templates/$1"
