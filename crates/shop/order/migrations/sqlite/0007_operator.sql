-- What operators asked for, beside the history of the order. Append-only. Amounts are ten-thousandths, times are
-- milliseconds since 1970.
CREATE TABLE operator_actions (
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    number   INTEGER NOT NULL CHECK (number > 0),
    action   TEXT NOT NULL CHECK (action IN ('retry', 'abandon', 'refund')),
    -- A refund is written down before it is asked for, and again when it is known what became of it.
    outcome  TEXT NOT NULL CHECK (outcome IN ('asked', 'done', 'rejected', 'unknown')),
    asked_by TEXT NOT NULL,
    reason   TEXT NOT NULL,
    -- The number of the refund among those of operators, and how much.
    refund   INTEGER,
    amount   INTEGER CHECK (amount > 0),
    -- What was found or left open, a line each.
    notes    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, number),
    CONSTRAINT a_refund_has_number_and_amount
        CHECK ((action = 'refund') = (refund IS NOT NULL) AND (action = 'refund') = (amount IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER operator_actions_are_not_changed BEFORE UPDATE ON operator_actions
BEGIN
    SELECT raise(ABORT, 'the actions of operators are append-only');
END;

-- They go with their order, when retention lets it go.
CREATE TRIGGER operator_actions_are_not_deleted BEFORE DELETE ON operator_actions
WHEN NOT EXISTS (
    SELECT 1 FROM orders JOIN retention ON what = 'orders'
    WHERE order_id = old.order_id AND phase = 'ended' AND updated_at < before)
BEGIN
    SELECT raise(ABORT, 'the actions of operators are append-only');
END;

CREATE INDEX parked_orders ON orders (order_id) WHERE phase = 'stuck';
