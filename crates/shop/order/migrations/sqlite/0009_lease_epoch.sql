-- Which runner of its saga has an order: 1 for the first, one more with each take-over. Every request of a step carries it,
-- and inventory and payment refuse a lower one than they have seen.
ALTER TABLE orders ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 1 CHECK (lease_epoch > 0);

-- Whoever takes an order over is told from all before it, whatever the program does.
CREATE TRIGGER a_runner_has_an_epoch_of_its_own
BEFORE UPDATE OF runner, lease_epoch ON orders
WHEN NOT (new.lease_epoch = old.lease_epoch + 1 OR (new.lease_epoch = old.lease_epoch AND new.runner = old.runner))
BEGIN
    SELECT raise(ABORT, 'a runner has an epoch of its own');
END;
