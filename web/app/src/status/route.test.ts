import { expect, it } from 'vitest';
import { epochPath, nodePath, parseRoute } from './route.ts';

const id = `0x${'0a'.repeat(20)}`;

it('knows every page by its address', () => {
  expect(parseRoute('/status')).toEqual({ page: 'overview' });
  expect(parseRoute('/status/')).toEqual({ page: 'overview' });
  for (const page of ['nodes', 'epochs', 'payouts', 'tests']) expect(parseRoute(`/status/${page}`)).toEqual({ page });
  expect(parseRoute(nodePath(id))).toEqual({ page: 'node', id });
  expect(parseRoute(nodePath(id.toUpperCase().replace('0X', '0x')))).toEqual({ page: 'node', id });
  expect(parseRoute(epochPath(17))).toEqual({ page: 'epoch', number: 17 });
});

it('takes nothing else for a page', () => {
  for (const path of ['/', '/statusx', '/status/other', '/status/nodes/0x12', '/status/epochs/-1', '/status/epochs/1e9', '/status/epochs/1/leaves', '/status/payouts/3']) {
    expect(parseRoute(path), path).toEqual({ page: 'lost' });
  }
});
