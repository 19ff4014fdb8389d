-- Roles may share a file, so no two of them have a table or trigger of the same name.
ALTER TABLE retention RENAME TO order_retention;
