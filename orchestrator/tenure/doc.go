// Package tenure lets several Orchestrators of one operator, its members, share
// rooms through a store: each room is written by one of them at a time (whitepaper
// section 4.1: "Orchestrators can distribute workloads among themselves").
//
// Contract: Take returns a term for a room that no other member ever has, and
// greater than all before. Who has a lower term hears it on Lost; until then the
// term itself protects: the room's record names it, and Media Nodes refuse calls
// with a lower one.
//
//	tenures.member.<name>   {life, url, beat}          once a second
//	tenures.room.<token>    {member, life, term, to}   at each change of hands
//
// A member that says nothing for three beats of another is dead to that one, in
// at most 3 s; one that ends well says so at once. Its rooms are offered to the
// others, each room to one of them. A member that can't reach the store keeps what
// it has: if another takes a room meanwhile, nodes refuse this one.
//
// What is decided is decided by package roll. A Keeper is safe for concurrent use.
package tenure
