// Signs in with the browser's wallet, or with one of the example's own.
async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  const said = await answer.json();
  if (said.error) throw new Error(`${said.error.message}: ${said.error.fix}`);
  return said;
}

/** The name field chooses: "browser" is window.ethereum, anything else an example's wallet. */
export async function signIn({ identity, room }) {
  const browser = identity === "browser" && window.ethereum;
  const address = browser
    ? (await window.ethereum.request({ method: "eth_requestAccounts" }))[0]
    : (await ask("/api/wallet", { name: identity })).address;
  const { challenge, message } = await ask("/drtc/v1/gate/challenge", { address, room });
  const signature = browser
    ? await window.ethereum.request({ method: "personal_sign", params: [message, address] })
    : (await ask("/api/sign", { name: identity, message })).signature;
  const { token } = await ask("/drtc/v1/gate/token", { challenge, signature });
  const { call } = await ask("/api/call", { token });
  return { token, call };
}
