// The chain serves no WebSocket, so a transaction is followed by asking for its status over HTTP.

export async function until(ask, milliseconds = 5000) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    const found = await ask();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`nothing came within ${milliseconds} ms`);
}
