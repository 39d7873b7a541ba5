-- From version 3. Signals and bars are new tables, which schema.sql makes; the others stay as they are.

ALTER TABLE candles MODIFY COMMENT 'candlewick 4';
ALTER TABLE tickers MODIFY COMMENT 'candlewick 4';
ALTER TABLE feeds MODIFY COMMENT 'candlewick 4';
ALTER TABLE funding MODIFY COMMENT 'candlewick 4';
ALTER TABLE instruments MODIFY COMMENT 'candlewick 4';
-- A group's offsets go on counting: the id that its rows came with stays the table's.
ALTER TABLE trades MODIFY COMMENT 'candlewick 4, in place of {uuid of trades}'
