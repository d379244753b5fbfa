-- The life of a transaction: what was asked, what was signed, what it cost. Nothing here is ever deleted.

-- One accepted (or denied) request. request is its canonical JSON, request_hash the SHA-256 of that; the columns beside
-- it are copies for lists and filters, never read back to build anything. due_at ends a delay or an approval.
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

-- The law of states, once more where nothing can go around it.
CREATE TRIGGER transactions_moves BEFORE UPDATE OF status ON transactions
WHEN OLD.status <> NEW.status AND NOT (
     (OLD.status = 'PENDING'   AND NEW.status IN ('QUEUED', 'EXECUTING', 'CANCELLED', 'EXPIRED'))
  OR (OLD.status = 'QUEUED'    AND NEW.status IN ('EXECUTING', 'CANCELLED', 'EXPIRED'))
  OR (OLD.status = 'EXECUTING' AND NEW.status IN ('SUBMITTED', 'FAILED'))
  OR (OLD.status = 'SUBMITTED' AND NEW.status IN ('CONFIRMED', 'FAILED', 'EXPIRED', 'PARTIAL_FAILURE')))
BEGIN
  SELECT RAISE(ABORT, 'transactions: no such move');
END;

-- One signed byte string that may land on chain: durable here before its first byte leaves. A nonce (EVM) or a blockhash
-- (Solana) limits its life; finished_at is set when its end is final on chain. rejected_at: every endpoint has refused the
-- bytes for good since an endpoint last took them, or showed them; that alone ends nothing.
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

-- What was set aside, spent or given back, per transaction, asset and kind. RESERVED counts in every window whatever its
-- age, SPENT from settled_at on. Sums are made in Python: no SQL adds TEXT. version is the agent's ledger_version at the
-- row's last change, so that a mirror in memory reads only what changed.
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
