-- What a trigger raises whose condition says that a rule would be broken.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

-- An order, and where its saga stands. Money is in ten-thousandths. Ids compare by their bytes, as page cursors do.
CREATE TABLE orders (
    order_id       text COLLATE "C" PRIMARY KEY,
    user_id        text COLLATE "C" NOT NULL,
    product_id     text NOT NULL,
    quantity       bigint NOT NULL CHECK (quantity > 0),
    unit_price     bigint NOT NULL CHECK (unit_price > 0),
    amount         bigint NOT NULL,
    currency       text NOT NULL CHECK (length(currency) = 3),
    payment_method text NOT NULL,
    status         text NOT NULL CHECK (status IN ('pending', 'confirmed', 'completed', 'failed', 'cancelled')),
    failure_code   text,
    decline_code   text,
    transaction_id text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    version        bigint NOT NULL CHECK (version > 0),
    -- The trace that created it: its later spans and its events join it.
    trace_id       text,
    traceparent    text,
    tracestate     text,
    -- The saga: where it stands, how many rows its journal has (the fence of every write), who runs it until when.
    phase          text NOT NULL CHECK (phase IN ('forward', 'committed', 'back', 'stuck', 'ended')),
    journal_rows   bigint NOT NULL,
    runner         text NOT NULL,
    lease_until    timestamptz NOT NULL,
    -- Which runner of its saga has an order: 1 for the first, one more with each take-over. Every request of a step carries
    -- it, and inventory and payment refuse a lower one than they have seen.
    lease_epoch    bigint NOT NULL DEFAULT 1 CHECK (lease_epoch > 0),
    -- What became of the money, and when the order came to its end, by this database's clock: a client's key is kept until
    -- a day after that.
    charge         text NOT NULL DEFAULT 'none' CHECK (charge IN ('none', 'open', 'captured', 'refunded')),
    ended_at       timestamptz,
    CONSTRAINT the_amount_is_price_times_quantity CHECK (amount = unit_price * quantity),
    CONSTRAINT a_failure_has_its_code CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT a_settled_order_has_no_work_left
        CHECK ((phase = 'ended') = (status IN ('completed', 'failed', 'cancelled'))),
    -- Whoever ends an order: without the moment its key would be kept for ever.
    CONSTRAINT an_ended_order_has_its_moment CHECK (phase <> 'ended' OR ended_at IS NOT NULL)
) WITH (fillfactor = 70);

CREATE INDEX orders_of_a_user ON orders (user_id, created_at DESC, order_id DESC);
CREATE INDEX unfinished_orders ON orders (lease_until) WHERE phase <> 'ended';
CREATE INDEX parked_orders ON orders (order_id) WHERE phase = 'stuck';
CREATE INDEX ended_orders ON orders (updated_at) WHERE phase = 'ended';

-- I13: the moves there are, one version each. The rule holds whatever the program does.
CREATE TRIGGER an_order_makes_legal_moves_only BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (NOT (
        (new.status = old.status AND new.version = old.version)
        OR (new.version = old.version + 1 AND (
            (old.status = 'pending' AND new.status IN ('confirmed', 'failed', 'cancelled'))
            OR (old.status = 'confirmed' AND new.status IN ('completed', 'failed'))))))
    EXECUTE FUNCTION refuse('an order makes legal moves only');

-- Whoever takes an order over is told from all before it, whatever the program does.
CREATE TRIGGER a_runner_has_an_epoch_of_its_own BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (NOT (new.lease_epoch = old.lease_epoch + 1
        OR (new.lease_epoch = old.lease_epoch AND new.runner = old.runner)))
    EXECUTE FUNCTION refuse('a runner has an epoch of its own');

-- Every state that an order was in. Append-only.
CREATE TABLE order_history (
    order_id text COLLATE "C" NOT NULL REFERENCES orders (order_id),
    version  bigint NOT NULL,
    status   text NOT NULL,
    reason   text,
    at       timestamptz NOT NULL,
    PRIMARY KEY (order_id, version)
);

