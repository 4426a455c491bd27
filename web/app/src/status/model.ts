/** What the Registry answers, as docs/protocol/status.md has it. */

export type State = 'up' | 'suspect' | 'unknown' | 'down';

export type Network = {
  registry: string;
  network: string;
  version: string;
  development?: boolean;
  registries: { registry: string; url?: string; place?: Place }[];
  nodes: { states: Partial<Record<State, number>>; regions: Record<string, number>; capacityMbps: number; loadMbps: number; sessions: number; owners: number };
  chain?: Chain;
  chainProblem?: string;
  chainReadAt?: string;
};

export type Place = { lat: number; lon: number };

export type Chain = {
  chain_id: number;
  contracts: Record<string, string>;
  block: number;
  block_time: string;
  epoch: number;
  genesis: string;
  epoch_seconds: number;
  last_epoch?: number;
  claimable_from?: string;
  paused?: boolean;
  supply_wei: string;
  hudl_wei: string;
  beta_bps: number;
  keys_sold: number;
  pools: number;
  committee: string[];
  quorum: number;
  from: number;
};

export type Node = {
  nodeId: string;
  region?: string;
  geolocation?: string;
  url?: string;
  pubKey?: string;
  version?: string;
  capacityMbps: number;
  loadMbps: number;
  cores?: number;
  features?: string[];
  mediaAddresses?: string[];
  maxSessions?: number;
  sessions: number;
  placeName?: string;
  owner?: string;
  draining?: boolean;
  generation: string;
  seq: string;
  issuedAt: string;
  expiresAt: string;
  quality: number;
  availability: number;
  state: State;
  placeVerdict?: string;
};

export type NodeDetail = {
  node: Node;
  since?: string;
  votes: { registry: string; place?: Place; absent?: boolean; down?: boolean; answeredAt?: string; rttMinMs?: number; rttMedianMs?: number }[];
  place: { finding: string; reasons: string[]; discs: { prober: string; center: Place; rttMs: number; radiusKm: number; distanceKm: number }[] };
};

export type Epoch = {
  epoch: number;
  begins: string;
  ends: string;
  status: string;
  low8?: number;
  high8?: number;
  r_max_wei?: string;
  parameters_version?: number;
  root?: string;
  previous_root?: string;
  data_hash?: string;
  transaction?: string;
  block?: number;
  committed_at?: string;
  claimable_from?: string;
  leaf_count?: number;
  charge_count?: number;
  total_bytes?: string;
  reward_total_wei?: string;
  mint_wei?: string;
  signers?: string[];
  cut?: boolean;
  paid_wei: string;
  charges?: { application: string; orchestrator: string; bytes: string }[];
  settlement?: { consumed_credits: string; received_wei: string; burn_wei: string; filler_wei: string; supply_wei: string; beta_bps: number };
};

export type Pool = {
  node: string;
  address: string;
  operator: string;
  number: number;
  commission_bps: number;
  next_commission_bps: number;
  keys: number;
  counting: number;
  most: number;
  proven_mbps: number;
  last_epoch?: number;
  per_key_wei: string;
  paid_wei: string;
};

/** Of every answer out of the chain: why it may be old, and how old it is. */
export type FromChain = { problem?: string; readAt?: string };

export type EpochList = FromChain & { epochs: Epoch[] };
export type OneEpoch = FromChain & { epoch: Epoch };
export type PoolList = FromChain & { pools: Pool[] };
export type PayoutList = FromChain & { payouts: Payouts[] };

export type Payouts = { node: string; epochs: { epoch: number; wei: string }[] };

/** What one side of a test measured. */
export type Side = { bitrateKbps?: number; rttMs?: number; loss?: number; samples?: number };

/** The result of one test of one pair. */
export type Test = {
  test: string;
  epoch: number;
  at?: string;
  kind: string;
  prover: string;
  challenger: string;
  /** Why it says nothing; empty when it counts. */
  void: string;
  vPaper?: number;
  adequacy?: number;
  v?: number;
  bitrateScore?: number;
  latencyScore?: number;
  lossScore?: number;
  /** How long it took, if it is said. */
  seconds?: number;
  sides: { prover?: Side; challenger?: Side };
};

