//! The same as `age` for the schemas of a PostgreSQL server.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

/// Makes every time in every schema of ours this much older, or younger, and tells how many times there were. `url` is that
/// of the database.
pub(crate) async fn age_server(url: &str, milliseconds: i64) -> anyhow::Result<u64> {
    let mut server = PgConnection::connect(url).await?;
    let mut unit = server.begin().await?;
    // Some tables refuse every change; a clock that moves changes no row. So no trigger sees it.
    unit.execute("SET LOCAL session_replication_role = replica").await?;
    let columns = "SELECT format('%I.%I', nspname, relname), string_agg(quote_ident(attname), ', ')
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE starts_with(nspname::text, 'waypost_') AND relkind = 'r' AND atttypid = 'timestamptz'::regtype AND NOT attisdropped
         GROUP BY nspname, relname";
    let mut aged = 0;
    for table in unit.fetch_all(columns).await? {
        let (table, columns): (String, String) = (table.try_get(0)?, table.try_get(1)?);
        for column in columns.split(", ") {
            // What was never moved stands at 1970.
            let sql = format!(
                "UPDATE {table} SET {column} = {column} - $1 * interval '1 millisecond' WHERE {column} > '2020-01-01'"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(milliseconds);
            aged += query.execute(&mut *unit).await?.rows_affected();
        }
    }
    unit.commit().await?;
    server.close().await?;
    Ok(aged)
}
