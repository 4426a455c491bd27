/** A WHEP player: one offer, an answer, media. It goes on by itself when the line or the Media Node is lost. */

import type { WatchState } from './sentences.ts';

export type Section = 'audio' | 'camera' | 'screen';

export type PlayerEvents = {
  state: (state: WatchState) => void;
  track: (section: Section, track: MediaStreamTrack) => void;
};

export type PlayerConfig = {
  /** The WHEP endpoint. */
  address: string;
  /** Called for every new session: a token may have expired meanwhile. */
  token: () => Promise<string>;
};

/** What arrived in one second: decoded pictures and bytes of sound. */
type Arrival = { camera: number; screen: number; sound: number };

const secondsToRetry = [1, 2, 4, 8];
/** A picture that does not move for so long is none. */
const stillSeconds = 3;

export class Player {
  private connection: RTCPeerConnection | undefined;
  private session = '';
  private bearer = '';
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;
  private before: Arrival = { camera: 0, screen: 0, sound: 0 };
  private still = { camera: stillSeconds, screen: stillSeconds, sound: stillSeconds };
  private over = false;
  private attempt = 0;
  /** Which section moves; the view lays out by it. */
  showing: { camera: boolean; screen: boolean } = { camera: false, screen: false };

  constructor(
    private readonly config: PlayerConfig,
    private readonly events: PlayerEvents,
  ) {}

  /** Begins, or begins anew at once. */
  async start(): Promise<void> {
    const attempt = ++this.attempt;
    this.over = false;
    this.close();
    this.events.state({ kind: 'connecting' });
    if (!navigator.onLine) {
      this.events.state({ kind: 'offline' });
      return; // the page calls start again when the line is back
    }
    const connection = this.connect();
    try {
      await connection.setLocalDescription(await connection.createOffer());
      const bearer = await this.config.token();
      const response = await fetch(this.config.address, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${bearer}` },
        body: connection.localDescription!.sdp,
      });
      const text = await response.text();
      const session = new URL(response.headers.get('Location') ?? '', this.config.address).toString();
      if (this.over || attempt !== this.attempt) {
        if (response.status === 201) this.leave(session, bearer);
        return;
      }
      if (response.status !== 201) {
        this.refused(response.status, text, Number(response.headers.get('Retry-After') ?? 0));
        return;
      }
      this.session = session;
      this.bearer = bearer;
      await connection.setRemoteDescription({ type: 'answer', sdp: text });
    } catch (error) {
      if (attempt !== this.attempt || this.over) return;
      if (error instanceof TypeError) this.retry('The Orchestrator did not answer.');
      else this.refused(0, error instanceof Error ? error.message : String(error), 0);
    }
  }

  /** Ends for good. */
  stop(): void {
    this.over = true;
    this.attempt++;
    this.close();
    this.events.state({ kind: 'stopped' });
  }

  /** The line is gone: says so and waits. */
  offline(): void {
    if (!this.over) this.events.state({ kind: 'offline' });
  }

  private connect(): RTCPeerConnection {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.connection = connection;
    const sections = new Map<RTCRtpTransceiver, Section>();
    sections.set(connection.addTransceiver('audio', { direction: 'recvonly' }), 'audio');
    sections.set(connection.addTransceiver('video', { direction: 'recvonly' }), 'camera');
    sections.set(connection.addTransceiver('video', { direction: 'recvonly' }), 'screen');
    connection.ontrack = ({ transceiver, track }) => {
      const section = sections.get(transceiver);
      if (section) this.events.track(section, track);
    };
    connection.onconnectionstatechange = () => {
      if (this.connection !== connection || this.over) return;
      if (connection.connectionState === 'connected') this.connected(connection, sections);
      else if (['failed', 'closed'].includes(connection.connectionState)) this.retry('');
    };
    return connection;
  }

  private connected(connection: RTCPeerConnection, sections: Map<RTCRtpTransceiver, Section>): void {
    this.failures = 0;
    clearInterval(this.watch);
    this.report();
    this.watch = setInterval(() => void this.look(connection, sections), 1000);
  }

  /** Every second: what arrived since the last look. */
  private async look(connection: RTCPeerConnection, sections: Map<RTCRtpTransceiver, Section>): Promise<void> {
    const now: Arrival = { camera: 0, screen: 0, sound: 0 };
    for (const [transceiver, section] of sections) {
      const report = await transceiver.receiver.getStats();
      report.forEach((entry: { type: string; framesDecoded?: number; bytesReceived?: number }) => {
        if (entry.type !== 'inbound-rtp') return;
        if (section === 'audio') now.sound += entry.bytesReceived ?? 0;
        else now[section] += entry.framesDecoded ?? 0;
      });
    }
    if (this.connection !== connection || this.over || !navigator.onLine) return;
    for (const what of ['camera', 'screen', 'sound'] as const) this.still[what] = now[what] > this.before[what] ? 0 : this.still[what] + 1;
    this.before = now;
    this.report();
  }

  private report(): void {
    this.showing = { camera: this.still.camera < stillSeconds, screen: this.still.screen < stillSeconds };
    this.events.state({ kind: 'connected', picture: this.showing.camera || this.showing.screen, sound: this.still.sound < stillSeconds });
  }

  private refused(status: number, said: string, after: number): void {
    if (status === 503 || status === 429 || status === 408 || status === 409 || status >= 500) {
      this.retry(said, after);
      return;
    }
    this.close();
    this.events.state({ kind: 'refused', status, said });
  }

  private retry(said: string, after = 0): void {
    this.close();
    const seconds = Math.max(after, secondsToRetry[Math.min(this.failures, secondsToRetry.length - 1)] ?? 1);
    this.failures++;
    this.events.state(navigator.onLine ? { kind: 'retrying', seconds, said } : { kind: 'offline' });
    this.timer = setTimeout(() => void this.start(), seconds * 1000);
  }

  private close(): void {
    clearTimeout(this.timer);
    clearInterval(this.watch);
    this.still = { camera: stillSeconds, screen: stillSeconds, sound: stillSeconds };
    this.before = { camera: 0, screen: 0, sound: 0 };
    this.showing = { camera: false, screen: false };
    const connection = this.connection;
    this.connection = undefined;
    connection?.close();
    if (this.session) this.leave(this.session, this.bearer);
    this.session = '';
  }

  /** Ends a session at the server; also when the page is being closed. */
  private leave(session: string, bearer: string): void {
    void fetch(session, { method: 'DELETE', keepalive: true, headers: { Authorization: `Bearer ${bearer}` } }).catch(() => undefined);
  }
}
