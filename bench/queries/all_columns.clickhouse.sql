SELECT
    open_time, open, high, low, close, volume, trades, quote_volume, taker_buy_volume, taker_buy_quote_volume,
    first_trade_id, last_trade_id, revision, status, minutes_held
FROM candles_of(
    exchange = 'bench', symbol = {symbols}, minutes = 60,
    from_time = '{first} 00:00:00', until_time = '{until} 00:00:00'
)
ORDER BY open_time
