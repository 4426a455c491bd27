/**
 * One call: the client SDK's room, told as one plain state and a few events.
 * No DOM is touched here; the view attaches and detaches what is `Playable`.
 */

import {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionState,
  DisconnectReason,
  type LocalParticipant,
  type Participant,
  PublishTrackError,
  type RemoteParticipant,
  Room,
  RoomEvent,
  setLogLevel,
  Track,
} from 'livekit-client';
import { complete, measure, type NodeReport, parseReport, reportAddress } from './node-report.ts';
import { deviceSentence, endedSentence, joinSentence, publishSentence } from './sentences.ts';

export type Playable = {
  attach(element: HTMLMediaElement): unknown;
  detach(element: HTMLMediaElement): unknown;
};

export type Quality = 'excellent' | 'good' | 'poor' | 'lost' | 'unknown';

export type Tile = {
  key: string;
  identity: string;
  name: string;
  source: 'camera' | 'screen';
  local: boolean;
  muted: boolean;
  speaking: boolean;
  quality: Quality;
  video?: Playable;
  audio?: Playable;
};

export type Line = 'connecting' | 'connected' | 'signal-reconnecting' | 'reconnecting' | 'ended';

export type CallState = {
  line: Line;
  room: string;
  tiles: Tile[];
  microphone: boolean;
  camera: boolean;
  screen: boolean;
  mayPublish: boolean;
  maySend: boolean;
  /** The browser waits for a click before it plays sound. */
  silenced: boolean;
};

type Source = 'camera' | 'microphone' | 'screen';

export type Message = { id: string; from: string; own: boolean; text: string; at: number };

export type CallEvents = {
  change(state: CallState): void;
  message(message: Message): void;
  /** Something a person should read once. */
  notice(sentence: string, tone: 'info' | 'error'): void;
  /** The call is over, and why. */
  ended(sentence: string): void;
};

export type Start = {
  url: string;
  token: string;
  camera: boolean;
  microphone: boolean;
  cameraId: string;
  microphoneId: string;
};

/** Thrown by join with a sentence that can be shown as it is. */
export class JoinError extends Error {
  override readonly name = 'JoinError';
}

const chatTopic = 'lk.chat';

export class CallSession {
  private readonly room: Room;
  private changed = false;
  private reconnecting = false;
  /** What was asked for and is not done yet; the last word counts. */
  private readonly wanted = new Map<Source, { on: boolean; done: Promise<void> }>();

  constructor(
    private readonly start: Start,
    private readonly events: CallEvents,
  ) {
    setLogLevel('warn');
    this.room = new Room({
      adaptiveStream: true,
      dynacast: true,
      ...(start.cameraId ? { videoCaptureDefaults: { deviceId: start.cameraId } } : {}),
      ...(start.microphoneId ? { audioCaptureDefaults: { deviceId: start.microphoneId } } : {}),
    });
    this.listen();
  }

  async join(): Promise<void> {
    try {
      await this.room.connect(this.start.url, this.start.token);
    } catch (error) {
      throw new JoinError(joinFailure(error));
    }
    this.touch();
  }

  /** Sends what the lobby chose; failures become notices. */
  async publishChosen(): Promise<void> {
    if (!this.state().mayPublish) {
      this.events.notice('Your token does not permit you to publish: you can watch and listen.', 'info');
      return;
    }
    await Promise.all([
      this.start.microphone ? this.setMicrophone(true) : undefined,
      this.start.camera ? this.setCamera(true) : undefined,
    ]);
  }

  leave(): Promise<void> {
    return this.room.disconnect();
  }

  setMicrophone(on: boolean): Promise<void> {
    return this.publish('microphone', on, (self) => self.setMicrophoneEnabled(on));
  }

  setCamera(on: boolean): Promise<void> {
    return this.publish('camera', on, (self) => self.setCameraEnabled(on));
  }

