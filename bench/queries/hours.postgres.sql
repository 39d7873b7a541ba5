SELECT open_time, open, high, low, close, volume, trades
FROM candles_of('1 hour', 'bench', {symbols}, '{first}Z', '{until}Z')
ORDER BY open_time
