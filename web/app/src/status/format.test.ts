import { describe, expect, it } from 'vitest';
import { bps, bytes, clock, credits, grouped, hudl, mbps, milliseconds, percent, price, quality, relative, score, short, shortId, span } from './format.ts';

const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, ' ');

describe('amounts', () => {
  it('shows HUDL short, and to the wei', () => {
    for (const [wei, text, exact] of [
      ['0', '0 HUDL', '0 HUDL'],
      ['1', '< 0.0001 HUDL', '0.000000000000000001 HUDL'],
      ['1500000000000000000', '1.5 HUDL', '1.5 HUDL'],
      ['999499000000000000000', '999 HUDL', '999.499 HUDL'],
      ['1234567000000000000000', '1 235 HUDL', '1 234.567 HUDL'],
      ['1000000000000000000000000000', '1 bn HUDL', '1 000 000 000 HUDL'],
      ['12345678000000000000000001', '12.3 M HUDL', '12 345 678.000000000000000001 HUDL'],
    ] as const) {
      const reading = hudl(wei);
      expect([plain(reading.text), plain(reading.exact)]).toEqual([text, exact]);
    }
  });
  it('shows a dash for what is not there or no number', () => {
    for (const wrong of [undefined, '', '-1', '1.5', 'x']) expect([hudl(wrong).text, bytes(wrong).text, credits(wrong).text]).toEqual(['–', '–', '–']);
    expect(price(undefined).text).toBe('–');
    expect(score(undefined).text).toBe('–');
    expect(percent(NaN).text).toBe('–');
  });
  it('shows credits in USD and prices from 10^-8', () => {
    expect(credits('500000')).toEqual({ text: '5.00 USD', exact: '500\u202f000 credits' });
    expect(credits('1').text).toBe('< 0.01 USD');
    expect(price(5_000_000)).toEqual({ text: '0.05 USD', exact: '0.05 USD' });
    expect(price(5_123_456)).toEqual({ text: '0.0512 USD', exact: '0.05123456 USD' });
  });
  it('shows bytes and rates in their units, and all digits beside', () => {
    expect(plain(bytes('999').text)).toBe('999 B');
    expect(plain(bytes('46612345678').text)).toBe('46.6 GB');
    expect(plain(bytes('100000000000000000000000').text)).toBe('100000 EB');
    expect(plain(bytes('46612345678').exact)).toBe('46 612 345 678 bytes');
    expect(plain(mbps(940).text)).toBe('940 Mbit/s');
    expect(plain(mbps(3000).text)).toBe('3 Gbit/s');
    expect(plain(bps(1250).text)).toBe('12.5 %');
    expect(plain(milliseconds(0.123).text)).toBe('0.1 ms');
    expect(grouped('1234567')).toBe('1\u202f234\u202f567');
  });
  it('never rounds a fraction up to perfect', () => {
    expect(plain(percent(0.99999).text)).toBe('99.99 %');
    expect(plain(percent(1).text)).toBe('100 %');
    expect(plain(percent(0.5).text)).toBe('50 %');
    expect(score(0.99999).text).toBe('0.999');
    expect(score(1).text).toBe('1.000');
  });
  it('says of a node with quality 1 that it was not tested', () => {
    expect(quality(1).text).toBe('not tested');
    expect(quality(0.9876).text).toBe('0.987');
  });
  it('shortens numbers without losing small ones', () => {
    expect([0, 0.00001, 0.0042, 3.14159, 271, 9234, 82_000, 1.5e6, 2e9, Infinity].map((n) => plain(short(n)))).toEqual(['0', '< 0.0001', '0.0042', '3.14', '271', '9 234', '82 k', '1.5 M', '2 bn', '–']);
  });
});

describe('times', () => {
  it('says how long ago and how long until', () => {
    const now = Date.UTC(2026, 10, 23, 12);
    expect([0, -30_000, -240_000, 3 * 3_600_000, -5 * 86_400_000].map((ms) => relative(now + ms, now))).toEqual(['just now', '30 s ago', '4 min ago', 'in 3 h', '5 days ago']);
    expect(span(59_600)).toBe('1 min');
  });
  it('gives the exact time in UTC', () => {
    expect(clock(Date.UTC(2026, 10, 23, 1, 2, 3)).exact).toBe('2026-11-23 01:02:03 UTC');
    expect(clock(NaN)).toEqual({ text: '–', exact: 'unknown' });
  });
  it('shortens an id', () => expect(shortId(`0x${'ab'.repeat(20)}`)).toBe('0xabab…abab'));
});
