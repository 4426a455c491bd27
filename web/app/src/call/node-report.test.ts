import { expect, test } from 'vitest';
import { complete, measure, parseReport, reportAddress } from './node-report.ts';

test.each([
  ['ws://h:7000', 'http://h:7000/drtc/v1/session?access_token=t'],
  ['wss://h/base/', 'https://h/base/drtc/v1/session?access_token=t'],
  ['http://h:1?x=1', 'http://h:1/drtc/v1/session?access_token=t'],
])('reportAddress of %s', (signal, want) => {
  expect(reportAddress(signal, 't')).toBe(want);
});

const full = {
  node: { id: '0x1', region: 'EU', place: { lat: 52.4, lon: 4.9 }, place_name: 'Amsterdam', version: '0.1' },
  rtt_ms: 12.5,
  loss: 0.01,
  up_bytes: 10,
  down_bytes: 20,
  reasons: ['nearest'],
};

test('parseReport reads every field', () => {
  expect(parseReport(full)).toEqual({
    node: { id: '0x1', region: 'EU', placeName: 'Amsterdam', version: '0.1', place: { lat: 52.4, lon: 4.9 } },
    rttMs: 12.5,
    loss: 0.01,
    upBytes: 10,
    downBytes: 20,
    reasons: ['nearest'],
  });
});

test.each([null, 7, [], {}, { node: null }, { node: { id: 5 } }, { rtt_ms: null }, { rtt_ms: 'fast', loss: -1, reasons: 'no' }])('parseReport of %j holds nothing', (body) => {
  expect(parseReport(body)).toEqual({ reasons: [] });
});

test('measure takes the nominated pair and the worst loss', () => {
  const own = measure([
    { type: 'candidate-pair', nominated: false, state: 'succeeded', currentRoundTripTime: 9, bytesSent: 1, bytesReceived: 1 },
    { type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.03, bytesSent: 100, bytesReceived: 200 },
    { type: 'remote-inbound-rtp', fractionLost: 0.1 },
    { type: 'remote-inbound-rtp', fractionLost: 0.02 },
    { type: 'codec' },
  ]);
  expect(own).toEqual({ rttMs: 30, loss: 0.1, upBytes: 100, downBytes: 200 });
});

test('complete prefers the report and fills its holes', () => {
  const own = { rttMs: 30, loss: 0.1, upBytes: 100, downBytes: 200 };
  expect(complete(parseReport(full), own)).toEqual(parseReport(full));
  expect(complete({ reasons: [] }, own)).toEqual({ reasons: [], ...own });
  expect(complete(parseReport({ ...full, rtt_ms: null }), own)).toEqual({ ...parseReport(full), rttMs: 30 });
  expect(complete({ reasons: [] }, measure([]))).toEqual({ reasons: [], upBytes: 0, downBytes: 0 });
});
