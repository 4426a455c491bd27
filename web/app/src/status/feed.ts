/** Asking the Registry: one answer of each address is kept, and asked for again only as "has it changed?". */

/**
 * `missing`: there is no such thing (yet). `away`: the Registry or what it asks cannot be reached; `value` is what it
 * said before, if it did.
 */
export type Answer<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'missing'; code: string }
  | { kind: 'away'; problem: string; value?: T };

type Kept = { tag: string; value: unknown };

/** Answers that are kept; the oldest go first. */
const most = 100;

export class Feed {
  private readonly kept = new Map<string, Kept>();

  constructor(
    private readonly fetcher: typeof fetch,
    private readonly timeout = 10_000,
  ) {}

  async get<T>(path: string): Promise<Answer<T>> {
    const before = this.kept.get(path);
    try {
      const response = await this.fetcher(path, {
        headers: before?.tag ? { 'If-None-Match': before.tag } : {},
        signal: AbortSignal.timeout(this.timeout),
        credentials: 'omit',
        cache: 'no-store',
      });
      if (response.status === 304 && before) return { kind: 'ok', value: before.value as T };
      if (response.ok) {
        const value = (await response.json()) as T;
        this.keep(path, { tag: response.headers.get('ETag') ?? '', value });
        return { kind: 'ok', value };
      }
      const { code, message } = await refusal(response);
      if (response.status === 404) return { kind: 'missing', code };
      return away(message || `the Registry answers ${response.status}`, before);
    } catch {
      return away('the Registry does not answer', before);
    }
  }

  private keep(path: string, kept: Kept): void {
    this.kept.delete(path);
    this.kept.set(path, kept);
    const [oldest] = this.kept.keys();
    if (this.kept.size > most && oldest !== undefined) this.kept.delete(oldest);
  }
}

function away<T>(problem: string, before: Kept | undefined): Answer<T> {
  return before ? { kind: 'away', problem, value: before.value as T } : { kind: 'away', problem };
}

async function refusal(response: Response): Promise<{ code: string; message: string }> {
  try {
    const body = (await response.json()) as { error?: { code?: unknown; message?: unknown } };
    return { code: String(body.error?.code ?? ''), message: String(body.error?.message ?? '') };
  } catch {
    return { code: '', message: '' };
  }
}

/** What an answer holds, old or new. */
export function valueOf<T>(answer: Answer<T> | undefined): T | undefined {
  return answer && answer.kind !== 'missing' ? answer.value : undefined;
}
