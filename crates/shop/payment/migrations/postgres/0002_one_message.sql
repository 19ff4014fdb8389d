-- Payments of many orders in one message: the locks of the orders, and then, by a statement that sees what those before have
-- left, what is written. A row for each that was done, with the time that it was done at.

-- Orders that have no payment yet and were not voided.
CREATE FUNCTION begin_payments(
    locks text[],
    orders text[], generations bigint[], payment_ids text[], step_keys text[], users text[], methods text[], amounts bigint[],
    currencies text[], states text[], reviews_in bigint[], versions bigint[], traceparents text[], epochs bigint[]
) RETURNS TABLE (begun_order text, begun_at timestamptz)
LANGUAGE plpgsql SET lock_timeout = '250ms' AS $$
DECLARE
    moment timestamptz := waypost_now();
BEGIN
    -- As `write_locked` of the program takes them.
    PERFORM pg_advisory_xact_lock(lock_key) FROM (
        SELECT hashtextextended(current_schema() || lock_name, 0) AS lock_key FROM unnest(locks) AS lock_name
        ORDER BY 1 OFFSET 0) AS lock_keys;
    RETURN QUERY
    INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency,
        state, review_at, version, traceparent, created_at, updated_at, lease_epoch)
    SELECT intent.order_id, intent.generation, intent.payment_id, intent.step_key, intent.user_id, intent.method,
        intent.amount, intent.currency, intent.state, moment + intent.review_in * interval '1 millisecond', intent.version,
        intent.traceparent, moment, moment, intent.lease_epoch
    FROM unnest(orders, generations, payment_ids, step_keys, users, methods, amounts, currencies, states,
        reviews_in, versions, traceparents, epochs)
    AS intent (order_id, generation, payment_id, step_key, user_id, method, amount, currency, state, review_in, version,
        traceparent, lease_epoch)
    WHERE NOT EXISTS (SELECT 1 FROM payments WHERE payments.order_id = intent.order_id)
        AND NOT EXISTS (SELECT 1 FROM voided_orders WHERE voided_orders.order_id = intent.order_id)
    RETURNING order_id, moment;
END $$;

-- What was found out of payments, and the money that moved: each if the payment has the version still that the change was made
-- from. With the epoch that the payment has.
CREATE FUNCTION record_payments(
    locks text[],
    orders text[], generations bigint[], versions_before bigint[], states text[], captured_amounts bigint[],
    refunded_amounts bigint[], transactions text[], decline_codes text[], unwanted boolean[], reviews_in bigint[],
    review_counts bigint[], versions bigint[],
    entry_orders text[], entry_generations bigint[], entry_versions bigint[], postings text[], accounts text[],
    debits bigint[], credits bigint[], currencies text[]
) RETURNS TABLE (recorded_order text, recorded_epoch bigint, recorded_at timestamptz)
LANGUAGE plpgsql SET lock_timeout = '250ms' AS $$
DECLARE
    moment timestamptz := waypost_now();
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key) FROM (
        SELECT hashtextextended(current_schema() || lock_name, 0) AS lock_key FROM unnest(locks) AS lock_name
        ORDER BY 1 OFFSET 0) AS lock_keys;
    RETURN QUERY
    WITH change AS (
        SELECT * FROM unnest(orders, generations, versions_before, states, captured_amounts, refunded_amounts, transactions,
            decline_codes, unwanted, reviews_in, review_counts, versions)
        AS change (order_id, generation, version_before, state, captured, refunded, transaction_id, decline_code,
            is_unwanted, review_in, reviews, version)),
    changed AS (
        UPDATE payments SET state = change.state, captured = change.captured, refunded = change.refunded,
            transaction_id = change.transaction_id, decline_code = change.decline_code,
            is_unwanted = change.is_unwanted, review_at = moment + change.review_in * interval '1 millisecond',
            reviews = change.reviews, version = change.version, updated_at = moment
        FROM change
        WHERE payments.order_id = change.order_id AND payments.generation = change.generation
            AND payments.version = change.version_before AND payments.contradicted_at IS NULL
        RETURNING payments.order_id, payments.generation, payments.lease_epoch),
    booked AS (
        INSERT INTO ledger_entries (order_id, generation, version, posting, account, debit, credit, currency, at)
        SELECT order_id, generation, entry.version, posting, account, debit, credit, currency, moment
        FROM unnest(entry_orders, entry_generations, entry_versions, postings, accounts, debits, credits, currencies)
        AS entry (order_id, generation, version, posting, account, debit, credit, currency)
        JOIN changed USING (order_id, generation))
    SELECT order_id, lease_epoch, moment FROM changed;
END $$;
