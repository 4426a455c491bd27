// Package room is the state machine of one room (whitepaper 4.1): who is in it,
// what they publish, who may see and who does see it, and on which Media Node
// each of them is.
//
// The contract: EVERY CHANGE IS A COMMAND, EVERY CONSEQUENCE IS AN EFFECT. The
// owner hands commands to Handle (from clients, from Media Nodes, from the
// choice of a node) and carries out the effects that it returns, in order:
//
//	client ──▶ Offer, AddTrack, Mute … ─┐            ┌─▶ ToClient, CloseClient
//	node   ──▶ TrackLive, NodeLost …   ─┼─▶ Handle ──┼─▶ ToNode
//	clock  ──▶ HandleTimeout           ─┘            └─▶ NeedPlan, Refuse, Ended
//
// Effects for one client must reach it in order, and so must the node commands
// of one session; nothing else is ordered. Results of node commands come back
// as commands (SessionOpened, Offered, Subscribed …).
//
// Rules that hold after every call: the version of a participant rises with
// every change that others see; nobody hears of a hidden participant; nobody is
// subscribed to a track that its publisher's permission forbids; a participant
// is announced before its tracks, and its tracks before the SDP that carries
// them; after a participant left nothing refers to it.
//
// One who joins anew after it was told to, or after its connection was lost, is
// told of everybody at once and then of nothing new for a calm time, because its
// client hands no events on while a reconnect is open.
//
// Every member has one home node, which the owner's plan names (package plan),
// and the nodes get each other's tracks over links (package cascade). A viewer is
// subscribed on its home when the publisher's home is the same node or the track
// has come there. When a node is lost, or ends a session, its participants move:
// the client is told to resume, its first offer goes to the new node with what
// its transport has (Restoration), and nobody else hears of it. A node that
// drains is left in the same way, with the new session open and the links up
// before the client hears of it. Who can't resume joins anew.
//
// A participant may be forwarded to other rooms of its application: there it is a
// guest, a member without a client, whose session on its participant's node
// publishes the same tracks under other ids (forward.go, guest.go).
//
// The package is a core: no clock, socket, goroutine or logger, and not safe for
// concurrent use. What leaves it (views in messages) is a copy that nobody
// writes to again.
package room
