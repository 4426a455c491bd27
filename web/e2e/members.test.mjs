// Two Orchestrators of one operator share rooms behind one address. The one that has a room dies while others join: no room
// is lost, none is there twice, and in a call that goes on only signalling reconnects.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBalancer } from './balancer.mjs';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, mediaFlows, until } from './exchange.mjs';
import { record } from './figures.mjs';

const room = freshRoom('members');
const crowdRooms = Array.from({ length: 6 }, (_, index) => `${room}-${index}`);
const crowd = ['x', 'y'].flatMap((side) => crowdRooms.map((name, index) => ({ identity: `${side}${index}`, room: name })));
let devnet; // of its own: an Orchestrator of it dies
let balancer;
let browser;
let people;
let mob; // a page of many participants without media
let owner; // index of the Orchestrator that has the room
let homes; // nodes that carry the call
let start; // when the owner was killed

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'members');
  mkdirSync(dir, { recursive: true });
  devnet = await startDevnet(process.env.DRTC_BIN, dir, ['--orchestrators', '2']);
  balancer = await startBalancer(devnet.ready.orchestrators.map((one) => one.url));
  browser = await openBrowser({ fps: 10 });
  people = await Promise.all(['members-ada', 'members-ben'].map((label) => browser.client(label)));
  mob = (await browser.client('members-crowd')).page;
  await mob.evaluate(gather);
});
after(async () => {
  await browser?.close();
  balancer?.close();
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'processes that outlived their network');
});

/** Puts globalThis.crowd into a page: many SDK clients, of which each tries to join until it is in, as an application does. */
function gather() {
  const { Room } = globalThis.LivekitClient;
  const clients = [];
  globalThis.crowd = {
    add({ url, token, identity }) {
      const one = { identity, room: new Room(), attempts: 0, events: [] };
      for (const name of ['signalReconnecting', 'reconnecting', 'disconnected', 'participantDisconnected']) {
        one.room.on(name, () => one.joined && one.events.push(name));
      }
      clients.push(one);
      void (async () => {
        while (!one.joined) {
          one.attempts++;
          try {
            await one.room.connect(url, token);
            one.joined = performance.now();
          } catch (error) {
            one.error = error.message;
            await new Promise((resolve) => setTimeout(resolve, 700));
          }
        }
      })();
    },
    state: () =>
      Promise.all(
        clients.map(async ({ identity, room, joined, attempts, events, error }) => ({
          identity, attempts, events, error,
          joined: joined !== undefined,
          state: room.state,
          sid: joined && (await room.getSid()),
          others: [...room.remoteParticipants.keys()],
        })),
      ),
    leave: () => Promise.all(clients.map((one) => one.room.disconnect())),
  };
}

const token = (identity, name) => signToken(devnet.ready, { identity, room: name });
const others = ([ada, ben]) => [[ada, ben.label], [ben, ada.label]];

