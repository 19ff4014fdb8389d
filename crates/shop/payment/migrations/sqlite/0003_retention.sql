-- What payments that are not kept any more add up to: a row that is deleted is counted here from then on, so that the
-- ledger still balances and is still what the provider's is (I9).
CREATE TABLE ledger_brought_forward (
    account  TEXT NOT NULL CHECK (account IN ('provider_receivable', 'sales')),
    currency TEXT NOT NULL,
    debit    INTEGER NOT NULL CHECK (debit >= 0),
    credit   INTEGER NOT NULL CHECK (credit >= 0),
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE payments_brought_forward (
    currency TEXT NOT NULL PRIMARY KEY,
    charges  INTEGER NOT NULL CHECK (charges >= 0),
    captured INTEGER NOT NULL CHECK (captured >= 0),
    refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND captured)
) STRICT, WITHOUT ROWID;

-- Payments that ended before this moment may be deleted, with their ledger entries. Set by the unit that deletes.
CREATE TABLE retention (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    before INTEGER NOT NULL
) STRICT;
INSERT INTO retention (one, before) VALUES (1, 0);

CREATE INDEX ended_payments ON payments (updated_at)
    WHERE review_at IS NULL AND state NOT IN ('unknown', 'authorized');
CREATE INDEX voided_orders_by_age ON voided_orders (voided_at);

DROP TRIGGER ledger_entries_are_not_deleted;
CREATE TRIGGER ledger_entries_are_not_deleted BEFORE DELETE ON ledger_entries
WHEN old.at >= (SELECT before FROM retention)
BEGIN
    SELECT raise(ABORT, 'ledger entries are append-only');
END;
