-- The highest epoch of a runner of the order's saga that was seen: on the order's newest payment, and on its void, which may be
-- there without a payment. Requests of a lower one are refused. 0: the runners of before said none.
ALTER TABLE payments ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0);
ALTER TABLE voided_orders ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0);

CREATE TRIGGER an_epoch_that_was_seen_stays_seen
BEFORE UPDATE OF lease_epoch ON payments WHEN new.lease_epoch < old.lease_epoch
BEGIN
    SELECT raise(ABORT, 'an epoch that was seen stays seen');
END;
