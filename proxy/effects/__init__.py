"""Carrying decisions out: redaction, pseudonyms, budgets. Nothing here chooses; `engine` did."""