-- The facts of an order's saga, one row a unit. Append-only.
CREATE TABLE order_journal (
    order_id text COLLATE "C" NOT NULL REFERENCES orders (order_id),
    row      bigint NOT NULL CHECK (row > 0),
    facts    jsonb NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (order_id, row)
);

-- What operators asked for, beside the history of the order. Append-only.
CREATE TABLE operator_actions (
    order_id text COLLATE "C" NOT NULL REFERENCES orders (order_id),
    number   bigint NOT NULL CHECK (number > 0),
    action   text NOT NULL CHECK (action IN ('retry', 'abandon', 'refund')),
    -- A refund is written down before it is asked for, and again when it is known what became of it.
    outcome  text NOT NULL CHECK (outcome IN ('asked', 'done', 'rejected', 'unknown')),
    asked_by text NOT NULL,
    reason   text NOT NULL,
    -- The number of the refund among those of operators, and how much.
    refund   bigint,
    amount   bigint CHECK (amount > 0),
    -- What was found or left open, a line each.
    notes    text NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (order_id, number),
    CONSTRAINT a_refund_has_number_and_amount
        CHECK ((action = 'refund') = (refund IS NOT NULL) AND (action = 'refund') = (amount IS NOT NULL))
);

CREATE TRIGGER order_history_is_not_changed BEFORE UPDATE ON order_history FOR EACH ROW
    EXECUTE FUNCTION refuse('the history of orders is append-only');
CREATE TRIGGER order_journal_is_not_changed BEFORE UPDATE ON order_journal FOR EACH ROW
    EXECUTE FUNCTION refuse('the journal of orders is append-only');
CREATE TRIGGER operator_actions_are_not_changed BEFORE UPDATE ON operator_actions FOR EACH ROW
    EXECUTE FUNCTION refuse('the actions of operators are append-only');

-- What retention may delete. Journal and history stay append-only for everybody else: the triggers let rows go only of
-- orders that have ended and were last changed before the moment that the deleting unit wrote here.
CREATE TABLE retention (
    what       text PRIMARY KEY CHECK (what IN ('journal', 'orders')),
    before     timestamptz NOT NULL,
    -- Everything that was last changed before this moment is gone already.
    done_until timestamptz NOT NULL
);
INSERT INTO retention (what, before, done_until)
    VALUES ('journal', to_timestamp(0), to_timestamp(0)), ('orders', to_timestamp(0), to_timestamp(0));

CREATE FUNCTION guard_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The journal goes when either is permitted, the rest with its order.
    IF EXISTS (
        SELECT 1 FROM orders, retention
        WHERE order_id = old.order_id AND phase = 'ended' AND updated_at < before
          AND (what = 'orders' OR TG_ARGV[1] = 'journal')) THEN
        RETURN old;
    END IF;
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;
CREATE TRIGGER order_history_is_not_deleted BEFORE DELETE ON order_history FOR EACH ROW
    EXECUTE FUNCTION guard_deletion('the history of orders is append-only', 'orders');
CREATE TRIGGER order_journal_is_not_deleted BEFORE DELETE ON order_journal FOR EACH ROW
    EXECUTE FUNCTION guard_deletion('the journal of orders is append-only', 'journal');
CREATE TRIGGER operator_actions_are_not_deleted BEFORE DELETE ON operator_actions FOR EACH ROW
    EXECUTE FUNCTION guard_deletion('the actions of operators are append-only', 'orders');

-- An order that is under way is never deleted.
CREATE TRIGGER orders_are_not_deleted BEFORE DELETE ON orders FOR EACH ROW
    EXECUTE FUNCTION guard_deletion('an order is deleted by retention only', 'orders');

-- Signs page tokens. Made by the first process that needs it; all that share the database read each other's tokens.
CREATE TABLE page_token_key (
    id  integer PRIMARY KEY CHECK (id = 1),
    key bytea NOT NULL CHECK (length(key) = 32)
);
