/** Line icons on a 24-unit grid, drawn for this page. */

import { svg } from './dom.ts';

const shapes = {
  microphone: '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
  microphoneOff:
    '<path d="M9 9v2a3 3 0 0 0 4.6 2.5M15 10.8V6a3 3 0 0 0-5.7-1.3M5.5 11.5a6.5 6.5 0 0 0 10 5.5M18.5 11.5c0 .9-.2 1.7-.5 2.5M12 18v3M4 4l16 16"/>',
  camera: '<rect x="3" y="6.5" width="12.5" height="11" rx="2.5"/><path d="m15.5 10.8 5.5-3v8.4l-5.5-3"/>',
  cameraOff:
    '<path d="M9.5 6.5H13a2.5 2.5 0 0 1 2.5 2.5v1.8l5.5-3v8.4l-2.5-1.4M15.2 16a2.5 2.5 0 0 1-2.2 1.5H5.5A2.5 2.5 0 0 1 3 15V9a2.5 2.5 0 0 1 2-2.450M4 4l16 16"/>',
  screen: '<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M9 20h6M12 13.5v-5M9.5 10.5 12 8l2.5 2.5"/>',
  chat: '<path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5z"/>',
  node: '<circle cx="12" cy="12" r="3"/><circle cx="5" cy="5.5" r="2"/><circle cx="19" cy="6.5" r="2"/><circle cx="17.5" cy="19" r="2"/><path d="m6.5 7 3.3 3M17.3 7.8l-2.9 2.4M16.4 17.3l-2.6-2.9"/>',
  leave: '<path d="M3.5 14.5c0-1.2.3-2.2 1-3 2-2 4.6-3 7.5-3s5.5 1 7.5 3c.7.8 1 1.8 1 3 0 .6-.5 1-1.1.9l-3-.6a1 1 0 0 1-.8-1v-2a11 11 0 0 0-7.2 0v2a1 1 0 0 1-.8 1l-3 .6c-.6.1-1.1-.3-1.1-.9z"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  link: '<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 1 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 1 0 11 18.7l1-1"/>',
  send: '<path d="M4 12 20 4.5 15.5 20l-4-6.5zM11.5 13.5 20 4.5"/>',
  full: '<path d="M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9M15 4h3.5A1.5 1.5 0 0 1 20 5.5V9M20 15v3.5a1.5 1.5 0 0 1-1.5 1.5H15M9 20H5.5A1.5 1.5 0 0 1 4 18.5V15"/>',
  swap: '<path d="M4 8.5h13M13.5 5 17 8.5 13.5 12M20 15.5H7M10.5 12 7 15.5l3.5 3.5"/>',
  warning: '<path d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.2"/>',
  sound: '<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9a4.5 4.5 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11"/>',
} as const;

export type IconName = keyof typeof shapes;

export function icon(name: IconName): SVGElement {
  return svg(`<svg viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">${shapes[name]}</svg>`, 'icon');
}
