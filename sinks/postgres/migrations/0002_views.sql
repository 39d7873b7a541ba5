-- What dashboards ask for.

-- Candles of any length, from the 1m candles: 7 minutes too. For weeks give an origin on a Monday, '1970-01-05Z'.
CREATE FUNCTION candles_of(
    width interval, of_exchange text, of_symbol text, from_time timestamptz, until_time timestamptz,
    origin timestamptz DEFAULT '1970-01-01Z'
) RETURNS TABLE
(
    open_time timestamptz, open numeric, high numeric, low numeric, close numeric, volume numeric,
    quote_volume numeric, trades numeric, taker_buy_volume numeric, taker_buy_quote_volume numeric, minutes bigint,
    not_complete bigint
) LANGUAGE sql STABLE AS
$$
    SELECT date_bin(width, c.open_time, origin), (array_agg(c.open ORDER BY c.open_time))[1], max(c.high), min(c.low),
        (array_agg(c.close ORDER BY c.open_time DESC))[1], sum(c.volume), sum(c.quote_volume), sum(c.trades),
        sum(c.taker_buy_volume), sum(c.taker_buy_quote_volume), count(*), count(*) FILTER (WHERE c.status <> 'complete')
    FROM candles AS c
    WHERE c.exchange = of_exchange AND c.symbol = of_symbol AND c.timeframe = '1m'
        AND c.open_time >= from_time AND c.open_time < until_time
    GROUP BY 1 ORDER BY 1
$$;

-- Minutes that lack trades (hole, kline) and minutes between a market's first and last candle that have none (missing).
CREATE VIEW data_gaps AS
SELECT exchange, symbol, open_time + interval '1 minute' AS from_time, next_time AS until_time,
    (extract(epoch FROM next_time - open_time) / 60)::bigint - 1 AS minutes, 'missing' AS kind
FROM (
    SELECT exchange, symbol, open_time, lead(open_time) OVER (PARTITION BY exchange, symbol ORDER BY open_time) AS next_time
    FROM candles
) AS followed
WHERE next_time > open_time + interval '1 minute'
UNION ALL
SELECT exchange, symbol, min(open_time), max(open_time) + interval '1 minute', count(*), status
FROM (
    SELECT exchange, symbol, open_time, status,
        open_time - row_number() OVER (PARTITION BY exchange, symbol, status ORDER BY open_time) * interval '1 minute' AS island
    FROM candles WHERE status IN ('hole', 'kline')
) AS lacking
GROUP BY exchange, symbol, status, island;

-- One row a market: how far it is, and its last 24 hours.
CREATE VIEW market_metrics AS
SELECT exchange, symbol, max(open_time) + interval '1 minute' AS complete_until,
    extract(epoch FROM now() - max(open_time) - interval '1 minute')::double precision AS behind_s,
    count(*) AS minutes, count(*) FILTER (WHERE status <> 'complete') AS not_complete,
    sum(trades) AS trades, sum(volume) AS volume, sum(quote_volume) AS quote_volume
FROM candles WHERE open_time >= now() - interval '24 hours'
GROUP BY exchange, symbol;