/** The rooms of the operator as one of its Orchestrators lists them. */
async function roomsAt(index) {
  const reply = await fetch(`${devnet.ready.orchestrators[index].url}/twirp/livekit.RoomService/ListRooms`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${signToken(devnet.ready, { identity: 'server', room, video: { roomList: true } })}`, 'Content-Type': 'application/json' },
    body: '{}',
  });
  assert.equal(reply.status, 200, `ListRooms at ${index}`);
  return (await reply.json()).rooms.map(({ name, sid, num_participants: count }) => ({ name, sid, count })).sort((a, b) => a.name.localeCompare(b.name));
}

/** How many rooms an Orchestrator writes. */
async function written(index) {
  return (await (await fetch(`${devnet.ready.orchestrators[index].url}/healthz`)).json()).rooms;
}

/** The node that carries somebody, by an Orchestrator that lives. */
async function nodeOf(identity, index) {
  const reply = await fetch(`${devnet.ready.orchestrators[index].url}/drtc/v1/session?access_token=${token(identity, room)}`);
  assert.equal(reply.status, 200, `where ${identity} is`);
  return (await reply.json()).node.id;
}

test('two meet whichever Orchestrator they came by, and either lists the room once', async () => {
  for (const [index, one] of people.entries()) {
    // Each asks another one; what follows goes to the balancer.
    const joined = await one.join(balancer.url, token(one.label, room));
    record(`members: join ${index + 1} by the balancer`, `${Math.round(joined)} ms`);
  }
  const counts = await Promise.all([0, 1].map(written));
  assert.deepEqual([...counts].sort(), [0, 1], 'one of them writes the room');
  owner = counts.indexOf(1);
  for (const one of people) await one.publish({ width: 320, height: 180, fps: 10, simulcast: false });
  for (const [viewer, identity] of others(people)) await viewer.watch(identity);
  for (const index of [0, 1]) {
    let seen;
    await until(async () => (seen = await roomsAt(index)).length === 1 && seen[0].count === 2, 3000, `one room of two at ${index}`);
    assert.equal(seen[0].name, room);
  }
  homes = await Promise.all(people.map((one) => nodeOf(one.label, 1 - owner)));
  await mediaFlows(others(people), 2, 'members, before');
});

test('the owner of the room is killed while others join, and the call goes on', async () => {
  const since = await Promise.all(people.map((one) => one.now()));
  const heard = await Promise.all(people.map(async (one) => (await one.events()).filter(({ name }) => /participant|track/.test(name)).length));
  for (const [index, one] of crowd.entries()) {
    await mob.evaluate((who) => globalThis.crowd.add(who), { ...one, url: balancer.url, token: token(one.identity, one.room) });
    if (index === crowd.length / 2) { // the first room's other half is on its way
      record('members: rooms of the one that is killed and of the other', `${await written(owner)} ${await written(1 - owner)}`);
      process.kill(devnet.ready.orchestrators[owner].pid, 'SIGKILL');
      start = Date.now();
    } else {
      await sleep(100);
    }
  }
  const left = () => 7000 - (Date.now() - start); // 5 s, and 2 s for which the client itself keeps a reconnect open
  for (const one of people) {
    await until(async () => (await one.events('reconnected')).length > 0, left(), `${one.label} has resumed`);
  }
  record('members: owner killed, both resumed after', `${Date.now() - start} ms`, '<= 7000, of which the last 2 s are the client\'s own');
  await until(async () => (await mob.evaluate(() => globalThis.crowd.state())).every((one) => one.joined), 15_000, 'all of the crowd are in').catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await mob.evaluate(() => globalThis.crowd.state()))}`);
  });
  record('members: all who were joining are in after', `${Date.now() - start} ms`);
  await mediaFlows(others(people), 2, 'members, after');
  const gaps = await Promise.all(others(people).map(([viewer, identity], index) => viewer.gap(identity, since[index])));
  record('members: owner killed, largest gap between shown frames', `${gaps.map(Math.round).join(' and ')} ms`, 'nothing but the noise of the machine: <= 500');
  assert.ok(Math.max(...gaps) <= 500, `gaps in ms: ${gaps.map(Math.round).join(' ')}`);
  for (const [index, one] of people.entries()) {
    const now = (await one.events()).filter(({ name }) => /participant|track/.test(name));
    assert.equal(now.length, heard[index], `${one.label} heard of ${JSON.stringify(now.slice(heard[index]))}`);
    for (const event of ['reconnecting', 'disconnected']) assert.deepEqual(await one.events(event), [], `${one.label}: ${event}`);
  }
  await dataArrives(people[0], people[1], 'members');
  await dataArrives(people[1], people[0], 'members');
});

test('no room is lost and none is there twice', async () => {
  let state;
  const whole = () => state.every(({ identity, others: seen }) => seen.length === 1 && seen[0] === (identity[0] === 'x' ? 'y' : 'x') + identity[1]);
  await until(async () => {
    state = await mob.evaluate(() => globalThis.crowd.state());
    return whole();
  }, 5000, 'each of the crowd sees the one other').catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(state)}`);
  });
  record('members: attempts of those who joined', state.map((one) => one.attempts).join(' '));
  const attempts = new Map(state.map((one) => [one.identity, one.attempts]));
  for (const one of state.filter((each) => each.attempts === 1)) {
    assert.equal(one.state, 'connected', JSON.stringify(one));
    assert.ok(!one.events.includes('disconnected'), JSON.stringify(one));
    // Who was there and then had to try again was seen to leave.
    const [other] = one.others;
    if (attempts.get(other) === 1) assert.ok(!one.events.includes('participantDisconnected'), JSON.stringify(one));
  }
  const sids = new Map(crowd.map(({ identity, room: name }) => [name, state.find((one) => one.identity === identity).sid]));
  let listed;
  await until(async () => (listed = await roomsAt(1 - owner)).length === crowdRooms.length + 1 && listed.every((one) => one.count === 2), 5000, 'each room is listed once, with two').catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(listed)}`);
  });
  assert.deepEqual(listed.map(({ name }) => name), [room, ...crowdRooms]);
  for (const { name, sid } of listed.slice(1)) {
    assert.equal(sid, sids.get(name), `${name} is the room that its people are in`);
    const pair = crowd.filter((one) => one.room === name).map(({ identity }) => state.find((one) => one.identity === identity).sid);
    assert.deepEqual(pair, [sid, sid], `${name} is one room to both`);
  }
});

test('the call stays where it is', async () => {
  await sleep(Math.max(0, 9000 - (Date.now() - start))); // the other one has had time to think better of it
  assert.deepEqual(await Promise.all(people.map((one) => nodeOf(one.label, 1 - owner))), homes, 'on the same nodes');
  for (const one of people) assert.equal((await one.events('reconnected')).length, 1, `${one.label} reconnected once`);
});

test('the dead one comes back, and who comes by it meets the others', async () => {
  await devnet.revive('orchestrator', owner);
  assert.deepEqual(await roomsAt(owner), await roomsAt(1 - owner), 'both list the same');
  const cem = await browser.client('members-cem');
  await cem.join(devnet.ready.orchestrators[owner].url.replace(/^http/, 'ws'), token('members-cem', room));
  await until(async () => (await cem.call('people')).length === 2, 3000, 'cem sees both');
  for (const one of people) await one.waitEvent('participantConnected', { identity: 'members-cem' }, 3000);
  await cem.leave();
  await mob.evaluate(() => globalThis.crowd.leave());
});
