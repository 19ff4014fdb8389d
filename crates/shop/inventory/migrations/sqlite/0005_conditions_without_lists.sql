-- SQLite finds a value in a list of three or more by a tree that it builds anew each time the condition is checked. The same
-- condition as comparisons needs none. Only its text is changed: what is in the table keeps it already.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''held'', ''committed'', ''released'', ''expired'')',
    'state = ''held'' OR state = ''committed'' OR state = ''released'' OR state = ''expired''')
WHERE type = 'table' AND name = 'reservations';
PRAGMA writable_schema = RESET;

-- Tells other connections that the schema is another.
CREATE TRIGGER passing BEFORE INSERT ON reservations BEGIN SELECT 1; END;
DROP TRIGGER passing;
