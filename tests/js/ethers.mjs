// ethers v6 against the chain whose URL is the argument: money, a contract, its events, a revert, a replacement.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ContractFactory, formatEther, isError, JsonRpcProvider, parseEther, parseUnits, Wallet } from "ethers";

const contracts = JSON.parse(readFileSync(new URL("../fixtures/evm/contracts.json", import.meta.url)));
const provider = new JsonRpcProvider(process.argv[2], undefined, { pollingInterval: 20, cacheTimeout: -1 });
const alice = Wallet.createRandom(provider);
const bob = Wallet.createRandom(provider);

async function money() {
  await provider.send("anvil_setBalance", [alice.address, "0x56bc75e2d63100000"]);
  assert.equal(formatEther(await provider.getBalance(alice.address)), "100.0");
  assert.equal((await provider.getNetwork()).chainId, 31337n);
  for (const fields of [{}, { type: 0 }, { type: 1 }]) {
    const sent = await alice.sendTransaction({ to: bob.address, value: parseEther("1"), ...fields });
    const receipt = await sent.wait();
    assert.equal(receipt.status, 1);
    assert.equal(receipt.gasUsed, 21_000n);
    assert.equal((await provider.getTransaction(sent.hash)).type, fields.type ?? 2);
  }
  assert.equal(await provider.getBalance(bob.address), parseEther("3"));
  assert.equal(await alice.getNonce(), 3);
}

async function contract() {
  const { abi, bytecode } = contracts.Token;
  const token = await new ContractFactory(abi, bytecode, alice).deploy("Gold", "GLD", 6, 1000);
  await token.waitForDeployment();
  assert.equal(await token.symbol(), "GLD");
  const receipt = await (await token.transfer(bob.address, 7)).wait();
  assert.equal(await token.balanceOf(bob.address), 7n);
  const events = await token.queryFilter("Transfer", receipt.blockNumber);
  assert.deepEqual([events.length, events[0].args.to, events[0].args.value], [1, bob.address, 7n]);
  await assert.rejects(
    () => token.transfer.staticCall(bob.address, 10_000),
    (error) => isError(error, "CALL_EXCEPTION") && error.reason === "Token: balance too small",
  );
  const failing = await token.transfer(bob.address, 10_000, { gasLimit: 100_000 });
  await assert.rejects(() => failing.wait(), (error) => error.receipt.status === 0);
}

async function custom() {
  const { abi, bytecode } = contracts.Probe;
  const probe = await new ContractFactory(abi, bytecode, alice).deploy();
  await probe.waitForDeployment();
  await assert.rejects(
    () => probe.custom.staticCall(),
    (error) => error.revert.name === "Custom" && error.revert.args[0] === 7n,
  );
}

async function replacement() {
  await provider.send("evm_setAutomine", [false]);
  const fees = { maxFeePerGas: parseUnits("3", "gwei"), maxPriorityFeePerGas: parseUnits("1", "gwei"), gasLimit: 21_000 };
  const nonce = await alice.getNonce();
  await alice.sendTransaction({ to: bob.address, value: 1, nonce, ...fees });
  await assert.rejects(
    () => alice.sendTransaction({ to: bob.address, value: 2, nonce, ...fees }),
    (error) => isError(error, "REPLACEMENT_UNDERPRICED"),
  );
  await provider.send("evm_setAutomine", [true]);
  await assert.rejects(
    () => alice.sendTransaction({ to: bob.address, value: parseEther("1000"), gasLimit: 21_000 }),
    (error) => isError(error, "INSUFFICIENT_FUNDS"),
  );
}

await money();
await contract();
await custom();
await replacement();
provider.destroy();
