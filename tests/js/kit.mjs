// @solana/kit against the chain whose URL is the argument.

import assert from "node:assert/strict";
import {
  appendTransactionMessageInstruction,
  createSolanaRpc,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
} from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import { until } from "./poll.mjs";

const SOL = 1_000_000_000n;
const rpc = createSolanaRpc(process.argv[2]);
const payer = await generateKeyPairSigner();
const friend = await generateKeyPairSigner();

async function confirm(signature) {
  return until(async () => (await rpc.getSignatureStatuses([signature]).send()).value[0]);
}

async function signed(amount) {
  const { value: blockhash } = await rpc.getLatestBlockhash().send();
  return pipe(
    createTransactionMessage({ version: 0 }),
    (message) => setTransactionMessageFeePayerSigner(payer, message),
    (message) => setTransactionMessageLifetimeUsingBlockhash(blockhash, message),
    (message) =>
      appendTransactionMessageInstruction(
        getTransferSolInstruction({ source: payer, destination: friend.address, amount }),
        message,
      ),
    (message) => signTransactionMessageWithSigners(message),
  );
}

await confirm(await rpc.requestAirdrop(payer.address, lamports(10n * SOL)).send());
assert.equal((await rpc.getBalance(payer.address).send()).value, 10n * SOL);

const transaction = await signed(SOL);
const wire = getBase64EncodedWireTransaction(transaction);
const signature = getSignatureFromTransaction(transaction);
const simulation = await rpc.simulateTransaction(wire, { encoding: "base64", sigVerify: true }).send();
assert.equal(simulation.value.err, null);
assert.equal(await rpc.sendTransaction(wire, { encoding: "base64" }).send(), signature);
assert.equal((await confirm(signature)).err, null);
assert.equal((await rpc.getBalance(friend.address).send()).value, SOL);
const told = await rpc.getTransaction(signature, { encoding: "json", maxSupportedTransactionVersion: 0 }).send();
assert.equal(told.meta.fee, 5000n);
assert.equal(told.version, 0);
const { value: account } = await rpc.getAccountInfo(friend.address, { encoding: "base64" }).send();
assert.equal(account.lamports, SOL);
const [entry] = await rpc.getSignaturesForAddress(friend.address).send();
assert.equal(entry.signature, signature);
assert.equal((await rpc.getEpochInfo().send()).slotsInEpoch, 432_000n);
assert.equal(await rpc.getHealth().send(), "ok");

const greedy = getBase64EncodedWireTransaction(await signed(100n * SOL));
await assert.rejects(rpc.sendTransaction(greedy, { encoding: "base64" }).send(), (error) => {
  assert.ok(isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE));
  assert.match(error.context.logs.join("\n"), /Transfer: insufficient lamports/);
  return true;
});
console.log("ok");
