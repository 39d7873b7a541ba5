WITH hours AS (
    SELECT symbol, date_bin('1 hour', open_time, '1970-01-01Z') AS hour,
        (array_agg(close ORDER BY open_time DESC))[1] AS last, sum(volume) AS traded
    FROM candles
    WHERE exchange = 'bench' AND symbol IN ({symbols}) AND timeframe = '1m'
        AND open_time >= '{first}Z' AND open_time < '{until}Z'
    GROUP BY 1, 2
)
SELECT symbol, hour, last, last - lag(last, 1, last) OVER so_far AS change,
    sum(last) OVER day AS day_sum, sum(traded) OVER day AS day_volume, max(last) OVER so_far AS highest
FROM hours
WINDOW so_far AS (PARTITION BY symbol ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
    day AS (PARTITION BY symbol ORDER BY hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
ORDER BY symbol, hour
