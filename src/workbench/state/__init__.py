"""The state database: promotions, the journal of trading, leases and alerts, in SQLite or in PostgreSQL by URL."""
