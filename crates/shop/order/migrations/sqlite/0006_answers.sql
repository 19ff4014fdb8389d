-- What became of the money, and when the order came to its end, by this database's clock: a client's key is kept until
-- a day after that.
ALTER TABLE orders ADD COLUMN charge TEXT NOT NULL DEFAULT 'none'
    CHECK (charge IN ('none', 'open', 'captured', 'refunded'));
ALTER TABLE orders ADD COLUMN ended_at INTEGER;

-- An order of before that failed after it was confirmed may have been charged and refunded.
UPDATE orders SET charge = CASE
    WHEN status = 'completed' THEN 'captured'
    WHEN status = 'confirmed' OR (status = 'failed' AND version > 2) THEN 'open'
    ELSE 'none' END;
UPDATE orders SET ended_at = updated_at WHERE phase = 'ended';

-- Whoever ends an order: without the moment its key would be kept for ever.
CREATE TRIGGER an_ended_order_has_its_moment
BEFORE UPDATE OF phase ON orders
WHEN new.phase = 'ended' AND new.ended_at IS NULL
BEGIN
    SELECT raise(ABORT, 'an order ends at a moment');
END;

-- Signs page tokens. Made by the first process that needs it; all that share the database read each other's tokens.
CREATE TABLE page_token_key (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;
