CREATE TABLE charges (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    status TEXT NOT NULL CHECK (status IN ('authorized', 'declined', 'captured', 'voided')),
    decline_code TEXT,
    captured INTEGER NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX charges_by_reference ON charges (reference);

-- What the money did. Only grows.
CREATE TABLE ledger (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    charge_id TEXT NOT NULL REFERENCES charges (id),
    kind TEXT NOT NULL CHECK (kind IN ('capture', 'refund')),
    amount INTEGER NOT NULL CHECK (amount > 0),
    at INTEGER NOT NULL
) STRICT;

-- Idempotency: the answer that a key got, for every repetition of it.
CREATE TABLE requests (
    key TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    charge_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
