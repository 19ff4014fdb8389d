-- What holds that are not kept any more had taken: a movement that is deleted is counted here from then on, so that
-- `on_hand` = received - committed still adds up.
CREATE TABLE stock_brought_forward (
    product_id TEXT NOT NULL PRIMARY KEY REFERENCES products (product_id),
    committed  INTEGER NOT NULL CHECK (committed > 0)
) STRICT, WITHOUT ROWID;

-- Holds that ended before this moment may be deleted, with their movements. Set by the unit that deletes.
CREATE TABLE retention (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    before INTEGER NOT NULL
) STRICT;
INSERT INTO retention (one, before) VALUES (1, 0);

CREATE INDEX ended_reservations ON reservations (updated_at) WHERE state <> 'held';

DROP TRIGGER stock_movements_are_not_deleted;
CREATE TRIGGER stock_movements_are_not_deleted BEFORE DELETE ON stock_movements
WHEN NOT (old.kind = 'committed' AND old.at < (SELECT before FROM retention))
BEGIN
    SELECT raise(ABORT, 'stock movements are append-only');
END;
