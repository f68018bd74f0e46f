#!/bin/sh
# A new cluster: the roles, the shared database, and one for each service that may get a database of its own. Run by the image at its first start.
# Each service's own role, lc_<service>, gets its rights on its tables from `manage.py migrate`.
# HOMES names the services' databases of this cluster; empty where it has the shared database only. SHARED=no for a cluster without it.
set -eu
sql() { psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" "$@"; }
sql -v owner="$OWNER_PASSWORD" -v app="$APP_PASSWORD" -v services="$SERVICE_DATABASE_PASSWORDS" \
    -v replicator="$REPLICATOR_PASSWORD" -v control="$CONTROL_PASSWORD" <<'SQL'
CREATE ROLE lc_owner LOGIN PASSWORD :'owner';
CREATE ROLE lc_app LOGIN PASSWORD :'app';
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', 'lc_' || key, value) FROM json_each_text(:'services') \gexec
CREATE ROLE lc_replicator LOGIN REPLICATION PASSWORD :'replicator';
CREATE ROLE lc_control LOGIN CREATEDB PASSWORD :'control';
GRANT lc_owner, lc_replicator TO lc_control;
GRANT pg_create_subscription, pg_monitor, pg_checkpoint, pg_signal_backend TO lc_control;
SQL
database() {
    sql -c "CREATE DATABASE \"$1\" OWNER lc_owner" -c "GRANT CREATE ON DATABASE \"$1\" TO lc_control"
    sql -d "$1" -f /sql/home.sql -f /sql/guard.sql
    sql -d "$1" -c "ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner GRANT SELECT ON TABLES TO lc_replicator, lc_control"
}
if [ "${SHARED:-yes}" = yes ]; then
    database landcontracts
    sql -d landcontracts \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO lc_app" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner GRANT USAGE, SELECT ON SEQUENCES TO lc_app"
fi
for name in ${HOMES:-}; do
    database "$name"
done
