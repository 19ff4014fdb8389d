-- Commands of many keys in one message: the locks of the keys, and then, by a statement that sees what those before have left,
-- what the commands write. Gives the keys that had no answer yet and whose charges are new, or as the commands were judged by.
CREATE FUNCTION carry_out(
    locks text[],
    keys text[], fingerprints bytea[], answers text[], charge_ids text[], charge_references text[], payment_methods text[],
    currencies text[], amounts bigint[], statuses text[], captured_amounts bigint[], refunded_amounts bigint[],
    decline_codes text[], movements text[], moved_amounts bigint[],
    statuses_before text[], captured_before bigint[], refunded_before bigint[]
) RETURNS TABLE (answered_key text)
LANGUAGE plpgsql SET lock_timeout = '250ms' AS $$
DECLARE
    moment timestamptz := waypost_now();
BEGIN
    -- As `write_locked` of the program takes them.
    PERFORM pg_advisory_xact_lock(lock_key) FROM (
        SELECT hashtextextended(current_schema() || lock_name, 0) AS lock_key FROM unnest(locks) AS lock_name
        ORDER BY 1 OFFSET 0) AS lock_keys;
    RETURN QUERY
    WITH command AS (
        SELECT * FROM unnest(keys, fingerprints, answers, charge_ids, charge_references, payment_methods, currencies, amounts,
            statuses, captured_amounts, refunded_amounts, decline_codes, movements, moved_amounts, statuses_before,
            captured_before, refunded_before)
        AS command (key, fingerprint, answer, id, reference, payment_method, currency, amount, status, captured, refunded,
            decline_code, movement, moved, was_status, was_captured, was_refunded)
        WHERE NOT EXISTS (SELECT 1 FROM requests WHERE requests.key = command.key)),
    changed AS (
        UPDATE charges SET status = command.status, captured = command.captured, refunded = command.refunded
        FROM command
        WHERE charges.id = command.id AND command.payment_method IS NULL AND charges.status = command.was_status
            AND charges.captured = command.was_captured AND charges.refunded = command.was_refunded
        RETURNING command.key),
    chosen AS (
        SELECT * FROM command WHERE payment_method IS NOT NULL OR key IN (SELECT key FROM changed)),
    made AS (
        INSERT INTO charges (id, reference, payment_method, currency, amount, status, decline_code, created_at)
        SELECT id, reference, payment_method, currency, amount, status, decline_code, moment
        FROM chosen WHERE payment_method IS NOT NULL),
    moved AS (
        INSERT INTO ledger (charge_id, kind, amount, at)
        SELECT id, movement, chosen.moved, moment FROM chosen WHERE movement IS NOT NULL),
    answered AS (
        INSERT INTO requests (key, fingerprint, charge_id, answer, at)
        SELECT key, fingerprint, id, answer::jsonb, moment FROM chosen)
    SELECT key FROM chosen;
END $$;
