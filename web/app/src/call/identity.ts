/** Identities: readable, and distinct for two people of the same name. */

const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';

/** "Ada Lovelace" and four random bytes become "ada-lovelace-k3x9". */
export function identityFor(name: string, random: Uint8Array): string {
  const slug = name
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 24);
  const suffix = [...random.subarray(0, 4)].map((byte) => alphabet[byte % alphabet.length]).join('');
  return `${slug || 'guest'}-${suffix}`;
}

/** Up to two letters that stand for a person whose camera is off. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => [...(word ?? '')][0] ?? '').join('').toUpperCase() || '?';
}

/** A hue (0-359) that stays the same for the same identity. */
export function hueOf(identity: string): number {
  let hash = 2166136261;
  for (const char of identity) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619) >>> 0;
  return hash % 360;
}
