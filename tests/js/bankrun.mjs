// The same transactions on the chain whose URL is the argument and on solana-bankrun, Solana's own bank in process:
// errors, balances and token accounts must be the same.

import assert from "node:assert/strict";
import {
  createAssociatedTokenAccountIdempotentInstruction,
  createInitializeMint2Instruction,
  createMintToInstruction,
  createTransferCheckedInstruction,
  getAssociatedTokenAddressSync,
  MINT_SIZE,
  TOKEN_PROGRAM_ID,
} from "@solana/spl-token";
import {
  ComputeBudgetProgram,
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SystemProgram,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from "@solana/web3.js";
import { start } from "solana-bankrun";
import { until } from "./poll.mjs";

const MEMO = new PublicKey("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const RENT_OF_A_MINT = 1_461_600;

const [payer, poor, nobody, friend, mint] = Array.from({ length: 5 }, () => Keypair.generate());
const [mine, theirs] = [payer, friend].map((each) => getAssociatedTokenAddressSync(mint.publicKey, each.publicKey));

const connection = new Connection(process.argv[2], "confirmed");
const { banksClient: bank } = await start(
  [],
  [payer, poor].map((each) => ({
    address: each.publicKey,
    info: { lamports: 10 * LAMPORTS_PER_SOL, data: Buffer.alloc(0), owner: SystemProgram.programId, executable: false },
  })),
);

function pay(from, to, lamports) {
  return SystemProgram.transfer({ fromPubkey: from.publicKey, toPubkey: to.publicKey, lamports });
}

function open(address, owner) {
  return createAssociatedTokenAccountIdempotentInstruction(payer.publicKey, address, owner.publicKey, mint.publicKey);
}

function move(amount, decimals) {
  return createTransferCheckedInstruction(mine, mint.publicKey, theirs, payer.publicKey, amount, decimals);
}

// the third: whether only programs built into the runtime run, so that logs and units are the same in each release
const cases = {
  "a transfer": [[pay(payer, friend, LAMPORTS_PER_SOL)], [payer], true],
  "more than there is": [[pay(payer, friend, 100 * LAMPORTS_PER_SOL)], [payer], true],
  "below the rent minimum": [[pay(payer, Keypair.generate(), 1000)], [payer], true],
  "too little left": [[pay(poor, friend, 10 * LAMPORTS_PER_SOL - 6000)], [poor], true],
  "a payer without money": [[pay(nobody, friend, 1)], [nobody], true],
  "a priority fee": [
    [
      ComputeBudgetProgram.setComputeUnitLimit({ units: 100_000 }),
      ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 30_000 }),
      pay(payer, friend, LAMPORTS_PER_SOL),
    ],
    [payer],
    true,
  ],
  "a memo": [[new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from("lunch") })], [payer], false],
  "a new token": [
    [
      SystemProgram.createAccount({
        fromPubkey: payer.publicKey,
        newAccountPubkey: mint.publicKey,
        space: MINT_SIZE,
        lamports: RENT_OF_A_MINT,
        programId: TOKEN_PROGRAM_ID,
      }),
      createInitializeMint2Instruction(mint.publicKey, 6, payer.publicKey, null),
      open(mine, payer),
      createMintToInstruction(mint.publicKey, mine, payer.publicKey, 5_000_000n),
    ],
    [payer, mint],
    false,
  ],
  "a token transfer": [[open(theirs, friend), move(1_500_000n, 6)], [payer], false],
  "more tokens than there are": [[move(50_000_000n, 6)], [payer], false],
  "tokens with wrong decimals": [[move(1n, 9)], [payer], false],
};

function signed(recentBlockhash, instructions, signers) {
  const message = new TransactionMessage({ payerKey: signers[0].publicKey, recentBlockhash, instructions });
  const transaction = new VersionedTransaction(message.compileToV0Message());
  transaction.sign(signers);
  return transaction;
}

async function onBank(instructions, signers) {
  const [blockhash] = await bank.getLatestBlockhash();
  const { result, meta } = await bank.tryProcessTransaction(signed(blockhash, instructions, signers));
  return { error: result, logs: meta?.logMessages, units: meta && Number(meta.computeUnitsConsumed) };
}

async function onChain(instructions, signers) {
  const { blockhash } = await connection.getLatestBlockhash();
  const transaction = signed(blockhash, instructions, signers);
  let error = null;
  const signature = await connection.sendTransaction(transaction).catch((refusal) => {
    error = /Transaction simulation failed: (.*)/.exec(refusal.message)[1];
    return connection.sendTransaction(transaction, { skipPreflight: true });
  });
  const find = () => connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  const told = await until(find, error ? 1000 : 5000).catch(() => null);
  return { error, logs: told?.meta.logMessages, units: told?.meta.computeUnitsConsumed };
}

// web3.js puts a stop after the node's words
function sentence(error) {
  return error?.replace(/[. ]+$/, "");
}

async function balances(node) {
  return (await Promise.all([payer, poor, friend].map(({ publicKey }) => node.getBalance(publicKey)))).map(Number);
}

for (const { publicKey } of [payer, poor]) {
  const signature = await connection.requestAirdrop(publicKey, 10 * LAMPORTS_PER_SOL);
  await until(async () => (await connection.getSignatureStatus(signature)).value);
}
for (const [name, [instructions, signers, isBuiltIn]] of Object.entries(cases)) {
  const [told, ours] = [await onBank(instructions, signers), await onChain(instructions, signers)];
  assert.equal(sentence(ours.error), sentence(told.error), name);
  if (isBuiltIn) assert.deepEqual([ours.logs, ours.units], [told.logs ?? undefined, told.units ?? undefined], name);
  assert.deepEqual(await balances(connection), await balances(bank), name);
}
for (const account of [mine, theirs, mint.publicKey]) {
  const [told, ours] = [await bank.getAccount(account), await connection.getAccountInfo(account)];
  assert.deepEqual(Buffer.from(told.data), ours.data);
  assert.equal(Number(told.lamports), ours.lamports);
}
console.log("ok");
