-- What a window of a ticker of the first form did not have.
ALTER TABLE tickers
    ADD COLUMN since timestamptz,
    ADD COLUMN missing bigint,
    ADD COLUMN taker_buy_share numeric,
    ADD COLUMN realised_volatility numeric;