  setScreen(on: boolean): Promise<void> {
    return this.publish('screen', on, (self) => self.setScreenShareEnabled(on, { audio: true }));
  }

  async send(text: string): Promise<void> {
    const self = this.room.localParticipant;
    const info = await self.sendText(text, { topic: chatTopic });
    this.events.message({ id: info.id, from: label(self), own: true, text, at: info.timestamp });
  }

  /** Asks the browser to play sound; call it from a click. */
  async unsilence(): Promise<void> {
    await this.room.startAudio();
    this.touch();
  }

  /** What is known about the node now: the Orchestrator's report, filled up with the client's own figures. */
  async report(): Promise<NodeReport> {
    const [told, own] = await Promise.all([this.askOrchestrator(), this.measureHere()]);
    return complete(told, own);
  }

  state(): CallState {
    const self = this.room.localParticipant;
    const people: Participant[] = [self, ...this.room.remoteParticipants.values()];
    return {
      line: lineOf(this.room.state),
      room: this.room.name,
      tiles: people.flatMap((person) => tilesOf(person, person === self)),
      microphone: this.wanted.get('microphone')?.on ?? self.isMicrophoneEnabled,
      camera: this.wanted.get('camera')?.on ?? self.isCameraEnabled,
      screen: this.wanted.get('screen')?.on ?? self.isScreenShareEnabled,
      mayPublish: self.permissions?.canPublish ?? true,
      maySend: self.permissions?.canPublishData ?? true,
      silenced: !this.room.canPlaybackAudio,
    };
  }

  private listen(): void {
    const touch = (): void => this.touch();
    for (const event of changing) this.room.on(event, touch);
    this.room
      .on(RoomEvent.ParticipantConnected, (person) => this.events.notice(`${label(person)} joined.`, 'info'))
      .on(RoomEvent.ParticipantDisconnected, (person) => this.events.notice(`${label(person)} left.`, 'info'))
      .on(RoomEvent.Disconnected, (reason) => {
        // The SDK gives no reason when it gave up reconnecting.
        const name = reason ? DisconnectReason[reason] : this.reconnecting ? 'CONNECTION_TIMEOUT' : '';
        this.events.ended(endedSentence(name ?? ''));
      })
      .on(RoomEvent.ConnectionStateChanged, (state) => {
        if (state === ConnectionState.Connected) this.reconnecting = false;
        if (state === ConnectionState.Reconnecting || state === ConnectionState.SignalReconnecting) this.reconnecting = true;
      })
      .on(RoomEvent.ParticipantPermissionsChanged, (before, person) => {
        if (person !== this.room.localParticipant || before === undefined) return;
        if (before.canPublish && person.permissions?.canPublish === false) {
          this.events.notice('You may no longer publish in this room.', 'error');
        }
      });
    this.room.registerTextStreamHandler(chatTopic, (reader, sender) => {
      void reader.readAll().then((text) => {
        const person = this.room.remoteParticipants.get(sender.identity);
        const from = person ? label(person) : sender.identity;
        this.events.message({ id: reader.info.id, from, own: false, text, at: reader.info.timestamp });
      });
    });
  }

  /** Coalesces the events of one turn into one change. */
  private touch(): void {
    if (this.changed) return;
    this.changed = true;
    queueMicrotask(() => {
      this.changed = false;
      this.events.change(this.state());
    });
  }

  /** One change of a source at a time and in order, so that a mute during the start is not lost. */
  private publish(what: Source, on: boolean, act: (self: LocalParticipant) => Promise<unknown>): Promise<void> {
    const before = this.wanted.get(what)?.done ?? Promise.resolve();
    const turn = async (): Promise<void> => {
      await before;
      try {
        await act(this.room.localParticipant);
      } catch (error) {
        this.events.notice(publishFailure(what, error), 'error');
      }
      if (this.wanted.get(what) === wish) this.wanted.delete(what);
      this.touch();
    };
    const wish = { on, done: Promise.resolve() };
    this.wanted.set(what, wish);
    this.touch();
    wish.done = turn();
    return wish.done;
  }

