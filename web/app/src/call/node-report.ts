/** What the Orchestrator tells about the Media Node that carries this session. */

export type NodeReport = {
  node?: {
    id: string;
    region: string;
    placeName: string;
    version: string;
    place?: { lat: number; lon: number };
  };
  /** Round trip client to node in ms; absent when not measured yet. */
  rttMs?: number;
  /** Fraction of packets lost, 0-1. */
  loss?: number;
  upBytes?: number;
  downBytes?: number;
  /** Why this node was chosen, one sentence each. */
  reasons: string[];
};

/** `GET /drtc/v1/session` beside the signalling address. */
export function reportAddress(signalUrl: string, token: string): string {
  const address = new URL(signalUrl);
  address.protocol = address.protocol.replace(/^ws/, 'http');
  address.pathname = address.pathname.replace(/\/+$/, '') + '/drtc/v1/session';
  address.search = new URLSearchParams({ access_token: token }).toString();
  return address.toString();
}

/** Reads an answer of unknown shape; what is missing or of the wrong type stays out. */
export function parseReport(body: unknown): NodeReport {
  const report: NodeReport = { reasons: [] };
  const root = record(body);
  const node = record(root['node']);
  if (typeof node['id'] === 'string' && node['id'] !== '') {
    const place = record(node['place']);
    const lat = number(place['lat']);
    const lon = number(place['lon']);
    report.node = {
      id: node['id'],
      region: text(node['region']),
      placeName: text(node['place_name']),
      version: text(node['version']),
      ...(lat !== undefined && lon !== undefined ? { place: { lat, lon } } : {}),
    };
  }
  const rtt = number(root['rtt_ms']);
  const loss = number(root['loss']);
  const up = number(root['up_bytes']);
  const down = number(root['down_bytes']);
  if (rtt !== undefined && rtt >= 0) report.rttMs = rtt;
  if (loss !== undefined && loss >= 0) report.loss = Math.min(1, loss);
  if (up !== undefined) report.upBytes = up;
  if (down !== undefined) report.downBytes = down;
  if (Array.isArray(root['reasons'])) {
    report.reasons = root['reasons'].filter((reason): reason is string => typeof reason === 'string').slice(0, 8);
  }
  return report;
}

export type ClientMeasure = { rttMs?: number; loss?: number; upBytes: number; downBytes: number };

/** The client's own view, from RTCPeerConnection.getStats: the fallback for what the report does not hold. */
export function measure(stats: Iterable<Record<string, unknown>>): ClientMeasure {
  const result: ClientMeasure = { upBytes: 0, downBytes: 0 };
  let worst: number | undefined;
  for (const entry of stats) {
    switch (entry['type']) {
      case 'candidate-pair': {
        const rtt = number(entry['currentRoundTripTime']);
        if (entry['nominated'] === true && entry['state'] === 'succeeded') {
          if (rtt !== undefined) result.rttMs = rtt * 1000;
          result.upBytes += number(entry['bytesSent']) ?? 0;
          result.downBytes += number(entry['bytesReceived']) ?? 0;
        }
        break;
      }
      case 'remote-inbound-rtp': {
        const lost = number(entry['fractionLost']);
        if (lost !== undefined) worst = Math.max(worst ?? 0, lost);
        break;
      }
    }
  }
  if (worst !== undefined) result.loss = worst;
  return result;
}

/** The report, with the client's own figures where the Orchestrator gave none. */
export function complete(report: NodeReport, own: ClientMeasure): NodeReport {
  const rttMs = report.rttMs ?? own.rttMs;
  const loss = report.loss ?? own.loss;
  return {
    ...report,
    upBytes: report.upBytes ?? own.upBytes,
    downBytes: report.downBytes ?? own.downBytes,
    ...(rttMs !== undefined ? { rttMs } : {}),
    ...(loss !== undefined ? { loss } : {}),
  };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
