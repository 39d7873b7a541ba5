-- Three roles on the database candlewick, for a person with access management to apply once, as with
--   clickhouse client --multiquery < roles.sql
-- and then, for each of your users: GRANT candlewick_writer TO my_sink.

-- Makes and migrates the tables: candlewick migrate clickhouse, and nothing else.
CREATE ROLE IF NOT EXISTS candlewick_owner;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW ON candlewick.* TO candlewick_owner;
GRANT ALTER TABLE, DROP TABLE, DROP VIEW, SELECT, INSERT ON candlewick.* TO candlewick_owner;
GRANT TABLE ENGINE ON ReplacingMergeTree TO candlewick_owner;
GRANT TABLE ENGINE ON Memory TO candlewick_owner;
GRANT SELECT ON system.parts TO candlewick_owner;
GRANT SELECT ON system.processes TO candlewick_owner;

-- The sink: it can neither drop, empty nor alter anything.
CREATE ROLE IF NOT EXISTS candlewick_writer;
GRANT SELECT, INSERT ON candlewick.* TO candlewick_writer;

-- The API, dashboards, people. With readonly = 2 they may set how a query runs, but nothing is written.
CREATE ROLE IF NOT EXISTS candlewick_reader SETTINGS readonly = 2;
GRANT SELECT ON candlewick.* TO candlewick_reader;