  private async askOrchestrator(): Promise<NodeReport> {
    // The Orchestrator renews the token during the call; the engine holds the newest.
    const token = this.room.engine?.['token'] ?? this.start.token;
    try {
      const response = await fetch(reportAddress(this.start.url, token), { signal: AbortSignal.timeout(2000) });
      return response.ok ? parseReport(await response.json()) : { reasons: [] };
    } catch {
      return { reasons: [] };
    }
  }

  private async measureHere(): Promise<ReturnType<typeof measure>> {
    const transports = this.room.engine?.pcManager;
    const entries: Record<string, unknown>[] = [];
    for (const transport of [transports?.publisher, transports?.subscriber]) {
      const stats = await transport?.getStats();
      stats?.forEach((entry: Record<string, unknown>) => entries.push(entry));
    }
    return measure(entries);
  }
}

const changing = [
  RoomEvent.ConnectionStateChanged,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.ParticipantPermissionsChanged,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.AudioPlaybackStatusChanged,
] as const;

function tilesOf(person: Participant, local: boolean): Tile[] {
  const common = {
    identity: person.identity,
    name: label(person),
    local,
    quality: person.connectionQuality as Quality,
  };
  const camera: Tile = {
    ...common,
    key: `${person.identity}/camera`,
    source: 'camera',
    muted: !person.isMicrophoneEnabled,
    speaking: person.isSpeaking,
    ...playables(person, Track.Source.Camera, Track.Source.Microphone, local),
  };
  if (!person.isScreenShareEnabled) return [camera];
  const screen: Tile = {
    ...common,
    key: `${person.identity}/screen`,
    source: 'screen',
    muted: false,
    speaking: false,
    ...playables(person, Track.Source.ScreenShare, Track.Source.ScreenShareAudio, local),
  };
  return [camera, screen];
}

function playables(
  person: Participant,
  videoSource: Track.Source,
  audioSource: Track.Source,
  local: boolean,
): { video?: Playable; audio?: Playable } {
  const video = person.getTrackPublication(videoSource);
  const audio = local ? undefined : person.getTrackPublication(audioSource);
  return {
    ...(video?.track && !video.isMuted ? { video: video.track } : {}),
    ...(audio?.track ? { audio: audio.track } : {}),
  };
}

function label(person: Participant | RemoteParticipant): string {
  return person.name || person.identity;
}

function lineOf(state: ConnectionState): Line {
  switch (state) {
    case ConnectionState.Connecting:
      return 'connecting';
    case ConnectionState.Connected:
      return 'connected';
    case ConnectionState.SignalReconnecting:
      return 'signal-reconnecting';
    case ConnectionState.Reconnecting:
      return 'reconnecting';
    case ConnectionState.Disconnected:
      return 'ended';
  }
}

function joinFailure(error: unknown): string {
  if (!(error instanceof ConnectionError)) return joinSentence({ kind: 'other', said: messageOf(error) });
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return joinSentence({ kind: 'refused', status: error.status ?? 0, said: error.message });
    case ConnectionErrorReason.ServerUnreachable:
      return joinSentence({ kind: 'unreachable' });
    case ConnectionErrorReason.Timeout:
      return joinSentence({ kind: 'timeout' });
    case ConnectionErrorReason.LeaveRequest:
      return joinSentence({ kind: 'told-to-leave', reason: DisconnectReason[Number(error.context)] ?? '' });
    default:
      return joinSentence({ kind: 'other', said: error.message });
  }
}

function publishFailure(what: Source, error: unknown): string {
  if (error instanceof PublishTrackError) return publishSentence(what, error.status === 403, error.message);
  if (error instanceof DOMException) return deviceSentence(what, error.name);
  return publishSentence(what, /permission/i.test(messageOf(error)), messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
