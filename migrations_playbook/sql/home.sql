-- What every database needs that may be the primary of a service's data; run once in each, by its owner or a superuser.
-- Roles: lc_owner owns tables and migrates; lc_app and each service's lc_<service> have rows only; lc_replicator copies; lc_control leads a move.

CREATE SCHEMA IF NOT EXISTS extraction AUTHORIZATION lc_control;
GRANT USAGE ON SCHEMA extraction TO lc_owner, lc_replicator;
ALTER DEFAULT PRIVILEGES FOR ROLE lc_control IN SCHEMA extraction GRANT SELECT ON TABLES TO lc_replicator;

-- One row per service: the epoch that a controller must name to change who may write, and whether a move is under way.
CREATE TABLE IF NOT EXISTS extraction.fence (
    service text PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    -- The epoch at which this database was closed, 0 while it is not; the database that was closed last has every write.
    closed bigint NOT NULL DEFAULT 0,
    closed_at timestamptz,
    moving boolean NOT NULL DEFAULT false,
    tables text NOT NULL DEFAULT '',  -- a regular expression over the names of the service's tables
    oids oid[] NOT NULL DEFAULT '{}',  -- the tables that there were when it began to move, under any later name
    -- In a service's own database: which synchronisation fills it, and which one has done so.
    filling text NOT NULL DEFAULT '',
    filled text NOT NULL DEFAULT ''
);
ALTER TABLE extraction.fence OWNER TO lc_control;
