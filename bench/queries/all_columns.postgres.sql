SELECT open_time, open, high, low, close, volume, trades, quote_volume, taker_buy_volume, taker_buy_quote_volume,
    minutes, not_complete
FROM candles_of('1 hour', 'bench', {symbols}, '{first}Z', '{until}Z')
ORDER BY open_time
