-- The whole schema, as the files in sql/ leave it, where it is explained. Written by scripts/schema.

CREATE TABLE agents (
  id                TEXT PRIMARY KEY,
  name              TEXT NOT NULL,
  chain             TEXT NOT NULL CHECK (chain IN ('solana', 'ethereum')),
  network           TEXT NOT NULL CHECK (network IN (
                      'mainnet', 'devnet', 'testnet', 'localnet',
                      'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet', 'polygon-amoy', 'arbitrum-mainnet',
                      'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet', 'base-sepolia',
                      'ethereum-localnet')),
  public_key        TEXT NOT NULL,
  status            TEXT NOT NULL DEFAULT 'CREATING'
                      CHECK (status IN ('CREATING', 'ACTIVE', 'SUSPENDED', 'TERMINATING', 'TERMINATED')),
  owner_address     TEXT,
  owner_verified    INTEGER NOT NULL DEFAULT 0 CHECK (owner_verified IN (0, 1)),
  key_exported_at   INTEGER,
  ledger_version    INTEGER NOT NULL DEFAULT 0,
  suspended_at      INTEGER,
  suspension_reason TEXT,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL
);

CREATE UNIQUE INDEX idx_agents_public_key ON agents(public_key);

CREATE INDEX idx_agents_status ON agents(status);

CREATE INDEX idx_agents_chain_network ON agents(chain, network);

CREATE INDEX idx_agents_owner_address ON agents(owner_address);

CREATE TABLE sessions (
  id                  TEXT PRIMARY KEY,
  agent_id            TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
  parent_id           TEXT REFERENCES sessions(id) ON DELETE CASCADE,
  name                TEXT,
  token_hash          TEXT NOT NULL,
  constraints         TEXT,
  issued_by           TEXT NOT NULL DEFAULT 'operator',
  expires_at          INTEGER NOT NULL,
  absolute_expires_at INTEGER NOT NULL,
  renewal_count       INTEGER NOT NULL DEFAULT 0,
  max_renewals        INTEGER NOT NULL DEFAULT 30,
  last_renewed_at     INTEGER,
  revoked_at          INTEGER,
  revoked_reason      TEXT,
  expiry_noted_at     INTEGER,
  expiring_noted_at   INTEGER,
  created_at          INTEGER NOT NULL
);

CREATE INDEX idx_sessions_agent_id ON sessions(agent_id);

CREATE INDEX idx_sessions_parent_id ON sessions(parent_id);

CREATE INDEX idx_sessions_expires_at ON sessions(expires_at);

CREATE UNIQUE INDEX idx_sessions_token_hash ON sessions(token_hash);

