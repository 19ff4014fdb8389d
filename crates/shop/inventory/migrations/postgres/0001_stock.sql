-- Ids compare by their bytes, as the program sorts them: rows are locked in that order.
CREATE TABLE products (
    product_id text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    -- Ten-thousandths of the currency's unit.
    unit_price bigint NOT NULL CONSTRAINT a_price_is_positive CHECK (unit_price > 0),
    currency   text NOT NULL CHECK (length(currency) = 3)
);

-- I11: what is reserved is on hand. The rule holds whatever the program does.
CREATE TABLE stock (
    product_id text COLLATE "C" PRIMARY KEY REFERENCES products (product_id),
    on_hand    bigint NOT NULL,
    reserved   bigint NOT NULL DEFAULT 0,
    CONSTRAINT reserved_is_on_hand CHECK (0 <= reserved AND reserved <= on_hand)
) WITH (fillfactor = 50);

-- One row for each generation of an order's hold. A row without lines, `released` from the start, is a tombstone:
-- the release came first, and the reservation it undoes must not happen any more.
CREATE TABLE reservations (
    order_id   text COLLATE "C" NOT NULL,
    generation bigint NOT NULL CHECK (generation >= 0),
    state      text NOT NULL CHECK (state IN ('held', 'committed', 'released', 'expired')),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The highest epoch of a runner of the order's saga that had an effect here, on the order's newest reservation. Requests
    -- of a lower one are refused. 0: the runner said none.
    lease_epoch bigint NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0),
    PRIMARY KEY (order_id, generation)
);

CREATE UNIQUE INDEX one_live_reservation_an_order ON reservations (order_id) WHERE state = 'held';
CREATE INDEX reservations_by_expiry ON reservations (expires_at) WHERE state = 'held';
CREATE INDEX ended_reservations ON reservations (updated_at) WHERE state <> 'held';

CREATE TABLE reservation_lines (
    order_id   text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    product_id text COLLATE "C" NOT NULL REFERENCES products (product_id),
    quantity   bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, generation, product_id),
    FOREIGN KEY (order_id, generation) REFERENCES reservations (order_id, generation)
);

-- I12: what has ended stays ended, and an epoch that was seen stays seen.
CREATE FUNCTION guard_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.state <> 'held' AND new.state <> old.state THEN
        RAISE EXCEPTION 'an ended reservation stays ended';
    END IF;
    IF new.lease_epoch < old.lease_epoch THEN
        RAISE EXCEPTION 'an epoch that was seen stays seen';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER reservations_are_guarded BEFORE UPDATE ON reservations
    FOR EACH ROW EXECUTE FUNCTION guard_reservation();

-- Every change of `on_hand`, for ever: `on_hand` = received - committed.
CREATE TABLE stock_movements (
    movement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id  text COLLATE "C" NOT NULL REFERENCES products (product_id),
    kind        text NOT NULL CHECK (kind IN ('received', 'committed')),
    quantity    bigint NOT NULL CHECK (quantity > 0),
    -- The hold that was committed; null for a receipt.
    order_id    text COLLATE "C",
    generation  bigint,
    at          timestamptz NOT NULL,
    CHECK ((kind = 'committed') = (order_id IS NOT NULL AND generation IS NOT NULL))
);

-- A hold is committed once.
CREATE UNIQUE INDEX one_commit_a_line ON stock_movements (order_id, generation, product_id) WHERE kind = 'committed';

-- What holds that are not kept any more had taken: a movement that is deleted is counted here from then on, so that
-- `on_hand` = received - committed still adds up.
CREATE TABLE stock_brought_forward (
    product_id text COLLATE "C" PRIMARY KEY REFERENCES products (product_id),
    committed  bigint NOT NULL CHECK (committed > 0)
);

-- Holds that ended before this moment may be deleted, with their movements. Set by the unit that deletes.
CREATE TABLE retention (
    one    integer PRIMARY KEY CHECK (one = 1),
    before timestamptz NOT NULL
);
INSERT INTO retention (one, before) VALUES (1, to_timestamp(0));

CREATE FUNCTION guard_movement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND old.kind = 'committed' AND old.at < (SELECT before FROM retention) THEN
        RETURN old;
    END IF;
    RAISE EXCEPTION 'stock movements are append-only';
END $$;
CREATE TRIGGER stock_movements_are_not_changed BEFORE UPDATE OR DELETE ON stock_movements
    FOR EACH ROW EXECUTE FUNCTION guard_movement();
