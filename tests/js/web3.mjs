// @solana/web3.js and @solana/spl-token against the chain whose URL is the argument.

import assert from "node:assert/strict";
import {
  createAssociatedTokenAccountIdempotentInstruction,
  createInitializeMint2Instruction,
  createMintToInstruction,
  createTransferCheckedInstruction,
  getAccount,
  getAssociatedTokenAddressSync,
  getMint,
  MINT_SIZE,
  getMinimumBalanceForRentExemptMint,
  TOKEN_2022_PROGRAM_ID,
  TOKEN_PROGRAM_ID,
} from "@solana/spl-token";
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from "@solana/web3.js";
import { until } from "./poll.mjs";

const connection = new Connection(process.argv[2], "confirmed");
const payer = Keypair.generate();
const friend = Keypair.generate();

async function confirm(signature) {
  const status = await until(async () => (await connection.getSignatureStatus(signature)).value);
  assert.equal(status.confirmationStatus, "finalized");
  return status;
}

async function signed(instructions, ...signers) {
  const { blockhash: recentBlockhash } = await connection.getLatestBlockhash();
  const message = new TransactionMessage({ payerKey: signers[0].publicKey, recentBlockhash, instructions });
  const transaction = new VersionedTransaction(message.compileToV0Message());
  transaction.sign(signers);
  return transaction;
}

async function land(instructions, ...signers) {
  const signature = await connection.sendTransaction(await signed(instructions, ...signers));
  assert.equal((await confirm(signature)).err, null);
  return signature;
}

function pay(lamports) {
  return SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: friend.publicKey, lamports });
}

async function money() {
  await confirm(await connection.requestAirdrop(payer.publicKey, 10 * LAMPORTS_PER_SOL));
  assert.equal(await connection.getBalance(payer.publicKey), 10 * LAMPORTS_PER_SOL);

  const legacy = new Transaction().add(pay(LAMPORTS_PER_SOL));
  const signature = await connection.sendTransaction(legacy, [payer]);
  assert.equal((await confirm(signature)).err, null);
  assert.equal(await connection.getBalance(friend.publicKey), LAMPORTS_PER_SOL);
  const told = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(told.meta.fee, 5000);
  assert.equal(told.version, "legacy");
  assert.ok(told.transaction.message.staticAccountKeys[0].equals(payer.publicKey));
  const parsed = await connection.getParsedTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.ok(parsed.transaction.message.accountKeys[0].signer);
  const [entry] = await connection.getSignaturesForAddress(friend.publicKey);
  assert.equal(entry.signature, signature);
}

async function refusals() {
  const greedy = await signed([pay(100 * LAMPORTS_PER_SOL)], payer);
  await assert.rejects(connection.sendTransaction(greedy), (error) => {
    assert.ok(error instanceof SendTransactionError);
    assert.match(error.message, /custom program error: 0x1/);
    assert.match(error.logs.join("\n"), /Transfer: insufficient lamports/);
    return true;
  });
  const simulated = await connection.simulateTransaction(greedy);
  assert.deepEqual(simulated.value.err, { InstructionError: [0, { Custom: 1 }] });
  const signature = await connection.sendTransaction(greedy, { skipPreflight: true });
  assert.deepEqual((await confirm(signature)).err, { InstructionError: [0, { Custom: 1 }] });
}

async function cluster() {
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash();
  assert.equal((await connection.isBlockhashValid(blockhash)).value, true);
  assert.ok(lastValidBlockHeight - (await connection.getBlockHeight()) <= 150);
  const { absoluteSlot } = await connection.getEpochInfo();
  assert.ok((await connection.getSlot()) >= absoluteSlot);
  assert.ok(Math.abs((await connection.getBlockTime(absoluteSlot)) - Date.now() / 1000) < 5);
  assert.equal(await connection.getFirstAvailableBlock(), 0);
  assert.equal(typeof (await connection.getVersion())["solana-core"], "string");
  assert.equal(typeof (await connection.getGenesisHash()), "string");
  assert.ok((await connection.getRecentPrioritizationFees()).length > 0);
  const { message } = await signed([pay(1)], payer);
  assert.equal((await connection.getFeeForMessage(message)).value, 5000);
}

async function token(program) {
  const mint = Keypair.generate();
  const lamports = await getMinimumBalanceForRentExemptMint(connection);
  const [mine, theirs] = [payer, friend].map(({ publicKey }) =>
    getAssociatedTokenAddressSync(mint.publicKey, publicKey, false, program),
  );
  const open = (address, owner) =>
    createAssociatedTokenAccountIdempotentInstruction(payer.publicKey, address, owner, mint.publicKey, program);
  await land(
    [
      SystemProgram.createAccount({
        fromPubkey: payer.publicKey,
        newAccountPubkey: mint.publicKey,
        space: MINT_SIZE,
        lamports,
        programId: program,
      }),
      createInitializeMint2Instruction(mint.publicKey, 6, payer.publicKey, null, program),
      open(mine, payer.publicKey),
      createMintToInstruction(mint.publicKey, mine, payer.publicKey, 5_000_000n, [], program),
    ],
    payer,
    mint,
  );
  assert.equal((await getMint(connection, mint.publicKey, undefined, program)).supply, 5_000_000n);
  const signature = await land(
    [
      open(theirs, friend.publicKey),
      createTransferCheckedInstruction(mine, mint.publicKey, theirs, payer.publicKey, 1_500_000n, 6, [], program),
    ],
    payer,
  );
  assert.equal((await getAccount(connection, theirs, undefined, program)).amount, 1_500_000n);
  assert.equal((await connection.getTokenAccountBalance(theirs)).value.uiAmountString, "1.5");
  const { value } = await connection.getParsedTokenAccountsByOwner(friend.publicKey, { mint: mint.publicKey });
  assert.equal(value[0].account.data.parsed.info.tokenAmount.amount, "1500000");
  const raw = await connection.getTokenAccountsByOwner(friend.publicKey, { programId: program });
  assert.equal(raw.value.length, 1);
  const told = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(told.meta.postTokenBalances.length, 2);
  const info = await connection.getParsedAccountInfo(mint.publicKey);
  assert.equal(info.value.data.parsed.info.decimals, 6);
}

await money();
await Promise.all([refusals(), cluster(), token(TOKEN_PROGRAM_ID), token(TOKEN_2022_PROGRAM_ID)]);
console.log("ok");