CREATE TABLE policies (
  id         TEXT PRIMARY KEY,
  agent_id   TEXT REFERENCES agents(id) ON DELETE CASCADE,
  type       TEXT NOT NULL CHECK (type IN (
               'SPENDING_LIMIT', 'WHITELIST', 'TIME_RESTRICTION', 'RATE_LIMIT', 'ALLOWED_TOKENS', 'CONTRACT_WHITELIST',
               'METHOD_WHITELIST', 'APPROVED_SPENDERS', 'APPROVE_AMOUNT_LIMIT', 'APPROVE_TIER_OVERRIDE', 'AUTO_STOP')),
  rules      TEXT NOT NULL,
  priority   INTEGER NOT NULL DEFAULT 0,
  enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  override   INTEGER NOT NULL DEFAULT 0 CHECK (override IN (0, 1)),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE INDEX idx_policies_agent_id ON policies(agent_id);

CREATE INDEX idx_policies_agent_enabled ON policies(agent_id, enabled);

CREATE INDEX idx_policies_type ON policies(type);

CREATE INDEX idx_policies_enabled ON policies(enabled);

CREATE TABLE key_value_store (
  key        TEXT PRIMARY KEY,
  value      TEXT NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE schema_migrations (
  version     INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,
  checksum    TEXT NOT NULL,
  applied_at  INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  program     TEXT NOT NULL
);

CREATE TABLE transactions (
  id               TEXT PRIMARY KEY,
  agent_id         TEXT NOT NULL REFERENCES agents(id) ON DELETE RESTRICT,
  session_id       TEXT REFERENCES sessions(id) ON DELETE SET NULL,
  parent_id        TEXT REFERENCES transactions(id) ON DELETE CASCADE,
  batch_index      INTEGER,
  chain            TEXT NOT NULL CHECK (chain IN ('solana', 'ethereum')),
  network          TEXT NOT NULL CHECK (network IN (
                     'mainnet', 'devnet', 'testnet', 'localnet',
                     'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet', 'polygon-amoy', 'arbitrum-mainnet',
                     'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet', 'base-sepolia',
                     'ethereum-localnet')),
  origin           TEXT NOT NULL DEFAULT 'send' CHECK (origin IN ('send', 'withdraw')),
  type             TEXT NOT NULL
                     CHECK (type IN ('TRANSFER', 'TOKEN_TRANSFER', 'CONTRACT_CALL', 'APPROVE', 'BATCH')),
  status           TEXT NOT NULL DEFAULT 'PENDING' CHECK (status IN (
                     'PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED',
                     'CONFIRMED', 'FAILED', 'CANCELLED', 'EXPIRED', 'PARTIAL_FAILURE')),
  tier             TEXT CHECK (tier IS NULL OR tier IN ('INSTANT', 'NOTIFY', 'DELAY', 'APPROVAL')),
  request          TEXT NOT NULL,
  request_hash     TEXT NOT NULL,
  decision         TEXT,
  provenance       TEXT,
  idempotency_key  TEXT,
  amount           TEXT,
  asset            TEXT,
  to_address       TEXT,
  token_mint       TEXT,
  contract_address TEXT,
  method_signature TEXT,
  spender_address  TEXT,
  approved_amount  TEXT,
  tx_hash          TEXT,
  fee              TEXT,
  error            TEXT,
  error_code       TEXT,
  queued_at        INTEGER,
  due_at           INTEGER,
  submitted_at     INTEGER,
  executed_at      INTEGER,
  finished_at      INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  CONSTRAINT tx_finished CHECK ((finished_at IS NOT NULL) = (
    status IN ('CONFIRMED', 'FAILED', 'CANCELLED', 'EXPIRED', 'PARTIAL_FAILURE'))),
  CONSTRAINT tx_reason CHECK ((error IS NOT NULL) = (status IN ('FAILED', 'CANCELLED', 'EXPIRED', 'PARTIAL_FAILURE'))
    AND (error IS NULL) = (error_code IS NULL)),
  CONSTRAINT tx_sent CHECK (status NOT IN ('SUBMITTED', 'CONFIRMED') OR tx_hash IS NOT NULL OR type = 'BATCH'),
  CONSTRAINT tx_tier CHECK (tier IS NOT NULL OR status = 'CANCELLED'),
  CONSTRAINT tx_queued CHECK (status <> 'QUEUED'
    OR (queued_at IS NOT NULL AND due_at IS NOT NULL AND tier IN ('DELAY', 'APPROVAL'))),
  CONSTRAINT tx_child CHECK ((parent_id IS NULL) = (batch_index IS NULL))
);

CREATE INDEX idx_transactions_agent_status ON transactions(agent_id, status);

CREATE UNIQUE INDEX idx_transactions_tx_hash ON transactions(tx_hash);

CREATE INDEX idx_transactions_session_id ON transactions(session_id, status, parent_id);

CREATE INDEX idx_transactions_queued_at ON transactions(queued_at);

CREATE INDEX idx_transactions_created_at ON transactions(created_at);

CREATE INDEX idx_transactions_agent_created ON transactions(agent_id, created_at);

CREATE INDEX idx_transactions_type ON transactions(type);

CREATE INDEX idx_transactions_contract_address ON transactions(contract_address);

CREATE INDEX idx_transactions_parent_id ON transactions(parent_id);

CREATE UNIQUE INDEX idx_transactions_idempotency ON transactions(agent_id, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE INDEX idx_transactions_page ON transactions(agent_id, id);

CREATE INDEX idx_transactions_request_hash ON transactions(agent_id, request_hash, created_at);

CREATE INDEX idx_transactions_live ON transactions(status, due_at)
  WHERE status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED');

CREATE INDEX idx_transactions_work ON transactions(network, id) WHERE status IN ('PENDING', 'EXECUTING');

CREATE TRIGGER transactions_moves BEFORE UPDATE OF status ON transactions
WHEN OLD.status <> NEW.status AND NOT (
     (OLD.status = 'PENDING'   AND NEW.status IN ('QUEUED', 'EXECUTING', 'CANCELLED', 'EXPIRED'))
  OR (OLD.status = 'QUEUED'    AND NEW.status IN ('EXECUTING', 'CANCELLED', 'EXPIRED'))
  OR (OLD.status = 'EXECUTING' AND NEW.status IN ('SUBMITTED', 'FAILED'))
  OR (OLD.status = 'SUBMITTED' AND NEW.status IN ('CONFIRMED', 'FAILED', 'EXPIRED', 'PARTIAL_FAILURE')))
BEGIN
  SELECT RAISE(ABORT, 'transactions: no such move');
END;

CREATE TABLE attempts (
  id                      TEXT PRIMARY KEY,
  tx_id                   TEXT NOT NULL REFERENCES transactions(id) ON DELETE RESTRICT,
  number                  INTEGER NOT NULL,
  kind                    TEXT NOT NULL DEFAULT 'SEND' CHECK (kind IN ('SEND', 'SPEED_UP', 'CANCEL')),
  network                 TEXT NOT NULL CHECK (network IN (
                            'mainnet', 'devnet', 'testnet', 'localnet',
                            'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet', 'polygon-amoy',
                            'arbitrum-mainnet', 'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia',
                            'base-mainnet', 'base-sepolia', 'ethereum-localnet')),
  signer                  TEXT NOT NULL,
  tx_hash                 TEXT NOT NULL,
  raw                     BLOB NOT NULL,
  nonce                   INTEGER,
  blockhash               TEXT,
  last_valid_block_height INTEGER,
  context_slot            INTEGER,
  max_fee                 TEXT NOT NULL,
  status                  TEXT NOT NULL DEFAULT 'LIVE' CHECK (status IN ('LIVE', 'REPLACED', 'LANDED', 'DEAD')),
  broadcasts              INTEGER NOT NULL DEFAULT 0,
  endpoint                TEXT,
  first_broadcast_at      INTEGER,
  last_broadcast_at       INTEGER,
  last_seen_at            INTEGER,
  block_number            INTEGER,
  block_hash              TEXT,
  confirmations           INTEGER,
  fee                     TEXT,
  error                   TEXT,
  rejected_at             INTEGER,
  created_at              INTEGER NOT NULL,
  finished_at             INTEGER,
  CONSTRAINT attempt_slot CHECK ((nonce IS NULL) <> (blockhash IS NULL)
    AND (blockhash IS NULL) = (last_valid_block_height IS NULL)
    AND (blockhash IS NULL) = (context_slot IS NULL))
);

CREATE UNIQUE INDEX idx_attempts_number ON attempts(tx_id, number);

CREATE UNIQUE INDEX idx_attempts_one_live ON attempts(tx_id) WHERE status = 'LIVE';

CREATE UNIQUE INDEX idx_attempts_tx_hash ON attempts(network, tx_hash);

CREATE INDEX idx_attempts_open ON attempts(network, tx_id, number) WHERE finished_at IS NULL;

CREATE UNIQUE INDEX idx_attempts_nonce ON attempts(network, signer, nonce)
  WHERE nonce IS NOT NULL AND status IN ('LIVE', 'LANDED');

CREATE TABLE spend_ledger (
  id         TEXT PRIMARY KEY,
  agent_id   TEXT NOT NULL REFERENCES agents(id) ON DELETE RESTRICT,
  session_id TEXT,
  tx_id      TEXT NOT NULL REFERENCES transactions(id) ON DELETE RESTRICT,
  asset      TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('AMOUNT', 'FEE', 'ALLOWANCE')),
  spender    TEXT,
  state      TEXT NOT NULL CHECK (state IN ('RESERVED', 'SPENT', 'RELEASED')),
  reserved   TEXT NOT NULL,
  settled    TEXT,
  version    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  settled_at INTEGER,
  CONSTRAINT ledger_digits CHECK (reserved <> '' AND reserved NOT GLOB '*[^0-9]*'
    AND (settled IS NULL OR (settled <> '' AND settled NOT GLOB '*[^0-9]*'))),
  CONSTRAINT ledger_settled CHECK ((settled_at IS NULL) = (state = 'RESERVED')
    AND (settled IS NOT NULL) = (state = 'SPENT')),
  CONSTRAINT ledger_spender CHECK ((spender IS NOT NULL) = (kind = 'ALLOWANCE'))
);

CREATE INDEX idx_spend_ledger_open ON spend_ledger(agent_id, asset) WHERE state = 'RESERVED';

CREATE INDEX idx_spend_ledger_window ON spend_ledger(agent_id, asset, settled_at) WHERE state = 'SPENT';

CREATE INDEX idx_spend_ledger_version ON spend_ledger(agent_id, version);

CREATE INDEX idx_spend_ledger_session ON spend_ledger(session_id);

CREATE INDEX idx_spend_ledger_tx ON spend_ledger(tx_id);

CREATE TABLE audit_log (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  timestamp  INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  actor      TEXT NOT NULL,
  agent_id   TEXT,
  session_id TEXT,
  tx_id      TEXT,
  details    TEXT NOT NULL,
  severity   TEXT NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'warning', 'critical')),
  ip_address TEXT,
  hash       TEXT NOT NULL CHECK (length(hash) = 64)
);

CREATE INDEX idx_audit_log_timestamp ON audit_log(timestamp);

CREATE INDEX idx_audit_log_event_type ON audit_log(event_type);

CREATE INDEX idx_audit_log_agent_id ON audit_log(agent_id);

CREATE INDEX idx_audit_log_severity ON audit_log(severity);

CREATE INDEX idx_audit_log_agent_timestamp ON audit_log(agent_id, timestamp);

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'audit_log is append-only');
END;

CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'audit_log is append-only');
END;

CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'audit_log is append-only');
END;

CREATE TABLE outbox (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  event_type TEXT NOT NULL,
  agent_id   TEXT,
  session_id TEXT,
  tx_id      TEXT,
  payload    TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE INDEX idx_outbox_tx ON outbox(tx_id, seq);

CREATE INDEX idx_outbox_agent ON outbox(agent_id, seq);

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
