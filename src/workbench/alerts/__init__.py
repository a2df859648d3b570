"""What a person must hear of: kept until somebody acknowledges it, whoever delivers it."""
