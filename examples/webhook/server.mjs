// A policy server without dependencies, for any Node from 18 on:
//   node server.mjs [port]        prints its address when it listens
//
// Nobody called "mallory" comes in, the room "quiet" has no video, in "club" all
// but members wait, and whoever is called "teacher" becomes host.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = process.env.POLICY_SECRET ?? "the example's secret, not for production";
const maxBody = 64 * 1024;
const maxAge = 60; // seconds

/** Who asks must have signed the body with our secret a moment ago. */
function signed(header, body) {
  const match = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header ?? "");
  if (!match || Math.abs(Date.now() / 1000 - Number(match[1])) > maxAge) return false;
  const want = createHmac("sha256", secret).update(`${match[1]}.`).update(body).digest();
  return timingSafeEqual(want, Buffer.from(match[2], "hex"));
}

function admit({ identity, room, attributes = {} }) {
  if (identity === "mallory") return { admit: false, reason: "mallory is not welcome" };
  return {
    admit: true,
    role: identity === "teacher" ? "host" : "",
    lobby: room === "club" && identity !== "teacher" && attributes.member !== "yes",
    audio_only: room === "quiet",
    limits: { viewer: { subscribe: true, publish_data: true } },
  };
}

/** What happens in rooms comes here; an answer may hold orders. */
function react({ type, identity }) {
  if (type === "participant_joined" && identity.startsWith("guest-")) return { orders: [{ do: "role", identity, role: "viewer" }] };
  return { orders: [] };
}

const server = createServer((request, response) => {
  const parts = [];
  let size = 0;
  request.on("data", (part) => {
    size += part.length;
    if (size > maxBody) request.destroy();
    parts.push(part);
  });
  request.on("end", () => {
    const body = Buffer.concat(parts);
    if (request.method !== "POST" || !signed(request.headers["x-drtc-signature"], body)) {
      response.writeHead(401).end();
      return;
    }
    const question = JSON.parse(body);
    const answer = question.type === "admit" ? admit(question) : react(question);
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
