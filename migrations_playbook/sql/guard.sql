-- DDL on the tables of a service that is moving is refused, in every database that may be its primary. Run by a superuser, after home.sql.
--
-- Replication carries rows and no DDL: while a service moves, its tables keep their shape, their names and their grants. The functions are
-- the superuser's, in a schema of theirs, and run with the rights of the role that changes something: lc_control, which owns the fence, gains nothing
-- by them. Superusers are not held up.

CREATE SCHEMA IF NOT EXISTS extraction_guard;
REVOKE CREATE ON SCHEMA extraction_guard FROM PUBLIC;
GRANT USAGE ON SCHEMA extraction_guard TO PUBLIC;
GRANT USAGE ON SCHEMA extraction TO PUBLIC;
GRANT SELECT ON extraction.fence TO PUBLIC;
-- A statement with a password in it is kept out of the log, also when it fails.
GRANT SET ON PARAMETER log_statement, log_min_error_statement, log_min_duration_statement TO lc_control;

CREATE OR REPLACE FUNCTION extraction_guard.refuse_ddl() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    changed record;
BEGIN
    IF session_user = 'lc_control' OR current_setting('is_superuser') = 'on' THEN
        RETURN;
    END IF;
    SELECT f.service, coalesce(c.relname, 'some table') AS name INTO changed
    FROM pg_event_trigger_ddl_commands() d
    LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_class c ON c.oid = coalesce(
        i.indrelid, g.tgrelid, r.ev_class, p.polrelid, CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)
    JOIN extraction.fence f ON f.moving AND (
        c.oid = ANY (f.oids) OR c.relname ~ f.tables
        -- A grant does not say on which table: while anything moves there is none by anybody else.
        OR (d.command_tag IN ('GRANT', 'REVOKE') AND d.object_type = 'TABLE'))
    WHERE NOT coalesce(c.relpersistence = 't', false)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'table % is not changed while % is being moved', changed.name, changed.service
            USING ERRCODE = 'object_in_use', HINT = format('See: manage.py extraction %s status', changed.service);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION extraction_guard.refuse_drop() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    dropped record;
BEGIN
    IF session_user = 'lc_control' OR current_setting('is_superuser') = 'on' THEN
        RETURN;
    END IF;
    SELECT f.service, d.name INTO dropped
    FROM (
        SELECT CASE WHEN object_type IN ('table', 'index') THEN object_name ELSE address_names[2] END AS name
        FROM pg_event_trigger_dropped_objects()
        WHERE schema_name = 'public'
          AND object_type IN ('table', 'index', 'table column', 'table constraint', 'trigger', 'rule', 'policy', 'default value')
    ) d
    JOIN extraction.fence f ON f.moving AND d.name ~ f.tables
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'table % is not changed while % is being moved', dropped.name, dropped.service
            USING ERRCODE = 'object_in_use', HINT = format('See: manage.py extraction %s status', dropped.service);
    END IF;
END
$$;

DROP EVENT TRIGGER IF EXISTS extraction_refuse_ddl;
DROP EVENT TRIGGER IF EXISTS extraction_refuse_drop;
CREATE EVENT TRIGGER extraction_refuse_ddl ON ddl_command_end EXECUTE FUNCTION extraction_guard.refuse_ddl();
CREATE EVENT TRIGGER extraction_refuse_drop ON sql_drop EXECUTE FUNCTION extraction_guard.refuse_drop();
