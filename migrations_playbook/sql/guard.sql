-- DDL on the tables of a service that is moving is refused, in every database that it may be at home in. Run after home.sql.
--
-- Replication carries rows and no DDL: while a service moves, its tables keep their shape. An event trigger wants a superuser to
-- make it, which is why this file is run by one.
CREATE OR REPLACE FUNCTION extraction.moving_table(name text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT service FROM extraction.fence WHERE moving AND name ~ tables LIMIT 1
$$;

CREATE OR REPLACE FUNCTION extraction.refuse_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    changed record;
    owner text;
BEGIN
    IF session_user = 'lc_control' THEN
        RETURN;
    END IF;
    FOR changed IN
        SELECT c.relname, coalesce(t.relname, c.relname) AS of_table
        FROM pg_event_trigger_ddl_commands() d
        LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
        LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
        JOIN pg_class c ON c.oid = CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid ELSE g.tgrelid END
        LEFT JOIN pg_class t ON t.oid = i.indrelid
        WHERE d.schema_name IS DISTINCT FROM 'pg_temp'
    LOOP
        owner := extraction.moving_table(changed.of_table);
        IF owner IS NOT NULL THEN
            RAISE EXCEPTION 'table % is not changed while % is being moved', changed.of_table, owner
                USING ERRCODE = 'object_in_use', HINT = format('See: manage.py extraction %s status', owner);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION extraction.refuse_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    dropped record;
    owner text;
BEGIN
    IF session_user = 'lc_control' THEN
        RETURN;
    END IF;
    FOR dropped IN
        SELECT CASE WHEN object_type IN ('table', 'index') THEN object_name ELSE address_names[2] END AS name
        FROM pg_event_trigger_dropped_objects()
        WHERE schema_name = 'public'
          AND object_type IN ('table', 'index', 'table column', 'table constraint', 'trigger', 'default value')
    LOOP
        owner := extraction.moving_table(dropped.name);
        IF owner IS NOT NULL THEN
            RAISE EXCEPTION 'table % is not changed while % is being moved', dropped.name, owner
                USING ERRCODE = 'object_in_use', HINT = format('See: manage.py extraction %s status', owner);
        END IF;
    END LOOP;
END
$$;

DROP EVENT TRIGGER IF EXISTS extraction_refuse_ddl;
DROP EVENT TRIGGER IF EXISTS extraction_refuse_drop;
CREATE EVENT TRIGGER extraction_refuse_ddl ON ddl_command_end EXECUTE FUNCTION extraction.refuse_ddl();
CREATE EVENT TRIGGER extraction_refuse_drop ON sql_drop EXECUTE FUNCTION extraction.refuse_drop();
