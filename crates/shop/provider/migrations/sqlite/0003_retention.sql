-- What charges that are not kept any more add up to.
CREATE TABLE brought_forward (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    charges  INTEGER NOT NULL CHECK (charges >= 0),
    captured INTEGER NOT NULL CHECK (captured >= 0),
    refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND captured)
) STRICT;
INSERT INTO brought_forward (one, charges, captured, refunded) VALUES (1, 0, 0, 0);

CREATE INDEX charges_by_age ON charges (created_at) WHERE status <> 'authorized';
CREATE INDEX ledger_by_charge ON ledger (charge_id);
