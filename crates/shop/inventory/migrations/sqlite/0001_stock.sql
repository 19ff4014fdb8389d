-- The catalogue.
CREATE TABLE products (
    product_id TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    -- Ten-thousandths of the currency's unit.
    unit_price INTEGER NOT NULL CONSTRAINT a_price_is_positive CHECK (unit_price > 0),
    currency   TEXT NOT NULL CHECK (length(currency) = 3)
) STRICT, WITHOUT ROWID;

-- I11: what is reserved is on hand. The rule holds whatever the program does.
CREATE TABLE stock (
    product_id TEXT NOT NULL PRIMARY KEY REFERENCES products (product_id),
    on_hand    INTEGER NOT NULL,
    reserved   INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT reserved_is_on_hand CHECK (0 <= reserved AND reserved <= on_hand)
) STRICT, WITHOUT ROWID;

-- One row for each generation of an order's hold. A row without lines, `released` from the start, is a tombstone:
-- the release came first, and the reservation it undoes must not happen any more.
CREATE TABLE reservations (
    order_id   TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    state      TEXT NOT NULL CHECK (state IN ('held', 'committed', 'released', 'expired')),
    -- Milliseconds since 1970.
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (order_id, generation)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_live_reservation_an_order ON reservations (order_id) WHERE state = 'held';
CREATE INDEX reservations_by_expiry ON reservations (expires_at) WHERE state = 'held';

CREATE TABLE reservation_lines (
    order_id   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    product_id TEXT NOT NULL REFERENCES products (product_id),
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, generation, product_id),
    FOREIGN KEY (order_id, generation) REFERENCES reservations (order_id, generation)
) STRICT, WITHOUT ROWID;

-- I12: what has ended stays ended.
CREATE TRIGGER an_ended_reservation_stays_ended
BEFORE UPDATE OF state ON reservations WHEN old.state <> 'held'
BEGIN
    SELECT raise(ABORT, 'an ended reservation stays ended');
END;

-- Every change of `on_hand`, for ever: `on_hand` = received - committed.
CREATE TABLE stock_movements (
    movement_id INTEGER NOT NULL PRIMARY KEY,
    product_id  TEXT NOT NULL REFERENCES products (product_id),
    kind        TEXT NOT NULL CHECK (kind IN ('received', 'committed')),
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    -- The hold that was committed; null for a receipt.
    order_id    TEXT,
    generation  INTEGER,
    at          INTEGER NOT NULL,
    CHECK ((kind = 'committed') = (order_id IS NOT NULL AND generation IS NOT NULL))
) STRICT;

-- A hold is committed once.
CREATE UNIQUE INDEX one_commit_a_line ON stock_movements (order_id, generation, product_id) WHERE kind = 'committed';

CREATE TRIGGER stock_movements_are_not_changed BEFORE UPDATE ON stock_movements
BEGIN
    SELECT raise(ABORT, 'stock movements are append-only');
END;

CREATE TRIGGER stock_movements_are_not_deleted BEFORE DELETE ON stock_movements
BEGIN
    SELECT raise(ABORT, 'stock movements are append-only');
END;
