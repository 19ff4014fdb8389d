-- What retention may delete. Journal and history stay append-only for everybody else: the triggers let rows go only of
-- orders that have ended and were last changed before the moment that the deleting unit wrote here.
CREATE TABLE retention (
    what       TEXT NOT NULL PRIMARY KEY CHECK (what IN ('journal', 'orders')),
    -- Milliseconds since 1970.
    before     INTEGER NOT NULL,
    -- Everything that was last changed before this moment is gone already.
    done_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

INSERT INTO retention (what, before) VALUES ('journal', 0), ('orders', 0);

CREATE INDEX ended_orders ON orders (updated_at) WHERE phase = 'ended';

DROP TRIGGER order_history_is_not_deleted;
CREATE TRIGGER order_history_is_not_deleted BEFORE DELETE ON order_history
WHEN NOT EXISTS (
    SELECT 1 FROM orders JOIN retention ON what = 'orders'
    WHERE order_id = old.order_id AND phase = 'ended' AND updated_at < before)
BEGIN
    SELECT raise(ABORT, 'the history of orders is append-only');
END;

DROP TRIGGER order_journal_is_not_deleted;
CREATE TRIGGER order_journal_is_not_deleted BEFORE DELETE ON order_journal
WHEN NOT EXISTS (
    SELECT 1 FROM orders, retention
    WHERE order_id = old.order_id AND phase = 'ended' AND updated_at < before)
BEGIN
    SELECT raise(ABORT, 'the journal of orders is append-only');
END;

-- An order that is under way is never deleted.
CREATE TRIGGER orders_are_not_deleted BEFORE DELETE ON orders
WHEN NOT (old.phase = 'ended' AND old.updated_at < (SELECT before FROM retention WHERE what = 'orders'))
BEGIN
    SELECT raise(ABORT, 'an order is deleted by retention only');
END;
