// web3.js against the chain whose URL is the argument: money, a contract, its events, a revert.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Web3 } from "web3";

const { Token } = JSON.parse(readFileSync(new URL("../fixtures/evm/contracts.json", import.meta.url)));
const web3 = new Web3(process.argv[2]);
web3.eth.transactionPollingInterval = 20;
const alice = web3.eth.accounts.create();
const bob = web3.eth.accounts.create();
web3.eth.accounts.wallet.add(alice);

await web3.requestManager.send({ method: "anvil_setBalance", params: [alice.address, "0x56bc75e2d63100000"] });
assert.equal(await web3.eth.getChainId(), 31337n);

const paid = await web3.eth.sendTransaction({ from: alice.address, to: bob.address, value: 5n });
assert.deepEqual([paid.status, paid.gasUsed, paid.type], [1n, 21_000n, 2n]);
assert.equal(await web3.eth.getBalance(bob.address), 5n);
assert.equal(await web3.eth.getTransactionCount(alice.address), 1n);
const block = await web3.eth.getBlock(paid.blockHash, true);
assert.deepEqual([block.transactions[0].hash, block.transactions[0].value], [paid.transactionHash, 5n]);

const token = await new web3.eth.Contract(Token.abi)
  .deploy({ data: Token.bytecode, arguments: ["Gold", "GLD", 6, 1000] })
  .send({ from: alice.address });
const moved = await token.methods.transfer(bob.address, 7).send({ from: alice.address });
assert.equal(moved.events.Transfer.returnValues.value, 7n);
assert.equal(await token.methods.balanceOf(bob.address).call(), 7n);
assert.equal((await token.getPastEvents("Transfer", { fromBlock: moved.blockNumber })).length, 1);
await assert.rejects(
  () => token.methods.transfer(bob.address, 10_000).call({ from: alice.address }),
  (error) => error.cause.message.includes("Token: balance too small"),
);
