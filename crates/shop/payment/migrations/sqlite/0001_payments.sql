-- One row for each attempt of an order to pay, written before the provider is asked.
CREATE TABLE payments (
    order_id       TEXT NOT NULL,
    generation     INTEGER NOT NULL CHECK (generation >= 0),
    -- Also our reference at the provider.
    payment_id     TEXT NOT NULL,
    -- The key of the step that authorises; the provider gets it as Idempotency-Key.
    step_key       TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    -- Amounts are ten-thousandths of the currency's unit.
    amount         INTEGER NOT NULL CHECK (amount > 0),
    currency       TEXT NOT NULL CHECK (length(currency) = 3),
    state          TEXT NOT NULL
        CHECK (state IN ('unknown', 'authorized', 'captured', 'voided', 'declined', 'refunded')),
    captured       INTEGER NOT NULL DEFAULT 0,
    refunded       INTEGER NOT NULL DEFAULT 0,
    -- The provider's id of the charge.
    transaction_id TEXT,
    decline_code   TEXT,
    -- The order gave it up: to be voided as soon as the provider can be asked.
    is_unwanted    INTEGER NOT NULL DEFAULT 0 CHECK (is_unwanted IN (0, 1)),
    -- When to ask the provider how things stand; null when there is nothing to ask.
    review_at      INTEGER,
    reviews        INTEGER NOT NULL DEFAULT 0,
    version        INTEGER NOT NULL,
    -- W3C trace context of the request that began it.
    traceparent    TEXT,
    -- Milliseconds since 1970.
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (order_id, generation),
    -- I8, whatever the program does.
    CONSTRAINT captured_was_authorized CHECK (0 <= captured AND captured <= amount),
    CONSTRAINT refunded_was_captured CHECK (0 <= refunded AND refunded <= captured),
    CONSTRAINT only_a_taken_payment_has_money
        CHECK ((captured > 0) = (state IN ('captured', 'refunded')))
) STRICT, WITHOUT ROWID;

-- I8: one live authorisation an order.
CREATE UNIQUE INDEX one_live_payment_an_order ON payments (order_id)
    WHERE state IN ('unknown', 'authorized', 'captured');
CREATE INDEX payments_by_review ON payments (review_at) WHERE review_at IS NOT NULL;

-- I13: legal moves only, and each raises the version.
CREATE TRIGGER a_payment_moves_by_the_rules
BEFORE UPDATE OF state ON payments WHEN old.state <> new.state
    AND NOT (old.state = 'unknown'
        OR (old.state = 'authorized' AND new.state IN ('captured', 'voided', 'refunded'))
        OR (old.state = 'captured' AND new.state = 'refunded'))
BEGIN
    SELECT raise(ABORT, 'a payment moves by the rules');
END;

-- Orders whose payment was voided: no authorisation of this generation or an earlier one may begin any more.
CREATE TABLE voided_orders (
    order_id   TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    voided_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refunds (
    step_key   TEXT NOT NULL PRIMARY KEY,
    order_id   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    state      TEXT NOT NULL CHECK (state IN ('pending', 'done', 'rejected')),
    -- When a pending one is sent again.
    review_at  INTEGER,
    reviews    INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((state = 'pending') = (review_at IS NOT NULL)),
    FOREIGN KEY (order_id, generation) REFERENCES payments (order_id, generation)
) STRICT, WITHOUT ROWID;

CREATE INDEX pending_refunds_by_order ON refunds (order_id) WHERE state = 'pending';
CREATE INDEX refunds_by_review ON refunds (review_at) WHERE review_at IS NOT NULL;

-- I9: double entries, for ever. The entries of one posting balance.
CREATE TABLE ledger_entries (
    entry_id   INTEGER NOT NULL PRIMARY KEY,
    order_id   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    -- The payment's version that the posting belongs to.
    version    INTEGER NOT NULL,
    posting    TEXT NOT NULL CHECK (posting IN ('capture', 'refund')),
    account    TEXT NOT NULL CHECK (account IN ('provider_receivable', 'sales')),
    debit      INTEGER NOT NULL CHECK (debit >= 0),
    credit     INTEGER NOT NULL CHECK (credit >= 0),
    currency   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    CONSTRAINT an_entry_has_one_side CHECK ((debit = 0) <> (credit = 0)),
    FOREIGN KEY (order_id, generation) REFERENCES payments (order_id, generation)
) STRICT;

CREATE INDEX ledger_entries_by_order ON ledger_entries (order_id);

CREATE TRIGGER ledger_entries_are_not_changed BEFORE UPDATE ON ledger_entries
BEGIN
    SELECT raise(ABORT, 'ledger entries are append-only');
END;

CREATE TRIGGER ledger_entries_are_not_deleted BEFORE DELETE ON ledger_entries
BEGIN
    SELECT raise(ABORT, 'ledger entries are append-only');
END;
