"""How the tables of trading came to be, step by step; alembic runs what a database lacks when it is opened."""
