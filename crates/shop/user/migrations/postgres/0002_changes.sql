-- Whoever changes a user, by whatever program: those who keep copies hear of it when the change has committed. A message
-- names the user, and an empty one stands for all.
CREATE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := '';
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        -- A message has less than 8000 bytes, and so has every id of the shop.
        changed := left(OLD.user_id, 1000);
    END IF;
    PERFORM pg_notify(TG_TABLE_SCHEMA || '_changes', changed);
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_of_change AFTER UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tell_of_change();
CREATE TRIGGER tell_of_truncation AFTER TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change();
