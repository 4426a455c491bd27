import { describe, expect, it } from 'vitest';
import { Feed, valueOf } from './feed.ts';

type Asked = { path: string; tag: string | undefined };

function server(...answers: (Response | Error)[]): { feed: Feed; asked: Asked[] } {
  const asked: Asked[] = [];
  const feed = new Feed(((path: string, init?: RequestInit) => {
    asked.push({ path, tag: (init?.headers as Record<string, string>)['If-None-Match'] });
    const answer = answers.shift() ?? new Error('nobody listens');
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }) as typeof fetch);
  return { feed, asked };
}

const json = (body: unknown, status = 200, tag = ''): Response => new Response(JSON.stringify(body), { status, headers: tag ? { ETag: tag } : {} });

describe('Feed', () => {
  it('asks again only whether it changed', async () => {
    const { feed, asked } = server(json({ n: 1 }, 200, '"a"'), new Response(null, { status: 304 }), json({ n: 2 }, 200, '"b"'));
    expect(await feed.get('/x')).toEqual({ kind: 'ok', value: { n: 1 } });
    expect(await feed.get('/x')).toEqual({ kind: 'ok', value: { n: 1 } });
    expect(await feed.get('/x')).toEqual({ kind: 'ok', value: { n: 2 } });
    expect(asked.map((one) => one.tag)).toEqual([undefined, '"a"', '"a"']);
  });
  it('tells what is not there from what cannot be asked', async () => {
    const { feed } = server(json({ error: { code: 'no_chain', message: 'none' } }, 404), json({ error: { code: 'chain_away', message: 'the chain does not answer' } }, 503), new Error('x'), new Response('<html>', { status: 502 }));
    expect(await feed.get('/x')).toEqual({ kind: 'missing', code: 'no_chain' });
    expect(await feed.get('/x')).toEqual({ kind: 'away', problem: 'the chain does not answer' });
    expect(await feed.get('/x')).toEqual({ kind: 'away', problem: 'the Registry does not answer' });
    expect(await feed.get('/x')).toEqual({ kind: 'away', problem: 'the Registry answers 502' });
  });
  it('keeps what was said while the Registry is away', async () => {
    const { feed } = server(json({ n: 1 }));
    await feed.get('/x');
    const answer = await feed.get<{ n: number }>('/x');
    expect([answer.kind, valueOf(answer)]).toEqual(['away', { n: 1 }]);
  });
  it('keeps a bounded number of answers', async () => {
    const { feed, asked } = server(...Array.from({ length: 103 }, (_, i) => json(i, 200, `"${i}"`)));
    for (let i = 0; i < 102; i++) await feed.get(`/${i}`);
    await feed.get('/0');
    expect(asked.at(-1)).toEqual({ path: '/0', tag: undefined });
  });
});
