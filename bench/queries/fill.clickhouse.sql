INSERT INTO candles (
    exchange, symbol, timeframe, open_time, close_time, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume, taker_buy_quote_volume, first_trade_id, last_trade_id, revision, status, run, partition, offset
)
-- Decimals are made of whole numbers by a multiplication: a division of 256 bits takes longer than all else.
SELECT
    'bench', concat('S', leftPad(toString(n), 5, '0'), '-USDT'), '1m',
    fromUnixTimestamp64Milli(m * 60000), fromUnixTimestamp64Milli(m * 60000 + 59999),
    reinterpret(o * toInt256('10000000000000000'), 'Decimal(76, 18)'),
    reinterpret(h * toInt256('10000000000000000'), 'Decimal(76, 18)'),
    reinterpret(l * toInt256('10000000000000000'), 'Decimal(76, 18)'),
    reinterpret(c * toInt256('10000000000000000'), 'Decimal(76, 18)'),
    reinterpret(q * toInt256('1000000000000000'), 'Decimal(76, 18)'),
    reinterpret(q * o * toInt256('100000000000000000'), 'Decimal(76, 22)'),
    trades,
    reinterpret(taker * toInt256('1000000000000000'), 'Decimal(76, 18)'),
    reinterpret(taker * o * toInt256('100000000000000000'), 'Decimal(76, 22)'),
    toString(m * 300), toString(m * 300 + trades - 1), m * 2 + v, 'complete', '', n % 12, m * 2 + v
FROM ({numbers}) AS numbered
