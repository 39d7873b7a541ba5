CREATE TABLE {name} (LIKE candles);
INSERT INTO {name} (
    exchange, symbol, timeframe, open_time, close_time, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume, taker_buy_quote_volume, first_trade_id, last_trade_id, revision, status, run, partition, "offset"
)
SELECT
    'bench', 'S' || lpad(n::text, 5, '0') || '-USDT', '1m',
    timestamptz 'epoch' + m * interval '1 minute', timestamptz 'epoch' + m * interval '1 minute' + interval '59.999 s',
    o * 0.01, h * 0.01, l * 0.01, c * 0.01, q * 0.001, q * o * 0.00001, trades, taker * 0.001, taker * o * 0.00001,
    m * 300, m * 300 + trades - 1, m * 2 + v, 'complete', NULL, n % 12, m * 2 + v
FROM ({numbers}) AS numbered
ORDER BY n, m;
ALTER TABLE {name} ADD PRIMARY KEY (exchange, symbol, timeframe, open_time);
CREATE INDEX ON {name} (open_time);
ALTER TABLE candles ATTACH PARTITION {name} FOR VALUES FROM ('{first}Z') TO ('{until}Z');
