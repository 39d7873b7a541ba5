-- Plain PostgreSQL: a partition for each month that there are rows of, made by the sink; longer candles are views.

-- Attached rather than created in its place, so that readers of the table are not held up.
CREATE FUNCTION make_month(parent text, month timestamptz) RETURNS void LANGUAGE plpgsql AS
$$
DECLARE
    name text := parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM');
    until timestamptz := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('candlewick partitions', 0));
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass(parent) AND inhrelid = to_regclass(name)) THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, month, until);
    END IF;
END
$$;

-- Drops the months of a table that ended before then. Partitions that somebody else made have other names, and stay.
CREATE FUNCTION drop_months(parent text, before timestamptz) RETURNS void LANGUAGE plpgsql AS
$$
DECLARE
    old record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('candlewick partitions', 0));
    FOR old IN
        SELECT name FROM (SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = to_regclass(parent)) AS parts
        WHERE CASE WHEN name ~ '_[0-9]{4}_[0-9]{2}$' THEN to_date(right(name, 7), 'YYYY_MM') END + interval '1 month'
            <= before AT TIME ZONE 'UTC'
    LOOP
        EXECUTE format('DROP TABLE %s', old.name);
    END LOOP;
END
$$;

CREATE VIEW candles_5m AS
SELECT exchange, symbol, date_bin('5 minutes', open_time, '1970-01-01Z') AS open_time,
    (array_agg(open ORDER BY open_time))[1] AS open, max(high) AS high, min(low) AS low,
    (array_agg(close ORDER BY open_time DESC))[1] AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    count(*) AS minutes, count(*) FILTER (WHERE status <> 'complete') AS not_complete
FROM candles GROUP BY 1, 2, 3;

CREATE VIEW candles_1h AS
SELECT exchange, symbol, date_bin('1 hour', open_time, '1970-01-01Z') AS open_time,
    (array_agg(open ORDER BY open_time))[1] AS open, max(high) AS high, min(low) AS low,
    (array_agg(close ORDER BY open_time DESC))[1] AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    count(*) AS minutes, count(*) FILTER (WHERE status <> 'complete') AS not_complete
FROM candles GROUP BY 1, 2, 3;

CREATE VIEW candles_1d AS
SELECT exchange, symbol, date_bin('1 day', open_time, '1970-01-01Z') AS open_time,
    (array_agg(open ORDER BY open_time))[1] AS open, max(high) AS high, min(low) AS low,
    (array_agg(close ORDER BY open_time DESC))[1] AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    count(*) AS minutes, count(*) FILTER (WHERE status <> 'complete') AS not_complete
FROM candles GROUP BY 1, 2, 3;
