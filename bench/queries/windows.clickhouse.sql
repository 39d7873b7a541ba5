WITH hours AS (
    SELECT symbol, toStartOfHour(open_time) AS hour, argMax(close, open_time) AS last, sum(volume) AS traded
    FROM candles FINAL
    WHERE exchange = 'bench' AND symbol IN ({symbols}) AND timeframe = '1m'
        AND open_time >= toDateTime64('{first} 00:00:00', 3, 'UTC')
        AND open_time < toDateTime64('{until} 00:00:00', 3, 'UTC')
    GROUP BY symbol, hour
)
SELECT symbol, hour, last, last - lagInFrame(last, 1, last) OVER so_far AS change,
    sum(last) OVER day AS day_sum, sum(traded) OVER day AS day_volume, max(last) OVER so_far AS highest
FROM hours
WINDOW so_far AS (PARTITION BY symbol ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
    day AS (PARTITION BY symbol ORDER BY hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
ORDER BY symbol, hour
