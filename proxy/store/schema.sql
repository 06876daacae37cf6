-- Budgets in SQLite, schema version 1. Amounts are integers: requests, tokens, nano-USD.

CREATE TABLE ledgers (
  budget TEXT NOT NULL, subject TEXT NOT NULL, window TEXT NOT NULL,
  resets_at REAL NOT NULL,
  limit_requests INTEGER, limit_tokens INTEGER, limit_nano_usd INTEGER,
  used_requests INTEGER NOT NULL DEFAULT 0, used_tokens INTEGER NOT NULL DEFAULT 0, used_nano_usd INTEGER NOT NULL DEFAULT 0,
  held_requests INTEGER NOT NULL DEFAULT 0, held_tokens INTEGER NOT NULL DEFAULT 0, held_nano_usd INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (budget, subject, window)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledgers_due ON ledgers (resets_at);

-- An open reservation is due when it expires, a closed one (settled, released, expired) when it may be forgotten.
CREATE TABLE reservations (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, due REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_due ON reservations (due);

-- What an open reservation holds, one row per ledger.
CREATE TABLE holds (
  reservation TEXT NOT NULL, budget TEXT NOT NULL, subject TEXT NOT NULL, window TEXT NOT NULL,
  requests INTEGER NOT NULL, tokens INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
  PRIMARY KEY (reservation, budget, subject, window)
) STRICT, WITHOUT ROWID;
