import { describe, expect, it } from 'vitest';
import { fraction, placeOf, readLeaves, readManifest, readTests } from './model.ts';

const id = (n: number): string => `0x${String(n).padStart(40, '0')}`;

describe('readTests', () => {
  it('reads what both sides measured', () => {
    const [test] = readTests({
      results: [{
        test: '0xab', epoch: 4, kind: 'capacity', prover: id(1), challenger: id(2), at: '2026-11-23T01:02:03Z', void: '', v_paper: 1, adequacy: 0.5, v: 0.5,
        scores: { bitrate: 1, latency: 0.9, loss: '500000000000000000' }, samples: 10, sampleSeconds: 1,
        sides: { prover: { bitrateKbps: 2500, rttMs: 30, loss: 0.01, samples: 10 }, challenger: { bitrateKbps: 2490 } },
      }],
    });
    expect(test).toEqual({
      test: '0xab', epoch: 4, kind: 'capacity', prover: id(1), challenger: id(2), at: '2026-11-23T01:02:03Z', void: '', vPaper: 1, adequacy: 0.5, v: 0.5,
      bitrateScore: 1, latencyScore: 0.9, lossScore: 0.5, seconds: 10,
      sides: { prover: { bitrateKbps: 2500, rttMs: 30, loss: 0.01, samples: 10 }, challenger: { bitrateKbps: 2490 } },
    });
  });
  it('leaves out what is no result, and believes no score that is none', () => {
    expect(readTests(undefined)).toEqual([]);
    expect(readTests({ results: 'x' })).toEqual([]);
    expect(readTests({ results: [null, 3, {}, { prover: id(1) }, { prover: 'javascript:x', challenger: id(2) }] })).toEqual([]);
    const [test] = readTests({ results: [{ prover: id(1), challenger: id(2), v: -1, v_paper: 'NaN', sides: { prover: 7 } }] });
    expect([test?.v, test?.vPaper, test?.sides.prover, test?.kind]).toEqual([undefined, undefined, undefined, 'quality']);
  });
});

describe('leaves and manifests', () => {
  it('reads scores as wads, and counters that no double holds as digits', () => {
    const [leaf] = readLeaves({ leaves: [{ node: id(3), availability: '1000000000000000000', quality: '250000000000000000', clientBytes: '79228162514264337593543950335', relayBytes: 0, provenMbps: 940 }] });
    expect(leaf).toEqual({ node: id(3), availability: 1, quality: 0.25, clientBytes: '79228162514264337593543950335', relayBytes: '0', provenMbps: 940 });
    expect(readLeaves({ leaves: [{ node: 'x' }, 5] })).toEqual([]);
  });
  it('counts evidence by kind', () => {
    expect(readManifest({ items: [{ kind: 'receipt' }, { kind: 'receipt' }, { kind: 'qos-order' }, 4] })).toEqual({ receipt: 2, 'qos-order': 1, other: 1 });
    expect(readManifest(null)).toEqual({});
  });
  it('tells wads from fractions', () => expect([1, 0.5, '1', 5e17, 'x', NaN, null].map(fraction)).toEqual([1, 0.5, 1e-18, 0.5, undefined, undefined, undefined]));
});

describe('placeOf', () => {
  it('reads a place and nothing else', () => {
    expect(placeOf({ geolocation: '38.95,-77.45' })).toEqual({ lat: 38.95, lon: -77.45 });
    for (const wrong of [undefined, '', '1', '91,0', '0,181', '1,2,3', 'a,b']) expect(placeOf(wrong === undefined ? {} : { geolocation: wrong })).toBeUndefined();
  });
});
