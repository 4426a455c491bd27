// Package roll decides who of an operator's Orchestrators is alive and who of
// them writes which room, from what a store tells (whitepaper section 4.1).
//
// Contract: a Roll hands out a term for a room to be written over the revision
// that was read, and counts the room as held only when the store took that write.
// So no term of a room has two members, and each term is greater than all before;
// who held a lower one hears it as Lost, when the news reaches it.
//
//	free ──claim, term+1──▶ held ──hand over──▶ free, for one member
//	  ▲                      │
//	  └── holder is dead ◀───┘   a higher term in the store: Lost
//
// A member writes a beat each second and reads everybody's in the order of the
// store. Who has been silent for three of the reader's own beats is dead. So no
// clock is compared with another's, and a reader that was paused or cut off
// judges nobody until it has beaten three times again: it can't have missed what
// the others wrote between its own beats.
//
// A term is never below the time in milliseconds. That is for stores that were
// restored from a back-up: terms must not be lower than those that nodes have
// seen since. Nothing else depends on it, however wrong the clock.
//
// A Roll is single-threaded. The shell is package tenure.
package roll
