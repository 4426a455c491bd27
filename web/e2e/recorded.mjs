// What the Registry of a network that has run for a while answers about epochs, pools and tests, for given nodes: the
// forms are those of docs/protocol/status.md, the numbers are the same in every run.

const wei = (hudl) => String(BigInt(Math.round(hudl * 1e6)) * 10n ** 12n);
const hash = (n, salt = 7) => `0x${Array.from({ length: 64 }, (_, i) => ((n * 31 + salt * (i + 3) * (i + 5)) % 16).toString(16)).join('')}`;
const id = (n) => hash(n, 11).slice(0, 42);
const wave = (n, m = 0) => (1 + Math.sin(n * 1.7 + m * 2.3)) / 2; // 0 to 1

/** `nodes` are ids, `committee` those of Registries, `now` in milliseconds. */
export function recorded({ nodes, committee, now, epochs: count = 46, epochSeconds = 60 }) {
  const genesis = now - (count + 0.4) * epochSeconds * 1000;
  const iso = (n) => new Date(genesis + n * epochSeconds * 1000).toISOString();
  const missed = new Set([17]); // of which nobody opened
  const epoch = (n, whole = false) => {
    const mint = 220 + 160 * wave(n);
    const committed = n < count - 1;
    return {
      epoch: n, begins: iso(n), ends: iso(n + 1), status: n === count - 1 ? 'open' : n === 30 ? 'void' : 'committed',
      low8: 4_900_000 + 1000 * n, high8: 5_100_000 + 1000 * n, r_max_wei: wei(4.2), parameters_version: 1,
      ...(committed && {
        root: hash(n), previous_root: hash(n - 1), data_hash: hash(n, 3), transaction: hash(n, 5), block: 40 + n * 60,
        committed_at: iso(n + 1.2), leaf_count: nodes.length, charge_count: 2, total_bytes: String(Math.round((40 + 30 * wave(n)) * 1e9)),
        reward_total_wei: wei(mint), mint_wei: wei(mint), signers: committee.filter((_, i) => (n + i) % 5 !== 0), cut: n === 12,
        settlement: { consumed_credits: String(Math.round(4e5 + 3e5 * wave(n))), received_wei: wei(mint * 0.8), burn_wei: wei(mint * (0.5 + 0.6 * wave(n, 1))), filler_wei: '0', supply_wei: wei(1e9 - n), beta_bps: 250 },
      }),
      ...(n === count - 2 && { claimable_from: iso(n + 2) }),
      paid_wei: wei(committed && n < count - 3 ? mint : 0),
      ...(whole && committed && { charges: [{ application: id(1), orchestrator: id(2), bytes: '38211984034' }, { application: id(3), orchestrator: id(2), bytes: '1200345' }] }),
    };
  };
  const all = Array.from({ length: count }, (_, n) => n).filter((n) => !missed.has(n)).reverse();
  const payouts = nodes.map((node, m) => ({
    node,
    epochs: all.filter((n) => n < count - 3 && n !== 30 && n > m * 6).reverse().map((n) => ({ epoch: n, wei: wei((90 + 60 * wave(n)) * (0.6 + 0.4 * wave(n, m))) })),
  }));
  const sum = (one) => String(one.epochs.reduce((total, e) => total + BigInt(e.wei), 0n));
  const pools = nodes.map((node, m) => ({
    node, address: id(40 + m), operator: id(50 + m), number: m + 1, commission_bps: 1000 + 250 * m, next_commission_bps: m === 1 ? 2000 : 1000 + 250 * m,
    keys: 3 + 4 * m, counting: 3 + 4 * m, most: 25, proven_mbps: m === 2 ? 0 : 940, last_epoch: count - 4, per_key_wei: wei(812.25 / (m + 1)), paid_wei: sum(payouts[m]),
  }));
  const results = all.filter((n) => n < count - 1).flatMap((n) => nodes.flatMap((prover, m) => {
    const challenger = nodes[(m + 1 + (n % Math.max(1, nodes.length - 1))) % nodes.length];
    if (challenger === prover) return [];
    const v = m === 2 ? 0.55 + 0.35 * wave(n) : 0.93 + 0.06 * wave(n, m);
    const lost = (n + m) % 13 === 0;
    return [{
      test: hash(n * 8 + m), epoch: n, slot: 1, kind: (n + m) % 9 === 0 ? 'capacity' : 'quality', prover, challenger, at: iso(n + 0.5), void: lost ? 'unconnected' : '',
      ...(!lost && {
        v_paper: Math.min(1, v + 0.03), adequacy: v / Math.min(1, v + 0.03), v, scores: { bitrate: 1, latency: 0.9 + 0.1 * wave(n), loss: Math.min(1, v + 0.05) },
        sides: { prover: { bitrateKbps: 2504, rttMs: 31.4 + m, loss: 0.002, samples: 10 }, challenger: { bitrateKbps: 2498, rttMs: 31.9 + m, loss: 0.0021, samples: 10 } },
      }),
      samples: 10, sampleSeconds: 1,
    }];
  }));
  const leaves = (n) => ({
    epoch: n,
    leaves: nodes.map((node, m) => ({
      node, previousEpoch: n - 1, availability: '1000000000000000000', history: '500000000000000000', location: '950000000000000000', coverage: '333333333333333333',
      quality: String(BigInt(Math.round((0.7 + 0.29 * wave(n, m)) * 1e6)) * 10n ** 12n), clientBytes: String(12_000_000_000 + m * 1_000_345_678), relayBytes: String(m * 84_000_000), provenMbps: m === 2 ? 0 : 940,
    })),
  });
  return {
    /** Changes /network as this answer is. */
    network: (body) => ({
      ...body,
      chain: {
        ...body.chain, chain_id: 72010, contracts: {}, block: 3000, block_time: new Date(now).toISOString(), epoch: count, genesis: iso(0), epoch_seconds: epochSeconds,
        last_epoch: count - 2, supply_wei: wei(1e9 - 4711), hudl_wei: wei(1e9), beta_bps: 250, keys_sold: 21, pools: nodes.length, committee, quorum: 3, from: 0,
      },
    }),
    /** The body of a path with its query, undefined for what is asked of the Registry itself. */
    answer(url) {
      const query = url.searchParams;
      const node = query.get('node');
      const of = (list, pick) => list.filter((one) => !node || pick(one).includes(node));
      switch (url.pathname) {
        case '/network/epochs': {
          const before = Number(query.get('before') ?? Infinity);
          return { epochs: all.filter((n) => n < before).slice(0, Number(query.get('limit') ?? 50)).map((n) => epoch(n)) };
        }
        case '/network/epoch': return { epoch: epoch(Number(query.get('epoch')), true) };
        case '/network/pools': return { pools: of(pools, (p) => [p.node]) };
        case '/network/payouts': return { payouts: of(payouts, (p) => [p.node]) };
        case '/qos/results': return { results: of(results, (r) => [r.prover, r.challenger]).filter((r) => !query.get('epoch') || String(r.epoch) === query.get('epoch')) };
      }
      const [, n, what] = /^\/epochs\/(\d+)\/(leaves|manifest)$/.exec(url.pathname) ?? [];
      if (what === 'leaves') return leaves(Number(n));
      if (what === 'manifest') return { epoch: Number(n), items: [...Array(12).fill({ kind: 'receipt' }), ...Array(6).fill({ kind: 'qos-report' }), { kind: 'qos-order' }] };
      return undefined;
    },
  };
}

/** Has a page's requests answered from a recording, but for what the Registry says of itself and of nodes. */
export async function playBack(page, recording) {
  await page.route(/\/(network|qos|epochs)(\/|\?|$)/, async (route) => {
    const url = new URL(route.request().url());
    if (url.pathname === '/network') {
      const response = await route.fetch();
      return route.fulfill({ json: recording.network(await response.json()) });
    }
    const body = recording.answer(url);
    return body === undefined ? route.continue() : route.fulfill({ json: body });
  });
}
