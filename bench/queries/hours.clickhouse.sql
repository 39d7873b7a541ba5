SELECT open_time, open, high, low, close, volume, trades
FROM candles_of(
    exchange = 'bench', symbol = {symbols}, minutes = 60,
    from_time = '{first} 00:00:00', until_time = '{until} 00:00:00'
)
ORDER BY open_time
