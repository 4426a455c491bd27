// Package webhook tells applications' servers what happens in their rooms, by
// POST requests that they can verify (docs/apps/room-service.md, whitepaper 4.1).
//
// The contract: NEVER IN THE WAY, AND IN ORDER. Notify takes an event at once,
// whatever the receiver does. For each URL the events of one room are sent one
// after the other, each until it has been taken or given up; rooms do not wait
// for each other. What waits is bounded: the oldest event goes when another one
// comes, and is counted.
//
//	Notify ─▶ queue of a URL ─▶ lanes, one room each at a time ─▶ POST
//	          (drops oldest)    (retry with backoff, then give up)
//
//	Authorization: <JWT of the application's key; sha256 is the body's hash, 5 min>
//	Content-Type:  application/webhook+json
//	body:          protobuf-JSON of WebhookEvent, with an id that retries keep
//
// Requests go to URLs that the operator wrote into the configuration and to
// nothing else: redirects are not followed and no proxy is read from the
// environment.
//
// This package, signal, wire and roomservice alone import the client protocol's
// module. It is a shell; a Sender is safe for concurrent use.
package webhook