export type Leaf = {
  node: string;
  previousEpoch?: number;
  availability?: number;
  history?: number;
  location?: number;
  coverage?: number;
  quality?: number;
  clientBytes: string;
  relayBytes: string;
  provenMbps: number;
};

/** A test as long as the whitepaper wants it (4.3.8), in seconds; a shorter one is of a development network. */
export const fullTest = 20 * 60;

type Fields = Record<string, unknown>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const whole = (value: unknown): number => (Number.isSafeInteger(Number(value)) && value !== '' ? Number(value) : 0);

/** A score as a fraction of 1, or as a wad (its digits, or a number above 1). */
export function fraction(value: unknown): number | undefined {
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value) / 1e18;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return value > 1 ? value / 1e18 : value;
}

function measured(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function side(value: unknown): Side | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const f = fields(value);
  return defined({ bitrateKbps: measured(f.bitrateKbps), rttMs: measured(f.rttMs), loss: measured(f.loss), samples: measured(f.samples) });
}

/** Without what is undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Reads GET /qos/results; what is no result is left out. */
export function readTests(body: unknown): Test[] {
  const list = fields(body).results;
  if (!Array.isArray(list)) return [];
  return list.map(fields).flatMap((f): Test[] => {
    if (!isId(f.prover) || !isId(f.challenger)) return [];
    const scores = fields(f.scores);
    const sides = fields(f.sides);
    const samples = measured(f.samples);
    const every = measured(f.sampleSeconds);
    return [
      {
        test: text(f.test), epoch: whole(f.epoch), kind: text(f.kind) || 'quality', prover: f.prover, challenger: f.challenger, void: text(f.void),
        ...defined({
          at: text(f.at) || undefined, vPaper: fraction(f.v_paper), adequacy: fraction(f.adequacy), v: fraction(f.v),
          bitrateScore: fraction(scores.bitrate), latencyScore: fraction(scores.latency), lossScore: fraction(scores.loss),
          seconds: samples !== undefined && every !== undefined ? samples * every : undefined,
        }),
        sides: defined({ prover: side(sides.prover), challenger: side(sides.challenger) }),
      },
    ];
  });
}

/** Reads GET /epochs/N/leaves. */
export function readLeaves(body: unknown): Leaf[] {
  const list = fields(body).leaves;
  if (!Array.isArray(list)) return [];
  return list.map(fields).flatMap((f): Leaf[] => {
    if (!isId(f.node)) return [];
    return [
      {
        node: f.node, clientBytes: digits(f.clientBytes), relayBytes: digits(f.relayBytes), provenMbps: whole(f.provenMbps),
        ...defined({
          availability: fraction(f.availability), history: fraction(f.history), location: fraction(f.location),
          coverage: fraction(f.coverage), quality: fraction(f.quality),
        }),
      },
    ];
  });
}

/** Reads GET /epochs/N/manifest: how many items of evidence there are of each kind. */
export function readManifest(body: unknown): Record<string, number> {
  const list = fields(body).items;
  const counts: Record<string, number> = {};
  if (Array.isArray(list)) for (const item of list) counts[text(fields(item).kind) || 'other'] = (counts[text(fields(item).kind) || 'other'] ?? 0) + 1;
  return counts;
}

function digits(value: unknown): string {
  if (typeof value === 'string' && /^\d+$/.test(value)) return value;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? String(value) : '0';
}

export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^0x[0-9a-f]{40}$/.test(value);
}

export function placeOf(node: { geolocation?: string }): Place | undefined {
  const [lat, lon, more] = (node.geolocation ?? '').split(',').map(Number);
  if (lat === undefined || lon === undefined || more !== undefined || !(Math.abs(lat) <= 90) || !(Math.abs(lon) <= 180)) return undefined;
  return { lat, lon };
}
