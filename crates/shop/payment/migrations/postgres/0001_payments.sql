-- One row for each attempt of an order to pay, written before the provider is asked.
CREATE TABLE payments (
    order_id       text COLLATE "C" NOT NULL,
    generation     bigint NOT NULL CHECK (generation >= 0),
    -- Also our reference at the provider.
    payment_id     text NOT NULL,
    -- The key of the step that authorises; the provider gets it as Idempotency-Key.
    step_key       text NOT NULL,
    user_id        text NOT NULL,
    payment_method text NOT NULL,
    -- Amounts are ten-thousandths of the currency's unit.
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL CHECK (length(currency) = 3),
    state          text NOT NULL
        CHECK (state IN ('unknown', 'authorized', 'captured', 'voided', 'declined', 'refunded')),
    captured       bigint NOT NULL DEFAULT 0,
    refunded       bigint NOT NULL DEFAULT 0,
    -- The provider's id of the charge.
    transaction_id text,
    decline_code   text,
    -- The order gave it up: to be voided as soon as the provider can be asked.
    is_unwanted    boolean NOT NULL DEFAULT false,
    -- When to ask the provider how things stand; null when there is nothing to ask.
    review_at      timestamptz,
    reviews        bigint NOT NULL DEFAULT 0,
    version        bigint NOT NULL,
    -- W3C trace context of the request that began it.
    traceparent    text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- The highest epoch of a runner of the order's saga that was seen on the order's newest payment. Requests of a lower one
    -- are refused. 0: the runner said none.
    lease_epoch    bigint NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0),
    -- Since when the provider says of a payment what our books exclude; null when its last answer fits them.
    contradicted_at timestamptz,
    PRIMARY KEY (order_id, generation),
    -- I8, whatever the program does.
    CONSTRAINT captured_was_authorized CHECK (0 <= captured AND captured <= amount),
    CONSTRAINT refunded_was_captured CHECK (0 <= refunded AND refunded <= captured),
    CONSTRAINT only_a_taken_payment_has_money
        CHECK ((captured > 0) = (state IN ('captured', 'refunded')))
);

-- I8: one live authorisation an order.
CREATE UNIQUE INDEX one_live_payment_an_order ON payments (order_id)
    WHERE state IN ('unknown', 'authorized', 'captured');
CREATE INDEX payments_by_review ON payments (review_at) WHERE review_at IS NOT NULL;
CREATE INDEX contradicted_payments ON payments (contradicted_at) WHERE contradicted_at IS NOT NULL;
CREATE INDEX ended_payments ON payments (updated_at)
    WHERE review_at IS NULL AND state NOT IN ('unknown', 'authorized');

-- I13: legal moves only; and an epoch that was seen stays seen.
CREATE FUNCTION guard_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.state <> new.state AND NOT (old.state = 'unknown'
        OR (old.state = 'authorized' AND new.state IN ('captured', 'voided', 'refunded'))
        OR (old.state = 'captured' AND new.state = 'refunded')) THEN
        RAISE EXCEPTION 'a payment moves by the rules';
    END IF;
    IF new.lease_epoch < old.lease_epoch THEN
        RAISE EXCEPTION 'an epoch that was seen stays seen';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER payments_are_guarded BEFORE UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION guard_payment();

-- Orders whose payment was voided: no authorisation of this generation or an earlier one may begin any more.
CREATE TABLE voided_orders (
    order_id    text COLLATE "C" PRIMARY KEY,
    generation  bigint NOT NULL,
    voided_at   timestamptz NOT NULL,
    lease_epoch bigint NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0)
);
CREATE INDEX voided_orders_by_age ON voided_orders (voided_at);

CREATE TABLE refunds (
    step_key   text COLLATE "C" PRIMARY KEY,
    order_id   text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    state      text NOT NULL CHECK (state IN ('pending', 'done', 'rejected')),
    -- A refund that was rejected can be made anew, under another number and so another key at the provider. `created_at` and
    -- `reviews` are those of the newest number.
    number     bigint NOT NULL DEFAULT 1 CHECK (number > 0),
    -- When a pending one is sent again.
    review_at  timestamptz,
    reviews    bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((state = 'pending') = (review_at IS NOT NULL)),
    FOREIGN KEY (order_id, generation) REFERENCES payments (order_id, generation)
);

CREATE INDEX pending_refunds_by_order ON refunds (order_id) WHERE state = 'pending';
CREATE INDEX refunds_by_review ON refunds (review_at) WHERE review_at IS NOT NULL;
CREATE INDEX refunds_by_payment ON refunds (order_id, generation);

-- I9: double entries, for ever. The entries of one posting balance.
CREATE TABLE ledger_entries (
    entry_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    -- The payment's version that the posting belongs to.
    version    bigint NOT NULL,
    posting    text NOT NULL CHECK (posting IN ('capture', 'refund')),
    account    text NOT NULL CHECK (account IN ('provider_receivable', 'sales')),
    debit      bigint NOT NULL CHECK (debit >= 0),
    credit     bigint NOT NULL CHECK (credit >= 0),
    currency   text NOT NULL,
    at         timestamptz NOT NULL,
    CONSTRAINT an_entry_has_one_side CHECK ((debit = 0) <> (credit = 0)),
    FOREIGN KEY (order_id, generation) REFERENCES payments (order_id, generation)
);

CREATE INDEX ledger_entries_by_order ON ledger_entries (order_id, generation);

-- What payments that are not kept any more add up to: a row that is deleted is counted here from then on, so that the
-- ledger still balances and is still what the provider's is (I9).
CREATE TABLE ledger_brought_forward (
    account  text NOT NULL CHECK (account IN ('provider_receivable', 'sales')),
    currency text NOT NULL,
    debit    bigint NOT NULL CHECK (debit >= 0),
    credit   bigint NOT NULL CHECK (credit >= 0),
    PRIMARY KEY (account, currency)
);

CREATE TABLE payments_brought_forward (
    currency text PRIMARY KEY,
    charges  bigint NOT NULL CHECK (charges >= 0),
    captured bigint NOT NULL CHECK (captured >= 0),
    refunded bigint NOT NULL CHECK (refunded BETWEEN 0 AND captured)
);

-- Payments that ended before this moment may be deleted, with their ledger entries. Set by the unit that deletes.
CREATE TABLE retention (
    one    integer PRIMARY KEY CHECK (one = 1),
    before timestamptz NOT NULL
);
INSERT INTO retention (one, before) VALUES (1, to_timestamp(0));

CREATE FUNCTION guard_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND old.at < (SELECT before FROM retention) THEN
        RETURN old;
    END IF;
    RAISE EXCEPTION 'ledger entries are append-only';
END $$;
CREATE TRIGGER ledger_entries_are_not_changed BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION guard_entry();
