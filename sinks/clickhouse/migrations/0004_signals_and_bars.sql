-- From version 3. Signals and bars are new tables, which schema.sql makes. Tickers say more of each window.

ALTER TABLE tickers
    ADD COLUMN IF NOT EXISTS since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) AFTER status,
    ADD COLUMN IF NOT EXISTS missing Nullable(UInt64) CODEC(ZSTD(1)) AFTER since,
    ADD COLUMN IF NOT EXISTS taker_buy_share Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)) AFTER missing,
    ADD COLUMN IF NOT EXISTS realised_volatility Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)) AFTER taker_buy_share;

ALTER TABLE candles MODIFY COMMENT 'candlewick 4';
ALTER TABLE tickers MODIFY COMMENT 'candlewick 4';
ALTER TABLE feeds MODIFY COMMENT 'candlewick 4';
ALTER TABLE funding MODIFY COMMENT 'candlewick 4';
ALTER TABLE instruments MODIFY COMMENT 'candlewick 4';
-- A group's offsets go on counting: the id that its rows came with stays the table's.
ALTER TABLE trades MODIFY COMMENT 'candlewick 4, in place of {uuid of trades}'
