import { expect, test } from 'vitest';
import * as format from './format.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [99_400, '99.4 kB'],
  [999_600, '1.0 MB'],
  [2.5e9, '2.5 GB'],
  [Number.NaN, '–'],
  [-1, '–'],
])('bytes(%d) is %s', (count, want) => {
  expect(format.bytes(count)).toBe(want);
});

test.each([
  [0, '0 kbit/s'],
  [62_500, '500 kbit/s'],
  [125_000, '1.0 Mbit/s'],
])('rate(%d) is %s', (speed, want) => {
  expect(format.rate(speed)).toBe(want);
});

test.each([
  [0, '0 %'],
  [0.002, '0.2 %'],
  [0.1, '10 %'],
  [7, '100 %'],
])('percent(%d) is %s', (fraction, want) => {
  expect(format.percent(fraction)).toBe(want);
});

test.each([
  [0, '0:00'],
  [61_500, '1:01'],
  [3_723_000, '1:02:03'],
])('elapsed(%d) is %s', (ms, want) => {
  expect(format.elapsed(ms)).toBe(want);
});

test('milliseconds, coordinates and shortId', () => {
  expect(format.milliseconds(1.25)).toBe('1.3 ms');
  expect(format.milliseconds(48.6)).toBe('49 ms');
  expect(format.coordinates(-33.87, 151.2)).toBe('33.9° S, 151.2° E');
  expect(format.shortId('0x8ba1f109551bd432803012645ac136ddd64dba72')).toBe('0x8ba1…ba72');
  expect(format.shortId('short')).toBe('short');
});
