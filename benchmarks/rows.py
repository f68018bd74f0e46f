"""A service's tables as after years of use, filled by the server itself: the rows that a relocation copies."""

from __future__ import annotations

from psycopg import sql

from apps.core.database.primaries import SHARED
from apps.core.postgres import connections
from apps.core.postgres.connections import Connection

SERVICE = "contracts"
# Referenced tables come first.
ORDER = ("command", "landplot", "contract", "party", "statuschange", "seensignature", "outbox")
TABLES = tuple(f"{SERVICE}_{name}" for name in ORDER)
SALES = 30_000
SIZE = """
SELECT sum(pg_relation_size(to_regclass(name))) FROM unnest(%s::text[]) AS name
"""
# Ids grow with the time, as UUIDv7 does; those of people and of commands are spread evenly, as in production.
MAKE = """
CREATE FUNCTION pg_temp.grown(n bigint, kind text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1600000000000 + n * 1000), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid
    FROM (SELECT md5(kind || n)) AS hashed (h)
$$;
CREATE FUNCTION pg_temp.person(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('person' || n)::uuid $$;
CREATE FUNCTION pg_temp.moment(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamptz '2020-09-13 12:26:40Z' + make_interval(secs => n)
$$;
CREATE FUNCTION pg_temp.cadastral(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('50:%s:%s:%s', 10 + n % 40, lpad((n % 9973)::text, 7, '0'), n)
$$;
INSERT INTO contracts_landplot (id, cadastral_number, address, area_m2, category, owner_id, created_at)
SELECT pg_temp.grown(n, 'plot'), pg_temp.cadastral(n), 'Московская область, Одинцовский городской округ, деревня Лесная, '
    || 'улица Садовая, участок ' || n, 600 + n % 5000 + 0.5, 'settlement', pg_temp.person(n % 20000), pg_temp.moment(n)
FROM generate_series(1, :sales) AS n;
INSERT INTO contracts_contract (id, number, status, seller_id, buyer_id, land_plot_id, cadastral_number, price, currency,
    terms, sale_document_id, sale_document_at, signed_by_seller, signed_by_buyer, created_at, updated_at)
SELECT pg_temp.grown(n, 'contract'), format('2020-%s', lpad(n::text, 8, '0')), 'completed', pg_temp.person(n % 20000),
    pg_temp.person(20000 + n % 20000), pg_temp.grown(n, 'plot'), pg_temp.cadastral(n), 1000000 + n * 50, 'RUB',
    'Расчёты через аккредитив; участок передаётся по акту после регистрации перехода права.', pg_temp.grown(n, 'document'),
    pg_temp.moment(n + 100), true, true, pg_temp.moment(n), pg_temp.moment(n + 1000)
FROM generate_series(1, :sales) AS n;
INSERT INTO contracts_party (id, contract_id, user_id, role, created_at)
SELECT pg_temp.grown(n * 2 + side, 'party'), pg_temp.grown(n, 'contract'), pg_temp.person(20000 * side + n % 20000),
    CASE side WHEN 0 THEN 'seller' ELSE 'buyer' END, pg_temp.moment(n)
FROM generate_series(1, :sales) AS n, generate_series(0, 1) AS side;
INSERT INTO contracts_statuschange (id, contract_id, status, at, by, comment)
SELECT pg_temp.grown(n * 2 + turn, 'change'), pg_temp.grown(n, 'contract'), CASE turn WHEN 0 THEN 'draft' ELSE 'completed' END,
    pg_temp.moment(n + turn * 1000), pg_temp.person(n % 20000), CASE turn WHEN 0 THEN '' ELSE 'Право зарегистрировано' END
FROM generate_series(1, :sales) AS n, generate_series(0, 1) AS turn;
INSERT INTO contracts_command (id, method, actor_id, key, arguments_digest, answer, created_at)
SELECT md5(turn || 'command' || n)::uuid, CASE turn WHEN 0 THEN 'record_plot' ELSE 'create' END, pg_temp.person(n % 20000),
    md5('key' || n || turn), decode(md5('a' || n) || md5('b' || n), 'hex'),
    convert_to(format('{"id":"%s","status":"draft","seller_id":"%s","buyer_id":"%s","land_plot_id":"%s","price":"%s",'
        '"currency":"RUB","created_at":"%s"}', pg_temp.grown(n, 'contract'), pg_temp.person(n % 20000),
        pg_temp.person(20000 + n % 20000), pg_temp.grown(n, 'plot'), 1000000 + n * 50, pg_temp.moment(n)), 'UTF8'),
    pg_temp.moment(n + turn)
FROM generate_series(1, :sales) AS n, generate_series(0, 1) AS turn;
INSERT INTO contracts_outbox (id, event_id, consumer, type, aggregate_id, sequence, payload, actor_id, request_id, trace,
    occurred_at, delivered_at)
SELECT pg_temp.grown(n * 2 + turn, 'outbox'), pg_temp.grown(n, 'event'), CASE turn WHEN 0 THEN 'workflow' ELSE 'notifications' END,
    'contracts.contract_created', pg_temp.grown(n, 'contract'), 1, convert_to(format('{"contract_id":"%s","buyer_id":"%s",'
        '"at":"%s"}', pg_temp.grown(n, 'contract'), pg_temp.person(20000 + n % 20000), pg_temp.moment(n)), 'UTF8'),
    pg_temp.person(n % 20000), md5('request' || n), format('00-%s-%s-01', md5('trace' || n), substr(md5('span' || n), 1, 16)),
    pg_temp.moment(n), pg_temp.moment(n + 1)
FROM generate_series(1, :sales) AS n, generate_series(0, 1) AS turn
"""


def fill() -> float:
    """Replace all rows by those of SALES sales; returns the mean bytes of a row, without indexes."""
    with connections.control(SHARED, options="") as shared:
        empty(shared)
        shared.execute(MAKE.replace(":sales", str(SALES)))
        settle(shared)
        row = shared.execute(SIZE, [[f"public.{table}" for table in TABLES]]).fetchone()
        return float(row[0]) / count(shared) if row else 0.0


def empty(connection: Connection) -> None:
    """Delete every row; indexes stay."""
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(named, TABLES))))


def settle(connection: Connection) -> None:
    """VACUUM, ANALYZE and CHECKPOINT now, so that the server does not do so during a measurement."""
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.SQL(", ").join(map(named, TABLES))))
    connection.execute("CHECKPOINT")


def count(connection: Connection) -> int:
    """The number of rows in all tables."""
    counts = sql.SQL(" + ").join(sql.SQL("(SELECT count(*) FROM {})").format(named(table)) for table in TABLES)
    row = connection.execute(sql.SQL("SELECT {}").format(counts)).fetchone()
    return int(row[0]) if row else 0


def named(table: str) -> sql.Identifier:
    """The table as an identifier in a statement."""
    return sql.Identifier("public", table)
