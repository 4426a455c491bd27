// Package stun is the part of STUN that an ICE-lite Media Node needs: it reads
// Binding messages and writes Binding answers (RFC 8489, RFC 8445; whitepaper
// section 4.3).
//
// Contract: Parse accepts a datagram only if every length in it is right, and
// a message is to be believed only after CheckIntegrity said yes.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|0 0|     message type          |  length of the attributes     |
//	|                  magic cookie 0x2112A442                      |
//	|                  transaction id (96 bits)                     |
//	|  attribute type               |  length       | value, padded |
//
// Nothing here allocates, except that errors of a refused message are shared
// values. A Message points into the datagram it was read from and lives as
// long as that. Values are not safe for concurrent use while one is written.
package stun
