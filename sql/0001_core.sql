-- Who may act, under which rules. Times are epoch seconds, ids UUID v7 text, amounts decimal digits.

-- One key pair on one network, and its life. ledger_version is raised, under a guard, by every commit that touches the
-- agent's ledger. A row is deleted only out of CREATING; afterwards its end is TERMINATED.
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

-- A bearer token's right to act for one agent. Only the SHA-256 of the token is kept; constraints is JSON; a child
-- (parent_id) lives inside its parent's limits and dies with it.
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

-- A rule that judges requests; agent_id NULL means every agent. Every write raises version here and policy_version in
-- key_value_store, so that a decision names exactly what it was made under.
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

-- Single facts about this installation; value is JSON.
CREATE TABLE key_value_store (
  key        TEXT PRIMARY KEY,
  value      TEXT NOT NULL,
  updated_at INTEGER NOT NULL
);
INSERT INTO key_value_store (key, value, updated_at) VALUES ('policy_version', '0', 0);
