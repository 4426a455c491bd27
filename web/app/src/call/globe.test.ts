import { expect, test } from 'vitest';
import { equator, graticule, project } from './globe.ts';

test('the centre is in the middle, north is up, east is right', () => {
  expect(project(50, 10, 50, 10).x).toBeCloseTo(0);
  expect(project(50, 10, 50, 10).y).toBeCloseTo(0);
  expect(project(60, 10, 50, 10).y).toBeLessThan(0);
  expect(project(50, 20, 50, 10).x).toBeGreaterThan(0);
});

test('the far side is not drawn', () => {
  expect(project(-50, -170, 50, 10).front).toBe(false);
});

test('every drawn point lies on the disc', () => {
  for (const [lat, lon] of [[0, 0], [52, 5], [-90, 0], [90, 180]] as const) {
    const numbers = [...(graticule(lat, lon, 50) + equator(lat, lon, 50)).matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)];
    expect(numbers.length).toBeGreaterThan(20);
    for (const [, x, y] of numbers) expect(Math.hypot(Number(x), Number(y))).toBeLessThan(50.2);
  }
});
