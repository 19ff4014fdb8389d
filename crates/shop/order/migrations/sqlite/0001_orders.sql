-- An order, and where its saga stands. Money is in ten-thousandths, times are milliseconds since 1970.
CREATE TABLE orders (
    order_id       TEXT NOT NULL PRIMARY KEY,
    user_id        TEXT NOT NULL,
    product_id     TEXT NOT NULL,
    quantity       INTEGER NOT NULL CHECK (quantity > 0),
    unit_price     INTEGER NOT NULL CHECK (unit_price > 0),
    amount         INTEGER NOT NULL,
    currency       TEXT NOT NULL CHECK (length(currency) = 3),
    payment_method TEXT NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('pending', 'confirmed', 'completed', 'failed', 'cancelled')),
    failure_code   TEXT,
    decline_code   TEXT,
    transaction_id TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    -- The trace that created it: its later spans and its events join it.
    trace_id       TEXT,
    traceparent    TEXT,
    tracestate     TEXT,
    -- The saga: where it stands, how many rows its journal has (the fence of every write), who runs it until when.
    phase          TEXT NOT NULL CHECK (phase IN ('forward', 'committed', 'back', 'stuck', 'ended')),
    journal_rows   INTEGER NOT NULL,
    runner         TEXT NOT NULL,
    lease_until    INTEGER NOT NULL,
    CONSTRAINT the_amount_is_price_times_quantity CHECK (amount = unit_price * quantity),
    CONSTRAINT a_failure_has_its_code CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT a_settled_order_has_no_work_left
        CHECK ((phase = 'ended') = (status IN ('completed', 'failed', 'cancelled')))
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_of_a_user ON orders (user_id, created_at DESC, order_id DESC);
CREATE INDEX unfinished_orders ON orders (lease_until) WHERE phase <> 'ended';

-- I13: the moves there are, one version each. The rule holds whatever the program does.
CREATE TRIGGER an_order_makes_legal_moves_only
BEFORE UPDATE OF status, version ON orders
WHEN NOT (
    (new.status = old.status AND new.version = old.version)
    OR (new.version = old.version + 1 AND (
        (old.status = 'pending' AND new.status IN ('confirmed', 'failed', 'cancelled'))
        OR (old.status = 'confirmed' AND new.status IN ('completed', 'failed'))))
)
BEGIN
    SELECT raise(ABORT, 'an order makes legal moves only');
END;

-- Every state that an order was in. Append-only.
CREATE TABLE order_history (
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    version  INTEGER NOT NULL,
    status   TEXT NOT NULL,
    reason   TEXT,
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, version)
) STRICT, WITHOUT ROWID;

-- The facts of an order's saga, one row a unit. Append-only.
CREATE TABLE order_journal (
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    row      INTEGER NOT NULL CHECK (row > 0),
    facts    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, row)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER order_history_is_not_changed BEFORE UPDATE ON order_history
BEGIN
    SELECT raise(ABORT, 'the history of orders is append-only');
END;

CREATE TRIGGER order_history_is_not_deleted BEFORE DELETE ON order_history
BEGIN
    SELECT raise(ABORT, 'the history of orders is append-only');
END;

CREATE TRIGGER order_journal_is_not_changed BEFORE UPDATE ON order_journal
BEGIN
    SELECT raise(ABORT, 'the journal of orders is append-only');
END;

CREATE TRIGGER order_journal_is_not_deleted BEFORE DELETE ON order_journal
BEGIN
    SELECT raise(ABORT, 'the journal of orders is append-only');
END;
