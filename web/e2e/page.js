// Runs in the page, beside the unmodified client SDK: one participant that tests can command and question.

(() => {
  const { Room, Track, DisconnectReason, ConnectionErrorReason } = globalThis.LivekitClient;
  const events = [];
  const views = new Map(); // identity -> { video, frames }
  let room;

  const note = (name, detail = {}) => events.push({ name, at: performance.now(), ...detail });
  const text = (bytes) => new TextDecoder().decode(bytes);
  const waitFor = async (what, probe, limit = 15_000) => {
    const start = performance.now();
    for (;;) {
      const found = probe();
      if (found) return found;
      if (performance.now() - start > limit) throw new Error(`no ${what} within ${limit} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  if (globalThis.relayPorts) routeThrough(globalThis.relayPorts);

  /** Media goes to the relay's port instead of a node's; candidates that would go around it are dropped. */
  function routeThrough(ports) {
    const moved = (line) => {
      const parts = line.split(' ');
      const port = ports[parts[5]];
      if (parts[2]?.toLowerCase() !== 'udp' || port === undefined) return undefined;
      parts[4] = '127.0.0.1';
      parts[5] = String(port);
      return parts.join(' ');
    };
    const { setRemoteDescription, addIceCandidate } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
      const lines = description.sdp.split('\r\n').flatMap((line) => {
        if (!line.startsWith('a=candidate:')) return [line];
        const other = moved(line);
        return other === undefined ? [] : [other];
      });
      return setRemoteDescription.call(this, { type: description.type, sdp: lines.join('\r\n') });
    };
    RTCPeerConnection.prototype.addIceCandidate = function (candidate) {
      if (!candidate?.candidate) return addIceCandidate.call(this, candidate);
      const other = moved(candidate.candidate);
      if (other === undefined) return Promise.resolve();
      return addIceCandidate.call(this, { candidate: other, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex });
    };
  }

  function listen() {
    const who = (person) => ({ identity: person?.identity });
    room
      .on('participantConnected', (person) => note('participantConnected', who(person)))
      .on('participantDisconnected', (person) => note('participantDisconnected', who(person)))
      .on('trackPublished', (publication, person) => note('trackPublished', { source: publication.source, ...who(person) }))
      .on('trackSubscribed', (track, _, person) => {
        note('trackSubscribed', { source: track.source, ...who(person) });
        show(track, person.identity);
      })
      .on('trackUnsubscribed', (track, _, person) => note('trackUnsubscribed', { source: track.source, ...who(person) }))
      .on('trackMuted', (publication, person) => note('trackMuted', { source: publication.source, ...who(person) }))
      .on('trackUnmuted', (publication, person) => note('trackUnmuted', { source: publication.source, ...who(person) }))
      .on('activeSpeakersChanged', (people) => note('activeSpeakersChanged', { identities: people.map((person) => person.identity).join() }))
      .on('dataReceived', (payload, person, kind, topic) => note('dataReceived', { text: text(payload), reliable: kind === 0, topic, ...who(person) }))
      .on('connectionStateChanged', (state) => note('connectionStateChanged', { state }))
      .on('signalReconnecting', () => note('signalReconnecting'))
      .on('reconnecting', () => note('reconnecting'))
      .on('reconnected', () => note('reconnected'))
      .on('disconnected', (reason) => note('disconnected', { reason: DisconnectReason[reason] ?? String(reason) }));
  }

  const publicationOf = (identity, source = Track.Source.Camera) => room.remoteParticipants.get(identity)?.getTrackPublication(source);

  /** Plays what comes of somebody who is being watched, as a page does: after a full reconnect the tracks are new. */
  function show(track, identity) {
    const view = views.get(identity);
    if (!view) return;
    if (track.source === Track.Source.Camera) track.attach(view.video);
    if (track.source === Track.Source.Microphone) track.attach();
  }

  async function shown(identity, source) {
    const publication = await waitFor(`${source ?? 'camera'} of ${identity}`, () => {
      const found = publicationOf(identity, source);
      return found?.track ? found : undefined;
    });
    return publication.track;
  }

  async function inbound(track) {
    const totals = { bytes: 0, frames: 0, energy: 0, freezes: 0, codec: '' };
    const stats = await track?.receiver?.getStats();
    stats?.forEach((entry) => {
      if (entry.type !== 'inbound-rtp') return;
      totals.bytes += entry.bytesReceived;
      totals.frames += entry.framesDecoded ?? 0;
      totals.energy += entry.totalAudioEnergy ?? 0;
      totals.freezes += entry.freezeCount ?? 0;
      totals.codec = stats.get(entry.codecId)?.mimeType ?? totals.codec;
    });
    return totals;
  }

  /** Under which name the picture of a source is kept: a camera's is that of its owner. */
  const viewOf = (identity, source) => (source && source !== Track.Source.Camera ? `${identity} ${source}` : identity);

  globalThis.participant = {
    async join(url, token, options = {}) {
      room = new Room({ adaptiveStream: true, dynacast: true, ...options });
      globalThis.room = room; // for a person who debugs
      listen();
      const start = performance.now();
      await room.connect(url, token);
      return performance.now() - start;
    },

    async attempt(method, ...args) {
      try {
        await this[method](...args);
        return undefined;
      } catch (error) {
        const reason = error.name === 'ConnectionError' ? ConnectionErrorReason[error.reason] : undefined;
        return { name: error.name, message: error.message, status: error.status, reason };
      }
    },

    /** `publishing` are more publish options of the SDK, for camera and microphone. */
    async publish({ width = 640, height = 360, fps = 15, simulcast = true, audio = true, camera = true, ...publishing } = {}) {
      const me = room.localParticipant;
      const options = { simulcast, videoCodec: 'vp8', ...publishing };
      if (audio) await me.setMicrophoneEnabled(true, undefined, publishing);
      if (camera) await me.setCameraEnabled(true, { resolution: { width, height, frameRate: fps } }, options);
    },

    /** Shows a button that shares the screen when a person presses it, as browsers demand. */
    offerScreen(resolution, publishing) {
      const button = document.createElement('button');
      button.textContent = 'share';
      button.onclick = async () => {
        try {
          await room.localParticipant.setScreenShareEnabled(true, { audio: false, resolution }, publishing);
          note('screenShared');
        } catch (error) {
          note('screenRefused', { reason: `${error.name}: ${error.message}` });
        }
      };
      document.body.append(button);
    },

    async watch(identity, width, source) {
      const start = performance.now();
      const track = await shown(identity, source);
      const video = document.createElement('video');
      video.muted = true;
      video.autoplay = true;
      video.dataset.identity = identity;
      document.body.append(video);
      const view = { video, frames: [] };
      const key = viewOf(identity, source);
      views.set(key, view);
      this.resize(key, width);
      const frame = (now) => {
        view.frames.push(now);
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
      track.attach(video);
      const microphone = room.remoteParticipants.get(identity)?.getTrackPublication(Track.Source.Microphone);
      microphone?.track?.attach();
      await waitFor(`picture of ${identity}`, () => view.frames.length > 0);
      return performance.now() - start;
    },

    /** Plays somebody's microphone. */
    async hear(identity) {
      const track = await waitFor(`microphone of ${identity}`, () => publicationOf(identity, Track.Source.Microphone)?.track);
      track.attach();
    },

    resize(identity, width) {
      const { video } = views.get(identity);
      video.style.cssText = `display:block;width:${width}px;height:${Math.round((width * 9) / 16)}px`;
    },

    async media(identity, source) {
      const person = room.remoteParticipants.get(identity);
      const video = await inbound(publicationOf(identity, source)?.track);
      const audio = await inbound(person?.getTrackPublication(Track.Source.Microphone)?.track);
      const view = views.get(viewOf(identity, source));
      return {
        framesDecoded: video.frames,
        videoBytes: video.bytes,
        audioBytes: audio.bytes,
        audioEnergy: audio.energy,
        freezes: video.freezes,
        videoCodec: video.codec,
        audioCodec: audio.codec,
        width: view?.video.videoWidth ?? 0,
        height: view?.video.videoHeight ?? 0,
        shownFrames: view?.frames.length ?? 0,
      };
    },

    gap(identity, since) {
      const { frames } = views.get(identity);
      // The frame before `since` opens the first gap, the present closes the last one.
      const first = frames.findLastIndex((at) => at <= since);
      const times = [...frames.slice(Math.max(0, first)), performance.now()];
      return Math.max(...times.slice(1).map((at, index) => at - times[index]));
    },

    /** What the publisher sends of a track: frames of its source, and codec, mode and size of its largest encoding. */
    async outgoing(source = Track.Source.Camera) {
      const sender = room.localParticipant.getTrackPublication(source)?.track?.sender;
      const stats = await sender?.getStats();
      let largest = {};
      let frames = 0;
      stats?.forEach((entry) => {
        if (entry.type === 'media-source') frames = entry.frames ?? 0;
        if (entry.type !== 'outbound-rtp' || entry.active === false) return;
        const { frameWidth = 0, frameHeight = 0, scalabilityMode, encoderImplementation } = entry;
        if (frameWidth < (largest.frameWidth ?? 0)) return;
        largest = { frameWidth, frameHeight, scalabilityMode, encoderImplementation, codec: stats.get(entry.codecId)?.mimeType };
      });
      return { frames, ...largest };
    },

    /** Media types for which this browser has an encoder. */
    encoders: (kind) => [...new Set(RTCRtpSender.getCapabilities(kind).codecs.map((codec) => codec.mimeType))],

    /** What the publisher encodes: { rid: active } of its camera. */
    async encodings() {
      const sender = room.localParticipant.getTrackPublication(Track.Source.Camera)?.track?.sender;
      return Object.fromEntries((sender?.getParameters().encodings ?? []).map((one) => [one.rid ?? 'only', one.active]));
    },

    eventsOf(name) {
      return name === undefined ? events : events.filter((event) => event.name === name);
    },

    people() {
      return [...room.remoteParticipants.keys()].sort();
    },

    endScreen: () => room.localParticipant.setScreenShareEnabled(false),
    tracksOf: (identity) => [...(room.remoteParticipants.get(identity)?.trackPublications.values() ?? [])].map((one) => one.source),
    mute: (on) => room.localParticipant.setMicrophoneEnabled(!on),
    muteCamera: (on) => room.localParticipant.setCameraEnabled(!on),
    sendData: (words, reliable, topic) => room.localParticipant.publishData(new TextEncoder().encode(words), { reliable, topic }),
    simulate: (scenario) => room.simulateScenario(scenario),
    state: () => room.state,
    permissions: () => ({ ...room.localParticipant.permissions }),

    /** Pretends to have every permission, as a tampered client would. */
    pretend() {
      const me = room.localParticipant;
      Object.defineProperty(me, 'permissions', { value: { ...me.permissions, canPublish: true, canPublishSources: [] }, writable: true });
      me.hasPermissionsToPublish = () => true;
    },

    leave: () => room.disconnect(),

    /** For the log: everything seen and where the transports stand. */
    async dump() {
      const lines = events.map((event) => `event ${JSON.stringify(event)}`);
      const transports = room?.engine?.pcManager;
      for (const name of ['publisher', 'subscriber']) {
        const transport = transports?.[name];
        if (!transport) continue;
        lines.push(`${name} connection ${transport.getConnectionState()} ice ${transport.getICEConnectionState()}`);
        (await transport.getStats())?.forEach((entry) => {
          if (/^(candidate-pair|transport|inbound-rtp|outbound-rtp|remote-inbound-rtp)$/.test(entry.type)) lines.push(`${name} ${JSON.stringify(entry)}`);
        });
      }
      return lines;
    },
  };
})();
