-- Amounts are ten-thousandths of the currency's unit.
CREATE TABLE charges (
    id text COLLATE "C" PRIMARY KEY,
    -- In the order in which they came.
    position bigint GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    payment_method text NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    status text NOT NULL CHECK (status IN ('authorized', 'declined', 'captured', 'voided')),
    decline_code text,
    captured bigint NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    created_at timestamptz NOT NULL
);
CREATE INDEX charges_by_reference ON charges (reference, position);
CREATE INDEX charges_by_age ON charges (created_at) WHERE status <> 'authorized';

-- What the money did. Only grows.
CREATE TABLE ledger (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_id text COLLATE "C" NOT NULL REFERENCES charges (id),
    kind text NOT NULL CHECK (kind IN ('capture', 'refund')),
    amount bigint NOT NULL CHECK (amount > 0),
    at timestamptz NOT NULL
);
CREATE INDEX ledger_by_charge ON ledger (charge_id);

-- Idempotency: the answer that a key got, for every repetition of it.
CREATE TABLE requests (
    key text COLLATE "C" PRIMARY KEY,
    fingerprint bytea NOT NULL,
    charge_id text NOT NULL,
    answer jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX requests_by_age ON requests (at);

-- What charges that are not kept any more add up to.
CREATE TABLE brought_forward (
    one      integer PRIMARY KEY CHECK (one = 1),
    charges  bigint NOT NULL CHECK (charges >= 0),
    captured bigint NOT NULL CHECK (captured >= 0),
    refunded bigint NOT NULL CHECK (refunded BETWEEN 0 AND captured)
);
INSERT INTO brought_forward (one, charges, captured, refunded) VALUES (1, 0, 0, 0);

-- Requests that were taken on and are carried out later: a fault, which must outlive the process as the real thing would.
CREATE TABLE late_work (
    key text COLLATE "C" PRIMARY KEY,
    fingerprint bytea NOT NULL,
    operation jsonb NOT NULL,
    due_at timestamptz NOT NULL
);
