/** Access tokens: asking the page's origin for one, and reading what a token says. */

export type TokenRequest = { identity: string; room: string; name: string };
export type Admission = { token: string; url: string };

/** Thrown with a sentence that can be shown as it is. */
export class AdmissionError extends Error {
  override readonly name = 'AdmissionError';
}

export async function requestToken(request: TokenRequest, fetcher: typeof fetch = fetch): Promise<Admission> {
  let response: Response;
  try {
    response = await fetcher('/api/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(request),
    });
  } catch {
    throw new AdmissionError('This page’s server did not answer. Is the network still running?');
  }
  if (!response.ok) {
    const said = (await response.text()).trim().slice(0, 200);
    throw new AdmissionError(`The server gave no token (${response.status}${said ? `: ${said}` : ''}).`);
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (!isAdmission(body)) throw new AdmissionError('The server’s answer held no token and address.');
  return body;
}

function isAdmission(body: unknown): body is Admission {
  if (typeof body !== 'object' || body === null) return false;
  const { token, url } = body as Record<string, unknown>;
  return typeof token === 'string' && token !== '' && typeof url === 'string' && url !== '';
}

export type TokenClaims = { identity: string; name: string; room: string };

/** Reads, without checking, whom and which room a token is for. Undefined if it is not a token. */
export function readClaims(token: string): TokenClaims | undefined {
  const payload = token.split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const video = (claims['video'] ?? {}) as Record<string, unknown>;
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    return { identity: text(claims['sub']), name: text(claims['name']), room: text(video['room']) };
  } catch {
    return undefined;
  }
}
