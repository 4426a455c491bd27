/** Numbers and times of the status pages: a readable text, and the exact one beside it. */

/** `exact` is what `text` stands for, in full. */
export type Reading = { text: string; exact: string };

const decimals = 18;

/** Digits in groups of three, with thin spaces that do not break. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A whole number of wei as HUDL. */
export function hudl(wei: string | undefined): Reading {
  if (wei === undefined || !/^\d+$/.test(wei)) return { text: '–', exact: 'unknown' };
  const padded = wei.padStart(decimals + 1, '0');
  const whole = padded.slice(0, -decimals).replace(/^0+(?=\d)/, '');
  const fraction = padded.slice(-decimals).replace(/0+$/, '');
  const exact = `${grouped(whole)}${fraction && `.${fraction}`} HUDL`;
  const value = Number(`${whole}.${fraction || '0'}`);
  return { text: `${short(value)} HUDL`, exact };
}

/** 0, 0.0042, 3.14, 271, 82 k, 1.5 M, 1 bn. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const units: [number, string][] = [[1e12, 'tn'], [1e9, 'bn'], [1e6, 'M'], [1e4, 'k']];
  for (const [size, unit] of units) if (value >= size * 0.9995) return `${trim((value / (unit === 'k' ? 1e3 : size)).toPrecision(3))}\u00a0${unit}`;
  if (value >= 999.5) return grouped(String(Math.round(value)));
  if (value === 0) return '0';
  return value < 0.0001 ? '< 0.0001' : trim(value.toPrecision(3));
}

function trim(text: string): string {
  const plain = text.includes('e') ? String(Number(text)) : text;
  return plain.includes('.') ? plain.replace(/\.?0+$/, '') : plain;
}

/** Whole data credits, of which each is 10^-5 USD. */
export function credits(count: string | undefined): Reading {
  if (count === undefined || !/^\d+$/.test(count)) return { text: '–', exact: 'unknown' };
  const usd = Number(count) / 1e5;
  return { text: `${usd < 0.01 && usd > 0 ? '< 0.01' : usd.toFixed(2)} USD`, exact: `${grouped(count)} credits` };
}

/** A price in 10^-8 USD. */
export function price(price8: number | undefined): Reading {
  if (!price8) return { text: '–', exact: 'not recorded' };
  return { text: `${trim((price8 / 1e8).toPrecision(3))} USD`, exact: `${trim((price8 / 1e8).toFixed(8))} USD` };
}

/** Bytes, given as digits: amounts on the chain may be longer than a double. */
export function bytes(count: string | undefined): Reading {
  if (count === undefined || !/^\d+$/.test(count)) return { text: '–', exact: 'unknown' };
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  let value = Number(count);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return { text: `${trim(value.toPrecision(3))}\u00a0${units[unit]}`, exact: `${grouped(count)} bytes` };
}

export function mbps(value: number): Reading {
  const text = value >= 1000 ? `${trim((value / 1000).toPrecision(3))}\u00a0Gbit/s` : `${grouped(String(value))}\u00a0Mbit/s`;
  return { text, exact: `${grouped(String(value))} Mbit/s` };
}

/** A fraction of 1: 99.95 %, never rounded up to 100. */
export function percent(fraction: number): Reading {
  if (!Number.isFinite(fraction)) return { text: '–', exact: 'unknown' };
  const hundredths = Math.floor(fraction * 10_000 + 1e-9) / 100;
  return { text: `${trim(hundredths.toFixed(hundredths < 99 ? 1 : 2))}\u00a0%`, exact: String(fraction) };
}

/** A score between 0 and 1. */
export function score(value: number | undefined): Reading {
  if (value === undefined || !Number.isFinite(value)) return { text: '–', exact: 'unknown' };
  return { text: (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3), exact: String(value) };
}

/** The quality of a node. One that was not tested has 1 (registry.openapi.json); a tested one is hardly ever exactly that. */
export function quality(value: number): Reading {
  return value === 1 ? { text: 'not tested', exact: '1, as every node has until it is tested' } : score(value);
}

/** Basis points as percent. */
export function bps(value: number): Reading {
  return { text: `${trim((value / 100).toFixed(2))}\u00a0%`, exact: `${value} of 10 000` };
}

export function milliseconds(ms: number): Reading {
  return { text: ms < 9.95 ? `${ms.toFixed(1)}\u00a0ms` : `${Math.round(ms)}\u00a0ms`, exact: `${trim(ms.toFixed(3))} ms` };
}

/** How long: 4 s, 12 min, 3 h, 5 days. */
export function span(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** A time seen from now: just now, 4 min ago, in 3 h. */
export function relative(at: number, now: number): string {
  const away = at - now;
  if (Math.abs(away) < 2000) return 'just now';
  return away < 0 ? `${span(away)} ago` : `in ${span(away)}`;
}

/** 2026-11-23 01:32:01, in the reader's own zone, and in UTC as the exact one. */
export function clock(at: number): Reading {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return { text: '–', exact: 'unknown' };
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return {
    text: `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
    exact: date.toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC'),
  };
}

/** 0x12ab…89ef. */
export function shortId(id: string): string {
  return id.length > 15 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id;
}
