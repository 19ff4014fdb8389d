-- Holds and commits of many orders in one message: their locks, and then, by a statement that sees what those before them have
-- left, what they write. A row for each that was done. When there is not enough stock for all of them, the rule of `stock`
-- fails the statement, and nothing is written.
--
-- The stock is changed last, since others wait for its row until the statement is committed. The conditions on a hold that is
-- taken stand in a `CASE`, so that it is found by its order: the index of holds by their expiry has all of them, and those
-- that have ended since.
CREATE FUNCTION move_stock(
    locks text[],
    hold_orders text[], hold_generations bigint[], hold_lasts bigint[], hold_epochs bigint[],
    line_orders text[], line_products text[], line_quantities bigint[], line_prices bigint[], line_currencies text[],
    commit_orders text[], commit_epochs bigint[]
) RETURNS TABLE (moved_order text, moved_generation bigint, moved_expires_at timestamptz)
LANGUAGE plpgsql SET lock_timeout = '250ms' AS $$
DECLARE
    moment timestamptz := waypost_now();
BEGIN
    -- As `write_locked` of the program takes them.
    PERFORM pg_advisory_xact_lock(lock_key) FROM (
        SELECT hashtextextended(current_schema() || lock_name, 0) AS lock_key FROM unnest(locks) AS lock_name
        ORDER BY 1 OFFSET 0) AS lock_keys;
    RETURN QUERY
    WITH wish AS (
        SELECT * FROM unnest(hold_orders, hold_generations, hold_lasts, hold_epochs)
        AS wish (order_id, generation, lasts, lease_epoch)),
    wanted AS (
        SELECT * FROM unnest(line_orders, line_products, line_quantities, line_prices, line_currencies)
        AS wanted (order_id, product_id, quantity, unit_price, currency)),
    unclear AS (
        SELECT wanted.order_id FROM wanted
        LEFT JOIN products ON products.product_id = wanted.product_id
        LEFT JOIN stock ON stock.product_id = wanted.product_id
        WHERE (coalesce(wanted.unit_price = products.unit_price AND wanted.currency = products.currency,
            wanted.unit_price IS NULL) AND stock.on_hand - stock.reserved >= wanted.quantity) IS NOT TRUE),
    held AS (
        INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at, lease_epoch)
        SELECT order_id, generation, 'held', moment + lasts * interval '1 millisecond', moment, moment, lease_epoch
        FROM wish
        WHERE NOT EXISTS (SELECT 1 FROM reservations WHERE reservations.order_id = wish.order_id)
            AND order_id NOT IN (SELECT order_id FROM unclear)
        RETURNING order_id, generation, expires_at),
    held_line AS (
        INSERT INTO reservation_lines (order_id, generation, product_id, quantity)
        SELECT order_id, generation, product_id, quantity FROM held JOIN wanted USING (order_id)
        RETURNING product_id, quantity),
    asked AS (
        SELECT * FROM unnest(commit_orders, commit_epochs) AS asked (order_id, lease_epoch)),
    committed AS (
        UPDATE reservations SET state = 'committed', updated_at = moment, lease_epoch = asked.lease_epoch FROM asked
        WHERE reservations.order_id = asked.order_id
            AND CASE WHEN state = 'held' THEN expires_at > moment AND reservations.lease_epoch <= asked.lease_epoch END
            AND NOT EXISTS (
                SELECT 1 FROM reservations AS newer
                WHERE newer.order_id = asked.order_id AND newer.generation > reservations.generation)
        RETURNING reservations.order_id, generation, expires_at),
    committed_line AS (
        INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at)
        SELECT product_id, 'committed', quantity, order_id, generation, moment
        FROM committed JOIN reservation_lines USING (order_id, generation)
        RETURNING product_id, quantity),
    product AS (
        SELECT product_id, sum(held)::bigint AS held, sum(taken)::bigint AS taken FROM (
            SELECT product_id, quantity AS held, 0 AS taken FROM held_line UNION ALL
            SELECT product_id, 0, quantity FROM committed_line) AS line
        GROUP BY product_id ORDER BY product_id),
    changed AS (
        UPDATE stock SET on_hand = on_hand - product.taken, reserved = reserved + product.held - product.taken
        FROM product WHERE stock.product_id = product.product_id)
    SELECT order_id, generation, expires_at FROM held UNION ALL SELECT order_id, generation, expires_at FROM committed;
END $$;
