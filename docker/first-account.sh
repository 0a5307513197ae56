#!/bin/sh
# Creates the first account and its administrator. Does not change them if they exist.
set -eu
: "${FIRST_ACCOUNT_NAME:?set it in .env}" "${FIRST_ADMIN_USERNAME:?set it in .env}" "${FIRST_ADMIN_PASSWORD:?set it in .env}"

# These stood in earlier examples, so everybody knows them.
case "$FIRST_ADMIN_PASSWORD $CROSSBAR_GROUPS_STORE" in
  "change-me "* | "change-me-too "* | *:change-me@* | *:change-me-too@*)
    echo "change the example's passwords in .env: FIRST_ADMIN_PASSWORD and COUCHDB_PASSWORD" >&2
    exit 1
    ;;
esac

account_id=$(crossbar-groups account create --name "$FIRST_ACCOUNT_NAME" --unless-exists \
  ${FIRST_ACCOUNT_REALM:+--realm "$FIRST_ACCOUNT_REALM"})
printf '%s' "$FIRST_ADMIN_PASSWORD" |
  crossbar-groups user create --account "$account_id" --username "$FIRST_ADMIN_USERNAME" \
    --admin --password-stdin --unless-exists >/dev/null
echo "account $FIRST_ACCOUNT_NAME: $account_id"
