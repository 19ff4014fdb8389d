-- SQLite finds a value in a list of three or more by a tree that it builds anew each time the condition is checked, twelve times an
-- order. The same conditions as comparisons need none. Only their text is changed: what is in the tables keeps them already.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
    'status IN (''pending'', ''confirmed'', ''completed'', ''failed'', ''cancelled'')',
    'status = ''pending'' OR status = ''confirmed'' OR status = ''completed'' OR status = ''failed'' OR status = ''cancelled'''),
    'status IN (''completed'', ''failed'', ''cancelled'')',
    'status = ''completed'' OR status = ''failed'' OR status = ''cancelled'''),
    'phase IN (''forward'', ''committed'', ''back'', ''stuck'', ''ended'')',
    'phase = ''forward'' OR phase = ''committed'' OR phase = ''back'' OR phase = ''stuck'' OR phase = ''ended'''),
    'charge IN (''none'', ''open'', ''captured'', ''refunded'')',
    'charge = ''none'' OR charge = ''open'' OR charge = ''captured'' OR charge = ''refunded''')
WHERE type = 'table' AND name = 'orders';
UPDATE sqlite_schema SET sql = replace(replace(sql,
    'action IN (''retry'', ''abandon'', ''refund'')',
    'action = ''retry'' OR action = ''abandon'' OR action = ''refund'''),
    'outcome IN (''asked'', ''done'', ''rejected'', ''unknown'')',
    'outcome = ''asked'' OR outcome = ''done'' OR outcome = ''rejected'' OR outcome = ''unknown''')
WHERE type = 'table' AND name = 'operator_actions';
PRAGMA writable_schema = RESET;

DROP TRIGGER an_order_makes_legal_moves_only;
CREATE TRIGGER an_order_makes_legal_moves_only
BEFORE UPDATE OF status, version ON orders
WHEN NOT (
    (new.status = old.status AND new.version = old.version)
    OR (new.version = old.version + 1 AND (
        (old.status = 'pending'
            AND (new.status = 'confirmed' OR new.status = 'failed' OR new.status = 'cancelled'))
        OR (old.status = 'confirmed' AND (new.status = 'completed' OR new.status = 'failed'))))
)
BEGIN
    SELECT raise(ABORT, 'an order makes legal moves only');
END;
