#!/bin/sh
# Roles of a new cluster: the owner migrates, the app has rows only, neither is a superuser.
set -eu
psql -v ON_ERROR_STOP=1 -v owner="$OWNER_PASSWORD" -v app="$APP_PASSWORD" -U "$POSTGRES_USER" <<'SQL'
CREATE ROLE lc_owner LOGIN PASSWORD :'owner';
CREATE ROLE lc_app LOGIN PASSWORD :'app';
CREATE DATABASE landcontracts OWNER lc_owner;
\connect landcontracts
ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO lc_app;
ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner GRANT USAGE, SELECT ON SEQUENCES TO lc_app;
SQL
