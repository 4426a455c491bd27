/** Small choices that survive a reload: name and devices. Nothing secret. */

export type Remembered = 'name' | 'camera' | 'microphone';

export function recall(key: Remembered): string {
  try {
    return localStorage.getItem(`drtc.${key}`) ?? '';
  } catch {
    return ''; // storage is switched off
  }
}

export function remember(key: Remembered, value: string): void {
  try {
    localStorage.setItem(`drtc.${key}`, value);
  } catch {
    // storage is switched off: the choice lasts for this page
  }
}
