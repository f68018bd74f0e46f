#!/bin/sh
# Valkey with an administrator and a user for each kind of process. Their rules are in users.acl, which
# `python -m landcontracts.valkey` prints; this puts what Valkey stores of each password in the place of the word PASSWORD.
set -eu
umask 077
users="$(mktemp)"
hash() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
user() { sed -n "s/^user $1 on PASSWORD /user $1 on #$(hash "$2") /p" "${USERS:-/users.acl}"; }
{
    printf 'user default on #%s ~* &* +@all\n' "$(hash "$VALKEY_PASSWORD")"
    user web "$VALKEY_WEB_PASSWORD"
    user worker "$VALKEY_WORKER_PASSWORD"
    # JSON of names and passwords; these are fit for a URL, so that none has a quote, a comma or a brace.
    { printf %s "$SERVICE_VALKEY_PASSWORDS" | tr -d '{}" \n' | tr , '\n'; echo; } |
        while IFS=: read -r name password; do user "$name" "$password"; done
} > "$users"
exec valkey-server --aclfile "$users" --save "" "$@"
