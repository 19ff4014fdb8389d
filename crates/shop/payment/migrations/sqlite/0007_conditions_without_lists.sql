-- SQLite finds a value in a list of three or more by a tree that it builds anew each time the condition is checked. The same
-- conditions as comparisons need none. Only their text is changed: what is in tables and index keeps them already.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''unknown'', ''authorized'', ''captured'', ''voided'', ''declined'', ''refunded'')',
    'state = ''unknown'' OR state = ''authorized'' OR state = ''captured''
            OR state = ''voided'' OR state = ''declined'' OR state = ''refunded''')
WHERE type = 'table' AND name = 'payments';
UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''unknown'', ''authorized'', ''captured'')',
    'state = ''unknown'' OR state = ''authorized'' OR state = ''captured''')
WHERE type = 'index' AND name = 'one_live_payment_an_order';
UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''pending'', ''done'', ''rejected'')',
    'state = ''pending'' OR state = ''done'' OR state = ''rejected''')
WHERE type = 'table' AND name = 'refunds';
PRAGMA writable_schema = RESET;

DROP TRIGGER a_payment_moves_by_the_rules;
CREATE TRIGGER a_payment_moves_by_the_rules
BEFORE UPDATE OF state ON payments WHEN old.state <> new.state
    AND NOT (old.state = 'unknown'
        OR (old.state = 'authorized'
            AND (new.state = 'captured' OR new.state = 'voided' OR new.state = 'refunded'))
        OR (old.state = 'captured' AND new.state = 'refunded'))
BEGIN
    SELECT raise(ABORT, 'a payment moves by the rules');
END;
