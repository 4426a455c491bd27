import { expect, test } from 'vitest';
import { arrange } from './grid.ts';

test.each([
  ['one on a wide screen', 1, 1200, 600, 1],
  ['two on a wide screen', 2, 1200, 600, 2],
  ['three on a wide screen', 3, 1240, 640, 2],
  ['two on a phone', 2, 340, 560, 1],
  ['nine on a wide screen', 9, 1200, 640, 3],
])('%s: columns', (_case, count, width, height, want) => {
  expect(arrange(count, width, height, 10).columns).toBe(want);
});

test('tiles never overflow the area and keep their shape', () => {
  for (let count = 1; count <= 30; count++) {
    for (const [width, height] of [[340, 560], [1240, 640], [800, 800], [200, 900]] as const) {
      const grid = arrange(count, width, height, 10);
      const where = `${count} tiles in ${width}x${height}`;
      expect(grid.columns * grid.rows, where).toBeGreaterThanOrEqual(count);
      expect(grid.columns * grid.width + (grid.columns - 1) * 10, where).toBeLessThanOrEqual(width);
      expect(grid.rows * grid.height + (grid.rows - 1) * 10, where).toBeLessThanOrEqual(height);
      expect(grid.width / grid.height, where).toBeGreaterThan(0.7);
      expect(grid.width / grid.height, where).toBeLessThan(1.9);
    }
  }
});

test('nothing to show and no room do not divide by zero', () => {
  expect(arrange(0, 800, 600, 10).columns).toBe(1);
  expect(arrange(3, 0, 0, 10)).toMatchObject({ width: 0, height: 0 });
});
