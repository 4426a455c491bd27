import { expect, test } from 'vitest';
import { hueOf, identityFor, initials } from './identity.ts';

const random = new Uint8Array([0, 1, 2, 255]);

test.each([
  ['Ada Lovelace', /^ada-lovelace-[a-z2-9]{4}$/],
  ['  ', /^guest-/],
  ['Žofie & Ørsted!', /^zofie-ørsted-/],
  ['x'.repeat(80), /^x{24}-/],
])('identityFor(%j)', (name, shape) => {
  expect(identityFor(name, random)).toMatch(shape);
});

test('identityFor differs for two people of one name', () => {
  expect(identityFor('Ada', random)).not.toBe(identityFor('Ada', new Uint8Array([9, 9, 9, 9])));
});

test.each([
  ['Ada', 'A'],
  ['ada king lovelace', 'AL'],
  ['', '?'],
  ['👩‍🚀 Sally', '👩S'],
])('initials(%j) is %j', (name, want) => {
  expect(initials(name)).toBe(want);
});

test('hueOf is stable and within the circle', () => {
  expect(hueOf('ada-1')).toBe(hueOf('ada-1'));
  expect(hueOf('ada-1')).not.toBe(hueOf('ada-2'));
  expect(hueOf('')).toBeGreaterThanOrEqual(0);
  expect(hueOf('ada-1')).toBeLessThan(360);
});
