/** The charts of the status pages. */

import { hudl, score } from '../../status/format.ts';
import type { Epoch, Payouts, Test } from '../../status/model.ts';
import { chart } from './chart.ts';

/** Epochs that a chart shows. */
const most = 60;

const number = (wei: string): number => Number(wei) / 1e18;

/** Every epoch from the first to the last of these, of which the newest are kept. */
function axisOf(epochs: readonly number[]): number[] {
  const last = Math.max(...epochs);
  const first = Math.max(Math.min(...epochs), last - most + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** What pools got in each epoch, together. */
export function payoutChart(key: string, title: string, payouts: readonly Payouts[], small: boolean, axis = axisOf(payouts.flatMap((p) => p.epochs.map((e) => e.epoch))), top?: number): HTMLElement {
  const wei = new Map<number, bigint>();
  for (const { epochs } of payouts) for (const e of epochs) wei.set(e.epoch, (wei.get(e.epoch) ?? 0n) + BigInt(e.wei));
  const values = axis.map((epoch) => wei.get(epoch));
  return chart({
    key, title, unit: 'HUDL', kind: 'bars', small, axisName: 'Epoch', axis: axis.map(String), ...(top === undefined ? {} : { top }),
    series: [{ name: 'HUDL', look: 1, values: values.map((v) => (v === undefined ? undefined : number(String(v)))), read: (i) => hudl(String(values[i] ?? 0n)) }],
  });
}

export { axisOf };

/** What epochs minted and burned. */
export function supplyChart(epochs: readonly Epoch[]): HTMLElement | undefined {
  const committed = epochs.filter((e) => e.mint_wei !== undefined);
  if (committed.length === 0) return undefined;
  const axis = axisOf(committed.map((e) => e.epoch));
  const of = new Map(committed.map((e) => [e.epoch, e]));
  const series = (name: string, look: number, pick: (e: Epoch) => string | undefined) => {
    const wei = axis.map((n) => {
      const e = of.get(n);
      return e && pick(e);
    });
    return { name, look, values: wei.map((w) => (w === undefined ? undefined : number(w))), read: (i: number) => hudl(wei[i]) };
  };
  return chart({
    key: 'supply', title: 'Minted and burned', unit: 'HUDL', kind: 'bars', axisName: 'Epoch', axis: axis.map(String),
    series: [series('Minted (M)', 1, (e) => e.mint_wei), series('Burned (B)', 2, (e) => e.settlement?.burn_wei)],
  });
}

/** Quality over tests, oldest first: what pays, and what the whitepaper's scores alone would say. */
export function qualityChart(tests: readonly Test[]): HTMLElement {
  const counted = tests.filter((t) => t.void === '').slice(0, most).reverse();
  return chart({
    key: 'quality', title: 'Quality over its tests', unit: '0 to 1', kind: 'lines', top: 1, axisName: 'Epoch', axis: counted.map((t) => String(t.epoch)),
    series: [
      { name: 'v', look: 1, values: counted.map((t) => t.v), read: (i) => score(counted[i]?.v) },
      { name: 'v_paper', look: 2, values: counted.map((t) => t.vPaper), read: (i) => score(counted[i]?.vPaper) },
    ],
  });
}
