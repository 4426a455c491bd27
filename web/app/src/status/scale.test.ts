import { expect, it } from 'vitest';
import { labelled, line, ticks } from './scale.ts';

it('makes round marks that reach the greatest value', () => {
  for (const max of [1, 3, 7.5, 99, 380, 12_345, 0.0031]) {
    const marks = ticks(max);
    expect(marks[0]).toBe(0);
    expect(marks.at(-1)!, `${max}`).toBeGreaterThanOrEqual(max * 0.999);
    expect(marks.length).toBeLessThanOrEqual(6);
  }
  expect(ticks(380)).toEqual([0, 100, 200, 300, 400]);
  expect(ticks(1)).toEqual([0, 0.25, 0.5, 0.75, 1]);
  expect(ticks(0)).toEqual([0, 1]);
  expect(ticks(NaN)).toEqual([0, 1]);
});

it('labels some positions, the last among them', () => {
  expect(labelled(3, 10)).toEqual([0, 1, 2]);
  expect(labelled(46, 10).at(-1)).toBe(45);
  expect(labelled(46, 10).length).toBeLessThanOrEqual(10);
  expect(labelled(0, 5)).toEqual([]);
});

it('draws a gap where nothing is known', () => {
  expect(line([{ x: 0, y: 1 }, { x: 1, y: 2.26 }, undefined, { x: 3, y: 0 }])).toBe('M0 1L1 2.3M3 0');
  expect(line([])).toBe('');
});
