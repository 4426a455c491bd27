/** Camera and microphone before the call: what they show, how loud it is, which devices there are. */

import { deviceSentence } from '../call/sentences.ts';
import { recall, remember } from './memory.ts';

export type Device = { id: string; label: string };
type Kind = 'camera' | 'microphone';

export class Preview {
  cameraOn = true;
  microphoneOn = true;
  cameraId = recall('camera');
  microphoneId = recall('microphone');
  /** Why a device did not open, or empty. */
  readonly problem: Record<Kind, string> = { camera: '', microphone: '' };
  readonly devices: Record<Kind, Device[]> = { camera: [], microphone: [] };
  /** Called when anything above changed. */
  onChange: () => void = () => undefined;

  private readonly tracks: Partial<Record<Kind, MediaStreamTrack>> = {};
  private sound: { context: AudioContext; analyser: AnalyserNode; samples: Float32Array<ArrayBuffer> } | undefined;
  private closed = false;

  get picture(): MediaStream | null {
    return this.tracks.camera ? new MediaStream([this.tracks.camera]) : null;
  }

  /** Loudness now, 0-1. */
  get level(): number {
    if (!this.sound) return 0;
    this.sound.analyser.getFloatTimeDomainData(this.sound.samples);
    const peak = this.sound.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    return Math.min(1, Math.sqrt(peak));
  }

  async open(): Promise<void> {
    // One question to the person for both devices, then each by itself so that one failure leaves the other.
    await Promise.all([this.start('microphone'), this.start('camera')]);
  }

  async toggle(kind: Kind): Promise<void> {
    if (kind === 'camera') this.cameraOn = !this.cameraOn;
    else this.microphoneOn = !this.microphoneOn;
    if (this.wanted(kind)) await this.start(kind);
    else this.stop(kind);
    this.onChange();
  }

  async choose(kind: Kind, id: string): Promise<void> {
    remember(kind, id);
    if (kind === 'camera') this.cameraId = id;
    else this.microphoneId = id;
    if (this.wanted(kind)) await this.start(kind);
  }

  close(): void {
    this.closed = true;
    this.stop('camera');
    this.stop('microphone');
    this.onChange = () => undefined;
  }

  private wanted(kind: Kind): boolean {
    return kind === 'camera' ? this.cameraOn : this.microphoneOn;
  }

  private async start(kind: Kind): Promise<void> {
    const id = kind === 'camera' ? this.cameraId : this.microphoneId;
    const wish: MediaTrackConstraints = id ? { deviceId: { ideal: id } } : {};
    try {
      if (!navigator.mediaDevices) throw new DOMException('no secure context', 'NotFoundError');
      const stream = await navigator.mediaDevices.getUserMedia(
        kind === 'camera' ? { video: { ...wish, width: { ideal: 1280 }, height: { ideal: 720 } } } : { audio: wish },
      );
      this.stop(kind);
      const track = stream.getTracks()[0];
      if (this.closed || !this.wanted(kind)) track?.stop();
      else if (track) this.take(kind, track);
      this.problem[kind] = '';
    } catch (error) {
      this.problem[kind] = deviceSentence(kind, error instanceof DOMException ? error.name : '');
      if (kind === 'camera') this.cameraOn = false;
      else this.microphoneOn = false;
    }
    await this.list(kind);
    this.onChange();
  }

  private take(kind: Kind, track: MediaStreamTrack): void {
    this.tracks[kind] = track;
    if (kind === 'camera') return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    this.sound = { context, analyser, samples: new Float32Array(analyser.fftSize) };
  }

  private stop(kind: Kind): void {
    this.tracks[kind]?.stop();
    delete this.tracks[kind];
    if (kind === 'microphone') {
      void this.sound?.context.close();
      this.sound = undefined;
    }
  }

  private async list(kind: Kind): Promise<void> {
    const wanted = kind === 'camera' ? 'videoinput' : 'audioinput';
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.devices[kind] = all
      .filter((device) => device.kind === wanted && device.deviceId !== '')
      .map((device, index) => ({ id: device.deviceId, label: device.label || `${kind} ${index + 1}` }));
  }
}
