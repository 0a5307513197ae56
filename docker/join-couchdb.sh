#!/bin/sh
# Joins CouchDB nodes to one cluster, and creates the system databases. Does nothing where that is done.
#
# NODES are the Erlang names of all nodes. COUCHDB_URL is the address of one of them, and COUCHDB_USER and
# COUCHDB_PASSWORD are its administrator's.
set -eu
: "${NODES:?}" "${COUCHDB_URL:?}" "${COUCHDB_USER:?}" "${COUCHDB_PASSWORD:?}"

# ask METHOD PATH: prints the status and then the body. A password on the command line could be seen.
ask() {
  printf 'user = "%s:%s"\n' "$COUCHDB_USER" "$COUCHDB_PASSWORD" |
    curl --silent --show-error --config - --request "$1" --header 'Content-Type: application/json' \
      --write-out '\n%{http_code}' ${3:+--data "$3"} "$COUCHDB_URL/$2"
}

# expect "STATUS..." METHOD PATH: fails unless the status is one of these.
expect() {
  wanted=$1
  shift
  answer=$(ask "$@")
  status=${answer##*
}
  case " $wanted " in
    *" $status "*) ;;
    *) echo "$1 $2: $answer" >&2; exit 1 ;;
  esac
}

for node in $NODES; do
  # 409: the node is joined.
  expect "200 201 202 409" PUT "_node/_local/_nodes/$node" '{}'
done

tries=60
until
  members=$(ask GET _membership)
  members=${members#*\"cluster_nodes\"}
  joined=yes
  for node in $NODES; do case $members in *"\"$node\""*) ;; *) joined= ;; esac; done
  [ -n "$joined" ]
do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "the nodes do not join: $members" >&2; exit 1; }
  sleep 1
done

for db in _users _replicator _global_changes; do
  # 412: the database is there.
  expect "201 202 412" PUT "$db"
done
echo "joined: $NODES"
