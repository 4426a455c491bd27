import { expect, it } from 'vitest';
import { bounds, height, isLand, landDots, project, width } from './land.ts';

it('knows land from sea where nobody would doubt it', () => {
  for (const [name, lat, lon] of [
    ['Kansas', 38, -98], ['Brazil', -10, -55], ['Germany', 50, 10], ['Congo', -2, 23], ['Siberia', 60, 100], ['India', 22, 78], ['Australia', -25, 135],
    ['Greenland', 70, -40], ['Madagascar', -19, 46], ['Borneo', 1, 114], ['Great Britain', 52.5, -1.5],
  ] as const) expect(isLand(lat, lon), name).toBe(true);
  for (const [name, lat, lon] of [
    ['Atlantic', 30, -40], ['Pacific', 0, -140], ['Indian Ocean', -20, 80], ['Black Sea', 43, 34], ['Caspian Sea', 40, 51], ['Gulf of Mexico', 25, -90],
    ['Hudson Bay', 59, -85], ['Mediterranean', 34, 20], ['Bay of Bengal', 13, 88],
  ] as const) expect(isLand(lat, lon), name).toBe(false);
});

it('projects into the map, whatever it is given', () => {
  expect(project(bounds.north, bounds.west)).toEqual({ x: 0, y: 0 });
  for (const [lat, lon] of [[90, 0], [-90, 180], [0, -180], [0, 180]] as const) {
    const { x, y } = project(lat, lon);
    expect(x).toBeGreaterThanOrEqual(0);
    expect(x).toBeLessThanOrEqual(width);
    expect(y).toBeGreaterThanOrEqual(0);
    expect(y).toBeLessThanOrEqual(height);
  }
  expect(project(0, -175).x).toBeCloseTo(project(0, 185).x);
});

it('draws a world that is small to send and has some thousand dots at most', () => {
  const dots = landDots(2.3).split('M').length - 1;
  expect(dots).toBeGreaterThan(1000);
  expect(dots).toBeLessThan(4000);
});
