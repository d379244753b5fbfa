-- The owner's and the operator's levers.

-- One decision per transaction: opened when the owner must be asked, closed undecided when it is cancelled or runs out.
-- max_fee, in native base units, is what the signed digest says: nothing dearer is signed on its strength. undeclared is what
-- a simulation saw leave beyond the request, as the text says it (JSON): nothing more leaves on its strength.
CREATE TABLE pending_approvals (
  id              TEXT PRIMARY KEY,
  tx_id           TEXT NOT NULL REFERENCES transactions(id) ON DELETE CASCADE,
  required_by     INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  approved_at     INTEGER,
  rejected_at     INTEGER,
  owner_address   TEXT,
  max_fee         TEXT,
  created_at      INTEGER NOT NULL,
  closed_at       INTEGER,
  undeclared      TEXT
);
CREATE UNIQUE INDEX idx_pending_approvals_tx_id ON pending_approvals(tx_id);
CREATE INDEX idx_pending_approvals_expires_at ON pending_approvals(expires_at);

-- Single-use numbers for texts that an owner signs; consumed before any signature work.
CREATE TABLE nonces (
  nonce       TEXT PRIMARY KEY,
  action      TEXT NOT NULL,
  subject     TEXT,
  address     TEXT,
  new_address TEXT,
  digest      TEXT,
  text_hash   TEXT,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
);
CREATE INDEX idx_nonces_expires_at ON nonces(expires_at);
CREATE INDEX idx_nonces_subject ON nonces(subject, created_at);

-- One row: whether anything may be signed at all. The commit that stores signed bytes guards on state and generation.
CREATE TABLE kill_switch (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  state        TEXT NOT NULL DEFAULT 'NORMAL' CHECK (state IN ('NORMAL', 'ACTIVATED', 'RECOVERING')),
  generation   INTEGER NOT NULL DEFAULT 0,
  reason       TEXT,
  activated_by TEXT,
  activated_at INTEGER,
  eligible_at  INTEGER,
  updated_at   INTEGER NOT NULL DEFAULT 0
);
INSERT INTO kill_switch (id) VALUES (1);

-- What an AUTO_STOP policy last did to an agent: state is JSON {rule, observed, limit}. What it counts stands in outbox.
CREATE TABLE auto_stop_state (
  policy_id  TEXT NOT NULL REFERENCES policies(id) ON DELETE CASCADE,
  agent_id   TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
  state      TEXT NOT NULL,
  warned_at  INTEGER,
  stopped_at INTEGER,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (policy_id, agent_id)
);
CREATE INDEX idx_auto_stop_state_agent ON auto_stop_state(agent_id);
